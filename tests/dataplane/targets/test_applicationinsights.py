"""Target ``applicationinsights`` against a stand-in of the ingestion service.

Written from the schemas (https://github.com/microsoft/ApplicationInsights-Home/tree/master/EndpointSpecs/Schemas), the
document "Server Telemetry Channel Error Handling" of ApplicationInsights-dotnet (206, its items and codes) and
https://learn.microsoft.com/azure/azure-monitor/service-limits#application-insights.
"""

import json
import re

import pytest
from aiohttp import web

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.events.event import Span
from rutta.insights import connection
from rutta.insights.operations import duration
from rutta.targets import applicationinsights

KEY = "0f2c7d4e-1111-4222-8333-9a8b7c6d5e4f"
ID = "0123456789abcdef0123456789abcdef"
TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
TIME = 1_700_000_000_123_456_789

# Per type: fields that are needed, and the most characters of each text
NEEDED = {
    "MessageData": {"message": 32768}, "EventData": {"name": 512}, "ExceptionData": {}, "MetricData": {},
    "RequestData": {"id": 128, "name": 1024, "responseCode": 1024, "duration": 64},
    "RemoteDependencyData": {"id": 128, "name": 1024, "resultCode": 1024, "duration": 64},
}  # fmt: skip
OPTIONAL = {
    "MessageData": {"severityLevel", "measurements"}, "EventData": {"measurements"},
    "ExceptionData": {"exceptions", "severityLevel", "measurements"}, "MetricData": {"metrics"},
    "RequestData": {"success", "url", "source", "measurements"},
    "RemoteDependencyData": {"success", "data", "type", "target", "measurements"},
}  # fmt: skip
TAGS = {
    "ai.application.ver": 1024, "ai.cloud.role": 256, "ai.cloud.roleInstance": 256, "ai.location.ip": 46,
    "ai.operation.id": 128, "ai.operation.parentId": 128, "ai.user.id": 128, "ai.internal.sdkVersion": 64,
}  # fmt: skip


