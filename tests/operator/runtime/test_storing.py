"""What is known: the newest by uid and version, whoever brings it and when."""

import json

import pytest

from rutta_operator import last
from rutta_operator.edges import Edges
from rutta_operator.spec import rules
from rutta_operator.store import Store, owner_of
from rutta_operator.wiring.graph import Key

MAIN = Key("RuttaRouter", "default", "main")


def child(version=1, uid="c", **metadata):
    labels = {
        "app.kubernetes.io/managed-by": "rutta-operator", "app.kubernetes.io/component": "router",
        "rutta.logary.tech/instance": "main",
    }  # fmt: skip
    said = {"name": "x", "namespace": "default", "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"kind": "Service", "metadata": said | metadata, "status": {"loadBalancer": {}}}


def router(version=1, uid="r", generation=1, **spec):
    metadata = {
        "name": "main", "namespace": "default", "uid": uid, "resourceVersion": str(version), "generation": generation,
    }  # fmt: skip
    said = {"targets": [{"name": "out", "uri": "console://."}]} | spec
    return {"apiVersion": "rutta.logary.tech/v1alpha1", "kind": "RuttaRouter", "metadata": metadata, "spec": said}


def test_what_is_old_changes_nothing():
    store = Store()
    assert store.put_child(child(5)) == (MAIN,)
    assert store.put_child(child(5)) == ()
    assert store.put_child(child(4, annotations={"a": "b"})) == ()
    assert store.children(MAIN)["Service", "x"].version == 5
    assert store.put_child(child(10)) == (MAIN,)


def test_a_late_event_of_a_former_object_of_the_name_changes_nothing():
    """Whoever has the name later was written later, and versions count up over all objects of a kind."""
    store = Store()
    store.put_child(child(5, uid="new"))
    assert store.put_child(child(3, uid="old")) == ()
    assert store.drop_child(("Service", "default", "x"), "old") is None
    assert store.children(MAIN)["Service", "x"].uid == "new"
    store.put_resource(router(5, uid="new"))
    assert store.put_resource(router(3, uid="old")) is None
    assert store.resources[MAIN].uid == "new"
    space = {"name": "a", "uid": "new", "resourceVersion": "5", "labels": {"b": "c"}}
    store.put_namespace({"metadata": space})
    assert not store.put_namespace({"metadata": {"name": "a", "uid": "old", "resourceVersion": "3"}})
    assert store.namespaces["a"].uid == "new"


def test_another_object_takes_the_place_of_one_whose_end_nobody_told():
    store = Store()
    store.put_child(child(5))
    assert store.put_child(child(7, uid="d")) == (MAIN,)
    assert store.drop_child(("Service", "default", "x"), "c") is None
    assert store.drop_child(("Service", "default", "x"), "d") == MAIN
    assert store.children(MAIN) == {}


def test_a_child_that_changes_hands_is_news_to_its_former_resource():
    store = Store()
    store.put_child(child(1))
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "z", "uid": "z", "controller": True}
    assert store.put_child(child(2, ownerReferences=[reference])) == (MAIN,)
    assert store.children(MAIN) == {}
    assert store.put_child(child(3)) == (MAIN,)
    other = {**child()["metadata"]["labels"], "rutta.logary.tech/instance": "other"}
    assert store.put_child(child(4, labels=other)) == (MAIN._replace(name="other"), MAIN)


def test_a_document_that_we_fail_at_has_a_problem_and_its_former_place(monkeypatch):
    store = Store()
    store.put_resource(router())
    monkeypatch.setattr(rules, "examine", lambda document: 1 / 0)
    assert store.put_resource(router(2, generation=2)) == MAIN
    assert "ZeroDivisionError" in store.resources[MAIN].problems[0].message
    assert store.resources[MAIN].placed is None
    assert MAIN in store.nodes


def test_only_what_is_of_use_is_kept():
    store = Store()
    store.put_child(child(managedFields=[{"manager": "rutta-operator"}]))
    kept = store.children(MAIN)["Service", "x"].object()
    assert "status" not in kept
    assert "managedFields" not in kept["metadata"]


def test_a_resource_that_became_unreadable_keeps_its_place_in_the_graph():
    store = Store()
    store.put_resource(router(allowedFrom=[{"namespaces": {"from": "All"}}]))
    before = store.nodes[MAIN]
    assert store.put_resource(router(2, generation=2, targets=7)) == MAIN
    assert store.resources[MAIN].placed is None
    assert store.resources[MAIN].problems
    assert store.nodes[MAIN] == before


