"""Events as records of OTLP, read back by the official classes (the package opentelemetry-proto)."""

import math

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from rutta import formats
from rutta.otlp.requests import LOGS, METRICS, TRACES, request
from rutta.otlp.sorting import Rules, Sorter

READERS = {LOGS: ExportLogsServiceRequest, METRICS: ExportMetricsServiceRequest, TRACES: ExportTraceServiceRequest}
ID = "0123456789abcdef0123456789abcdef"
TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
TIME = 1_700_000_000_123_456_789


def plain(value):
    """An AnyValue as Python has it."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [plain(one) for one in found.values]
    return attributes(found.values) if kind == "kvlist_value" else found


def attributes(pairs):
    keys = [one.key for one in pairs]
    assert len(keys) == len(set(keys)), "the keys of attributes must be unique"
    return {one.key: plain(one.value) for one in pairs}


@pytest.fixture
def sort(batch):
    """Sort events and read each signal's request back: (logs, metrics, traces)."""

    async def sort(*events, context=None, **rules):
        usual = {
            "signals": {"Logs", "Metrics", "Traces"}, "resource": {}, "gauge_attributes": (), "numbering": "Logary",
            "temporality": "Cumulative",
        }  # fmt: skip
        found = await Sorter(Rules(**{**usual, **rules})).sort(formats.events(batch(*events, context=context)))
        return [READERS[one].FromString(request(found.records[one].values())) for one in (LOGS, METRICS, TRACES)]

    return sort


def only(request, resources, scopes, records):
    (resource,) = getattr(request, resources)
    (scope,) = getattr(resource, scopes)
    (record,) = getattr(scope, records)
    return resource, scope, record


def log(request):
    return only(request, "resource_logs", "scope_logs", "log_records")


def metric(request):
    return only(request, "resource_metrics", "scope_metrics", "metrics")


def span(request):
    return only(request, "resource_spans", "scope_spans", "spans")


# --- logs ----------------------------------------------------------------------------------------------------------


async def test_a_log_record_has_all_that_the_event_came_with(sort):
    values = {
        "text": "ä", "whole": 7, "large": 300_000_000, "negative": -1, "huge": 10**30, "float": 1.5, "yes": True,
        "none": None, "list": [1, "a", [2.5]], "object": {"x": {"y": False}}, "long": "z" * 20_000,
    }  # fmt: skip
    one = {
        "event": "hello", "id": ID, "level": "warn", "name": ["shop", "web"], "timestamp": TIME,
        "received": TIME + 5, "fields": values,
    }  # fmt: skip
    logs, metrics, traces = await sort(one)
    resource, scope, record = log(logs)
    assert not metrics.resource_metrics
    assert not traces.resource_spans
    assert scope.scope.name == "shop.web"
    assert attributes(resource.resource.attributes) == {}
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (TIME, TIME + 5)
    assert (record.severity_number, record.severity_text) == (13, "warn")
    assert record.body.string_value == "hello"
    assert attributes(record.attributes) == {**values, "huge": str(10**30), "log.record.uid": ID}


@pytest.mark.parametrize(
    ("level", "number"), [("verbose", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21)]
)
async def test_levels_are_severities(sort, level, number):
    _, _, record = log((await sort({"event": "a", "level": level}))[0])
    assert (record.severity_number, record.severity_text) == (number, level)


async def test_a_text_is_filled_and_its_template_kept(sort):
    one = {"event": "{user} paid", "fields": {"user": "ada"}, "context": {"tenant": "t"}}
    _, _, record = log((await sort(one))[0])
    assert record.body.string_value == "ada paid"
    found = attributes(record.attributes)
    assert (found["message_template.text"], found["user"], found["tenant"]) == ("{user} paid", "ada", "t")


async def test_a_context_key_that_a_field_has_too_gets_its_prefix(sort):
    _, _, record = log((await sort({"event": "a", "fields": {"k": 1}, "context": {"k": 2}}))[0])
    found = attributes(record.attributes)
    assert (found["k"], found["context.k"]) == (1, 2)


