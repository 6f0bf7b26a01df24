"""From resources to objects, against a fake API server: what is made, wired, cut, kept and pruned."""

import json

import pytest

from rutta_operator import program
from rutta_operator.state.seen import Silence


async def test_a_router_gets_its_objects_and_becomes_ready(api, fake, start, condition):
    api.apply(fake.router())
    await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    assert api.names("Service") == ["main-router", "main-router-health", "main-router-link"]
    deployment = api.get("Deployment", "main-router")
    assert deployment["spec"]["replicas"] == 2
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == api.get("RuttaRouter", "main")["metadata"]["uid"]


async def test_a_resource_that_comes_later_is_taken_up(api, fake, start, condition):
    await start()
    api.apply(fake.router())
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")


async def test_a_second_pass_writes_nothing(api, fake, start, condition):
    api.apply(fake.router(), fake.shipper())
    operator = await start()
    await operator.settled()
    before = api.writes()
    operator.again()
    await operator.settled()
    assert api.writes() == before


async def test_a_restart_with_all_in_place_writes_nothing(api, fake, start, condition):
    api.apply(fake.router(), fake.shipper())
    first = await start()
    await first.settled()
    await first.stop()
    before = api.writes()
    await (await start()).settled()
    assert api.writes() == before


async def test_a_change_of_the_spec_changes_the_child_and_no_other(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    before = len(api.writes())
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(replicas=4))
    await fake.eventually(lambda: api.get("Deployment", "main-router")["spec"]["replicas"] == 4)
    await operator.settled()
    assert set(map(two, api.writes()[before:])) == {
        ("patch", "deployments"),
        ("patch", "ruttarouters/status"),
    }


async def test_a_spec_that_comes_with_the_answer_to_a_status_is_taken_up(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    numbers = [4]

    def scale(body):
        if "status" in body and numbers:
            number = numbers.pop()
            api.edit("RuttaRouter", "main", lambda found: found["spec"].update(replicas=number))

    api.interceptors.append(scale)
    operator.program._poller.report = lambda key: Silence("it does not answer.")  # a status to write, and no other news
    operator.again()
    await fake.eventually(lambda: not numbers)
    await fake.eventually(lambda: api.get("Deployment", "main-router")["spec"]["replicas"] == 4)


async def test_what_is_no_longer_wanted_is_deleted(api, fake, start):
    api.apply(fake.router(networkPolicy={"enabled": True}))
    operator = await start()
    await operator.settled()
    assert api.names("NetworkPolicy")
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(networkPolicy={"enabled": False}))
    await fake.eventually(lambda: not api.names("NetworkPolicy"))


async def test_a_deleted_resource_is_left_to_the_garbage_collector(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    before = api.writes()
    api.delete("RuttaRouter", "main")
    await fake.eventually(lambda: not operator.program._store.resources)
    await operator.settled()
    assert api.writes() == before
    assert not api.names("Deployment")


async def test_what_the_garbage_collector_takes_is_not_made_anew(api, fake, start):
    """The watch of the children may tell of a deletion before that of the resources does."""
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    before = api.writes()
    api.frozen.add("ruttarouters")
    api.delete("RuttaRouter", "main")
    await fake.eventually(lambda: not operator.children("RuttaRouter", "main"))
    await fake.eventually(lambda: operator.idle)
    assert api.writes() == before
    assert operator.known("RuttaRouter", "main")


async def test_a_resource_that_is_being_deleted_is_left_alone(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    api.edit("RuttaRouter", "main", lambda found: found["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"))
    await fake.eventually(lambda: operator.known("RuttaRouter", "main").deleting)
    before = api.writes()
    api.delete("Service", "main-router")
    await fake.eventually(lambda: ("Service", "main-router") not in operator.children("RuttaRouter", "main"))
    await operator.settled()
    assert api.writes() == before


async def test_a_target_that_comes_later_is_wired_at_once(api, fake, start, condition):
    api.apply(fake.shipper())
    await start()
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "False")
    assert not api.names("DaemonSet")
    api.apply(fake.router())
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "True")
    assert links(api) == ["main-router-link.default.svc"]


async def test_a_target_whose_link_moves_moves_its_senders(api, fake, start):
    api.apply(fake.router(), fake.shipper())
    await (await start()).settled()
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(link={"port": 6666}))
    await fake.eventually(lambda: link(api)["port"] == 6666)


