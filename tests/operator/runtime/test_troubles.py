"""An API server that does not do as it should: 410, 429, 5xx, dropped and frozen watches, conflicts, refusals."""

import pytest

from rutta_operator import sweep


async def test_what_vanished_while_a_watch_was_broken_is_forgotten_and_made_again(api, fake, start):
    """After a 410 the watch lists anew, and nobody says what is no more: the sweep does."""
    api.apply(fake.router(), fake.router("other"))
    operator = await start(sweep=0.2)
    await operator.settled()
    api.delete("Service", "main-router", told=False)
    api.delete("RuttaRouter", "other", told=False)
    api.compact()
    api.drop_watches()
    await fake.eventually(lambda: api.get("Service", "main-router"))
    await fake.eventually(lambda: len(operator.program._store.resources) == 1)


async def test_dropped_watches_are_taken_up_again(api, fake, start, condition):
    await start()
    for name in ("one", "two", "three"):
        api.drop_watches()
        api.apply(fake.router(name))
        await fake.eventually(lambda name=name: condition("RuttaRouter", name, "Ready") == "True")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_storm_of_refusals_passes(api, fake, start, condition, status):
    """Every other request fails for as long as eighty of them."""
    left = iter(range(80))
    api.trouble.append(lambda verb, plural, name: status if next(left, 1) % 2 == 0 and plural != "leases" else None)
    api.apply(*(fake.router(f"r{number}") for number in range(5)))
    await start()
    for number in range(5):
        await fake.eventually(lambda number=number: condition("RuttaRouter", f"r{number}", "Ready") == "True")


async def test_an_error_in_a_watch_does_not_end_the_operator(api, fake, start, condition):
    operator = await start()
    await operator.settled()
    api.errors.append({"kind": "Status", "code": 500, "message": "etcdserver: leader changed"})
    api.apply(fake.router())
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    assert not api.errors
    assert not operator.task.done()


async def test_a_frozen_watch_is_healed_and_told_however_rarely_something_changes(api, fake, start, monkeypatch):
    operator = await sweeping(api, fake, start, monkeypatch)
    assert await operator.page("/healthz") == (200, "ok\n")
    api.frozen.add("services")
    for _ in range(2):
        assert await operator.page("/healthz") == (200, "ok\n")
        api.edit("Service", "main-router", lambda found: found["spec"].update(selector={"app": "another"}))
        await fake.eventually(lambda: api.get("Service", "main-router")["spec"]["selector"] != {"app": "another"})
        await sweeps(api, fake)  # nothing is behind in these
    status, text = await operator.page("/healthz")
    assert status == 503
    assert "the watches of Service bring nothing" in text


async def test_a_frozen_watch_of_the_resources_is_healed_and_told(api, fake, start, monkeypatch, condition):
    operator = await sweeping(api, fake, start, monkeypatch)
    api.frozen.add("ruttarouters")
    for name in ("one", "two"):
        assert await operator.page("/healthz") == (200, "ok\n")
        api.apply(fake.router(name))
        await fake.eventually(lambda name=name: condition("RuttaRouter", name, "Ready") == "True")
        await sweeps(api, fake)
    status, text = await operator.page("/healthz")
    assert status == 503
    assert "the watches of RuttaRouter bring nothing" in text


async def test_what_a_sweep_fetched_is_judged_as_what_a_watch_brought(api, fake, start, monkeypatch):
    """An item of a list does not say of which kind it is: that is no difference that would be applied away."""
    operator = await sweeping(api, fake, start, monkeypatch)
    before = len(api.writes())
    api.frozen.add("services")
    api.edit("Service", "main-router", lambda found: found["metadata"].update(finalizers=["somebody/else"]))
    await sweeps(api, fake, 6)
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(logLevel="debug"))
    await fake.eventually(lambda: len(api.writes()) > before)
    await operator.settled()
    assert [one for one in api.writes()[before:] if one[1] == "services"] == []


async def test_a_watch_that_was_behind_and_goes_on_is_well(api, fake, start, monkeypatch):
    operator = await sweeping(api, fake, start, monkeypatch)
    for number in range(3):
        api.frozen.add("services")
        api.edit("Service", "main-router", lambda found: found["spec"].update(selector={"app": "another"}))
        await fake.eventually(lambda: api.get("Service", "main-router")["spec"]["selector"] != {"app": "another"})
        api.frozen.clear()
        api.edit("Service", "main-router", lambda found, to=number: found["metadata"].update(finalizers=[f"n/{to}"]))
        await sweeps(api, fake)
        assert await operator.page("/healthz") == (200, "ok\n")


async def sweeping(api, fake, start, monkeypatch):
    """Return an operator with a router, that sweeps all the time."""
    monkeypatch.setattr(sweep, "_GRACE", 0.1)
    monkeypatch.setattr(sweep, "_SOON", 0.1)
    api.apply(fake.router())
    operator = await start(sweep=0.2)
    await operator.settled()
    return operator


async def sweeps(api, fake, number=3):
    """Wait for some sweeps: each lists Services once."""

    def made():
        return sum(one[:2] == ("list", "services") for one in api.requests)

    before = made()
    await fake.eventually(lambda: made() >= before + number)