@pytest.mark.parametrize("place", ["fields", "context"])
async def test_ids_of_trace_and_span_are_taken_out_of_the_attributes(sort, place):
    one = {"event": "a", place: {"traceId": TRACE, "span_id": SPAN, "x": 1, "event.name": "shop.paid"}}
    _, _, record = log((await sort(one))[0])
    assert (record.trace_id.hex(), record.span_id.hex(), record.event_name) == (TRACE, SPAN, "shop.paid")
    found = attributes(record.attributes)
    del found["log.record.uid"]
    assert found == {"x": 1}


async def test_what_is_no_id_stays_an_attribute(sort):
    one = {"event": "a", "parentSpanId": PARENT, "fields": {"trace_id": "mine", "spanId": 7, "event.name": 3}}
    _, _, record = log((await sort(one))[0])
    assert (record.trace_id, record.span_id.hex(), record.event_name) == (b"", PARENT, "")
    found = attributes(record.attributes)
    assert (found["trace_id"], found["spanId"], found["event.name"]) == ("mine", 7, 3)


async def test_gauges_money_and_error_of_an_event_are_attributes(sort):
    one = {
        "event": "a", "gauges": {"took": {"type": "gauge", "value": 2, "unit": "seconds"}},
        "monetaryValue": {"amount": 12.5, "currency": "sek"},
        "error": {
            "message": "no", "errorType": "Bad", "stackTrace": {"frames": [{"site": "Shop.Main"}]},
            "inner": {"message": "deep"},
        },
    }  # fmt: skip
    logs, _, _ = await sort(one)
    found = attributes(log(logs)[2].attributes)
    del found["log.record.uid"]
    assert found == {
        "took": 2, "took_unit": "seconds", "took_f": "2.00 s",
        "monetaryValue": 12.5, "monetaryValue_unit": "SEK", "monetaryValue_f": "SEK 12.50",
        "exception.message": "no", "exception.type": "Bad", "exception.stacktrace": "at Shop.Main",
        "exception.inner.message": "deep",
    }  # fmt: skip


@pytest.mark.parametrize(
    "one",
    [
        {"type": "identifyUser", "prevUserId": "p", "newUserId": "n"},
        {"type": "setUserProperty", "userId": "u", "key": "k", "value": 5},
        {"type": "forgetUser", "userId": "u"},
    ],
)
async def test_what_is_said_of_users_is_a_log_record_of_its_kind(sort, one):
    logs, _, _ = await sort(one)
    record = log(logs)[2]
    assert record.event_name == one["type"]
    found = attributes(record.attributes)
    assert {f"user.{key}": value for key, value in one.items() if key != "type"}.items() <= found.items()


async def test_a_time_before_1970_is_left_out(sort):
    assert log((await sort({"event": "a", "timestamp": -5_000_000_000}))[0])[2].time_unix_nano == 0


async def test_an_event_of_its_own_uid_keeps_it(sort):
    found = attributes(log((await sort({"event": "a", "fields": {"log.record.uid": "mine"}}))[0])[2].attributes)
    assert found == {"log.record.uid": "mine"}


async def test_many_keys_and_sizes_are_written_as_well_as_few(sort):
    """What is remembered of keys is given up at times; nothing may show of it."""
    events = [
        {"event": "a", "fields": {f"k{number}": "x" * (number % 300), f"n{number}": number * 40_000}}
        for number in range(1500)
    ]
    logs, _, _ = await sort(*events)
    records = logs.resource_logs[0].scope_logs[0].log_records
    for number, record in enumerate(records):
        found = attributes(record.attributes)
        assert (found[f"k{number}"], found[f"n{number}"]) == ("x" * (number % 300), number * 40_000)


# --- resources -----------------------------------------------------------------------------------------------------


async def test_the_context_names_the_resource(sort):
    context = {
        "namespace": "shop", "pod": "web-1", "uid": "u1", "container": "app", "restart": 2, "stream": "stderr",
        "node": "n1", "image": "shop:1", "owner": {"kind": "Deployment", "name": "web"},
        "labels": {"app": "web"}, "annotations": {"team": "a"}, "tenant": "t",
    }  # fmt: skip
    logs, _, _ = await sort({"event": "a"}, context=context, resource={"deployment.environment.name": "test"})
    resource, _, record = log(logs)
    assert attributes(resource.resource.attributes) == {
        "deployment.environment.name": "test",
        "k8s.namespace.name": "shop", "k8s.pod.name": "web-1", "k8s.pod.uid": "u1", "k8s.container.name": "app",
        "k8s.container.restart_count": 2, "k8s.node.name": "n1", "container.image.name": "shop:1",
        "k8s.deployment.name": "web", "k8s.pod.label.app": "web", "k8s.pod.annotation.team": "a",
    }  # fmt: skip
    found = attributes(record.attributes)
    assert (found["log.iostream"], found["tenant"]) == ("stderr", "t")


