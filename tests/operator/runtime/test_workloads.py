"""What is paced: the change of a workload's kind, old configs, and who says how many pods there are."""

import json

import pytest


async def test_the_old_workload_stays_until_the_new_one_is_there(api, fake, start, condition):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    with api.lock:
        api.objects.rolls = False
    api.edit("RuttaRouter", "main", to_daemon_set)
    await fake.eventually(lambda: api.get("DaemonSet", "main-router"))
    await operator.settled()
    assert api.get("Deployment", "main-router")
    assert condition("RuttaRouter", "main", "Ready") == "False"
    assert traffic(api) is None
    api.roll("DaemonSet", "main-router")
    await fake.eventually(lambda: not api.get("Deployment", "main-router"))
    await fake.eventually(lambda: traffic(api) == "Local")
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")


async def test_the_old_workload_stays_until_an_autoscaler_has_made_its_least_number_of_pods(api, fake, start):
    before = fake.router()
    to_daemon_set(before)
    api.apply(before)
    operator = await start()
    await operator.settled()
    scaling = {"minReplicas": 3, "maxReplicas": 5}
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(workload="Deployment", autoscaling=scaling))
    await fake.eventually(lambda: api.get("HorizontalPodAutoscaler", "main-router"))
    await operator.settled()
    assert api.get("Deployment", "main-router")["status"]["availableReplicas"] == 1
    assert api.get("DaemonSet", "main-router")
    api.edit("Deployment", "main-router", lambda found: found["spec"].update(replicas=3))
    await fake.eventually(lambda: not api.get("DaemonSet", "main-router"))


async def test_traffic_stays_on_its_node_while_pods_are_replaced(api, fake, start):
    api.apply(fake.shipper(), fake.router())
    operator = await start()
    await fake.eventually(lambda: traffic(api, "edge-shipper") == "Local")
    await operator.settled()
    with api.lock:
        api.objects.rolls = False
    api.edit("RuttaShipper", "edge", lambda found: found["spec"].update(image="another"))
    await fake.eventually(lambda: "another" in str(api.get("DaemonSet", "edge-shipper")["spec"]))
    operator.again()
    await operator.settled()
    assert traffic(api, "edge-shipper") == "Local"
    api.edit("RuttaShipper", "edge", lambda found: found["spec"].update(workload="Deployment"))
    await fake.eventually(lambda: traffic(api, "edge-shipper") is None)


def traffic(api, name="main-router"):
    return api.get("Service", name)["spec"].get("internalTrafficPolicy")


async def test_an_old_config_stays_until_its_pods_are_replaced(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    old = api.names("ConfigMap")
    with api.lock:
        api.objects.rolls = False
    listeners = [{"name": "web", "http": {"port": 9090, "codec": "json"}}]
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(listeners=listeners))
    await fake.eventually(lambda: len(api.names("ConfigMap")) == 2)
    await operator.settled()
    assert set(old) < set(api.names("ConfigMap"))
    api.roll("Deployment", "main-router")
    await fake.eventually(lambda: len(api.names("ConfigMap")) == 1)
    assert api.names("ConfigMap") != old


async def test_what_is_forbidden_is_cut_from_pods_that_are_not_replaced_too(api, fake, start):
    """A rollout may be stuck; its old pods must not go on sending where they may not."""
    everybody = [{"namespaces": {"from": "All"}}]
    api.apply(fake.router("far", "logs", allowedFrom=everybody), fake.router("near"))
    far = {"kind": "RuttaRouter", "name": "far", "namespace": "logs"}
    api.apply(fake.shipper(to=[far, {"kind": "RuttaRouter", "name": "near"}]))
    operator = await start()
    await operator.settled()
    with api.lock:
        api.objects.rolls = False
    sources = [{"name": "udp", "udp": {"port": 9999, "codec": "json"}}]
    api.edit("RuttaShipper", "edge", lambda found: found["spec"].update(sources=sources))
    await fake.eventually(lambda: len(links(api)) == 2)
    api.edit("RuttaRouter", "far", lambda found: found["spec"].update(allowedFrom=[]), "logs")
    await fake.eventually(lambda: links(api) == [["near-router-link.default.svc"]] * 2)
    api.roll("DaemonSet", "edge-shipper")
    await fake.eventually(lambda: len(links(api)) == 1)


TWO = [{"kind": "RuttaRouter", "name": "far", "namespace": "logs"}, {"kind": "RuttaRouter", "name": "near"}]


async def wired_to_far(api, fake, start, to):
    """Start with a shipper that sends to routers, one of them far, where it needs a consent."""
    api.apply(fake.router("far", "logs", allowedFrom=[{"namespaces": {"from": "All"}}]), fake.router("near"))
    api.apply(fake.shipper(to=to))
    operator = await start()
    await operator.settled()
    return operator


def revoke(api):
    api.edit("RuttaRouter", "far", lambda found: found["spec"].update(allowedFrom=[]), "logs")


