"""From resources to objects, against a fake API server."""


async def test_a_router_gets_its_objects_and_becomes_ready(api, fake, start):
    api.apply(fake.router())
    await start()
    ready = await fake.eventually(lambda: condition(api.get("RuttaRouter", "main"), "Ready"))
    assert ready["status"] == "True"
    assert api.names("Service") == ["main-router", "main-router-health", "main-router-link"]
    deployment = api.get("Deployment", "main-router")
    assert deployment["spec"]["replicas"] == 2
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == api.get("RuttaRouter", "main")["metadata"]["uid"]


async def test_a_restart_with_all_in_place_writes_nothing(api, fake, start):
    api.apply(fake.router(), fake.shipper())
    first = await start()
    await first.stop()
    before = api.writes()
    second = await start()
    await second.stop()
    assert api.writes() == before


def condition(found, kind):
    conditions = (found.get("status") or {}).get("conditions", ())
    return next((one for one in conditions if one["type"] == kind), None)
