"""Finds the addresses of a link's peers, again and again: DNS of a headless Service, or a list.

ZeroMQ itself connects to the first address of a name only, so every address is dialled by itself. Of a name that has
both families, those of the family that the resolver puts first are used: the others are the same pods again.
"""

import asyncio
import ipaddress
import logging
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

log = logging.getLogger("rutta.link")

JITTER: Final = 0.4  # of the interval, either way, so that senders do not ask in step

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name; ``OSError`` when it cannot be resolved now."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    first = found[0][0]
    return [str(address[0]) for family, _, _, _, address in found if family == first]


def parse(text: str) -> tuple[str, int]:
    """Read ``host:port`` (``tcp://`` before it is fine); ``ValueError`` says what is wrong in one sentence."""
    host, colon, port = text.strip().removeprefix("tcp://").rpartition(":")
    if not colon or not host.strip("[]") or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{text!r} is not an address; write host:port, for example 10.0.0.7:5555 or [fd00::7]:5555")
    return host.strip("[]"), int(port)


def endpoint(host: str, port: int) -> str:
    """Write an address as ZeroMQ reads it."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def is_literal(host: str) -> bool:
    """Whether a host is an address already."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class Discovery:
    """Tells its owner the endpoints, first and whenever they change."""

    def __init__(
        self,
        places: Sequence[tuple[str, int]],
        changed: Callable[[frozenset[str]], None],
        *,
        interval: float,
        resolver: Resolver = resolve,
    ) -> None:
        """``places`` are hosts and ports; ``interval`` is in seconds."""
        self._places = places
        self._changed = changed
        self._interval = interval
        self._resolver = resolver
        self._known: dict[tuple[str, int], Sequence[str]] = {}
        self._told: frozenset[str] | None = None
        self.problem = ""

    async def run(self) -> None:
        """Look until cancelled; addresses that need no resolver are told once."""
        while True:
            problems = [await self._look(host, port) for host, port in self._places]
            self._note("; ".join(filter(None, problems)))
            self._tell()
            if all(is_literal(host) for host, _ in self._places):
                return
            await asyncio.sleep(self._interval * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret

    async def _look(self, host: str, port: int) -> str:
        """Resolve one name; what was known stays when the resolver fails."""
        if is_literal(host):
            self._known[host, port] = [host]
            return ""
        try:
            self._known[host, port] = await self._resolver(host, port)
        except (OSError, UnicodeError) as exc:
            return f"{host} cannot be resolved now: {exc}"
        return ""

    def _note(self, problem: str) -> None:
        if problem and not self.problem:
            fields = {"hosts": [host for host, _ in self._places]}
            log.warning("%s; known peers are kept.", problem, extra={"event": "link_dns_failed", "fields": fields})
        self.problem = problem

    def _tell(self) -> None:
        found = frozenset(endpoint(host, port) for (_, port), hosts in self._known.items() for host in hosts)
        if found != self._told:
            self._told = found
            self._changed(found)