def trouble(line):
    """What the service would say of an item; empty if it takes it."""
    if len(line) > 65536:
        return "the item is larger than 64 KB"
    one = json.loads(line)
    data, kind = one["data"]["baseData"], one["data"]["baseType"]
    checks = [
        (one["iKey"] == KEY, "iKey"), (one["name"].startswith("Microsoft.ApplicationInsights."), "name"),
        (re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", one["time"]), "time"),
        (len(one["seq"]) <= 64, "seq"), (data["ver"] == 2, "ver"),
        (set(data) <= {"ver", "properties", *NEEDED[kind], *OPTIONAL[kind]}, f"fields of {kind}"),
    ]  # fmt: skip
    checks += [(0 < len(data.get(key, "")) <= most, f"'{key}' on '{kind}'") for key, most in NEEDED[kind].items()]
    checks += [(key in TAGS and 0 < len(value) <= TAGS[key], key) for key, value in one["tags"].items()]
    for key, value in data["properties"].items():
        checks.append((isinstance(value, str) and len(value) <= 8192 and 0 < len(key) <= 150, f"property {key}"))
    for key, value in data.get("measurements", {}).items():
        checks.append((isinstance(value, int | float) and 0 < len(key) <= 150, f"measurement {key}"))
    if kind == "MetricData":
        (point,) = data["metrics"]
        checks.append((0 < len(point["name"]) <= 1024 and isinstance(point["value"], int | float), "metric"))
    if "duration" in data:
        checks.append((re.fullmatch(r"\d{1,3}\.\d\d:\d\d:\d\d\.\d{7}", data["duration"]), "duration"))
    for details in data.get("exceptions", ()):
        checks.append((0 < len(details["typeName"]) <= 1024 and 0 < len(details["message"]) <= 32768, "exception"))
        for frame in details.get("parsedStack", ()):
            checks.append((isinstance(frame["level"], int) and 0 < len(frame["method"]) <= 1024, "frame"))
    return next((f"109: Field {what} is required, or not as expected" for good, what in checks if not good), "")


def answer(status, received, errors=(), headers=None):
    body = {
        "itemsReceived": received, "itemsAccepted": received - len(errors),
        "errors": [{"index": at, "statusCode": code, "message": text} for at, code, text in errors],
    }  # fmt: skip
    return web.json_response(body, status=status, headers=headers)


class Api:
    """Takes items one by one; ``codes`` are what it says of some texts (429: not now), as often as they come."""

    def __init__(self):
        self.items = []
        self.codes = {}

    async def __call__(self, request, body):
        if (request.method, request.path) != ("POST", "/v2.1/track"):
            return web.Response(status=404)
        if request.headers["Content-Type"] != "application/x-json-stream":
            return web.Response(status=415)
        errors, good = [], []
        lines = body.split(b"\n")
        for at, line in enumerate(lines):
            code = next((code for text, code in self.codes.items() if text.encode() in line), None)
            if code or (text := trouble(line)):
                errors.append((at, code or 400, f"told so of {KEY}" if code else text))
            else:
                good.append(json.loads(line))
        self.items += good
        return answer(200 if not errors else 206 if good else 400, len(lines), errors, {"Retry-After": "9"})

    def data(self, kind):
        return [one["data"]["baseData"] for one in self.items if one["data"]["baseType"] == kind]


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


def build(url, **given):
    given = {"connectionString": f"InstrumentationKey={KEY};IngestionEndpoint={url}/", "timeout": "2s", **given}
    return applicationinsights.make(conversion.convert(given, applicationinsights.Config), "t")


@pytest.fixture
async def target(server, api):
    made = build(server.url)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def send(server, api, batch):
    """Send events with some settings; all must be taken. Returns the items."""

    async def send(*events, context=None, **given):
        made = build(server.url, **given)
        await made.open()
        outcome = await made.send([batch(*events, context=context)])
        await made.close()
        assert not outcome.retry, outcome.retry
        assert not outcome.rejected, outcome.rejected
        return api.items

    return send


# --- what becomes of an event ----------------------------------------------------------------------------------------


async def test_an_event_is_a_trace_with_all_that_it_came_with(send):
    one = {
        "event": "{user} paid", "id": ID, "level": "warn", "name": "shop", "timestamp": TIME, "parentSpanId": PARENT,
        "fields": {"user": "ada", "n": 1, "list": [1, {"a": None}], "none": None, "traceId": TRACE},
        "context": {"service": "web", "host": "h", "tenant": "t", "userId": "u1"},
        "gauges": {"took": {"type": "gauge", "value": 2, "unit": "seconds"}},
        "monetaryValue": {"amount": 12.5, "currency": "sek"},
    }  # fmt: skip
    (found,) = await send(one)
    assert found["name"] == "Microsoft.ApplicationInsights.Message"
    assert (found["time"], found["seq"], found["iKey"]) == ("2023-11-14T22:13:20.1234567Z", str(TIME), KEY)
    assert found["tags"].pop("ai.internal.sdkVersion").startswith("rutta:")
    assert found["tags"] == {
        "ai.operation.id": TRACE, "ai.operation.parentId": PARENT, "ai.cloud.role": "web",
        "ai.cloud.roleInstance": "h", "ai.user.id": "u1",
    }  # fmt: skip
    assert found["data"]["baseData"] == {
        "ver": 2, "message": "ada paid", "severityLevel": 2,
        "properties": {
            "id": ID, "logger": "shop", "template": "{user} paid", "user": "ada", "n": "1",
            "list": '[1,{"a":null}]', "tenant": "t", "took_unit": "seconds", "took_f": "2.00 s",
            "monetaryValue_unit": "SEK", "monetaryValue_f": "SEK 12.50",
        },
        "measurements": {"took": 2, "monetaryValue": 12.5},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "number"), [("verbose", 0), ("debug", 0), ("info", 1), ("warn", 2), ("error", 3), ("fatal", 4)]
)
async def test_levels_are_severities(send, level, number):
    (found,) = await send({"event": "a", "level": level})
    assert found["data"]["baseData"]["severityLevel"] == number
    assert found["data"]["baseData"]["properties"].get("level") == (level if number == 0 else None)


async def test_an_event_without_a_text_says_what_it_is(send):
    first, second = await send({"event": "", "name": "shop"}, {"event": ""})
    assert [one["data"]["baseData"]["message"] for one in (first, second)] == ["shop", "event"]


