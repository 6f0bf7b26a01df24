"""References → edges: examples of every fault, and what holds of every graph."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutta_operator.spec.models import LabelRule, LabelSelector
from rutta_operator.wiring import cycles
from rutta_operator.wiring.graph import HOP_LIMIT, REASONS, Edge, Grant, Key, Node, resolve, selects

ANYBODY = (Grant(frozenset({"RuttaShipper", "RuttaProxy"}), "All"),)
OWN = (Grant(frozenset({"RuttaShipper", "RuttaProxy"})),)


def key(kind, name, namespace="ns"):
    return Key(f"Rutta{kind}", namespace, name)


def proxy(name, *to, **more):
    return Node(key("Proxy", name), tuple(to), more.pop("grants", ANYBODY), **more)


def router(name="main", namespace="ns", **more):
    return Node(key("Router", name, namespace), (), more.pop("grants", ANYBODY), **more)


def shipper(*to, namespace="ns"):
    return Node(key("Shipper", "node", namespace), tuple(to))


def faults(*nodes, namespaces=None):
    return [(fault.place, fault.reason, fault.message) for fault in resolve(nodes, namespaces or {}).faults]


MAIN = key("Router", "main")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "RuttaRouter ns/main does not exist"),
        ((router("mian"),), "RuttaRouter ns/main does not exist; did you mean 'mian'?"),
        ((router(namespace="other"),), "RuttaRouter ns/main does not exist; there is one in namespace other"),
        ((proxy("main"),), "RuttaRouter ns/main does not exist; there is a RuttaProxy of that name"),
    ],
)
def test_a_missing_target_is_guessed_at(nodes, message):
    assert faults(shipper(MAIN), *nodes) == [(0, "TargetNotFound", message)]


def test_consent_is_for_the_same_namespace_unless_it_says_more():
    away = shipper(MAIN, namespace="away")
    text = "RuttaRouter ns/main does not admit RuttaShipper from namespace away; its owner can by spec.allowedFrom"
    assert faults(shipper(MAIN), router(grants=OWN)) == []
    assert faults(away, router(grants=OWN)) == [(0, "RefNotPermitted", text)]
    assert faults(away, router(grants=ANYBODY)) == []
    assert faults(shipper(MAIN), router(grants=())) != []
    assert faults(shipper(MAIN), router(grants=(Grant(frozenset({"RuttaProxy"}), "All"),))) != []


def test_consent_by_selector_reads_the_labels_of_the_senders_namespace():
    by_team = Grant(
        frozenset({"RuttaShipper"}), "Selector", LabelSelector.model_validate({"matchLabels": {"team": "a"}})
    )
    by_name = LabelSelector.model_validate({"matchLabels": {"kubernetes.io/metadata.name": "away"}})
    away = shipper(MAIN, namespace="away")
    target = router(grants=(by_team,))
    assert faults(away, target, namespaces={"away": {"team": "a"}}) == []
    assert faults(away, target, namespaces={"away": {"team": "b"}})[0][1] == "RefNotPermitted"
    assert faults(away, target)[0][1] == "RefNotPermitted"
    assert faults(away, router(grants=(Grant(frozenset({"RuttaShipper"}), "Selector", by_name),))) == []


@pytest.mark.parametrize(
    ("operator", "values", "labels", "chosen"),
    [
        ("In", ["a", "b"], {"k": "a"}, True), ("In", ["a"], {"k": "c"}, False), ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "a"}, False), ("NotIn", ["a"], {}, True), ("Exists", [], {"k": ""}, True),
        ("Exists", [], {}, False), ("DoesNotExist", [], {}, True), ("DoesNotExist", [], {"k": "x"}, False),
    ],
)  # fmt: skip
def test_selectors_choose_as_in_kubernetes(operator, values, labels, chosen):
    rule = LabelRule(key="k", operator=operator, values=values)
    assert selects(LabelSelector(matchExpressions=[rule]), labels) is chosen


def test_at_least_once_does_not_go_with_broadcast():
    ((_, reason, message),) = faults(shipper(MAIN), router(pattern="Broadcast", delivery="AtLeastOnce"))
    assert reason == "TransportMismatch"
    assert "AtLeastOnce with pattern Broadcast" in message


def test_a_proxy_cannot_promise_what_its_target_does_not():
    strict = proxy("edge", MAIN, delivery="AtLeastOnce")
    assert faults(strict, router()) == [
        (
            0,
            "TransportMismatch",
            "this proxy promises AtLeastOnce, and RuttaRouter ns/main is AtMostOnce; "
            "give both the same spec.link.delivery",
        )
    ]
    assert faults(strict, router(delivery="AtLeastOnce")) == []
    assert faults(proxy("edge", MAIN), router(delivery="AtLeastOnce")) == []


def test_a_cycle_names_its_whole_path_to_each_of_its_members():
    a, b, c = (key("Proxy", name) for name in "abc")
    graph = resolve([proxy("a", b, MAIN), proxy("b", c), proxy("c", a), router()], {})
    assert {fault.sender.name: fault.message for fault in graph.faults} == {
        "a": "events would run in a circle: ns/a → ns/b → ns/c → ns/a",
        "b": "events would run in a circle: ns/b → ns/c → ns/a → ns/b",
        "c": "events would run in a circle: ns/c → ns/a → ns/b → ns/c",
    }
    assert graph.edges == {Edge(a, MAIN)}


def test_a_proxy_that_names_itself_is_a_cycle():
    a = key("Proxy", "a")
    assert faults(proxy("a", a)) == [(0, "CycleDetected", "events would run in a circle: ns/a → ns/a")]


def test_a_forbidden_edge_closes_no_cycle():
    a, b = key("Proxy", "a"), key("Proxy", "b")
    graph = resolve([proxy("a", b, grants=()), proxy("b", a)], {})
    assert [fault.reason for fault in graph.faults] == ["RefNotPermitted"]
    assert graph.edges == {Edge(a, b)}


def chain(length):
    names = [key("Proxy", f"p{number}") for number in range(1, length + 1)]
    return [
        shipper(names[0]),
        *(proxy(one.name, two) for one, two in zip(names, [*names[1:], MAIN], strict=True)),
        router(),
    ]


def test_eight_proxies_may_be_passed_and_no_more():
    assert faults(*chain(HOP_LIMIT)) == []
    graph = resolve(chain(HOP_LIMIT + 1), {})
    (fault,) = graph.faults
    assert fault.reason == "HopLimit"
    assert fault.sender == key("Proxy", "p8")
    assert fault.message.endswith("more than 8 proxies: " + " → ".join(f"ns/p{number}" for number in range(1, 10)))
    assert Edge(key("Proxy", "p9"), MAIN) in graph.edges


def test_a_cycle_of_thousands_needs_no_recursion_and_no_time():
    names = [key("Proxy", f"p{number:05}") for number in range(5000)]
    nodes = [proxy(one.name, two) for one, two in zip(names, [*names[1:], names[0]], strict=True)]
    graph = resolve(nodes, {})
    assert len(graph.faults) == 5000
    assert not graph.edges


NAMES = [key("Proxy", name, space) for name in "abcdef" for space in ("x", "y")]
GRANTS = st.sampled_from([(), OWN, ANYBODY])
DELIVERIES = st.sampled_from(["AtMostOnce", "AtLeastOnce"])
PATTERNS = st.sampled_from(["Balance", "Balance", "Broadcast"])
TARGETS = st.lists(st.sampled_from([*NAMES, key("Router", "r", "x")]), unique=True, max_size=4)


@st.composite
def graphs(draw):
    senders = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=12))
    nodes = [Node(one, tuple(draw(TARGETS)), draw(GRANTS), draw(PATTERNS), draw(DELIVERIES)) for one in senders]
    nodes.append(Node(key("Shipper", "s", "x"), tuple(draw(TARGETS))))
    if draw(st.booleans()):
        nodes.append(Node(key("Router", "r", "x"), (), draw(GRANTS), draw(PATTERNS), draw(DELIVERIES)))
    return nodes


def reachable(start, edges):
    seen, level = set(), [start]
    while level:
        level = [edge.target for edge in edges if edge.sender in level and edge.target not in seen]
        seen.update(level)
    return seen


def passed(edges, node, memo):
    """The most proxies on any way to a node, itself included, by plain recursion."""
    if node not in memo:
        before = [passed(edges, edge.sender, memo) for edge in edges if edge.target == node]
        memo[node] = max(before, default=0) + (node.kind == "RuttaProxy")
    return memo[node]


@settings(max_examples=150, deadline=None)
@given(graphs(), st.randoms())
def test_the_outcome_depends_on_the_nodes_and_not_on_their_order(nodes, chance):
    first = resolve(nodes, {})
    shuffled = list(nodes)
    chance.shuffle(shuffled)
    second = resolve(shuffled, {})
    assert (first.edges, first.faults, first.hops) == (second.edges, second.faults, second.hops)


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_every_reference_is_wired_or_a_fault_and_no_cycle_is_wired(nodes):
    graph = resolve(nodes, {})
    references = {Edge(node.key, target) for node in nodes for target in node.to}
    broken = {Edge(fault.sender, fault.target) for fault in graph.faults}
    assert graph.edges | broken == references
    assert not graph.edges & broken
    assert {fault.reason for fault in graph.faults} <= REASONS.keys()
    for node in nodes:
        assert node.key not in reachable(node.key, graph.edges)
    for fault in graph.faults:
        assert graph.nodes[fault.sender].to[fault.place] == fault.target


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_an_edge_is_called_cyclic_only_if_it_is_and_the_path_shown_is_real(nodes):
    graph = resolve(nodes, {})
    cyclic = {Edge(one.sender, one.target) for one in graph.faults if one.reason == "CycleDetected"}
    sound = graph.edges | cyclic
    for fault in graph.faults:
        if fault.reason == "CycleDetected":
            assert fault.sender in reachable(fault.target, sound) | {fault.target}
            path = fault.message.partition(": ")[2].split(" → ")
            assert path[0] == path[-1] == fault.sender.short
            assert path[1] == fault.target.short
            real = {(edge.sender.short, edge.target.short) for edge in cyclic}
            assert all(step in real for step in itertools.pairwise(path))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=9, max_size=14), st.randoms())
def test_no_wired_way_passes_more_proxies_than_the_limit(steps, chance):
    names = [key("Proxy", f"p{number:02}") for number in range(len(steps) + 4)]
    nodes = [proxy(names[n].name, *{names[n + 1], names[n + 1 + more]}) for n, more in enumerate(steps)]
    nodes += [proxy(one.name) for one in names[len(steps) :]]
    chance.shuffle(nodes)
    graph = resolve(nodes, {})
    memo = {}
    assert max(passed(graph.edges, node.key, memo) for node in nodes) <= HOP_LIMIT
    assert dict(graph.hops) == {one: memo[one] for one in graph.hops}


@settings(max_examples=200, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_cycles_are_found_as_by_reachability(edges):
    pairs = {Edge(one, two) for one, two in edges}
    assert set(cycles.find(edges)) == {(one, two) for one, two in edges if one == two or one in reachable(two, pairs)}
