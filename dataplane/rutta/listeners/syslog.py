"""Listener ``syslog``: messages of RFC 5424 and, as far as they can be told, RFC 3164; over UDP, TCP or TLS.

Over UDP a datagram is a message (RFC 5426 §3.1). A TCP or TLS stream has counted messages or lines, as it begins
(RFC 6587 §3.4, RFC 5425 §4.3). What a message says is read by the codec ``syslog``.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from rutta.listeners import Listener
from rutta.net import bindings, datagrams, streams
from rutta.net.framing import Framing, for_codec
from rutta.settings import Duration, Size, Tls, default


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a syslog listener."""

    codec: ClassVar[str] = "syslog"

    bind: Annotated[str, Meta(description="addresses to listen on: host:port, host:port")] = "0.0.0.0:514"
    protocol: Annotated[Literal["Tcp", "Udp"], Meta(description="for both, have two listeners; TLS is over Tcp")] = (
        "Tcp"
    )
    framing: Annotated[
        Literal["Auto", "OctetCounted", "Lines"],
        Meta(description="Tcp: how a stream is cut into messages; Auto: as each stream begins"),
    ] = "Auto"
    strict: Annotated[bool, Meta(description="refuse what is not RFC 5424 to the letter")] = False
    max_line_bytes: Annotated[Size, Meta(description="Tcp: longer messages are dropped and counted")] = default(
        Size, "1Mi"
    )
    idle_timeout: Annotated[Duration, Meta(description="Tcp: close a connection this long silent; 0s: never")] = (
        default(Duration, "0s")
    )
    max_connections: Annotated[int, Meta(ge=1, description="Tcp: connections above this are refused")] = 10_000
    tls: Annotated[Tls | None, Meta(description="TLS, and mTLS with clientCaFile; absent: clear text")] = None
    receive_buffer: Annotated[
        Size, Meta(description="Udp: kernel buffer per socket (SO_RCVBUF); net.core.rmem_max may allow less")
    ] = default(Size, "4Mi")
    reuse_port: Annotated[bool, Meta(description="share the port with other processes (SO_REUSEPORT)")] = False

    def __post_init__(self) -> None:
        """Reject bindings that are none, and TLS over datagrams."""
        bindings.parse(self.bind)
        if self.tls is not None and self.protocol == "Udp":
            raise ValueError("tls is over protocol Tcp")


def make(config: Config, name: str) -> Listener:
    """Build the listener."""
    if config.protocol == "Udp":
        manner = datagrams.Manner(config.bind, config.codec, config.receive_buffer, config.reuse_port)
        return datagrams.Datagrams(manner, name)
    return streams.Streams(
        streams.Manner(
            config.bind, _framing(config), float(config.idle_timeout), config.max_connections, config.tls,
            config.reuse_port,
        ),
        name,
    )  # fmt: skip


def _framing(config: Config) -> Framing:
    codec = "plain" if config.framing == "Lines" else config.codec
    return for_codec(codec, max_bytes=config.max_line_bytes, octet_counted=config.framing == "OctetCounted")