async def test_events_may_be_custom_events(send):
    (found,) = await send({"event": "{user} paid", "fields": {"user": "ada"}, "level": "info"}, events="Event")
    data = found["data"]["baseData"]
    assert (found["data"]["baseType"], data["name"]) == ("EventData", "{user} paid")
    assert (data["properties"]["message"], data["properties"]["level"]) == ("ada paid", "info")


@pytest.mark.parametrize(
    "one",
    [
        {"type": "identifyUser", "prevUserId": "p", "newUserId": "n"},
        {"type": "setUserProperty", "userId": "u", "key": "k", "value": 5},
        {"type": "forgetUser", "userId": "u"},
    ],
)
async def test_what_is_said_of_users_is_a_custom_event(send, one):
    (found,) = await send(one)
    data = found["data"]["baseData"]
    assert (found["data"]["baseType"], data["name"]) == ("EventData", one["type"])
    assert {f"user.{key}": str(value) for key, value in one.items() if key != "type"}.items() <= data[
        "properties"
    ].items()


async def test_an_error_is_an_exception_with_its_causes(send):
    frames = [{"site": "Shop.Pay", "file": "Pay.cs", "lineNo": 7, "loadModule": {"name": "shop.dll"}}, {}]
    error = {
        "message": "no", "errorType": "Bad", "stackTrace": {"frames": frames},
        "inner": {"errorType": "Deep", "stackTrace": {"frames": [{"site": "a"}] * 200, "droppedFramesCount": 3}},
    }  # fmt: skip
    (found,) = await send({"event": "pay {n}", "fields": {"n": 1}, "level": "error", "error": error})
    data = found["data"]["baseData"]
    assert found["data"]["baseType"] == "ExceptionData"
    assert data["severityLevel"] == 3
    assert (data["properties"]["message"], data["properties"]["template"]) == ("pay 1", "pay {n}")
    outer, inner = data["exceptions"]
    assert outer == {
        "id": 1, "typeName": "Bad", "message": "no", "hasFullStack": True,
        "parsedStack": [
            {"level": 0, "method": "Shop.Pay", "fileName": "Pay.cs", "assembly": "shop.dll", "line": 7},
            {"level": 1, "method": "?"},
        ],
    }  # fmt: skip
    assert (inner["id"], inner["outerId"], inner["typeName"], inner["message"]) == (2, 1, "Deep", "pay 1")
    assert (len(inner["parsedStack"]), inner["hasFullStack"]) == (100, False)
    assert data["properties"]["rutta.cut"] == "stack"


async def test_a_gauge_is_a_metric(send):
    one = {
        "type": "gauge", "name": "load", "labels": {"cpu": "0"},
        "gauge": {"type": "gauge", "value": 3, "unit": "bytes"},
        "gauges": {"more": {"type": "gauge", "value": 4, "unit": "scalar"}},
    }  # fmt: skip
    (found,) = await send({**one, "id": ID})
    data = found["data"]["baseData"]
    assert data["metrics"] == [{"name": "load", "kind": 0, "value": 3}]
    assert data["properties"] == {"id": ID, "cpu": "0", "value_unit": "bytes", "value_f": "3.00 B", "more": "4"}
    assert "measurements" not in data


async def test_a_gauge_that_measures_no_number_is_a_trace(send):
    gauge = {"type": "gauge", "name": "door", "gauge": {"type": "gauge", "value": "open", "unit": "scalar"}}
    (found,) = await send(gauge)
    assert found["data"]["baseType"] == "MessageData"
    assert found["data"]["baseData"]["properties"]["value"] == "open"


async def test_a_histogram_is_an_aggregation(send):
    one = {"type": "histogram", "name": "took", "labels": {}, "sum": 12.5, "buckets": {"1": 2, "10": 3}, "id": ID}
    (found,) = await send(one)
    data = found["data"]["baseData"]
    assert data["metrics"] == [{"name": "took", "kind": 1, "value": 12.5, "count": 5}]
    assert data["properties"] == {"id": ID, "buckets": '{"1":2,"10":3}'}


def span_event(**more):
    return {
        "type": "span", "label": "GET /", "name": "shop", "started": TIME, "finished": TIME + 1_500_000_000, "id": ID,
        "spanContext": {"traceId": TRACE, "spanId": SPAN, "parentSpanId": PARENT}, **more,
    }  # fmt: skip


