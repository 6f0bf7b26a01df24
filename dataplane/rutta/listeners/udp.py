"""Listener ``udp``: one datagram is one input, of any codec.

A newline at a datagram's end is taken off: all of them, but with codec ``plain`` only one. A datagram with a newline
left inside is one input all the same.
"""

from typing import Annotated

from msgspec import Meta, Struct

from rutta.net import bindings
from rutta.net.datagrams import Datagrams, Manner
from rutta.settings import Size, default


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a udp listener."""

    bind: Annotated[str, Meta(description="addresses to listen on: host:port, host:port")]
    codec: Annotated[str, Meta(description="what a datagram is: json, plain, auto, syslog, log4jxml, binary")] = "json"
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    receive_buffer: Annotated[
        Size, Meta(description="kernel buffer per socket (SO_RCVBUF); net.core.rmem_max may allow less")
    ] = default(Size, "4Mi")
    reuse_port: Annotated[bool, Meta(description="share the port with other processes (SO_REUSEPORT)")] = False

    def __post_init__(self) -> None:
        """Reject bindings that are none."""
        bindings.parse(self.bind)


def make(config: Config, name: str) -> Datagrams:
    """Build the listener."""
    return Datagrams(Manner(config.bind, config.codec, config.receive_buffer, config.reuse_port), name)
