"""The edges of a directed graph that lie on a cycle, each with a cycle to show. Pure, and blind to order.

An edge lies on a cycle if both its ends are in one strongly connected component (Tarjan, SIAM J. Comput. 1 (1972) 146).
No function here recurses: the graph is what users wrote, and Python's stack is short.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...
    def __hash__(self) -> int: ...


T = TypeVar("T", bound=_Ordered)
_LARGE: Final = 256  # members of a component beyond which one cycle is shown for all its edges


def find(edges: Iterable[tuple[T, T]]) -> dict[tuple[T, T], list[T]]:
    """Return each edge on a cycle with the shortest cycle that begins with it: ``a → b → a``, the first named twice.

    In a component of more than a few hundred members, where that would take a search for each edge, all edges get the
    shortest cycle of its least member.
    """
    every = sorted({(one, two) for one, two in edges})
    after: dict[T, list[T]] = {}
    for one, two in every:
        after.setdefault(one, []).append(two)
    components = _components(after)
    home = {node: number for number, component in enumerate(components) for node in component}
    inside = [(one, two) for one, two in every if one in home and home[one] == home.get(two)]
    large = {
        number: _way(min(component), min(component), after, home)
        for number, component in enumerate(components)
        if len(component) > _LARGE
    }
    return {
        (one, two): large.get(home[one]) or [one, *([one] if one == two else _way(two, one, after, home))]
        for one, two in inside
    }


def _components(after: Mapping[T, list[T]]) -> list[list[T]]:
    """Return the strongly connected components that have an edge."""
    search = _Search(after)
    for root in after:
        if root not in search.index:
            search.run(root)
    return search.found


class _Search:
    """Tarjan's depth-first search; ``work`` is its stack of calls: a node, and its followers not yet seen."""

    def __init__(self, after: Mapping[T, list[T]]) -> None:
        self.after: Mapping[Any, list[Any]] = after
        self.index: dict[Any, int] = {}
        self.low: dict[Any, int] = {}
        self.found: list[list[Any]] = []
        self._open: list[Any] = []  # nodes whose component is not yet known, in the order of their index
        self._is_open: set[Any] = set()

    def run(self, root: Any) -> None:
        work = [self._enter(root)]
        while work:
            node, rest = work[-1]
            following = next(rest, None)
            if following is None:
                work.pop()
                self._leave(node, work[-1][0] if work else None)
            elif following not in self.index:
                work.append(self._enter(following))
            elif following in self._is_open:
                self.low[node] = min(self.low[node], self.index[following])

    def _enter(self, node: Any) -> tuple[Any, Any]:
        self.index[node] = self.low[node] = len(self.index)
        self._open.append(node)
        self._is_open.add(node)
        return node, iter(self.after.get(node, ()))

    def _leave(self, node: Any, caller: Any) -> None:
        if caller is not None:
            self.low[caller] = min(self.low[caller], self.low[node])
        if self.low[node] != self.index[node]:
            return
        component = [self._open.pop()]
        while component[-1] != node:
            component.append(self._open.pop())
        self._is_open.difference_update(component)
        if len(component) > 1 or node in self.after.get(node, ()):
            self.found.append(component)


def _way(start: T, goal: T, after: Mapping[T, list[T]], home: Mapping[T, int]) -> list[T]:
    """Return the shortest way of at least one step from start to goal, both included, inside their component."""
    before: dict[T, T] = {}
    level = [start]
    while goal not in before:
        following = []
        for node in level:
            for one in after.get(node, ()):
                if one not in before and home.get(one) == home[start]:
                    before[one] = node
                    following.append(one)
        level = sorted(following)
    way = [goal, before[goal]]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]
