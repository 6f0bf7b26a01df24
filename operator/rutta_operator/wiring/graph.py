"""References → edges: who may send to whom, and what cannot be wired and why. Pure.

An edge is wired if its target exists, consents, keeps the delivery that its sender promises, is not part of a cycle,
and is reached through at most ``HOP_LIMIT`` proxies. What is not wired is a fault of the sender, at its reference;
other edges stay. The outcome depends on the nodes only, never on their order.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

from rutta_operator.spec.models import Delivery, LabelSelector, Pattern
from rutta_operator.spec.problems import nearest
from rutta_operator.wiring import cycles

HOP_LIMIT: Final = 8  # as the data plane counts: a block passes this many proxies and no more

Reason = Literal["TargetNotFound", "RefNotPermitted", "TransportMismatch", "CycleDetected", "HopLimit"]
REASONS: Final[Mapping[Reason, str]] = {
    "TargetNotFound": "what a reference names does not exist",
    "RefNotPermitted": "its owner has not consented: allowedFrom does not admit the sender",
    "TransportMismatch": "pattern and delivery of the two do not go together",
    "CycleDetected": "events would run in a circle",
    "HopLimit": f"events would pass more than {HOP_LIMIT} proxies",
}


class Key(NamedTuple):
    """What a resource is called, anywhere."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Write it as ``RuttaRouter/default/main``."""
        return "/".join(self)

    @property
    def short(self) -> str:
        """Write it as ``default/main``, where the kind is clear."""
        return f"{self.namespace}/{self.name}"


class Grant(NamedTuple):
    """One consent: these kinds, from these namespaces."""

    kinds: frozenset[str]
    namespaces: Literal["Same", "All", "Selector"] = "Same"
    selector: LabelSelector | None = None


class Node(NamedTuple):
    """What the graph needs to know of a resource."""

    key: Key
    to: tuple[Key, ...] = ()
    grants: tuple[Grant, ...] = ()
    pattern: Pattern = "Balance"
    delivery: Delivery = "AtMostOnce"


class Edge(NamedTuple):
    """A wired reference."""

    sender: Key
    target: Key


class Fault(NamedTuple):
    """A reference that cannot be wired: ``spec.to[place]`` of its sender."""

    sender: Key
    place: int
    target: Key
    reason: Reason
    message: str


class Graph(NamedTuple):
    """All that was resolved; ``hops`` is how many proxies, itself included, an event has passed at most in a proxy."""

    nodes: Mapping[Key, Node]
    edges: frozenset[Edge]
    faults: tuple[Fault, ...]
    hops: Mapping[Key, int]

    def targets(self, sender: Key) -> list[Key]:
        """Return whom a resource sends to, in the order it says."""
        return [one for one in self.nodes[sender].to if Edge(sender, one) in self.edges]

    def senders(self, target: Key) -> list[Key]:
        """Return who sends to a resource."""
        return sorted(edge.sender for edge in self.edges if edge.target == target)

    def faults_of(self, sender: Key) -> list[Fault]:
        """Return the faults of one resource."""
        return [fault for fault in self.faults if fault.sender == sender]


Labels = Mapping[str, Mapping[str, str]]  # of namespaces, by name


def resolve(nodes: Iterable[Node], namespaces: Labels) -> Graph:
    """Wire what can be wired. ``namespaces`` are the labels of those that are known."""
    known = {node.key: node for node in nodes}
    faults: dict[Edge, tuple[Reason, str]] = {}
    edges = {Edge(node.key, target) for node in known.values() for target in node.to}
    for edge in edges:
        fault = _missing(edge, known) or _forbidden(edge, known, namespaces) or _unfit(edge, known)
        if fault is not None:
            faults[edge] = fault
    faults.update(_cycles(edges - faults.keys()))
    hops, far = _hops(edges - faults.keys())
    faults.update(far)
    placed = (
        Fault(node.key, place, target, *faults[Edge(node.key, target)])
        for node in known.values()
        for place, target in enumerate(node.to)
        if Edge(node.key, target) in faults
    )
    return Graph(known, frozenset(edges - faults.keys()), tuple(sorted(placed)), hops)


_Fault = tuple[Reason, str]


def _missing(edge: Edge, known: Mapping[Key, Node]) -> _Fault | None:
    target = edge.target
    if target in known:
        return None
    return "TargetNotFound", f"{target.kind} {target.short} does not exist{_meant(target, known)}"


def _meant(target: Key, known: Iterable[Key]) -> str:
    """Guess what a missing reference meant: another kind, another namespace, another spelling."""
    receivers = sorted(key for key in known if key.kind != "RuttaShipper")
    for key in receivers:
        if key.name == target.name and key.namespace == target.namespace:
            return f"; there is a {key.kind} of that name"
    for key in receivers:
        if key.name == target.name and key.kind == target.kind:
            return f"; there is one in namespace {key.namespace}"
    near = nearest(target.name, (key.name for key in receivers if key[:2] == target[:2]))
    return f"; did you mean {near!r}?" if near else ""


