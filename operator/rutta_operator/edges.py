"""The graph of all resources, resolved again only when one of them or a namespace's labels changed.

Resolving takes time that grows with the topology, so changes that come together are resolved together: a resolution
begins at the earliest when four times the length of the last one has passed.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rutta_operator import last
from rutta_operator.spec.problems import Problem
from rutta_operator.store import NO_DOCUMENT, Store
from rutta_operator.wiring.graph import Graph, Key, Node, resolve
from rutta_operator.wiring.topology import Placed

_REST: Final = 4.0  # how many times as long as it took we wait until we resolve again
_NOTHING: Final = Graph({}, frozenset(), (), {})
Mark = tuple[Any, ...]
Link = tuple[int, str] | None  # port and pattern


class Edges:
    """The wiring of all that the store knows; ``changed`` is told whose wiring another resource changed."""

    def __init__(self, store: Store, changed: Callable[[Iterable[Key]], None], *, whole_cluster: bool) -> None:
        """Without the ``whole_cluster`` the labels of namespaces are unknown: consent by them counts for nothing."""
        self._store, self._changed, self._whole = store, changed, whole_cluster
        self._graph, self._seen = _NOTHING, {}  # type: tuple[Graph, Mapping[Key, Mark]]
        self._senders: dict[Key, list[Key]] = {}
        self._kept: dict[Key, list[Key]] = {}
        self._applied: dict[Key, Link] = {}  # what pods have, while a spec is not applied, or may never be
        self.placed: dict[Key, Placed] = {}
        """the resources of the graph, some perhaps with problems: what others are wired to"""
        self.resolved = 0
        """how often the graph was resolved"""
        self._nodes: dict[Key, Node] = {}
        self._stale = False
        self._cost, self._next = 0.0, 0.0
        self._resolving: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Say that a namespace's labels changed: nobody else asks for the graph because of that."""
        self._stale = True
        self._begin()

    def touch_node(self, key: Key) -> None:
        """Say that a resource changed; what the graph does not read of it makes no difference."""
        if self._nodes.get(key) != self._store.nodes.get(key) or self._mark_of(key) != self._link(key):
            self._stale = True

    def _mark_of(self, key: Key) -> Any:
        mark = self._seen.get(key)
        return None if mark is None else mark[0]

    async def graph(self) -> Graph:
        """Return the graph of what is known now."""
        while self._stale:
            await asyncio.shield(self._begin())
        return self._graph

    def applied(self, placed: Placed) -> None:
        """Say that a resource's pods are, or are about to be, as it says: senders follow its link."""
        link = _link_of(placed)
        self._applied[placed.key] = link
        if placed.key in self._nodes and self._mark_of(placed.key) != link:
            self.touch()

    def _begin(self) -> asyncio.Task[None]:
        if self._resolving is None:
            self._resolving = asyncio.create_task(self._resolve())
        return self._resolving

    def senders(self, key: Key) -> list[Key]:
        """Return who is wired to a resource, by the graph that was returned last."""
        return self._senders.get(key, [])

    def admitted(self, key: Key) -> frozenset[Key]:
        """Return whose pods may reach a resource's link: who is wired to it, and who keeps its last wiring."""
        return frozenset((*self._senders.get(key, ()), *self._kept.get(key, ())))

    def unsupported(self, key: Key) -> list[Problem]:
        """Return the consents of a resource that cannot be decided."""
        known = self._store.resources.get(key)
        if self._whole or known is None or known.shape is None:
            return []
        text = "the operator watches single namespaces and cannot read their labels; use from: Same or from: All"
        return [
            Problem(("spec", "allowedFrom", index, "namespaces", "from"), text)
            for index, consent in enumerate(getattr(known.shape.spec, "allowed_from", ()))
            if consent.namespaces.from_ == "Selector"
        ]

    async def _resolve(self) -> None:
        try:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            self._resolve_now()
            self._stale = False
        finally:
            self._resolving = None

    def _resolve_now(self) -> None:
        began = time.monotonic()
        self.resolved += 1
        self.placed = {key: found for key in self._store.nodes if (found := self._place(key)) is not None}
        self._nodes = {key: self._store.nodes[key] for key in self.placed}
        self._applied = {key: link for key, link in self._applied.items() if key in self._nodes}
        self._graph = resolve(map(self._decidable, self._nodes.values()), self._labels())
        self._senders = {}
        for edge in sorted(self._graph.edges):
            self._senders.setdefault(edge.target, []).append(edge.sender)
        self._kept = {}
        for fault in self._graph.faults:
            if fault.reason != "RefNotPermitted":
                self._kept.setdefault(fault.target, []).append(fault.sender)
        before, self._seen = self._seen, self._marks()
        ended = time.monotonic()
        self._next = ended + _REST * (ended - began)
        self._changed([key for key, mark in self._seen.items() if before.get(key) != mark])

    def _place(self, key: Key) -> Placed | None:
        known = self._store.resources.get(key)
        if known is None or known.shape is None:
            return self.placed.get(key)  # as it was when it was readable
        placed = Placed(key, known.shape, NO_DOCUMENT)
        if key not in self._applied and (live := last.link(last.mounted(self._store.children(key)))) is not None:
            self._applied[key] = live
        return _linked(placed, self._applied.get(key))

    def _labels(self) -> Mapping[str, Mapping[str, str]]:
        return {name: one.labels for name, one in self._store.namespaces.items()}

    def _decidable(self, node: Node) -> Node:
        """Leave out consents by labels that we may not read."""
        if self._whole:
            return node
        return node._replace(grants=tuple(grant for grant in node.grants if grant.namespaces != "Selector"))

    def _marks(self) -> dict[Key, Mark]:
        """Return, for each resource, all that its plan and status take from others."""
        links = {key: self._link(key) for key in self._nodes}
        faults: dict[Key, list[Any]] = {}
        for fault in self._graph.faults:
            faults.setdefault(fault.sender, []).append(fault)
        edges = self._graph.edges
        return {
            key: (
                links[key],
                tuple((one, (key, one) in edges, links.get(one)) for one in node.to),
                tuple(faults.get(key, ())),
                tuple(self._senders.get(key, ())),
                tuple(self._kept.get(key, ())),
            )
            for key, node in self._nodes.items()
        }

    def _link(self, key: Key) -> Link:
        placed = self._place(key)
        return None if placed is None else _link_of(placed)


def _link_of(placed: Placed) -> Link:
    link = getattr(placed.resource.spec, "link", None)
    return None if link is None else (link.port, link.pattern)


def _linked(placed: Placed, link: Link) -> Placed:
    """Return a resource with the link that its pods have."""
    if link is None or link == _link_of(placed):
        return placed
    spec = placed.resource.spec
    now = getattr(spec, "link").model_copy(update={"port": link[0], "pattern": link[1]})  # noqa: B009
    return placed._replace(resource=placed.resource.model_copy(update={"spec": spec.model_copy(update={"link": now})}))