async def test_senders_stay_where_the_pods_are_while_a_target_is_refused_or_wrong(api, fake, start, condition):
    api.apply(fake.router(), fake.shipper())
    operator = await start()
    await operator.settled()
    api.refusals.append(lambda said, live: "no" if "nonsense" in str(said.get("spec")) else None)
    for wrong in (
        {"podTemplate": {"spec": {"nonsense": 1}}},
        {"link": {"pattern": "Broadcast", "delivery": "AtLeastOnce"}},
    ):
        right = api.get("RuttaRouter", "main")["spec"]
        link_spec = {**wrong.get("link", {}), "port": 6666}
        api.edit("RuttaRouter", "main", lambda found: found["spec"].update({**wrong, "link": link_spec}))  # noqa: B023
        await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted") == "False")
        await operator.settled()
        assert link(api)["port"] == 5555
        await operator.stop()
        operator = await start()  # it knows from the live config where the pods listen
        await operator.settled()
        assert link(api)["port"] == 5555
        api.edit("RuttaRouter", "main", lambda found: found.update(spec=right))  # noqa: B023
        await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted") == "True")
        await operator.settled()
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(link={"port": 6666}))
    await fake.eventually(lambda: link(api)["port"] == 6666)


CIRCLE = [{"kind": "RuttaProxy", "name": "a"}]


async def test_a_kept_link_follows_its_target_and_is_let_in(api, fake, start, condition):
    """Proxy b sends to a, which then sends to b: what is wired stays, follows the port, and is admitted."""
    policy = {"networkPolicy": {"enabled": True}}
    to_main = [{"kind": "RuttaRouter", "name": "main"}]
    api.apply(fake.router(), fake.resource("RuttaProxy", "a", to=to_main, **policy))
    api.apply(fake.resource("RuttaProxy", "b", to=CIRCLE))
    operator = await start()
    await operator.settled()
    assert senders(api, "a-proxy") == ["b"]
    to_both = [*to_main, {"kind": "RuttaProxy", "name": "b"}]
    api.edit("RuttaProxy", "a", lambda found: found["spec"].update(to=to_both))
    await fake.eventually(lambda: condition("RuttaProxy", "b", "ResolvedRefs") == "False")
    await operator.settled()
    assert link(api, "b-")["port"] == 5555
    assert senders(api, "a-proxy") == ["b"]
    api.edit("RuttaProxy", "a", lambda found: found["spec"].update(link={"port": 6666}))
    await fake.eventually(lambda: link(api, "b-")["port"] == 6666)


async def test_who_may_not_send_is_not_let_in(api, fake, start, condition):
    api.apply(
        fake.router("far", "logs", allowedFrom=[{"namespaces": {"from": "All"}}], networkPolicy={"enabled": True})
    )
    api.apply(fake.shipper(to={"kind": "RuttaRouter", "name": "far", "namespace": "logs"}))
    operator = await start()
    await operator.settled()
    assert senders(api, "far-router", "logs") == ["edge"]
    api.edit("RuttaRouter", "far", lambda found: found["spec"].update(allowedFrom=[]), "logs")
    await fake.eventually(lambda: senders(api, "far-router", "logs") == [])


async def test_a_target_that_was_never_readable_is_none(api, fake, start, condition):
    api.apply(fake.router(targets=7), fake.shipper())
    operator = await start()
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "False")
    await operator.settled()
    assert not api.names("DaemonSet")


async def test_a_reference_that_breaks_keeps_its_wiring_across_a_restart(api, fake, start, condition):
    api.apply(fake.router(), fake.shipper())
    first = await start()
    await first.settled()
    api.delete("RuttaRouter", "main")
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "False")
    await first.settled()
    await first.stop()
    second = await start()
    await second.settled()
    second.again()
    await second.settled()
    assert links(api) == ["main-router-link.default.svc"]
    assert api.names("DaemonSet") == ["edge-shipper"]


async def test_a_config_that_is_deleted_while_a_reference_is_broken_returns_as_it_was(api, fake, start, condition):
    api.apply(fake.router(), fake.shipper())
    operator = await start()
    await operator.settled()
    api.delete("RuttaRouter", "main")
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "False")
    await operator.settled()
    config, workload = (api.get(kind, api.names(kind)[0]) for kind in ("ConfigMap", "DaemonSet"))
    api.delete("ConfigMap", config["metadata"]["name"])
    back = await fake.eventually(lambda: api.get("ConfigMap", config["metadata"]["name"]))
    await operator.settled()
    assert back["data"] == config["data"]
    assert api.get("DaemonSet", "edge-shipper") == workload