def _forbidden(edge: Edge, known: Mapping[Key, Node], namespaces: Labels) -> _Fault | None:
    sender, target = edge
    if any(_admits(grant, sender, target, namespaces) for grant in known[target].grants):
        return None
    text = f"{target.kind} {target.short} does not admit {sender.kind} from namespace {sender.namespace}"
    return "RefNotPermitted", f"{text}; its owner can by spec.allowedFrom"


def _admits(grant: Grant, sender: Key, target: Key, namespaces: Labels) -> bool:
    if sender.kind not in grant.kinds:
        return False
    if grant.namespaces == "Selector":
        # what every API server labels each namespace with
        labels = {"kubernetes.io/metadata.name": sender.namespace, **namespaces.get(sender.namespace, {})}
        return grant.selector is not None and selects(grant.selector, labels)
    return grant.namespaces == "All" or sender.namespace == target.namespace


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector chooses these labels; an empty one chooses all."""
    tests: Mapping[str, Callable[[str, list[str]], bool]] = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, _: key in labels,
        "DoesNotExist": lambda key, _: key not in labels,
    }
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        tests[rule.operator](rule.key, rule.values) for rule in selector.match_expressions
    )


def _unfit(edge: Edge, known: Mapping[Key, Node]) -> _Fault | None:
    sender, target = known[edge.sender], known[edge.target]
    if target.pattern == "Broadcast" and target.delivery == "AtLeastOnce":
        text = f"{target.key.kind} {target.key.short} is AtLeastOnce with pattern Broadcast, which is lossy"
        return "TransportMismatch", f"{text}; its spec.link needs Balance, or AtMostOnce"
    if sender.key.kind == "RuttaProxy" and sender.delivery == "AtLeastOnce" and target.delivery != "AtLeastOnce":
        text = f"this proxy promises AtLeastOnce, and {target.key.kind} {target.key.short} is AtMostOnce"
        return "TransportMismatch", f"{text}; give both the same spec.link.delivery"
    return None


def _cycles(edges: set[Edge]) -> dict[Edge, _Fault]:
    """Find every edge that lies on a cycle."""
    texts: dict[int, str] = {}  # in a large component all edges share one path
    found: dict[Edge, _Fault] = {}
    paths = cycles.find(edges)
    for edge, path in paths.items():
        if id(path) not in texts:
            texts[id(path)] = f"events would run in a circle: {' → '.join(key.short for key in path)}"
        found[Edge(*edge)] = "CycleDetected", texts[id(path)]
    return found


def _hops(edges: set[Edge]) -> tuple[dict[Key, int], dict[Edge, _Fault]]:
    """Count the proxies passed, in topological order; the edges have no cycle."""
    after: dict[Key, list[Key]] = {}
    incoming: dict[Key, int] = {}
    for sender, target in sorted(edges):
        after.setdefault(sender, []).append(target)
        incoming[target] = incoming.get(target, 0) + 1
    ready = [key for key in after if key not in incoming]
    passed: dict[Key, tuple[int, Key | None]] = {}  # the most proxies before it, and which is the last of them
    hops: dict[Key, int] = {}
    faults: dict[Edge, _Fault] = {}
    while ready:
        key = ready.pop()
        if key.kind == "RuttaProxy":
            hops[key] = passed.get(key, (0, None))[0] + 1
        for target in after.get(key, []):
            here = hops.get(key, 0)
            if target.kind == "RuttaProxy" and here >= HOP_LIMIT:
                faults[Edge(key, target)] = "HopLimit", _too_far([*_chain(key, passed), target])
            elif (here, key) > _rank(passed.get(target)):
                passed[target] = here, key
            incoming[target] -= 1
            if not incoming[target]:
                ready.append(target)
    return hops, faults


def _rank(passed: tuple[int, Key | None] | None) -> tuple[int, Key]:
    nothing = Key("", "", "")
    return (-1, nothing) if passed is None else (passed[0], passed[1] or nothing)


def _chain(key: Key, passed: Mapping[Key, tuple[int, Key | None]]) -> list[Key]:
    """Return the longest chain of proxies that ends in ``key``."""
    chain = [key]
    while (before := passed.get(chain[-1], (0, None))[1]) is not None and before.kind == "RuttaProxy":
        chain.append(before)
    return chain[::-1]


def _too_far(chain: list[Key]) -> str:
    return f"events would pass more than {HOP_LIMIT} proxies: {' → '.join(key.short for key in chain)}"