async def test_a_span_of_a_server_is_a_request(send):
    attrs = {"http.response.status_code": 500, "url.full": "http://h/a", "client.address": "10.0.0.1", "x": 1}
    one = span_event(kind=2, status={"code": 1, "description": "broke"}, attrs=attrs, error={"message": "no"})
    (found,) = await send(one)
    assert (found["tags"]["ai.operation.id"], found["tags"]["ai.operation.parentId"]) == (TRACE, PARENT)
    assert found["data"] == {
        "baseType": "RequestData",
        "baseData": {
            "ver": 2, "id": SPAN, "name": "GET /", "duration": "0.00:00:01.5000000", "success": False,
            "responseCode": "500", "url": "http://h/a", "source": "10.0.0.1",
            "properties": {
                "id": ID, "logger": "shop", "x": "1", "spanKind": "server", "status.description": "broke",
                "error": '{"message":"no"}',
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "attrs", "expected"),
    [
        (1, {"db.system": "postgresql", "db.statement": "SELECT 1", "server.address": "db"},
         {"type": "postgresql", "data": "SELECT 1", "target": "db"}),
        (1, {"http.url": "http://h/a", "http.status_code": 200},
         {"type": "HTTP", "data": "http://h/a", "resultCode": "200"}),
        (4, {"messaging.system": "kafka", "peer.service": "broker"}, {"type": "kafka", "target": "broker"}),
        (0, {}, {"type": "InProc", "resultCode": "0"}),
    ],
)  # fmt: skip
async def test_other_spans_are_dependencies(send, kind, attrs, expected):
    (found,) = await send(span_event(kind=kind, attrs=attrs))
    data = found["data"]["baseData"]
    assert found["data"]["baseType"] == "RemoteDependencyData"
    assert {**expected, "id": SPAN, "name": "GET /", "success": True}.items() <= data.items()


async def test_spans_are_counted_as_their_sender_does(send):
    first, second = await send(span_event(kind=1, status={"code": 2}), span_event(kind=2), spanNumbers="OpenTelemetry")
    assert first["data"]["baseType"] == "RequestData"
    assert first["data"]["baseData"]["success"] is False
    assert second["data"]["baseType"] == "RemoteDependencyData"


async def test_dependencies_may_be_traces_as_the_original_had_it(send):
    links = [{"type": "x", "predecessor": "1", "attrs": {}}]
    request, trace = await send(
        span_event(kind=2),
        span_event(kind=1, links=links, finished=None, events=[{"event": "e"}]),
        trackDependencies=False,
    )
    assert request["data"]["baseType"] == "RequestData"
    assert trace["data"]["baseType"] == "MessageData"
    assert trace["data"]["baseData"]["message"] == "GET /"
    found = trace["data"]["baseData"]["properties"]
    assert json.loads(found["links"]) == links
    assert (json.loads(found["events"]), found["unfinished"]) == ([{"event": "e"}], "true")


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0.00:00:00.0000000"), (1_234_567_890, "0.00:00:01.2345678"), (90_061 * 10**9, "1.01:01:01.0000000"),
     (2000 * 86400 * 10**9, "999.23:59:59.9999999"), (-5, "0.00:00:00.0000000")],
)  # fmt: skip
def test_durations_are_written_as_the_schema_has_them(nanoseconds, text):
    assert duration(Span(started=10, finished=10 + nanoseconds)) == text


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_what_is_longer_than_the_schema_takes_is_cut_and_noted(send):
    fields = {"long": "x" * 9000, "k" * 200: 1, "k" * 200 + "2": 2, "": "empty"}
    (found,) = await send({"event": "y" * 40_000, "fields": fields})
    data = found["data"]["baseData"]
    assert len(data["message"]) == 32768
    assert data["message"].endswith("…")
    assert len(data["properties"]["long"]) == 8192
    assert data["properties"]["_"] == "empty"
    assert {data["properties"][key] for key in data["properties"] if key.startswith("kkk")} == {"1", "2"}
    assert "message" in data["properties"]["rutta.cut"]
    assert "long" in data["properties"]["rutta.cut"]