async def test_a_consent_that_is_revoked_cuts_the_link(api, fake, start, condition):
    everybody = [{"namespaces": {"from": "All"}}]
    api.apply(fake.router("main", "logs", allowedFrom=everybody), fake.router("near"))
    far = {"kind": "RuttaRouter", "name": "main", "namespace": "logs"}
    api.apply(fake.shipper(to=[far, {"kind": "RuttaRouter", "name": "near"}]))
    operator = await start()
    await operator.settled()
    assert links(api) == ["main-router-link.logs.svc", "near-router-link.default.svc"]
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(allowedFrom=[]), "logs")
    await fake.eventually(lambda: links(api) == ["near-router-link.default.svc"])
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "False")


async def test_labels_of_a_namespace_decide_where_consent_is_by_them(api, fake, start, condition):
    chosen = {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}
    api.apply(namespace("default"), fake.router("main", "logs", allowedFrom=[{"namespaces": chosen}]))
    api.apply(fake.shipper(to={"kind": "RuttaRouter", "name": "main", "namespace": "logs"}))
    await start()
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "False")
    api.edit("Namespace", "default", lambda found: found["metadata"].update(labels={"team": "a"}), "")
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "ResolvedRefs") == "True")


async def test_an_operator_of_single_namespaces_says_that_it_cannot_know_labels(api, fake, start, condition):
    chosen = {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}
    api.apply(fake.router(allowedFrom=[{"namespaces": chosen}]), fake.router("other", "elsewhere"))
    await start(namespaces=("default",))
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted") == "False")
    said = api.get("RuttaRouter", "main")["status"]["conditions"]
    assert "NotSupported" in {one["reason"] for one in said}
    assert api.get("Deployment", "other-router", "elsewhere") is None
    assert not [one for one in api.requests if one[1] == "namespaces"]


@pytest.mark.parametrize("there", [True, False], ids=["are_made_where_they_are_known", "are_left_out_elsewhere"])
async def test_monitors(api, fake, start, there):
    if not there:
        api.missing.update({"PodMonitor", "PrometheusRule"})
    api.apply(fake.router())
    await (await start()).settled()
    assert bool(api.names("PodMonitor")) is there
    assert bool(api.names("PrometheusRule")) is there


async def test_monitors_come_and_go_with_their_definitions(api, fake, start, monkeypatch):
    monkeypatch.setattr(program, "_RECHECK", 0.1)
    api.missing.update({"PodMonitor", "PrometheusRule"})
    api.apply(fake.router())
    operator = await start(sweep=0.2)
    await operator.settled()
    api.missing.clear()
    await fake.eventually(lambda: api.names("PodMonitor") and api.names("PrometheusRule"))
    api.delete("PodMonitor", "main-router")
    await fake.eventually(lambda: api.names("PodMonitor"))
    api.missing.update({"PodMonitor", "PrometheusRule"})
    await fake.eventually(lambda: not operator.program._optional)
    await fake.eventually(lambda: ("PodMonitor", "main-router") not in operator.children("RuttaRouter", "main"))
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(replicas=4))
    await fake.eventually(lambda: api.get("Deployment", "main-router")["spec"]["replicas"] == 4)


async def test_an_event_tells_of_each_transition_once(api, fake, start, condition):
    api.apply(fake.router())
    operator = await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    await operator.settled()
    events = [api.get("Event", name) for name in api.names("Event")]
    assert [one["reason"] for one in events].count("Available") == 1
    assert all(one["regarding"]["uid"] == api.get("RuttaRouter", "main")["metadata"]["uid"] for one in events)


def two(written):
    return written[:2]


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {}}}


def senders(api, policy, namespace="default"):
    """Return the names of the resources whose pods a policy lets in."""
    rules = api.get("NetworkPolicy", policy, namespace)["spec"]["ingress"]
    pods = [one["podSelector"]["matchLabels"] for rule in rules for one in rule.get("from", ()) if "podSelector" in one]
    return [one["rutta.logary.tech/instance"] for one in pods]


def link(api, of="edge-"):
    config = next(name for name in api.names("ConfigMap") if name.startswith(of))
    return json.loads(api.get("ConfigMap", config)["data"]["config.json"])["targets"][0]["link"]


def links(api):
    config = next(name for name in api.names("ConfigMap") if name.startswith("edge-"))
    targets = json.loads(api.get("ConfigMap", config)["data"]["config.json"])["targets"]
    return [one["link"]["dns"] for one in targets]
