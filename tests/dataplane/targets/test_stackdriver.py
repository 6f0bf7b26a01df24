"""Target ``stackdriver`` against a stand-in of Cloud Logging's REST interface.

https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/write, …/v2/LogEntry, …/docs/api/v2/resource-list,
https://cloud.google.com/logging/quotas, https://cloud.google.com/apis/design/errors; ``WriteLogEntriesPartialErrors``
of google/logging/v2/logging.proto.
"""

import datetime
import json
import re
import time
from collections import Counter

import pytest
from aiohttp import web

from rutta import conversion, uris
from rutta.errors import ConfigError, Reject, Retry
from rutta.googlecloud.credentials import _Token
from rutta.targets import stackdriver

ID = "0123456789abcdef0123456789abcdef"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
NOW = time.time_ns() // 1000 * 1000

SEVERITIES = {"DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"}
RESOURCES = {
    "global": {"project_id"},
    "gce_instance": {"project_id", "instance_id", "zone"},
    "k8s_container": {"project_id", "location", "cluster_name", "namespace_name", "pod_name", "container_name"},
    "cloud_run_revision": {"project_id", "service_name", "revision_name", "location", "configuration_name"},
    "cloud_run_job": {"project_id", "job_name", "location"},
}
FIELDS = {
    "logName": str, "resource": dict, "timestamp": str, "severity": str, "insertId": str, "httpRequest": dict,
    "labels": dict, "trace": str, "spanId": str, "traceSampled": bool, "sourceLocation": dict, "jsonPayload": dict,
}  # fmt: skip
HTTP = {
    "requestMethod": str, "requestUrl": str, "requestSize": str, "status": int, "responseSize": str, "userAgent": str,
    "remoteIp": str, "latency": str, "protocol": str,
}  # fmt: skip


def error(status, word, message, *details):
    return web.json_response(
        {"error": {"code": status, "message": message, "status": word, "details": list(details)}}, status=status
    )