@pytest.mark.parametrize(
    ("key", "name"),
    [("service", "service.name"), ("hostname", "host.name"), ("k8s_pod", "k8s.pod.name"), ("region", "cloud.region"),
     ("build_version", "service.version"), ("service.version", "service.version"), ("k8s.job.name", "k8s.job.name")],
)  # fmt: skip
async def test_names_of_ours_and_of_the_conventions_are_known(sort, key, name):
    resource, _, _ = log((await sort({"event": "a"}, context={key: "v"}))[0])
    assert attributes(resource.resource.attributes) == {name: "v"}


async def test_labels_that_are_no_pods_stay_with_the_event(sort):
    resource, _, record = log((await sort({"event": "a", "context": {"labels": {"a": "b"}, "owner": "me"}}))[0])
    assert attributes(resource.resource.attributes) == {}
    found = attributes(record.attributes)
    assert (found["labels"], found["owner"]) == ({"a": "b"}, "me")


async def test_events_are_sorted_by_resource_and_logger(sort):
    events = [
        {"event": f"e{number}", "name": f"l{number % 2}", "context": {"host": f"h{number % 3}"}} for number in range(12)
    ]
    logs, _, _ = await sort(*events)
    found = {
        (attributes(resource.resource.attributes)["host.name"], scope.scope.name): [
            record.body.string_value for record in scope.log_records
        ]
        for resource in logs.resource_logs
        for scope in resource.scope_logs
    }
    assert len(logs.resource_logs) == 3
    assert found == {(f"h{n % 3}", f"l{n % 2}"): [f"e{n}", f"e{n + 6}"] for n in range(6)}


async def test_true_one_and_1_are_different_resources(sort):
    logs, _, _ = await sort(*({"event": "a", "context": {"service": one}} for one in (1, True, "1")))
    assert [attributes(one.resource.attributes)["service.name"] for one in logs.resource_logs] == [1, True, "1"]


# --- metrics -------------------------------------------------------------------------------------------------------


def gauge_event(value, unit="scalar", **more):
    return {"type": "gauge", "name": "load", "gauge": {"type": "gauge", "value": value, "unit": unit}, **more}


async def test_a_gauge_is_a_metric_with_its_labels_as_attributes(sort):
    one = gauge_event(
        3, "bytes", labels={"disk": "a"}, timestamp=TIME, fields={"x": 1, "disk": "b"}, context={"host": "h", "t": "u"}
    )
    _, metrics, _ = await sort(one)
    resource, scope, found = metric(metrics)
    assert attributes(resource.resource.attributes) == {"host.name": "h"}
    assert scope.scope.name == ""
    assert (found.name, found.unit) == ("load", "By")
    (point,) = found.gauge.data_points
    assert (point.time_unix_nano, point.as_int) == (TIME, 3)
    assert attributes(point.attributes) == {"disk": "a", "x": 1, "t": "u"}


@pytest.mark.parametrize(
    ("unit", "value", "code", "written"),
    [
        ("seconds", 2.5, "s", 2.5), ("percent", 0.25, "1", 0.25), ("watts", -4, "W", -4), ("scalar", True, "1", 1),
        ({"type": "scaled", "unit": "seconds", "value": 1e9}, 7, "ns", 7),
        ({"type": "scaled", "unit": "bytes", "value": 8}, 16, "By", 2.0),
        ({"type": "div", "numerator": "metres", "denominator": "seconds"}, 1, "m/s", 1),
        ({"type": "mul", "unitA": "watts", "unitB": "seconds"}, 1, "W.s", 1),
        ({"type": "pow", "base": "metres", "power": 2}, 1, "m2", 1),
        ("requests {open}", 1, "{requestsopen}", 1), ({"type": "currency", "currency": "sek"}, 1.0, "{SEK}", 1.0),
        ("scalar", {"type": "fraction", "value": [1, 4]}, "1", 0.25), ("scalar", 10**30, "1", 1e30),
    ],
)  # fmt: skip
async def test_units_are_written_by_ucum(sort, unit, value, code, written):
    _, metrics, _ = await sort(gauge_event(value, unit))
    _, _, found = metric(metrics)
    (point,) = found.gauge.data_points
    number = getattr(point, point.WhichOneof("value"))
    assert (found.unit, number, type(number)) == (code, written, type(written))