async def test_an_item_that_is_too_large_as_a_whole_is_cut_shorter(server, api, batch, split_outcome):
    made = build(server.url)
    await made.open()
    large = {"event": "y" * 30_000, "fields": {f"f{number}": "x" * 8000 for number in range(12)}}
    hopeless = {"event": "z", "fields": {f"f{number}": "x" * 1000 for number in range(80)}}
    outcome = await made.send([batch({"event": "a"}, large, hopeless, {"event": "b"})])
    assert split_outcome(outcome) == ([], [(0, 2)])
    assert "65536 bytes" in outcome.rejected[0].reason
    assert [len(one["message"]) for one in api.data("MessageData")] == [1, 8192, 1]
    assert made.status()["failures"]["cut"] == 2
    await made.close()


# --- what an answer means --------------------------------------------------------------------------------------------


async def test_items_are_lines_and_compressed(target, api, server, batch):
    await target.send([batch(*({"event": f"e{number}"} for number in range(1500)))])
    assert len(api.items) == 1500
    assert [one.headers["Content-Encoding"] for one in server.seen] == ["gzip", "gzip"]
    assert server.seen[0].path == "/v2.1/track"


@pytest.mark.parametrize("code", [408, 429, 439, 500, 503])
async def test_items_that_may_be_taken_later_are_tried_again_alone(target, api, server, batch, split_outcome, code):
    api.codes = {"later": code}
    outcome = await target.send([batch({"event": "a"}, {"event": "later"}), batch({"event": "c"})])
    assert split_outcome(outcome) == ([(0, 1)], [])
    assert outcome.after == 9
    assert str(code) in outcome.retry[0].reason
    assert KEY not in outcome.retry[0].reason
    assert [one["message"] for one in api.data("MessageData")] == ["a", "c"]
    assert len(server.seen) == 1
    assert target.status()["failures"] == {str(code): 1}


@pytest.mark.parametrize("code", [400, 402, 404])
async def test_items_that_will_never_be_taken_are_rejected_alone(target, api, server, batch, split_outcome, code):
    api.codes = {"unfit": code}
    outcome = await target.send([batch({"event": "a"}, {"event": "unfit"}), batch({"event": "c"})])
    assert split_outcome(outcome) == ([], [(0, 1)])
    assert len(api.items) == 2
    assert len(server.seen) == 1


async def test_a_request_of_bad_items_only_is_rejected_item_by_item(target, api, server, batch, split_outcome):
    api.codes = {"unfit": 400, "later": 429}
    outcome = await target.send([batch({"event": "unfit"}, {"event": "later"})])
    assert split_outcome(outcome) == ([(0, 1)], [(0, 0)])


async def test_what_a_refused_request_does_not_name_is_sent_again(target, api, server, batch, split_outcome):
    server.answers = [answer(400, 3, [(1, 400, "unfit")])]
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}, {"event": "c"})])
    assert split_outcome(outcome) == ([], [(0, 1)])
    assert [one["message"] for one in api.data("MessageData")] == ["a", "c"]


async def test_a_refused_request_that_names_nothing_is_halved(target, api, server, batch, split_outcome):
    async def refuse(request, body):
        return web.Response(status=400, text="no") if b"unfit" in body else await api(request, body)

    server.usual = refuse
    outcome = await target.send([batch(*({"event": "unfit" if number == 3 else "a"} for number in range(6)))])
    assert split_outcome(outcome) == ([], [(0, 3)])
    assert len(api.items) == 5


@pytest.mark.parametrize("code", [408, 429, 439, 500, 503, 401, 403, 404])
async def test_a_whole_request_may_pass_later(target, api, server, batch, code):
    server.answers = [web.Response(status=code, headers={"Retry-After": "7"})]
    events = [batch({"event": "a"}, {"event": "b"})]
    outcome = await target.send(events)
    assert [one.row for one in outcome.retry] == [0, 1]
    assert outcome.after == (7 if code in (408, 429, 439, 500, 503) else None)
    await target.send(events)
    assert len(api.items) == 2


async def test_a_cap_that_was_reached_rejects(target, server, batch, split_outcome):
    server.answers = [web.Response(status=402, text="quota")]
    outcome = await target.send([batch({"event": "a"}, {"event": "b"})])
    assert split_outcome(outcome) == ([], [(0, 0), (0, 1)])
    assert len(server.seen) == 1


