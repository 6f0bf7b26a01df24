"""Target ``opsgenie`` against a stand-in that checks what the Alert API's page says it does."""

import json

import pytest
from aiohttp import web

from rutta import conversion
from rutta.errors import Retry
from rutta.targets import opsgenie

KEY = "eb243592-faa2"


class Api:
    """https://docs.opsgenie.com/docs/alert-api: fields and their lengths; 422 for what is not valid, 202 otherwise."""

    LENGTHS = {"message": 130, "alias": 512, "description": 15000, "entity": 512, "source": 100}

    def __init__(self):
        self.alerts = []

    async def __call__(self, request, body):
        if request.headers.get("Authorization") != f"GenieKey {KEY}":
            return web.json_response({"message": "Could not authenticate"}, status=401)
        if (request.method, request.path) != ("POST", "/v2/alerts"):
            return web.Response(status=404)
        assert request.headers["Content-Type"] == "application/json"
        alert = json.loads(body)
        wrong = [key for key, most in self.LENGTHS.items() if len(alert.get(key, "")) > most]
        wrong += [] if alert.get("message") else ["message"]
        wrong += [] if alert.get("priority") in ("P1", "P2", "P3", "P4", "P5") else ["priority"]
        wrong += (
            ["tags"] if len(alert.get("tags", [])) > 20 or any(len(tag) > 50 for tag in alert.get("tags", [])) else []
        )
        details = alert.get("details", {})
        if sum(len(key) + len(value) for key, value in details.items()) > 8000:
            wrong.append("details")
        if wrong:
            return web.json_response({"message": "Request body is not processable", "errors": wrong}, status=422)
        self.alerts.append(alert)
        return web.json_response({"result": "Request will be processed", "requestId": "1"}, status=202)


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


@pytest.fixture
async def target(server, monkeypatch):
    monkeypatch.setenv("GENIE", KEY)
    given = {"endpoint": server.url, "apiKey": {"env": "GENIE"}, "tags": ["rutta"], "teams": ["ops"], "timeout": "1s"}
    made = opsgenie.make(conversion.convert(given, opsgenie.Config), "t")
    await made.open()
    yield made
    await made.close()


async def test_an_event_becomes_an_alert_with_all_that_it_has(target, api, batch):
    one = {
        "event": "Disk {disk} is full", "level": "error", "name": "shop.db", "fields": {"disk": "sda", "tags": ["db"]},
        "context": {"service": "db"}, "gauges": {"free": {"type": "gauge", "value": 2048, "unit": "bytes"}},
        "error": {"message": "ENOSPC", "stackTrace": {"frames": [{"site": "a", "file": "b.c", "lineNo": 3}]}},
    }  # fmt: skip
    outcome = await target.send([batch(one)])
    assert not outcome.retry
    assert not outcome.rejected
    (alert,) = api.alerts
    assert alert["message"] == "Disk sda is full"
    assert alert["alias"] == "Disk {disk} is full"
    assert alert["description"] == "Disk sda is full\nENOSPC\nat a in b.c:3"
    assert (alert["priority"], alert["entity"], alert["source"]) == ("P2", "shop.db", "db")
    assert alert["tags"] == ["rutta", "db"]
    assert alert["responders"] == [{"name": "ops", "type": "team"}]
    assert alert["details"].items() >= {"disk": "sda", "free": "2048", "free_f": "2.00 KiB", "service": "db"}.items()
    assert len(alert["details"]["id"]) == 32


@pytest.mark.parametrize(
    ("level", "priority"),
    [("verbose", "P5"), ("debug", "P5"), ("info", "P4"), ("warn", "P3"), ("error", "P2"), ("fatal", "P1")],
)
async def test_priorities_are_the_originals(target, api, batch, level, priority):
    await target.send([batch({"event": "x", "level": level})])
    assert api.alerts[0]["priority"] == priority


async def test_what_is_too_long_is_cut_and_not_refused(target, api, batch):
    fields = {f"k{number}": "v" * 900 for number in range(20)} | {"tags": ["t" * 60] + [f"t{n}" for n in range(40)]}
    outcome = await target.send([batch({"event": "é" * 20000, "name": "n" * 600, "fields": fields})])
    assert not outcome.rejected
    assert len(api.alerts) == 1
    assert api.alerts[0]["message"].endswith("…")


async def test_an_event_without_text_is_an_alert_too(target, api, batch):
    await target.send([batch({"type": "gauge", "name": "load", "gauge": {"type": "gauge", "value": 3}})])
    assert api.alerts[0]["message"]


async def test_a_refused_alert_is_rejected_alone(target, api, server, batch, split_outcome):
    refuse = web.json_response({"message": "no"}, status=422)
    server.answers = [web.Response(status=202), refuse]
    retry, rejected = split_outcome(await target.send([batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})]))
    assert (retry, rejected) == ([], [(0, 1)])
    assert [one["message"] for one in api.alerts] == ["c"]


async def test_the_rate_limit_is_waited_for_and_what_is_queued_is_not_sent_twice(
    target, api, server, batch, split_outcome
):
    server.answers = [web.Response(status=202), web.Response(status=429, headers={"Retry-After": "7"})]
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}, {"event": "c"})])
    assert split_outcome(outcome) == ([(0, 1), (0, 2)], [])
    assert outcome.after == 7


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_tried_again(target, server, batch, fault):
    server.usual = getattr(server, fault)
    with pytest.raises(Retry):
        await target.send([batch({"event": "a"})])


async def test_a_key_that_is_refused_is_read_again_and_never_shown(target, api, batch, monkeypatch):
    monkeypatch.setenv("GENIE", "old-key-1234")
    with pytest.raises(Retry, match="check the credentials") as caught:
        await target.send([batch({"event": "a"})])
    assert "old-key" not in str(caught.value)
    monkeypatch.setenv("GENIE", KEY)
    await target.send([batch({"event": "a"})])
    assert len(api.alerts) == 1


def test_the_originals_uri_works(monkeypatch):
    from rutta.uris import entry_of_uri

    entry = entry_of_uri("opsgenie://./?apiKey=k&endpoint=https://api.eu.opsgenie.com/v2")
    config = conversion.convert(entry["opsgenie"], opsgenie.Config)
    assert opsgenie.make(config, "t").status()["endpoint"] == "https://api.eu.opsgenie.com/v2/alerts"
