"""Target ``mixpanel`` against a stand-in of ``/import``."""

import base64
import json

import pytest
from aiohttp import web

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.targets import mixpanel

TOKEN = "t0ken-of-a-project"


class Api:
    """https://developer.mixpanel.com/reference/import-events: 2 000 events, 2 MB; ``strict=1`` names what is wrong."""

    def __init__(self):
        self.events = {}
        self.bad = set()

    async def __call__(self, request, body):
        wanted = "Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode()
        if request.headers.get("Authorization") != wanted:
            return web.json_response({"code": 401, "error": "Unauthorized"}, status=401)
        if (request.method, request.path, request.query.get("strict")) != ("POST", "/import", "1"):
            return web.Response(status=404)
        events = json.loads(body)
        if len(events) > 2000 or len(body) > 2_000_000:
            return web.json_response({"code": 413, "error": "request exceeds max limit"}, status=413)
        failed = []
        for index, one in enumerate(events):
            found = one["properties"]
            for key, good in (
                ("event", bool(one["event"]) and one["event"] not in self.bad),
                ("properties.time", isinstance(found.get("time"), int) and 0 < found["time"] < 10**13),
                ("properties.$insert_id", 0 < len(found.get("$insert_id", "")) <= 36),
                ("properties.distinct_id", isinstance(found.get("distinct_id"), str)),
            ):
                if not good:
                    failed.append({"index": index, "field": key, "message": f"{key} is invalid"})
                    break
            else:
                self.events[found["$insert_id"]] = one
        if failed:
            error = "some data points in the request failed validation"
            return web.json_response({"code": 400, "error": error, "failed_records": failed}, status=400)
        return web.json_response({"code": 200, "num_records_imported": len(events), "status": "OK"})


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


@pytest.fixture
async def target(server, monkeypatch):
    monkeypatch.setenv("MIX", TOKEN)
    given = {"endpoint": server.url, "token": {"env": "MIX"}, "timeout": "1s"}
    made = mixpanel.make(conversion.convert(given, mixpanel.Config), "t")
    await made.open()
    yield made
    await made.close()


async def test_an_event_has_all_that_it_came_with(target, api, batch):
    one = {
        "event": "Bought {what}", "level": "info", "name": "shop", "timestamp": 1_700_000_000_123_456_789,
        "fields": {"what": "a book", "time": "mine", "ip": "10.0.0.1"}, "context": {"userId": "ann"},
        "gauges": {"took": {"type": "gauge", "value": 2, "unit": "seconds"}},
    }  # fmt: skip
    outcome = await target.send([batch(one)])
    assert not outcome.retry
    assert not outcome.rejected
    (event,) = api.events.values()
    assert event["event"] == "Bought {what}"
    insert = event["properties"].pop("$insert_id")
    assert event["properties"] == {
        "time": 1_700_000_000_123, "distinct_id": "ann", "formatted": "Bought a book", "level": "info",
        "logger": "shop",
        "what": "a book", "fields.time": "mine", "ip": "10.0.0.1", "userId": "ann",
        "took": 2, "took_unit": "seconds", "took_f": "2.00 s",
    }  # fmt: skip
    assert len(insert) == 32


async def test_what_is_invalid_is_rejected_alone_and_the_rest_is_not_sent_again(
    target, api, server, batch, split_outcome
):
    api.bad = {"b"}
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})])
    assert split_outcome(outcome) == ([], [(0, 1)])
    assert "event is invalid" in outcome.rejected[0].reason
    assert sorted(one["event"] for one in api.events.values()) == ["a", "c"]
    assert len(server.seen) == 1


async def test_more_than_two_thousand_are_several_requests(target, api, server, batch):
    await target.send([batch(*({"event": f"e{number}"} for number in range(4500)))])
    assert len(server.seen) == 3
    assert len(api.events) == 4500
    assert server.seen[0].headers["Content-Encoding"] == "gzip"


async def test_a_request_that_is_too_large_is_halved(target, api, server, batch):
    await target.send([batch(*({"event": f"e{number}", "fields": {"x": "y" * 9000}} for number in range(300)))])
    assert len(api.events) == 300


async def test_an_event_that_is_sent_again_is_counted_once(target, api, server, batch):
    events = batch({"event": "a"}, {"event": "b"})
    server.answers = [web.Response(status=503)]
    with pytest.raises(Retry):
        await target.send([events])
    await target.send([events])
    await target.send([events])
    assert len(api.events) == 2


async def test_users_are_identified(target, api, batch):
    await target.send([batch({"type": "identifyUser", "prevUserId": "anon", "newUserId": "ann"})])
    (event,) = api.events.values()
    assert event["event"] == "$identify"
    assert (event["properties"]["$identified_id"], event["properties"]["$anon_id"]) == ("ann", "anon")


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_tried_again(target, server, batch, fault):
    server.usual = getattr(server, fault)
    with pytest.raises(Retry):
        await target.send([batch({"event": "a"})])


async def test_a_refused_token_is_never_shown(target, api, batch, monkeypatch):
    monkeypatch.setenv("MIX", "old-token-1234")
    with pytest.raises(Retry, match="check the credentials") as caught:
        await target.send([batch({"event": "a"})])
    assert "old-token" not in str(caught.value)


@pytest.mark.parametrize("given", [{}, {"token": "t", "username": "u"}, {"username": "u", "password": "p"}])
def test_credentials_are_one_kind_and_whole(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, mixpanel.Config)


async def test_a_service_account_names_its_project(server, batch):
    given = {"endpoint": server.url, "username": "u", "password": "p", "projectId": "7"}
    made = mixpanel.make(conversion.convert(given, mixpanel.Config), "t")
    await made.open()
    await made.send([batch({"event": "a"})])
    await made.close()
    assert server.seen[0].query == {"strict": "1", "project_id": "7"}
    assert server.seen[0].headers["Authorization"] == "Basic " + base64.b64encode(b"u:p").decode()