async def test_points_of_one_metric_stand_together(sort):
    events = [gauge_event(number, labels={"n": str(number)}) for number in range(3)]
    _, metrics, _ = await sort(*events, gauge_event(9, "bytes"))
    found = metrics.resource_metrics[0].scope_metrics[0].metrics
    assert [(one.unit, [point.as_int for point in one.gauge.data_points]) for one in found] == [
        ("1", [0, 1, 2]), ("By", [9]),
    ]  # fmt: skip


async def test_a_gauge_that_measures_a_text_is_a_log_record(sort):
    logs, metrics, _ = await sort(gauge_event("open", labels={"door": "3"}))
    assert not metrics.resource_metrics
    found = attributes(log(logs)[2].attributes)
    assert (found["value"], found["door"]) == ("open", "3")


async def test_gauges_that_ride_on_an_event_are_metrics_of_its_logger(sort):
    one = {
        "event": "a", "name": "shop.web", "level": "info", "fields": {"route": "/buy", "user": "u"},
        "gauges": {"took": {"type": "gauge", "value": 2, "unit": "seconds"},
                   "state": {"type": "gauge", "value": "open", "unit": "scalar"}},
    }  # fmt: skip
    _, metrics, _ = await sort(one, gauge_attributes=("fields.route", "level", "fields.none"))
    _, scope, found = metric(metrics)
    assert (scope.scope.name, found.name, found.unit) == ("shop.web", "took", "s")
    (point,) = found.gauge.data_points
    assert attributes(point.attributes) == {"route": "/buy", "level": "info"}


async def test_gauges_stay_attributes_only_where_metrics_are_not_sent(sort):
    one = {"event": "a", "gauges": {"took": {"type": "gauge", "value": 2, "unit": "seconds"}}}
    logs, metrics, _ = await sort(one, signals={"Logs"})
    assert not metrics.resource_metrics
    assert attributes(log(logs)[2].attributes)["took"] == 2


async def test_a_histogram_has_its_buckets_in_order(sort):
    one = {
        "type": "histogram", "name": "took", "labels": {"route": "/"}, "sum": 12.5, "timestamp": TIME,
        "buckets": {"10": 3, "1": 1.4, "Infinity": 2, "1.0": 1},
    }  # fmt: skip
    _, metrics, _ = await sort(one)
    _, _, found = metric(metrics)
    assert (found.name, found.histogram.aggregation_temporality) == ("took", 2)
    (point,) = found.histogram.data_points
    assert list(point.explicit_bounds) == [1, 10]
    assert list(point.bucket_counts) == [2, 3, 2]
    assert (point.count, point.sum, point.time_unix_nano) == (7, 12.5, TIME)
    assert attributes(point.attributes) == {"route": "/"}
    _, metrics, _ = await sort({**one, "buckets": {}, "sum": 10**400}, temporality="Delta")
    _, _, found = metric(metrics)
    assert found.histogram.aggregation_temporality == 1
    (point,) = found.histogram.data_points
    assert (list(point.bucket_counts), list(point.explicit_bounds)) == ([0], [])
    assert math.isinf(point.sum)


# --- traces --------------------------------------------------------------------------------------------------------


def span_event(**more):
    return {
        "type": "span", "label": "GET /", "name": "shop.web", "kind": 2, "started": TIME, "finished": TIME + 1000,
        "spanContext": {"traceId": TRACE, "spanId": SPAN, "parentSpanId": PARENT, "flags": 3}, **more,
    }  # fmt: skip