async def test_a_conflict_is_tried_again(api, fake, start, condition):
    conflicts = iter([409, 409])
    api.trouble.append(
        lambda verb, plural, name: next(conflicts, None) if (verb, plural) == ("patch", "services") else None
    )
    api.apply(fake.router())
    await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    assert next(conflicts, None) is None


async def test_a_resource_that_fails_does_not_hold_up_others(api, fake, start, condition):
    api.trouble.append(lambda verb, plural, name: 500 if verb == "patch" and name.startswith("bad") else None)
    api.apply(*(fake.router(f"bad{number}") for number in range(8)))
    api.apply(fake.router("good"))
    await start(ready=False, workers=2)
    await fake.eventually(lambda: condition("RuttaRouter", "good", "Ready") == "True")


async def test_what_the_server_refuses_is_told_and_the_rest_applied(api, fake, start, condition):
    api.refusals.append(
        lambda said, live: "port is already allocated" if said["metadata"]["name"] == "main-router-link" else None
    )
    api.apply(fake.router())
    operator = await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted") == "False")
    await operator.settled()
    said = api.get("RuttaRouter", "main")["status"]["conditions"]
    assert any(one["reason"] == "ChildRefused" and "already allocated" in one["message"] for one in said)
    assert api.get("Deployment", "main-router")
    before = api.writes()
    operator.again()
    await operator.settled()
    assert {one[2] for one in api.writes()[len(before) :]} == {"main-router-link"}


async def test_a_bad_pod_template_changes_nothing_that_runs(api, fake, start, condition):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    running = api.get("Deployment", "main-router")
    api.refusals.append(
        lambda said, live: "spec.template.spec.nonsense: unknown" if "nonsense" in str(said.get("spec")) else None
    )
    template = {"spec": {"nonsense": 1}}
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(podTemplate=template, replicas=5))
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted") == "False")
    await operator.settled()
    assert api.get("Deployment", "main-router") == running
    assert api.get("RuttaRouter", "main")["status"]["conditions"][0]["reason"] == "InvalidPodTemplate"
    api.edit("RuttaRouter", "main", lambda found: found["spec"].pop("podTemplate"))
    await fake.eventually(lambda: api.get("Deployment", "main-router")["spec"]["replicas"] == 5)


async def test_an_object_of_somebody_else_is_not_touched(api, fake, start, condition):
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "main-router"},
        "spec": {"ports": [{"port": 1}]},
    }
    api.apply(theirs)
    before = api.get("Service", "main-router")
    api.apply(fake.router())
    operator = await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted") == "False")
    await operator.settled()
    assert api.get("Service", "main-router") == before
    said = api.get("RuttaRouter", "main")["status"]["conditions"][0]
    assert said["reason"] == "NameTaken"
    assert "Service main-router" in said["message"]
    assert "belongs to nobody" in said["message"]


async def test_an_object_that_is_made_is_not_asked_for_before(api, fake, start):
    api.apply(fake.router())
    operator = await start()
    await operator.settled()
    assert api.get("Deployment", "main-router")["metadata"]["ownerReferences"]
    assert [one for one in api.requests if one[0] in ("get", "list") and one[2].startswith("main-")] == []


async def test_an_object_of_ours_that_no_watch_has_told_of_is_applied(api, fake, start, condition):
    """As when the answer to a first try was lost: what is made once more is there by then."""
    lost = []

    def made_before(said):
        place = api.place(said["kind"], said["metadata"]["name"])
        if said["kind"] == "Service" and said["metadata"]["name"] == "main-router" and not lost:
            lost.append(said)
            api.objects.apply(place, said, "rutta-operator")

    api.interceptors.append(made_before)
    api.apply(fake.router())
    await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    asked = [one for one in api.requests if one[1:3] == ("services", "main-router")]
    assert [one[0] for one in asked] == ["patch", "list", "patch"]


async def test_an_object_of_a_former_resource_of_the_name_is_waited_for(api, fake, start, condition):
    former = fake.router()
    api.apply(former)
    first = await start()
    await first.settled()
    await first.stop()
    old = api.get("Service", "main-router")
    with api.change():
        api.objects.live.pop(api.place("RuttaRouter", "main"))
        api.objects.owners.pop(api.place("RuttaRouter", "main"))
    api.apply(fake.router())
    second = await start(ready=False)
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Accepted"))
    assert api.get("Service", "main-router") == old
    for kind in (
        "Service",
        "Deployment",
        "ConfigMap",
        "ServiceAccount",
        "PodDisruptionBudget",
        "PodMonitor",
        "PrometheusRule",
    ):
        for name in api.names(kind):
            api.delete(kind, name)
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    uid = api.get("RuttaRouter", "main")["metadata"]["uid"]

    def owned_by_the_new_one():
        service = api.get("Service", "main-router")
        return service is not None and service["metadata"]["ownerReferences"][0]["uid"] == uid

    await fake.eventually(owned_by_the_new_one)
    await second.stop()


async def test_a_mistake_of_ours_in_one_resource_does_not_hold_up_others(api, fake, start, condition, monkeypatch):
    from rutta_operator import reconcile

    real = reconcile.objects
    monkeypatch.setattr(
        reconcile, "objects", lambda plan, *rest: 1 / 0 if plan.key.name == "bad" else real(plan, *rest)
    )
    api.apply(fake.router("bad"), fake.router("good"))
    await start(ready=False, workers=1)
    await fake.eventually(lambda: condition("RuttaRouter", "good", "Ready") == "True")
