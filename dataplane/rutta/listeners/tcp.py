"""Listener ``tcp``: frames over TCP, of any codec."""

from typing import Annotated

from msgspec import Meta, Struct

from rutta.net import bindings, framing
from rutta.net.streams import Manner, Streams
from rutta.settings import Duration, Size, Tls, default


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a tcp listener."""

    bind: Annotated[str, Meta(description="addresses to listen on: host:port, host:port")] = "0.0.0.0:10001"
    codec: Annotated[str, Meta(description="what the frames are: json, plain, auto, syslog, log4jxml, binary")] = "json"
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    max_line_bytes: Annotated[Size, Meta(description="longer lines are dropped and counted")] = default(Size, "1Mi")
    octet_counted: Annotated[bool, Meta(description="frames are LEN SP MSG (RFC 6587), not lines")] = False
    idle_timeout: Annotated[Duration, Meta(description="close a connection this long silent; 0s: never")] = default(
        Duration, "0s"
    )
    max_connections: Annotated[int, Meta(ge=1, description="connections above this are refused")] = 10_000
    tls: Annotated[Tls | None, Meta(description="TLS, and mTLS with clientCaFile; absent: clear text")] = None
    reuse_port: Annotated[bool, Meta(description="share the port with other processes (SO_REUSEPORT)")] = False

    def __post_init__(self) -> None:
        """Reject bindings that are none."""
        bindings.parse(self.bind)


def make(config: Config, name: str) -> Streams:
    """Build the listener."""
    frames = framing.for_codec(config.codec, max_bytes=config.max_line_bytes, octet_counted=config.octet_counted)
    return Streams(
        Manner(config.bind, frames, float(config.idle_timeout), config.max_connections, config.tls, config.reuse_port),
        name,
    )
