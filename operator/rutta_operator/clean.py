"""Which resources were found as they should be, and what that was judged by: while it is the same, so is the verdict.

Most passes come from a workload's status, several in each rollout; they need the plan and the status, not the objects.
"""

from collections.abc import Sequence
from typing import NamedTuple

from rutta_operator.edges import Edges
from rutta_operator.k8s.cluster import Object
from rutta_operator.render import Context
from rutta_operator.store import Store
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.topology import Placed


class Inputs(NamedTuple):
    """All that objects are made of and compared with."""

    placed: Placed
    """the same object as long as the spec is the same"""
    graph: int
    context: Context
    children: frozenset[tuple[str, str, int]]
    """kind, name and shape"""


class Clean:
    """Remembers the inputs of passes that had nothing to do."""

    def __init__(self, store: Store, edges: Edges) -> None:
        self._store, self._edges = store, edges
        self._found: dict[Key, Inputs] = {}

    def inputs(self, placed: Placed, context: Context) -> Inputs:
        """Return what a pass goes by now."""
        children = self._store.children(placed.key)
        shapes = frozenset((kind, name, child.shape) for (kind, name), child in children.items())
        return Inputs(placed, self._edges.resolved, context, shapes)

    def has(self, inputs: Inputs) -> bool:
        """Tell whether a pass with these inputs had nothing to do."""
        found = self._found.get(inputs.placed.key)
        return found is not None and found.placed is inputs.placed and found[1:] == inputs[1:]

    def judge(self, before: Inputs, after: Inputs, objects: Sequence[Object], *, well: bool) -> None:
        """Remember a pass if nothing of it was refused or is left, and it changed nothing."""
        key = before.placed.key
        wanted = {(one["kind"], one["metadata"]["name"]) for one in objects}
        if well and before == after and wanted == {one[:2] for one in after.children}:
            self._found[key] = after
        else:
            self._found.pop(key, None)

    def forget(self, key: Key) -> None:
        """Forget a resource that is gone."""
        self._found.pop(key, None)
