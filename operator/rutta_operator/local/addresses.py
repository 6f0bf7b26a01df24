"""Where each process of a topology listens on this machine.

A listener gets the port that its spec says, on the address that the user chose; all replicas share it. If another
resource of the topology has it, or the spec has none, a free one is taken. Links and health pages are between our own
processes: free ports on loopback.
"""

import contextlib
import errno
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from rutta_operator.local.holders import holder
from rutta_operator.spec import components
from rutta_operator.spec.problems import Finding, Path, Problem
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Port, ports
from rutta_operator.wiring.topology import Placed

LOOPBACK: Final = "127.0.0.1"
# Below what kernels take for connections out (Linux: 32768 and up), which could take a port in the moment between our
# letting it go and our process binding it.
_QUIET: Final = range(20000, 32768)
_ANY: Final = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104 - what stands for all addresses, and how to reach it


class Addresses(NamedTuple):
    """Every address, and what is to be said about them."""

    listeners: Mapping[tuple[Key, int, str], str]
    """by resource, replica and listener"""
    links: Mapping[Key, Sequence[str]]
    """one for each replica; of a resource with no replicas one that nobody listens on"""
    health: Mapping[tuple[Key, int], str]
    moved: Sequence[str]
    findings: Sequence[Finding]


def written(host: str, port: int) -> str:
    """Write an address as the data plane reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(address: str) -> str:
    """Return the address to dial for one that was bound: ``0.0.0.0`` is reached at loopback."""
    host, _, port = address.rpartition(":")
    bare = host.strip("[]")
    return written(_ANY.get(bare, bare), int(port))


def assign(placed: Mapping[Key, Placed], replicas: Mapping[Key, int], host: str) -> Addresses:
    """Give every process its addresses; ``replicas`` names the resources that will run."""
    with ExitStack() as held:  # every port stays bound until all are chosen, so that none is chosen twice
        chooser = _Chooser(host, held)
        listeners = {
            (key, one, port.name): address
            for key, number in replicas.items()
            for path, port in _with_places(placed[key])
            for one, address in enumerate(chooser.replicas(placed[key], path, port, number))
        }
        links = {
            key: [chooser.free(LOOPBACK) for _ in range(max(1, number))]
            for key, number in replicas.items()
            if key.kind != "RuttaShipper"
        }
        health = {(key, one): chooser.free(LOOPBACK) for key, number in replicas.items() for one in range(number)}
    return Addresses(listeners, links, health, chooser.moved, chooser.findings)


def _with_places(placed: Placed) -> list[tuple[Path, Port]]:
    """Return the listeners' ports, each with its path in the document."""
    section = _section(placed)
    entries = getattr(placed.resource.spec, section, ())
    index = {entry.name: number for number, entry in enumerate(entries)}
    return [(("spec", section, index[port.name], port.component, "port"), port) for port in ports(placed.resource)]


def _section(placed: Placed) -> components.Section:
    return "sources" if placed.key.kind == "RuttaShipper" else "listeners"


class _Chooser:
    """Chooses ports, holding each until all are chosen."""

    def __init__(self, host: str, held: ExitStack) -> None:
        self.moved: list[str] = []
        self.findings: list[Finding] = []
        self._host, self._held = host, held
        self._users: dict[tuple[str, int], str] = {}

    def replicas(self, placed: Placed, path: Path, port: Port, number: int) -> list[str]:
        """Return the address of a listener for each replica: one for all if they can share it."""
        shared = components.shares_port(_section(placed), port.component)
        return [
            first if one == 0 or shared else self.free(self._host, port.protocol)
            for first in ([self.listener(placed, path, port)] if number else [])
            for one in range(number)
        ]

    def listener(self, placed: Placed, path: Path, port: Port) -> str:
        """Return the address of a listener: its own port, or a free one if another resource has it."""
        use, name = (port.protocol, port.number), f"{placed.key} {port.name}"
        if use in self._users:
            address = self.free(self._host, port.protocol)
            self.moved.append(f"{name} is at {address}: {self._users[use]} has port {port.number}.")
            return address
        self._users[use] = name
        try:
            self._hold(self._host, port.protocol, port.number)
        except OSError as exc:
            self.findings.append(placed.document.locate(Problem(path, _why_not(exc, self._host, port))))
        return written(self._host, port.number)

    def free(self, host: str, protocol: str = "TCP") -> str:
        """Return an address with a free port, of those that the kernel gives to nobody by itself."""
        for port in (*random.sample(_QUIET, 64), 0):
            with contextlib.suppress(OSError):
                return written(host, self._hold(host, protocol, port))
        return written(host, 0)  # the host itself is wrong; a finding of its first listener says so

    def _hold(self, host: str, protocol: str, port: int) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM)
        self._held.enter_context(bound)
        if protocol == "TCP":  # else a connection that ended a moment ago would look like a program
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        if protocol == "TCP":
            bound.listen(1)  # with SO_REUSEADDR only a second listen tells that there is a first
        return int(bound.getsockname()[1])


def _why_not(exc: OSError, host: str, port: Port) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"{port.protocol} port {port.number} is in use by {holder(port.protocol, port.number)}"
    if exc.errno in (errno.EACCES, errno.EPERM):
        return f"{port.protocol} port {port.number} needs privileges on this machine; take one above 1023"
    return f"{written(host, port.number)} cannot be bound: {exc.strerror or exc}"
