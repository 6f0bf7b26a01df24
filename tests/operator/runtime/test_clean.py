"""A pass over what is as it should be makes no objects; whatever else has changed, it does."""

import pytest

from rutta_operator import reconcile


@pytest.fixture
def made(monkeypatch):
    """The names of resources of which objects were made."""
    names, really = [], reconcile.objects

    def objects(plan, resource, context):
        names.append(context.owner.name)
        return really(plan, resource, context)

    monkeypatch.setattr(reconcile, "objects", objects)
    return names


async def quiet(operator, made):
    """Let it look twice at everything: the first look may be the one that finds nothing to do."""
    await operator.settled()
    operator.again()
    await operator.settled()
    made.clear()


async def test_a_workloads_status_makes_no_objects(api, fake, start, made, condition):
    api.apply(fake.router())
    operator = await start()
    await quiet(operator, made)

    def falter(found):
        found["status"] = {**found["status"], "availableReplicas": 0, "updatedReplicas": 0}

    api.objects.rolls = False  # nobody makes pods available again
    api.edit("Deployment", "main-router", falter)
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") != "True")
    await operator.settled()
    assert made == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Deployment", lambda found: found["spec"].update(minReadySeconds=77)),
        ("Deployment", lambda found: found["metadata"]["annotations"].clear()),
        ("Service", lambda found: found["spec"].update(selector={"app": "another"})),
        ("RuttaRouter", lambda found: found["spec"].update(replicas=3)),
    ],
)
async def test_a_change_of_what_should_be_or_of_what_is_does(api, fake, start, made, kind, change):
    api.apply(fake.router())
    operator = await start()
    await quiet(operator, made)
    api.edit(kind, "main" if kind == "RuttaRouter" else "main-router", change)
    await fake.eventually(lambda: made)
    await operator.settled()
    assert set(made) == {"main"}


async def test_so_does_a_child_that_is_gone(api, fake, start, made):
    api.apply(fake.router())
    operator = await start()
    await quiet(operator, made)
    api.delete("Service", "main-router")
    await fake.eventually(lambda: api.get("Service", "main-router"))
    assert made


async def test_so_does_another_resource_that_it_is_wired_to(api, fake, start, made):
    api.apply(fake.router(link={"port": 12000}), fake.shipper())
    operator = await start()
    await quiet(operator, made)
    api.edit("RuttaRouter", "main", lambda found: found["spec"]["link"].update(port=12001))
    await fake.eventually(lambda: "edge" in made)
    await operator.settled()