async def test_a_span_has_all_that_it_came_with(sort):
    context = {
        "traceId": TRACE, "spanId": SPAN, "parentSpanId": PARENT, "flags": 3,
        "traceState": [[{"key": "a", "vendor": "v"}, "1"], [{"key": "b"}, "2"]], "traceContext": {"k": "v"},
    }  # fmt: skip
    one = span_event(
        spanContext=context,
        status={"code": 1, "source": 1, "description": "broke"},
        links=[
            {"type": "followsFromTrace", "predecessor": "1", "attrs": {"a": 1}},
            {"type": "followsFromSpan", "predecessor": {"traceId": TRACE, "spanId": SPAN}, "attrs": {}},
            {"type": "odd"},
        ],
        events=[
            {"type": "event", "event": "read {n}", "timestamp": TIME + 10, "fields": {"n": 3}, "level": "warn"},
            {"message": "v5"},
            "?",
        ],
        attrs={"x": 5, "started": "mine"},
        context={"host": "h", "tenant": "t"},
        level="warn",
    )
    _, _, traces = await sort(one)
    resource, scope, found = span(traces)
    assert attributes(resource.resource.attributes) == {"host.name": "h"}
    assert scope.scope.name == "shop.web"
    assert (found.trace_id.hex(), found.span_id.hex(), found.parent_span_id.hex()) == (TRACE, SPAN, PARENT)
    assert (found.name, found.kind, found.flags, found.trace_state) == ("GET /", 2, 1, "a@v=1,b=2")
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (TIME, TIME + 1000)
    assert (found.status.code, found.status.message) == (2, "broke")
    assert attributes(found.attributes) == {
        "x": 5, "started": "mine", "tenant": "t", "baggage": {"k": "v"}, "status.source": 1, "level": "warn",
        "links": [{"type": "odd"}],
    }  # fmt: skip
    first, second = found.links
    assert (first.trace_id.hex(), first.span_id) == ("0" * 31 + "1", b"")
    assert attributes(first.attributes) == {"type": "followsFromTrace", "a": 1}
    assert (second.trace_id.hex(), second.span_id.hex()) == (TRACE, SPAN)
    read, lenient, odd = found.events
    assert (read.name, read.time_unix_nano) == ("read {n}", TIME + 10)
    assert attributes(read.attributes) == {"n": 3, "level": "warn"}
    assert (lenient.name, lenient.time_unix_nano) == ("v5", TIME)
    assert attributes(odd.attributes) == {"value": "?"}


@pytest.mark.parametrize(
    ("numbering", "kinds", "codes"),
    [("Logary", [1, 3, 2, 5, 4], [0, 2, 1]), ("OpenTelemetry", [1, 2, 3, 4, 5], [0, 1, 2])],
)
async def test_kinds_and_codes_count_as_their_sender_does(sort, numbering, kinds, codes):
    events = [span_event(kind=number, status={"code": number % 3}) for number in range(5)]
    _, _, traces = await sort(*events, numbering=numbering)
    found = traces.resource_spans[0].scope_spans[0].spans
    assert [one.kind for one in found] == kinds
    assert [one.status.code for one in found[:3]] == codes


async def test_a_span_without_ids_has_those_of_its_event_and_one_that_goes_on_says_so(sort):
    one = {"type": "span", "id": ID, "label": "s", "started": TIME}
    _, _, traces = await sort(one)
    found = span(traces)[2]
    assert (found.trace_id.hex(), found.span_id.hex()) == (ID, ID[16:])
    assert found.end_time_unix_nano == TIME
    assert attributes(found.attributes) == {"unfinished": True}


async def test_what_no_span_has_a_place_for_stays_an_attribute(sort):
    one = span_event(spanContext={"traceId": TRACE, "spanId": SPAN, "traceState": [["odd"]]})
    _, _, traces = await sort(one)
    found = span(traces)[2]
    assert (found.trace_state, attributes(found.attributes)) == ("", {"state": [["odd"]]})


async def test_gauges_of_a_span_are_attributes_and_metrics(sort):
    one = span_event(gauges={"rows": {"type": "gauge", "value": 2, "unit": "scalar"}})
    _, metrics, traces = await sort(one)
    assert attributes(span(traces)[2].attributes) == {"rows": 2}
    assert metric(metrics)[2].name == "rows"
