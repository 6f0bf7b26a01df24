"""What is asked of the API server, and what becomes of its answers."""

import asyncio

import kopf
import pytest

from rutta_operator.k8s import cluster, refusals
from rutta_operator.k8s.access import Token
from rutta_operator.k8s.kinds import ALL

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "default"}, "spec": {}}


@pytest.fixture
async def client(api):
    counted = []
    found = cluster.Cluster(kopf.ConnectionInfo(server=api.url), lambda *what: counted.append(what))
    found.counted = counted
    yield found
    await found.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "Invalid"), (403, "Forbidden"), (404, "Gone"), (409, "Conflict"), (410, "Gone"), (422, "Invalid"),
     (429, "Unavailable"), (500, "Unavailable"), (503, "Unavailable"), (504, "Unavailable")],
)  # fmt: skip
async def test_each_refusal_has_its_error_and_message(api, client, status, error):
    api.trouble.append(lambda verb, plural, name: status)
    with pytest.raises(getattr(refusals, error), match="the test wants it so") as found:
        await client.apply(SERVICE)
    assert found.value.status == status
    assert client.counted[-1] == ("patch", "Service", error)


def test_a_field_that_no_schema_knows_is_no_mistake_of_the_servers():
    message = (
        "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): .spec.x: field not declared in schema"
    )
    found = refusals.refusal(500, message)
    assert isinstance(found, refusals.Invalid)
    assert found.status == 422


async def test_what_passes_at_once_is_not_noticed(api, client):
    answers = iter([503])
    api.trouble.append(lambda verb, plural, name: next(answers, None))
    assert (await client.apply(SERVICE))["metadata"]["name"] == "x"
    assert [what[2] for what in client.counted] == ["Unavailable", "Done"]


async def test_a_server_that_is_away_is_unavailable(client, api):
    api.stop()
    with pytest.raises(refusals.Unavailable, match="does not answer"):
        await client.apply(SERVICE)


async def test_an_object_is_deleted_only_if_it_is_the_one_that_is_meant(api, client):
    live = await client.apply(SERVICE)
    with pytest.raises(refusals.Conflict):
        await client.delete("Service", "default", "x", "another")
    await client.delete("Service", "default", "x", live["metadata"]["uid"])
    await client.delete("Service", "default", "x", live["metadata"]["uid"])
    assert api.get("Service", "x") is None


async def test_lists_are_read_page_by_page(api, client):
    api.page = 2
    for name in "abcde":
        await client.apply({**SERVICE, "metadata": {"name": name, "namespace": "default"}})
    found = [one["name"] async for one in client.all_metadata(ALL["Service"], None, "")]
    assert found == list("abcde")


async def test_what_is_not_served_is_served_no_kind(api, client):
    api.missing.update({"PodMonitor", "PrometheusRule"})
    assert await client.served("monitoring.coreos.com", "v1") == set()
    assert await client.served("rutta.logary.tech", "v1alpha1") == {"RuttaRouter", "RuttaShipper", "RuttaProxy"}


async def test_few_requests_are_under_way_at_once_and_a_lease_never_waits(api, client, monkeypatch):
    monkeypatch.setattr(client, "_places", asyncio.Semaphore(0))
    waiting = asyncio.create_task(client.apply(SERVICE))
    assert await client.lease("default", "none") is None
    assert not waiting.done()
    client._places.release()
    await waiting


def test_a_token_that_was_refused_is_read_again(tmp_path):
    file = tmp_path / "token"
    file.write_text("old\n")
    token = Token(kopf.ConnectionInfo(server="http://x", token="old"), file)
    file.write_text("new\n")
    assert token.headers() == {"Authorization": "Bearer old"}
    token.renew()
    assert token.headers() == {"Authorization": "Bearer new"}