@pytest.mark.parametrize("status", [422, 403])
async def test_what_is_forbidden_is_cut_though_the_pod_template_is_refused(api, fake, start, condition, status):
    await wired_to_far(api, fake, start, TWO)
    if status == 422:
        api.refusals.append(lambda said, live: "no" if said["kind"] == "DaemonSet" else None)
    else:
        api.denied.add(("patch", "daemonsets"))
    template, running = {"spec": {"nonsense": 1}}, api.get("DaemonSet", "edge-shipper")
    api.edit("RuttaShipper", "edge", lambda found: found["spec"].update(podTemplate=template))
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "Accepted") == "False")
    revoke(api)
    await fake.eventually(lambda: links(api) == [["near-router-link.default.svc"]])
    assert api.get("DaemonSet", "edge-shipper") == running


async def test_what_is_forbidden_is_cut_from_a_resource_with_problems(api, fake, start, condition):
    operator = await wired_to_far(api, fake, start, TWO)
    services, running = api.names("Service"), api.get("DaemonSet", "edge-shipper")
    api.edit("RuttaShipper", "edge", lambda found: found["spec"].update(sources=[], drain=5))
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "Accepted") == "False")
    revoke(api)
    await fake.eventually(lambda: links(api) == [["near-router-link.default.svc"]])
    await operator.settled()
    assert api.names("Service") == services
    assert api.get("DaemonSet", "edge-shipper") == running
    before = api.writes()
    operator.again()
    await operator.settled()
    assert api.writes() == before


async def test_a_resource_with_problems_whose_every_target_is_forbidden_has_no_pods(api, fake, start, condition):
    operator = await wired_to_far(api, fake, start, TWO[:1])
    api.edit("RuttaShipper", "edge", lambda found: found["spec"].update(drain=5))
    await fake.eventually(lambda: condition("RuttaShipper", "edge", "Accepted") == "False")
    await operator.settled()
    assert api.names("DaemonSet")
    revoke(api)
    await fake.eventually(lambda: not api.names("DaemonSet"))
    await operator.settled()
    assert links(api) == []


async def test_what_an_old_workload_leaves_goes_with_it(api, fake, start):
    """Its ConfigMap is kept for its pods; nobody tells of a deletion that is ours."""
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    listeners = [{"name": "web", "http": {"port": 9090, "codec": "json"}}]
    api.edit("RuttaRouter", "main", lambda found: (to_daemon_set(found), found["spec"].update(listeners=listeners)))
    await fake.eventually(lambda: not api.get("Deployment", "main-router"))
    await fake.eventually(lambda: len(api.names("ConfigMap")) == 1)


async def test_a_route_changes_the_config_in_place(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    old = api.names("ConfigMap")
    template = api.get("Deployment", "main-router")["spec"]["template"]
    routes = [{"match": {"minLevel": "warn"}, "targets": ["out"]}]
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(routes=routes))
    config = lambda: json.loads(api.get("ConfigMap", old[0])["data"]["config.json"])  # noqa: E731
    await fake.eventually(lambda: config().get("routes") == routes)
    await operator.settled()
    assert api.names("ConfigMap") == old
    assert api.get("Deployment", "main-router")["spec"]["template"] == template


async def test_the_autoscaler_takes_over_the_number_of_pods_as_it_is(api, fake, start):
    api.apply(fake.router(replicas=7))
    operator = await start()
    await operator.settled()

    def scale(found):
        del found["spec"]["replicas"]
        found["spec"]["autoscaling"] = {"minReplicas": 2, "maxReplicas": 9}

    api.edit("RuttaRouter", "main", scale)
    await fake.eventually(lambda: api.names("HorizontalPodAutoscaler"))
    await operator.settled()
    assert api.get("Deployment", "main-router")["spec"]["replicas"] == 7
    api.edit("Deployment", "main-router", lambda found: found["spec"].update(replicas=3))
    await operator.settled()
    assert api.get("Deployment", "main-router")["spec"]["replicas"] == 3
    api.edit("RuttaRouter", "main", lambda found: (found["spec"].pop("autoscaling"), found["spec"].update(replicas=4)))
    await fake.eventually(lambda: api.get("Deployment", "main-router")["spec"]["replicas"] == 4)
    await fake.eventually(lambda: not api.names("HorizontalPodAutoscaler"))


async def test_the_autoscaler_gets_a_pod_to_begin_with(api, fake, start):
    """It leaves alone what was scaled to zero."""
    api.apply(fake.router(replicas=0))
    operator = await start()
    await operator.settled()

    def scale(found):
        del found["spec"]["replicas"]
        found["spec"]["autoscaling"] = {"minReplicas": 2, "maxReplicas": 9}

    api.edit("RuttaRouter", "main", scale)
    await fake.eventually(lambda: api.names("HorizontalPodAutoscaler"))
    await operator.settled()
    assert api.get("Deployment", "main-router")["spec"]["replicas"] == 1


def to_daemon_set(found):
    found["spec"]["workload"] = "DaemonSet"
    del found["spec"]["replicas"]


def links(api):
    """Return where each config of the shipper leads to."""
    configs = [api.get("ConfigMap", name) for name in api.names("ConfigMap") if name.startswith("edge-")]
    targets = [json.loads(one["data"]["config.json"])["targets"] for one in configs if one is not None]
    return [[target["link"]["dns"] for target in one] for one in targets]
