"""Target ``elmahio`` against a stand-in of the API's bulk endpoint."""

import json

import pytest
from aiohttp import web

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.targets import elmahio

KEY, LOG = "0123456789abcdef", "5082a1ce-c234-4c2e-92d4-5c5bd5a72854"
SEVERITIES = {"Verbose", "Debug", "Information", "Warning", "Error", "Fatal"}


class Api:
    """https://docs.elmah.io/using-the-rest-api/ (api_key, title required), https://api.elmah.io/swagger (_bulk)."""

    def __init__(self):
        self.messages = []
        self.codes = {}

    async def __call__(self, request, body):
        if request.headers.get("api_key") != KEY:
            return web.Response(status=401)
        if (request.method, request.path) != ("POST", f"/v3/messages/{LOG}/_bulk"):
            return web.Response(status=404)
        messages = json.loads(body)
        assert request.headers["Content-Type"] == "application/json"
        if len(messages) > 50:
            return web.json_response({"title": "too many messages"}, status=400)
        results = []
        for one in messages:
            good = one.get("title") and one.get("severity") in SEVERITIES and one["dateTime"].endswith("Z")
            good = good and all(item.keys() == {"key", "value"} for item in one["data"])
            code = self.codes.get(one.get("title"), 201 if good else 400)
            results.append({"statusCode": code, "location": None})
            self.messages += [one] if code == 201 else []
        return web.json_response(results)


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


@pytest.fixture
async def target(server, monkeypatch):
    monkeypatch.setenv("ELMAH", KEY)
    given = {"endpoint": server.url, "apiKey": {"env": "ELMAH"}, "logId": LOG, "application": "shop", "timeout": "1s"}
    made = elmahio.make(conversion.convert(given, elmahio.Config), "t")
    await made.open()
    yield made
    await made.close()


async def test_an_event_becomes_a_message_with_all_that_it_has(target, api, batch):
    one = {
        "event": "Slow {route}", "level": "warn", "name": "shop.api", "timestamp": 1_700_000_000_123_456_789,
        "fields": {"route": "/buy", "n": 7}, "context": {"host": "n1", "user": "ann"},
        "error": {"message": "late", "errorType": "Timeout", "stackTrace": {"frames": [{"site": "a"}]}},
    }  # fmt: skip
    outcome = await target.send([batch(one)])
    assert not outcome.retry
    assert not outcome.rejected
    (message,) = api.messages
    data = {item["key"]: item["value"] for item in message.pop("data")}
    assert message == {
        "title": "Slow /buy", "titleTemplate": "Slow {route}", "severity": "Warning", "source": "shop.api",
        "dateTime": "2023-11-14T22:13:20.1234567Z", "type": "Timeout", "detail": "late\nat a", "application": "shop",
        "hostname": "n1", "user": "ann",
    }  # fmt: skip
    assert data.items() >= {"route": "/buy", "n": "7", "host": "n1", "error.stack": "at a", "kind": "event"}.items()


async def test_more_than_fifty_are_several_requests(target, api, server, batch):
    await target.send([batch(*({"event": f"e{number}"} for number in range(120)))])
    assert len(server.seen) == 3
    assert [one["title"] for one in api.messages] == [f"e{number}" for number in range(120)]


async def test_a_bad_message_does_not_hold_its_neighbours_up(target, api, batch, split_outcome):
    api.codes = {"b": 400, "c": 500}
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}), batch({"event": "c"}, {"event": "d"})])
    assert split_outcome(outcome) == ([(1, 0)], [(0, 1)])
    assert [one["title"] for one in api.messages] == ["a", "d"]


async def test_the_rate_limit_is_waited_for(target, api, server, batch):
    server.answers = [web.Response(status=429, headers={"Retry-After": "60"})]
    with pytest.raises(Retry) as caught:
        await target.send([batch({"event": "a"})])
    assert caught.value.after == 60


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_tried_again(target, server, batch, fault):
    server.usual = getattr(server, fault)
    with pytest.raises(Retry):
        await target.send([batch({"event": "a"})])


async def test_an_answer_that_is_not_the_apis_is_not_taken_for_delivery(target, server, batch, split_outcome):
    server.answers = [web.Response(text="<html>")]
    with pytest.raises(Retry, match="check the endpoint"):
        await target.send([batch({"event": "a"})])


async def test_a_refused_key_is_never_shown(target, api, batch, monkeypatch):
    monkeypatch.setenv("ELMAH", "old-key-1234")
    with pytest.raises(Retry, match="check the credentials") as caught:
        await target.send([batch({"event": "a"})])
    assert "old-key" not in str(caught.value)


def test_a_log_id_that_is_none_is_said():
    with pytest.raises(ConfigError, match="logId is not a UUID"):
        conversion.convert({"apiKey": "k", "logId": "x"}, elmahio.Config)
