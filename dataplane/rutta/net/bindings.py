"""Where listeners listen: reads ``host:port,host:port`` and binds sockets.

An item is split at its last colon. A host is an IPv4 address, an IPv6 address (in brackets or not), a host name (all
of its addresses are bound) or ``*`` or nothing (every address of the machine). Port 0 lets the kernel choose.
``[::]`` also takes IPv4, as Linux does by default, unless the same list binds IPv4's 0.0.0.0 to the same port.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rutta.errors import ConfigError

EVERYWHERE: Final = "*"
BACKLOG: Final = 4096  # the kernel cuts it to net.core.somaxconn

_REASONS: Final = {
    errno.EADDRINUSE: "another process, or another listener, has this port; choose a free one",
    errno.EACCES: "permission denied; choose a port above 1023, or allow this process to bind low ports",
    errno.EADDRNOTAVAIL: "this machine has no such address; bind one that it has, or 0.0.0.0 for all",
    errno.EAFNOSUPPORT: "this machine has no IPv6; bind an IPv4 address",
}


class Binding(NamedTuple):
    """One item of a list of bindings; shown as it is written."""

    host: str
    port: int

    def __str__(self) -> str:
        """Write it with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> tuple[Binding, ...]:
    """Read a comma list of bindings; ``ValueError`` says in one sentence which item is wrong."""
    return tuple(_item(item.strip()) for item in text.split(","))


def _item(text: str) -> Binding:
    host, colon, port = text.rpartition(":")
    if not colon or host.count("[") != host.count("]"):
        raise ValueError(f"{text!r} is not a binding; write host:port, for example 0.0.0.0:10001 or [::]:10001")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"{text!r} is not a binding: {port!r} is not a port (0–65535)")
    return Binding(host.strip("[]") or EVERYWHERE, int(port))


def shown(sock: socket.socket) -> str:
    """Write the address that a socket is bound to: ``127.0.0.1:10001``, ``[::]:8080``."""
    host, port = sock.getsockname()[:2]
    return str(Binding(host, port))


async def bind(
    text: str, *, listener: str, kind: socket.SocketKind = socket.SOCK_STREAM, reuse_port: bool = False
) -> list[socket.socket]:
    """Bind every address of the list; stream sockets listen. The caller owns the sockets.

    ``ConfigError`` names the listener, the address and the reason; then nothing stays bound.
    """
    try:
        wanted = parse(text)
    except ValueError as exc:
        raise ConfigError(f"the listener {listener} cannot bind: {exc}") from None
    sockets: list[socket.socket] = []
    try:
        for binding in wanted:
            sockets += await _bind_one(binding, wanted, listener=listener, kind=kind, reuse_port=reuse_port)
    except BaseException:
        close(sockets)
        raise
    return sockets


def close(sockets: Sequence[socket.socket]) -> None:
    """Close them all."""
    for sock in sockets:
        sock.close()


async def _bind_one(
    binding: Binding, wanted: Sequence[Binding], *, listener: str, kind: socket.SocketKind, reuse_port: bool
) -> list[socket.socket]:
    """Bind all addresses of one binding; an address that is absent here is an error only if none is left."""
    only6 = Binding("0.0.0.0", binding.port) in wanted  # noqa: S104 - a comparison
    bound: list[socket.socket] = []
    failed: OSError | None = None
    for family, address in await _resolve(binding, listener, kind):
        if bound and binding.port == 0:  # localhost:0 is one port on both families
            address = (address[0], bound[0].getsockname()[1], *address[2:])
        try:
            bound.append(_open(family, address, kind=kind, reuse_port=reuse_port, only6=only6))
        except OSError as exc:
            failed = exc
            if exc.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                close(bound)
                bound = []
                break
    if failed is not None and not bound:
        reason = _REASONS.get(failed.errno or 0) or os.strerror(failed.errno or 0)
        raise ConfigError(f"the listener {listener} cannot bind {binding}: {reason}") from failed
    return bound


async def _resolve(
    binding: Binding, listener: str, kind: socket.SocketKind
) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    """Find the addresses of a binding, each once."""
    if binding.host == EVERYWHERE:
        return [_everywhere(binding.port)]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            binding.host, binding.port, type=kind, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as exc:
        raise ConfigError(
            f"the listener {listener} cannot bind {binding}: the host name cannot be resolved ({exc})"
        ) from exc
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _everywhere(port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Both families by one socket where the machine has IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        return socket.AF_INET6, ("::", port)
    return socket.AF_INET, ("0.0.0.0", port)  # noqa: S104 - what was asked for


def _open(
    family: socket.AddressFamily, address: tuple[Any, ...], *, kind: socket.SocketKind, reuse_port: bool, only6: bool
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:  # with datagrams it would let two processes share a port unasked
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
        sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