@pytest.mark.parametrize("code", [307, 308])
async def test_a_redirect_is_followed_and_remembered(target, api, server, batch, code):
    server.answers = [web.Response(status=code, headers={"Location": "/v2.1/track?region=2"})]
    await target.send([batch({"event": "a"})])
    await target.send([batch({"event": "b"})])
    assert [one.query for one in server.seen] == [{}, {"region": "2"}, {"region": "2"}]
    assert len(api.items) == 2


async def test_a_redirect_without_end_or_without_tls_is_a_retry(server, api, batch):
    made = build(server.url)
    await made.open()
    for _ in range(5):
        server.answers.append(web.Response(status=308, headers={"Location": "/v2.1/track"}))
    outcome = await made.send([batch({"event": "a"})])
    assert "from address to address" in outcome.retry[0].reason
    server.answers = [web.Response(status=308, headers={"Location": "ftp://h/"})]
    outcome = await made.send([batch({"event": "a"})])
    assert "without TLS" in outcome.retry[0].reason
    await made.close()


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_a_retry(server, batch, split_outcome, fault):
    server.usual = getattr(server, fault)
    made = build(server.url, timeout="300ms")
    await made.open()
    assert split_outcome(await made.send([batch({"event": "a"})])) == ([(0, 0)], [])
    await made.close()


async def test_an_answer_of_partial_success_that_breaks_off_is_a_retry(target, server, batch, split_outcome):
    server.answers = [web.Response(status=206, text='{"itemsReceived": 1, "err')]
    assert split_outcome(await target.send([batch({"event": "a"})])) == ([(0, 0)], [])


async def test_developer_mode_sends_one_by_one(send, server):
    await send({"event": "a"}, {"event": "b"}, developerMode=True)
    assert len(server.seen) == 2


# --- connection strings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (KEY, connection.GLOBAL), (f"InstrumentationKey={KEY}", connection.GLOBAL),
        (f" instrumentationkey = {KEY} ; IngestionEndpoint=https://x.in.example/;LiveEndpoint=https://l/", "https://x.in.example"),
        (f"InstrumentationKey={KEY};EndpointSuffix=applicationinsights.azure.cn;ApplicationId=a", "https://dc.applicationinsights.azure.cn"),
        (f"Authorization=ikey;InstrumentationKey={KEY};", connection.GLOBAL),
    ],
)  # fmt: skip
def test_connection_strings_are_read(text, endpoint):
    assert connection.parse(text) == (KEY, endpoint)


@pytest.mark.parametrize(
    "text",
    ["", "secret-thing", "InstrumentationKey=secret-thing", f"InstrumentationKey={KEY};IngestionEndpoint=secret-thing",
     f"InstrumentationKey={KEY};Authorization=secret-thing", f"InstrumentationKey={KEY};x=" + "y" * 5000],
)  # fmt: skip
def test_what_is_no_connection_string_is_refused_and_never_quoted(text):
    with pytest.raises(ValueError, match=r"connection string") as caught:
        connection.parse(text)
    assert "secret-thing" not in str(caught.value)


async def test_a_connection_string_in_a_file_is_read_anew(server, api, batch, tmp_path):
    file = tmp_path / "connection"
    file.write_text("not yet")
    made = build(server.url, connectionString={"file": str(file)})
    await made.open()
    with pytest.raises(Retry, match="InstrumentationKey"):
        await made.send([batch({"event": "a"})])
    file.write_text(f"InstrumentationKey={KEY};IngestionEndpoint={server.url}\n")
    await made.send([batch({"event": "a"})])
    await made.close()
    assert len(api.items) == 1


async def test_the_originals_key_goes_with_an_endpoint_of_ones_own(server, api, batch):
    given = {"instrumentationKey": KEY, "endpoint": server.url}
    made = applicationinsights.make(conversion.convert(given, applicationinsights.Config), "t")
    await made.open()
    await made.send([batch({"event": "a"})])
    await made.close()
    assert len(api.items) == 1


@pytest.mark.parametrize(
    "given", [{}, {"instrumentationKey": KEY, "connectionString": KEY}, {"instrumentationKey": KEY, "endpoint": "x"}]
)
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, applicationinsights.Config)