class Api:
    """``entries:write``: entries by id and time, as Logging drops doubles; ``calls`` counts texts."""

    def __init__(self):
        self.entries = {}
        self.calls = Counter()
        self.codes = {}
        self.partial_status = 400

    async def __call__(self, request, body):
        if (request.method, request.path) != ("POST", "/v2/entries:write"):
            return error(404, "NOT_FOUND", "Not Found")
        if len(body) > 10 * 2**20:
            return error(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 10485760 bytes.")
        wanted = json.loads(body)
        if unknown := wanted.keys() - {"logName", "resource", "labels", "entries", "partialSuccess"}:
            return error(400, "INVALID_ARGUMENT", f'Unknown name "{unknown.pop()}"')
        for one in wanted["entries"]:
            if wrong := self.malformed(one):  # the parser's: no entry of the request is looked at
                return error(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {wrong}")
        return self.write(wanted)

    def malformed(self, entry):
        for key, value in entry.items():
            if key not in FIELDS:
                return f'Unknown name "{key}" at entries[0]'
            if type(value) is not FIELDS[key]:
                return f"Invalid value at entries[0].{key}"
        if not all(isinstance(value, str) for value in entry.get("labels", {}).values()):
            return "Invalid value at entries[0].labels"
        for key, value in entry.get("httpRequest", {}).items():
            if key not in HTTP or not isinstance(value, HTTP[key] | int if HTTP[key] is str else HTTP[key]):
                return f"Invalid value at entries[0].httpRequest.{key}"
        if entry.get("sourceLocation", {}).keys() - {"file", "line", "function"}:
            return "Unknown name at entries[0].sourceLocation"
        return "Malformed" if "malformed" in entry["jsonPayload"] else ""

    def write(self, wanted):
        bad = {}
        for index, one in enumerate(wanted["entries"]):
            whole = {"logName": wanted.get("logName"), "resource": wanted.get("resource"), **one}
            whole["labels"] = {**wanted.get("labels", {}), **one.get("labels", {})}
            message = one["jsonPayload"]["message"]
            self.calls[message] += 1
            wrong = self.invalid(whole)
            if (code := self.codes.get(message, 3 if wrong else 0)) != 0:
                bad[index] = {"code": code, "message": wrong or "told so"}
            else:
                self.entries.setdefault((one["insertId"], one["timestamp"]), whole)
        if not bad:
            return web.json_response({})
        assert wanted["partialSuccess"] is True
        detail = {
            "@type": "type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors", "logEntryErrors": bad
        }  # fmt: skip
        return error(self.partial_status, "INVALID_ARGUMENT", "Some entries were not written.", detail)

    def invalid(self, entry):
        resource = entry["resource"]
        at = datetime.datetime.fromisoformat(re.sub(r"\.(\d{6})\d*Z$", r".\1+00:00", entry["timestamp"]))
        checks = {
            "log_name": re.fullmatch(r"projects/[a-z0-9-]+/logs/(?:[A-Za-z0-9_.-]|%2F){1,511}", entry["logName"]),
            "resource": RESOURCES.get(resource["type"]) == resource["labels"].keys(),
            "severity": entry["severity"] in SEVERITIES,
            "insert_id": 0 < len(entry["insertId"]) <= 128,
            "labels": len(entry["labels"]) <= 64,
            "trace": re.fullmatch(
                r"projects/[^/]+/traces/[0-9a-f]{32}", entry.get("trace", f"projects/p/traces/{TRACE}")
            ),
            "span_id": re.fullmatch(r"[0-9a-f]{16}", entry.get("spanId", SPAN)),
            "size": len(json.dumps(entry).encode()) <= 256 * 1024,
            "timestamp": at.timestamp() <= time.time() + 86_400,
        }
        if any(len(key.encode()) > 512 or len(text.encode()) > 65_536 for key, text in entry["labels"].items()):
            checks["labels"] = False  # the service cuts them; here it would be a loss
        return "".join(f"Log entry has an invalid {name}. " for name, good in checks.items() if not good)

    @property
    def by_message(self):
        return {one["jsonPayload"]["message"]: one for one in self.entries.values()}


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


def build(url, **given):
    given = {"endpoint": url, "projectId": "p", "timeout": "2s", "resource": {"type": "global"}, **given}
    return stackdriver.make(conversion.convert(given, stackdriver.Config), "t")


@pytest.fixture
async def written(server, api, batch):
    """``await written(event, …, setting=…)`` sends them all and returns the entries, of one event the entry."""

    async def write(*events, context=None, **given):
        made = build(server.url, **given)
        await made.open()
        try:
            outcome = await made.send([batch(*({"timestamp": NOW, **one} for one in events), context=context)])
        finally:
            await made.close()
        assert outcome.retry == ()
        assert outcome.rejected == ()
        found = list(api.entries.values())
        return found[0] if len(events) == 1 else found

    return write


async def test_an_event_becomes_an_entry_with_all_that_it_has(written):
    one = {
        "event": "Slow {route}", "id": ID, "level": "warn", "name": "shop.api", "timestamp": NOW + 789,
        "fields": {"route": "/buy", "n": 7, "nested": {"a": [1, None, True]}}, "context": {"host": "n1", "port": 80},
        "gauges": {"mem": {"type": "gauge", "value": 2048, "unit": "bytes"}},
        "monetaryValue": {"amount": 12.5, "currency": "SEK"},
        "error": {
            "message": "late", "errorType": "Timeout",
            "stackTrace": {"frames": [{"site": "a.b", "file": "x.py", "lineNo": 3}]},
            "inner": {"message": "why"},
        },
    }  # fmt: skip
    entry = await written(one, context={"peer": "10.0.0.1"}, logId="shop/web", labels={"env": "prod", "host": "other"})
    payload = entry.pop("jsonPayload")
    moment = datetime.datetime.fromtimestamp(NOW // 10**9, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    assert entry == {
        "logName": "projects/p/logs/shop%2Fweb",
        "resource": {"type": "global", "labels": {"project_id": "p"}},
        "timestamp": f"{moment}.{(NOW + 789) % 10**9:09}Z",
        "severity": "WARNING",
        "insertId": ID,
        "labels": {"logger": "shop.api", "host": "n1", "port": "80", "peer": "10.0.0.1", "env": "prod"},
    }
    assert payload.pop("error") == {
        "message": "late", "errorType": "Timeout", "inner": {"message": "why"},
        "stackTrace": {"frames": [{"site": "a.b", "file": "x.py", "lineNo": 3}], "droppedFramesCount": 0},
    }  # fmt: skip
    assert payload == {
        "message": "Slow /buy\nTimeout: late\nat a.b in x.py:3\nCaused by: why", "value": "Slow {route}",
        "gauges": {"mem": {"type": "gauge", "value": 2048, "unit": "bytes"}},
        "monetaryValue": {"type": "money", "amount": 12.5, "currency": "SEK"},
        "route": "/buy", "n": 7, "nested": {"a": [1, None, True]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "severity"),
    [("verbose", "DEBUG"), ("debug", "DEBUG"), ("info", "INFO"), ("warn", "WARNING"), ("error", "ERROR"),
     ("fatal", "CRITICAL")],
)  # fmt: skip
async def test_levels_are_the_severities_of_the_original_and_verbose_is_told(written, level, severity):
    entry = await written({"event": "a", "level": level})
    assert entry["severity"] == severity
    assert entry["jsonPayload"].get("level") == ("verbose" if level == "verbose" else None)


async def test_a_span_has_its_trace(written):
    entry = await written(
        {
            "type": "span", "label": "GET /", "started": NOW, "finished": NOW + 5, "kind": 2,
            "attrs": {"status": "odd"},
            "spanContext": {"traceId": TRACE, "spanId": SPAN, "parentSpanId": "0" * 15 + "1", "flags": 1,
                            "traceContext": {"tenant": "t1"}},
            "status": {"type": "spanStatus", "code": 1, "description": "bad"}, "links": [{"x": 1}],
        }
    )  # fmt: skip
    assert (entry["trace"], entry["spanId"], entry["traceSampled"]) == (f"projects/p/traces/{TRACE}", SPAN, True)
    assert entry["jsonPayload"] == {
        "message": "GET / 5.00 ns", "type": "span", "label": "GET /", "kind": 2, "parentSpanId": "0" * 15 + "1",
        "spanContext": {"flags": 1, "traceContext": {"tenant": "t1"}}, "links": [{"x": 1}], "events": [],
        "started": str(NOW), "finished": str(NOW + 5), "fields.status": "odd",
        "status": {"type": "spanStatus", "code": 1, "description": "bad"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        ({"fields": {"traceId": TRACE, "spanId": SPAN, "traceSampled": True}}, (TRACE, SPAN, True)),
        ({"context": {"traceparent": f"00-{TRACE}-{SPAN}-00"}}, (TRACE, SPAN, False)),
        ({"context": {"trace_id": TRACE}, "parentSpanId": SPAN}, (TRACE, SPAN, None)),
        ({"fields": {"trace": f"projects/p/traces/{TRACE}"}}, (TRACE, None, None)),
        ({"fields": {"traceId": "none", "spanId": 7}}, (None, None, None)),
    ],
)
async def test_an_event_names_the_trace_it_happened_in(written, one, wanted):
    entry = await written({"event": "a", **one})
    trace = entry.get("trace")
    assert (trace and trace.rpartition("/")[2], entry.get("spanId"), entry.get("traceSampled")) == wanted


@pytest.mark.parametrize(
    ("one", "wanted"),
    [
        ({"type": "gauge", "name": "g", "gauge": {"type": "gauge", "value": 3, "unit": "seconds"},
          "labels": {"l": "v"}},
         {"message": "3.00 s", "type": "gauge", "gauge": {"type": "gauge", "value": 3, "unit": "seconds"}}),
        ({"type": "histogram", "name": "h", "buckets": {"1": 2}, "sum": 4, "labels": {"l": "v"}},
         {"message": "4 1:2", "type": "histogram", "buckets": {"1": 2}, "sum": 4}),
        ({"type": "identifyUser", "name": "u", "prevUserId": "a", "newUserId": "b", "context": {"l": "v"}},
         {"message": "a b", "type": "identifyUser", "prevUserId": "a", "newUserId": "b"}),
    ],
)  # fmt: skip
async def test_other_kinds_have_what_they_are_about(written, one, wanted):
    entry = await written(one)
    assert entry["jsonPayload"] == wanted
    assert entry["labels"] == {"logger": one["name"], "l": "v"}


async def test_a_request_and_a_place_in_the_source_have_their_places_if_they_are_as_the_api_wants_them(written):
    request = {"requestMethod": "GET", "status": 200, "requestSize": "12", "latency": "0.25s"}
    good, bad, otel = await written(
        {"event": "good", "fields": {"httpRequest": request, "sourceLocation": {"file": "a.py", "line": "3"}}},
        {"event": "bad", "fields": {"httpRequest": {"verb": "GET"}, "sourceLocation": {"file": 1}}},
        {"event": "otel", "context": {"code.file.path": "b.py", "code.line.number": 7, "code.function.name": "f"}},
    )
    assert (good["httpRequest"], good["sourceLocation"]) == (request, {"file": "a.py", "line": "3"})
    assert good["jsonPayload"].keys() == {"message", "value"}
    assert bad["jsonPayload"]["httpRequest"] == {"verb": "GET"}
    assert bad["jsonPayload"]["sourceLocation"] == {"file": 1}
    assert otel["sourceLocation"] == {"file": "b.py", "line": 7, "function": "f"}


async def test_names_that_are_taken_get_a_prefix_and_large_numbers_stay_exact(written):
    fields = {"message": "mine", "value": [2**53 + 1, -(2**63)], "big": 10**30, "small": 2**53}
    payload = (await written({"event": "a", "fields": fields, "context": {"logger": "x"}, "name": "n"}))["jsonPayload"]
    assert payload == {
        "message": "a", "value": "a", "fields.message": "mine", "fields.value": [str(2**53 + 1), str(-(2**63))],
        "big": str(10**30), "small": 2**53,
    }  # fmt: skip


async def test_what_of_the_context_can_be_no_label_is_in_the_payload(written):
    context = {f"k{number}": number for number in range(70)} | {"large": "x" * 70_000, "y" * 600: 1, "none": None}
    entry = await written({"event": "a", "name": "n", "context": context})
    assert len(entry["labels"]) == 64
    left = entry["jsonPayload"]["context"]
    told = entry["labels"].keys() | left.keys()
    assert told == {"logger", *context} - {"none"}
    assert left["large"] == "x" * 70_000
    assert left["k69"] == 69


# --- resources --------------------------------------------------------------------------------------------------

GKE = {"attributes/cluster-name": "c1", "attributes/cluster-location": "europe-north1", "id": "42",
       "zone": "projects/1/zones/europe-north1-a", "region": "projects/1/regions/europe-north1"}  # fmt: skip
GCE = {"id": "42", "zone": "projects/1/zones/europe-north1-a"}


@pytest.fixture
def metadata(server, api, monkeypatch):
    """A metadata server beside the API; ``found`` are the keys of the instance."""
    found = {}

    async def answer(request, body):
        prefix = "/computeMetadata/v1/instance/"
        if not request.path.startswith(prefix):
            return await api(request, body)
        assert request.headers["Metadata-Flavor"] == "Google"
        key = request.path.removeprefix(prefix)
        return web.Response(text=found[key]) if key in found else web.Response(status=404)

    server.usual = answer
    for name in ("KUBERNETES_SERVICE_HOST", "K_SERVICE", "CLOUD_RUN_JOB", "CONTAINER_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://"))
    return found


@pytest.mark.parametrize(
    ("keys", "environment", "wanted"),
    [
        (GCE, {}, ("gce_instance", {"instance_id": "42", "zone": "europe-north1-a"})),
        (GCE, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
         ("gce_instance", {"instance_id": "42", "zone": "europe-north1-a"})),
        (GKE, {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAMESPACE": "logs", "POD_NAME": "main-1"},
         ("k8s_container", {"cluster_name": "c1", "location": "europe-north1", "namespace_name": "logs",
                            "pod_name": "main-1", "container_name": "rutta"})),
        (GKE, {"K_SERVICE": "s", "K_REVISION": "s-1", "K_CONFIGURATION": "s"},
         ("cloud_run_revision", {"service_name": "s", "revision_name": "s-1", "configuration_name": "s",
                                 "location": "europe-north1"})),
        (GKE, {"CLOUD_RUN_JOB": "j"}, ("cloud_run_job", {"job_name": "j", "location": "europe-north1"})),
    ],
)  # fmt: skip
async def test_what_it_runs_on_is_found_out(written, metadata, monkeypatch, keys, environment, wanted):
    metadata.update(keys)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    entry = await written({"event": "a"}, resource=None)
    assert entry["resource"] == {"type": wanted[0], "labels": {"project_id": "p", **wanted[1]}}


async def test_without_a_metadata_server_it_is_global_until_one_answers(server, api, metadata, batch, monkeypatch):
    metadata.update(GCE)
    host = server.url.removeprefix("http://")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    made = build(server.url, resource=None)
    await made.open()
    await made.send([batch({"event": "before", "timestamp": NOW})])
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    await made.send([batch({"event": "soon", "timestamp": NOW})])
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    await made.send([batch({"event": "after", "timestamp": NOW})])
    await made.close()
    types = {message: one["resource"]["type"] for message, one in api.by_message.items()}
    assert types == {"before": "global", "soon": "global", "after": "gce_instance"}
    assert made.status()["resource"] == "gce_instance"


async def test_events_of_other_containers_have_these_as_their_resource(written):
    ours = {"type": "k8s_container", "labels": {"cluster_name": "c", "location": "l", "namespace_name": "logs",
                                                "pod_name": "router-1", "container_name": "rutta"}}  # fmt: skip
    pod = {"namespace": "shop", "pod": "web-1", "container": "web", "node": "n1", "labels": {"app": "web"}}
    own, other = await written({"event": "own"}, {"event": "other", "context": pod}, resource=ours)
    assert own["resource"]["labels"]["pod_name"] == "router-1"
    assert other["resource"]["labels"] == {
        "project_id": "p", "cluster_name": "c", "location": "l", "namespace_name": "shop", "pod_name": "web-1",
        "container_name": "web",
    }  # fmt: skip
    assert other["labels"] == {"node": "n1", "k8s-pod/app": "web"}


# --- answers ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def target(server, api):
    made = build(server.url)
    await made.open()
    yield made
    await made.close()


def several(batch, *texts, **more):
    return batch(*({"event": text, "timestamp": NOW, **more} for text in texts))


async def test_bad_entries_do_not_hold_their_neighbours_up(target, api, server, batch, split_outcome):
    api.codes = {"bad": 3, "denied": 7, "busy": 14}
    outcome = await target.send([several(batch, "a", "bad"), several(batch, "denied", "b", "busy")])
    assert split_outcome(outcome) == ([(1, 0), (1, 2)], [(0, 1)])
    assert "3 told so" in outcome.rejected[0].reason
    assert api.by_message.keys() == {"a", "b"}
    assert set(api.calls.values()) == {1}
    assert len(server.seen) == 1


async def test_what_is_too_far_ahead_is_rejected_by_the_service_and_what_is_too_old_here(
    target, api, batch, split_outcome
):
    day = 86_400 * 10**9
    times = {"now": NOW, "ahead": NOW + 2 * day, "old": NOW - 31 * day, "recent": NOW - 29 * day}
    outcome = await target.send([batch(*({"event": key, "timestamp": one} for key, one in times.items()))])
    assert split_outcome(outcome) == ([], [(0, 1), (0, 2)])
    assert api.by_message.keys() == {"now", "recent"}
    assert "timestamp" in outcome.rejected[0].reason
    assert "maxAge" in outcome.rejected[1].reason


async def test_old_events_are_sent_if_one_wants_it(written, api):
    await written({"event": "old", "timestamp": 1_600_000_000_000_000_000}, maxAge=0)
    assert api.by_message.keys() == {"old"}


async def test_one_malformed_entry_is_found_among_its_neighbours(target, api, batch, split_outcome):
    many = [{"event": f"e{number}", "timestamp": NOW} for number in range(9)]
    many[6]["fields"] = {"malformed": 1}
    outcome = await target.send([batch(*many)])
    assert split_outcome(outcome) == ([], [(0, 6)])
    assert len(api.entries) == 8
    assert set(api.calls.values()) == {1}


async def test_a_request_of_one_that_is_malformed_is_rejected(target, batch):
    with pytest.raises(Reject, match="Malformed"):
        await target.send([several(batch, "a", fields={"malformed": 1})])


async def test_an_entry_that_is_too_large_is_cut_and_says_so(target, api, batch, split_outcome):
    large = {
        "event": 'quoted "text" ' * 15_000,
        "fields": {"x": "ö" * 200_000, "truncated": 1, "list": ["y" * 100_000]},
    }
    outcome = await target.send([batch({"timestamp": NOW, **large}, {"event": "small", "timestamp": NOW})])
    assert split_outcome(outcome) == ([], [])
    (cut,) = (one for message, one in api.by_message.items() if message != "small")
    assert set(cut["jsonPayload"]["truncated"]) <= {"x", "message", "value", "list"}
    assert large["fields"]["x"].startswith(cut["jsonPayload"]["x"])
    assert cut["jsonPayload"]["fields.truncated"] == 1
    assert target.status()["truncated"] == 1


async def test_labels_that_make_an_entry_too_large_are_cut_too(written):
    entry = await written({"event": "a", "context": {f"k{number}": "v" * 60_000 for number in range(8)}})
    assert all(one.startswith("labels.k") for one in entry["jsonPayload"]["truncated"])


async def test_what_cannot_be_cut_enough_and_what_shall_not_be_cut_are_rejected(server, api, batch, split_outcome):
    many = {f"{number:05}" + "k" * 40: number for number in range(6_000)}
    for given, fields in (({}, many), ({"oversize": "Reject"}, {"x": "y" * 300_000})):
        made = build(server.url, **given)
        await made.open()
        outcome = await made.send(
            [batch({"event": "large", "fields": fields, "timestamp": NOW}, {"event": "a", "timestamp": NOW})]
        )
        await made.close()
        assert split_outcome(outcome) == ([], [(0, 0)])
        assert "256 KiB" in outcome.rejected[0].reason
    assert api.by_message.keys() == {"a"}


async def test_what_is_too_old_or_large_is_judged_again_when_the_request_failed(target, server, batch):
    events = batch({"event": "a", "timestamp": NOW}, {"event": "old", "timestamp": 1_600_000_000_000_000_000})
    server.answers = [web.Response(status=503)]
    with pytest.raises(Retry):
        await target.send([events])
    outcome = await target.send([events])
    assert len(outcome.rejected) == 1


async def test_requests_keep_to_the_limits(server, api, batch):
    made = build(server.url, maxBatchSize=70, compression="None")
    await made.open()
    await made.send([several(batch, *(f"{number} " + "x" * 80_000 for number in range(100)))])
    await made.close()
    assert len(api.entries) == 100
    assert len(server.seen) == 3  # 70 of these are more than 10 MB: 35, 35, 30
    assert set(api.calls.values()) == {1}


async def test_what_is_sent_again_is_there_once(target, api, server, batch):
    events = several(batch, "a", "b")

    async def lost(request, body):
        await api(request, body)
        return await server.half_body(request, body)

    async def reset(request, body):
        await api(request, body)
        return await server.reset(request, body)

    server.answers = [reset]
    with pytest.raises(Retry):
        await target.send([events])
    api.codes = {"b": 3}
    server.answers = [lost]
    await target.send([events])  # a success whose body broke off
    assert len(api.entries) == 2
    assert server.seen[0].headers["Content-Encoding"] == "gzip"


async def test_an_error_whose_details_broke_off_is_tried_again(target, api, server, batch):
    async def broken(request, body):
        request.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n{")
        request.transport.close()
        return web.Response()

    server.answers = [broken]
    with pytest.raises(Retry, match="broke off"):
        await target.send([several(batch, "a", "b")])


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        (web.Response(status=429, headers={"Retry-After": "7"}), 7),
        (error(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Write requests'",
               {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30.5s"}), 30.5),
        (error(500, "INTERNAL", "Internal error encountered."), None),
        (error(503, "UNAVAILABLE", "The service is currently unavailable."), None),
        (error(404, "NOT_FOUND", "Requested entity was not found."), None),
        (error(403, "PERMISSION_DENIED", "Permission 'logging.logEntries.create' denied"), None),
    ],
)  # fmt: skip
async def test_what_may_pass_is_a_retry_after_the_time_that_the_service_says(target, server, batch, answer, after):
    server.answers = [answer]
    with pytest.raises(Retry) as caught:
        await target.send([several(batch, "a", "b")])
    assert caught.value.after == after
    assert str(answer.status) in str(caught.value)


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_a_retry(server, batch, fault):
    server.usual = getattr(server, fault)
    made = build(server.url, timeout="300ms")
    await made.open()
    with pytest.raises(Retry):
        await made.send([several(batch, "a")])
    await made.close()


async def test_a_failure_in_the_middle_leaves_what_is_written_alone(server, api, batch, split_outcome):
    made = build(server.url, maxBatchSize=2)
    await made.open()

    async def usual(request, body):
        return await api(request, body)

    server.answers = [usual, web.Response(status=500)]
    outcome = await made.send([several(batch, "a", "b", "c", "d", "e")])
    await made.close()
    assert split_outcome(outcome) == ([(0, 2), (0, 3), (0, 4)], [])
    assert api.by_message.keys() == {"a", "b"}


async def test_a_login_goes_with_each_request_and_a_refused_one_is_renewed(server, api, batch, monkeypatch):
    made = build("https://logging.example")
    await made.open()
    original, tokens = made._client.request, iter(["first-token", "second-token"])

    async def plainly(method, url, body=b"", **more):
        return await original(method, url.replace("https://logging.example", server.url), body, **more)

    async def fetch(text):
        return _Token(next(tokens))

    async def refuse(request, body):
        return web.Response(status=401, text=f"not {request.headers['Authorization']}")

    monkeypatch.setattr(made._client, "request", plainly)
    monkeypatch.setattr(made._credentials, "_fetch", fetch)
    server.answers = [refuse]
    with pytest.raises(Retry, match="check the credentials") as caught:
        await made.send([several(batch, "a")])
    assert "first-token" not in str(caught.value), "the service said it back"
    await made.send([several(batch, "a")])
    await made.close()
    assert server.seen[-1].headers["Authorization"] == "Bearer second-token"


def test_the_uri_of_the_original_is_understood():
    entry = uris.entry_of_uri("stackdriver://./?projectId=p&logId=apps&maxBatchSize=50")
    config = conversion.convert(entry["stackdriver"], stackdriver.Config)
    assert (config.project_id, config.log_id, config.max_batch_size) == ("p", "apps", 50)


@pytest.mark.parametrize("given", [{"logId": "a b"}, {"logId": ""}, {"compression": "Zstd"}, {"maxBatchSize": 0},
                                   {"resource": {"type": "Global"}}, {"oversize": "Drop"}])  # fmt: skip
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, stackdriver.Config)
