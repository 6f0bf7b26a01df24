"""What is paced: the change of a workload's kind, old configs, and who says how many pods there are."""

import json


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
    api.roll("DaemonSet", "main-router")
    await fake.eventually(lambda: not api.get("Deployment", "main-router"))
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")


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


def to_daemon_set(found):
    found["spec"]["workload"] = "DaemonSet"
    del found["spec"]["replicas"]