async def test_a_target_that_became_unreadable_before_it_was_wired_is_none():
    store, changed = Store(), []
    sender = router() | {"kind": "RuttaShipper", "spec": {
        "sources": [{"name": "a", "udp": {"port": 1234, "codec": "json"}}],
        "to": [{"kind": "RuttaRouter", "name": "main"}],
    }}  # fmt: skip
    for one in (router(), router(2, generation=2, targets=7), sender):
        store.put_resource(one)
    edges = Edges(store, changed.extend, whole_cluster=True)
    edges.touch()
    graph = await edges.graph()
    assert [one.reason for one in graph.faults] == ["TargetNotFound"]
    assert not graph.edges
    assert set(graph.nodes) == set(edges.placed) == set(changed)


def test_a_resource_that_breaks_only_a_rule_is_in_the_graph_as_it_is():
    store = Store()
    store.put_resource(router(link={"pattern": "Broadcast", "delivery": "AtLeastOnce"}))
    assert store.resources[MAIN].problems
    assert store.nodes[MAIN].pattern == "Broadcast"


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        (child()["metadata"], MAIN),
        ({"namespace": "default", "labels": {}}, None),
        (child(labels={"app.kubernetes.io/component": "router"})["metadata"], None),
        (child(labels=None)["metadata"], None),
    ],
    ids=["by_its_labels", "nobodys", "labels_without_our_mark", "no_labels"],
)
def test_whose_an_object_is(metadata, owner):
    assert owner_of(metadata) == owner


@pytest.mark.parametrize(
    "text",
    ["", "[]", "nonsense", '{"targets": 5}', '{"targets": [5, {"link": 5}, {"link": {"dns": "x"}}, {"uri": "a"}]}'],
)
def test_a_config_that_somebody_spoiled_has_no_links(text):
    assert last.links({"metadata": {}, "data": {"config.json": text}}) == {}


def config(name, created, dns=None):
    """A live ConfigMap, with one link."""
    targets = [{"name": "a", "link": {"dns": dns, "port": 1}}] if dns else []
    metadata = {"name": name, "creationTimestamp": f"2026-01-0{created}T00:00:00Z"}
    return child(**metadata) | {"kind": "ConfigMap", "data": {"config.json": json.dumps({"targets": targets})}}


def daemon_set(mounts):
    volumes = [{"name": "config", "configMap": {"name": mounts}}]
    return child(name="w") | {"kind": "DaemonSet", "spec": {"template": {"spec": {"volumes": volumes}}}}


@pytest.mark.parametrize(
    ("live", "name"),
    [
        ([config("old", 1), config("new", 2), daemon_set("old")], "old"),
        ([config("old", 1), config("new", 2)], "new"),
        ([config("old", 1), config("new", 2), daemon_set("gone")], "new"),
    ],
    ids=["what_the_workload_mounts", "the_newest_if_there_is_no_workload", "the_newest_if_it_mounts_none_of_them"],
)
def test_the_config_that_pods_read(live, name):
    store = Store()
    for one in live:
        store.put_child(one)
    assert last.mounted(store.children(MAIN))["metadata"]["name"] == name
    assert last.mounted({}) is None


def test_links_by_whom_they_lead_to():
    found = last.links(config("x", 1, "new-proxy-link.b.svc"))
    assert found == {Key("RuttaProxy", "b", "new"): {"dns": "new-proxy-link.b.svc", "port": 1}}


FAR, NEAR = "far-router-link.a.svc", "near-router-link.a.svc"


@pytest.mark.parametrize(
    ("old", "newest", "leads_to"), [(FAR, NEAR, [NEAR]), (FAR, FAR, None), (FAR, None, None), (NEAR, FAR, [])],
    ids=["gets_those_of_the_newest", "is_empty_if_that_has_none_either", "is_empty_if_there_is_no_newest", "is_left"],
)  # fmt: skip
def test_a_config_of_which_nothing_is_left(old, newest, leads_to):
    found = last.without([config("x", 1, old)], {Key("RuttaRouter", "a", "far")}, newest and config("y", 2, newest))
    if leads_to == []:
        assert found == {}
    elif leads_to is None:
        assert found == {"x": ""}
    else:
        assert [one["link"]["dns"] for one in json.loads(found["x"])["targets"]] == leads_to
