"""The v6 schema, row by row of reference §3.2, §3.3 and §3.5; lenient and strict, defects 1, 6 and 14–19 mended."""

import base64
import json

import pytest

from rutta.events.event import NO_TIME, Error, Event, Gauge, Span, Unit

ID = bytes(range(16))
SECONDS = Unit("seconds")
MONEY = Gauge(12.5, Unit("currency", text="SEK"))


def line(**keys):
    """An event of kind event, with these keys."""
    return json.dumps({"type": "event", "event": "x", **keys}).encode()


def complaint(decode, data):
    """What strict says about one input."""
    batch = decode(data, strict=True)
    assert len(batch) == 0
    (failure,) = batch.errors
    assert failure.word in ("schema", "malformed", "depth")
    return failure.message


# --- §3.2: kinds ------------------------------------------------------------------------------------------------

KINDS = [
    ({"type": "event", "event": "hi"}, Event(text="hi", timestamp=NO_TIME)),
    ({"type": "EVENT", "event": "hi"}, Event(text="hi", timestamp=NO_TIME)),
    (
        {
            "type": "event",
            "event": "hi",
            "monetaryValue": {"amount": 12.5, "currency": "sek"},
            "error": {"message": "m"},
        },
        Event(text="hi", money=MONEY, error=Error(message="m"), timestamp=NO_TIME),
    ),
    ({"type": "event", "event": "hi", "monetaryValue": None, "error": None}, Event(text="hi", timestamp=NO_TIME)),
    ({"type": "whatever", "event": "hi"}, Event(text="hi", fields={"type": "whatever"}, timestamp=NO_TIME)),
    (
        {"type": "gauge", "gauge": {"type": "gauge", "value": 1, "unit": "seconds"}, "labels": {"a": "b"}},
        Event(kind="gauge", gauge=Gauge(1, SECONDS), labels={"a": "b"}, timestamp=NO_TIME),
    ),
    (
        {"type": "histogram", "labels": {}, "buckets": {"0.1": 3, "+Inf": 4}, "sum": 2.5},
        Event(kind="histogram", buckets={"0.1": 3, "+Inf": 4}, sum=2.5, timestamp=NO_TIME),
    ),
    ({"type": "span"}, Event(kind="span", level=3, span=Span(), timestamp=NO_TIME)),
    (
        {"type": "identifyUser", "prevUserId": "a", "newUserId": "b"},
        Event(kind="identifyUser", user={"prevUserId": "a", "newUserId": "b"}, timestamp=NO_TIME),
    ),
    (
        {"type": "setuserproperty", "userId": "a", "key": "k", "value": {"type": "int64", "value": 7}},
        Event(kind="setUserProperty", user={"userId": "a", "key": "k", "value": 7}, timestamp=NO_TIME),
    ),
    ({"type": "forgetUser", "userId": "a"}, Event(kind="forgetUser", user={"userId": "a"}, timestamp=NO_TIME)),
]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("source", "expected"), KINDS)
def test_every_kind_is_read_by_lenient_and_strict_alike(read, source, expected, strict):
    assert read(json.dumps(source).encode(), strict=strict) == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, ".type: is required"),
        ({"type": 5}, ".type: expected a string, got a number"),
        ({"type": "control", "event": "x"}, ".type: 'control' is not a kind of event"),
        ({"type": "whatever"}, ".type: 'whatever' is not a kind of event"),
        ({"type": "event"}, ".event: is required"),
        ({"type": "event", "event": 5}, ".event: expected a string, got a number"),
        ({"type": "gauge"}, ".gauge: is required; .labels: is required"),
        ({"type": "gauge", "gauge": 5, "labels": {"a": 1}}, ".gauge: expected an object, got a number; .labels.a: "),
        ({"type": "histogram", "labels": {}, "buckets": {"x": 1}, "sum": 1}, ".buckets: 'x' is not the number"),
        ({"type": "histogram", "labels": {}, "buckets": {"1": "x"}, "sum": 1}, ".buckets.1: expected a finite number"),
        ({"type": "identifyUser", "newUserId": "b"}, ".prevUserId: is required"),
        (
            {"type": "setUserProperty", "userId": "a", "key": "k", "value": [1]},
            ".value: expected a value, got an array",
        ),
        ({"type": "forgetUser", "userId": None}, ".userId: expected a string, got null"),
        ({"type": "event", "event": "x", "monetaryValue": 5}, ".monetaryValue: expected an object, got a number"),
        ({"type": "event", "event": "x", "error": {"inner": 5}}, ".error.inner: expected an object, got a number"),
        ({"type": "span", "spanContext": {"traceId": "1"}}, ".spanContext.spanId: is required"),
        ({"type": "span", "status": {}}, ".status.code: expected a whole number, got null"),
        ({"type": "span", "links": {}}, ".links: expected an array, got an object"),
    ],
)
def test_strict_says_path_and_reason_of_all_that_is_wrong(decode, source, message):
    assert complaint(decode, json.dumps(source).encode()).startswith(message)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ({"type": "event", "event": 5}, {"event": 5}),
        ({"type": "event", "event": "x", "monetaryValue": {"amount": 1}}, {"monetaryValue": {"amount": 1}}),
        ({"type": "event", "event": "x", "error": {"oops": 1}}, {"error": {"oops": 1}}),
        ({"type": "gauge", "gauge": 5, "labels": {"a": 1, "b": "c"}}, {"gauge": 5, "labels": {"a": 1}}),
        ({"type": "histogram", "buckets": {"x": 1}, "sum": "s"}, {"buckets": {"x": 1}, "sum": "s"}),
        ({"type": "control", "event": "x"}, {"type": "control"}),
        ({"type": "span", "status": 1, "kind": "x"}, {"status": 1, "kind": "x"}),
        (
            {"type": "span", "spanContext": {"traceId": 5, "spanId": "1"}},
            {"spanContext": {"traceId": 5, "spanId": "1"}},
        ),
        ({"type": "forgetUser", "userId": 5}, {"userId": 5}),
        ({"type": "gauge", "event": "x"}, {"event": "x"}),
    ],
)
def test_lenient_keeps_what_it_cannot_read_as_a_field_and_never_fails(read, source, fields):
    assert read(json.dumps(source).encode()).fields == fields


# --- §3.3: keys of all kinds ------------------------------------------------------------------------------------


def test_without_its_optional_keys_an_event_has_the_defaults(read):
    event = read(line())
    assert (event.id, event.parent_span_id, event.name, event.level) == (b"", b"", "", 2)
    assert (event.timestamp, event.context, event.fields, event.gauges) == (NO_TIME, {}, {}, {})


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("key", "value", "attribute", "expected"),
    [
        ("id", base64.b64encode(ID).decode(), "id", ID),
        ("id", ID.hex(), "id", ID),
        ("id", "00010203-0405-0607-0809-0a0b0c0d0e0f", "id", ID),
        ("id", "0" * 32, "id", b""),
        ("parentSpanId", "b7ad6b7169203331", "parent_span_id", bytes.fromhex("b7ad6b7169203331")),
        ("parentSpanId", "t61rcWkgMzE=", "parent_span_id", bytes.fromhex("b7ad6b7169203331")),
        ("parentSpanId", None, "parent_span_id", b""),
        ("name", "a.b.c", "name", "a.b.c"),
        ("name", ["a", "b", "c"], "name", "a.b.c"),
        ("name", "", "name", ""),
        *[
            ("level", word.title(), "level", level)
            for level, word in enumerate(["verbose", "debug", "info", "warn", "error", "fatal"], 1)
        ],
        *[("level", level, "level", level) for level in range(1, 7)],
        ("timestamp", 1600000000, "timestamp", 1600000000 * 10**9),
        ("timestamp", "1600000000123456789", "timestamp", 1600000000123456789),
        ("timestamp", "1999-01-01T00:00:00Z", "timestamp", 915148800 * 10**9),
        ("timestamp", 0, "timestamp", NO_TIME),
        ("context", {"a": 1, "b": None}, "context", {"a": 1, "b": None}),
        ("fields", {"a": {"type": "int64", "value": 2**62 + 1}}, "fields", {"a": 2**62 + 1}),
        (
            "gauges",
            {
                "a": {"type": "gauge", "value": 1, "unit": "seconds"},
                "b": {"type": "money", "amount": 12.5, "currency": "sek"},
            },
            "gauges",
            {"a": Gauge(1, SECONDS), "b": MONEY},
        ),
    ],
)
def test_a_key_of_all_kinds_is_read_in_each_of_its_forms(read, key, value, attribute, expected, strict):
    event = read(line(**{key: value}), strict=strict)
    assert getattr(event, attribute) == expected
    assert event.fields == ({} if attribute != "fields" else expected)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("id", "hello", ".id: 'hello' is no id of 16 bytes"),
        ("id", None, ".id: expected an id, got null"),
        ("parentSpanId", "x", ".parentSpanId: 'x' is no id of 8 bytes"),
        ("name", 5, ".name: expected a string or an array of strings, got a number"),
        ("name", ["a", 5], ".name: expected a string or an array of strings, got an array"),
        ("level", 9, ".level: 9 is not a level; levels are 1 to 6"),
        ("level", "nope", ".level: 'nope' is not a level; there are verbose, debug, info, warn, error, fatal"),
        ("timestamp", "soon", ".timestamp: 'soon' is not a time"),
        ("timestamp", "9" * 20, ".timestamp: the time lies outside the years 1677 to 2262"),
        ("context", 5, ".context: expected an object, got a number"),
        ("fields", [], ".fields: expected an object, got an array"),
        ("gauges", {"a": 5}, ".gauges.a: expected an object, got a number"),
        ("gauges", {"a": {"type": "gauge", "value": 1, "unit": 5}}, ".gauges.a.unit: expected a unit, got a number"),
    ],
)
def test_a_bad_value_of_a_known_key_is_refused_by_strict_with_its_path_and_kept_by_lenient(
    decode, read, key, value, message
):
    assert complaint(decode, line(**{key: value})).startswith(message)
    assert read(line(**{key: value})).fields == ({} if value is None else {key: value})


@pytest.mark.parametrize(("value", "level"), [(0, 1), (-3, 1), (9, 6), (10**25, 6), ("nope", 3), ([], 2), (True, 2)])
def test_a_level_that_is_none_stands_for_the_nearest_or_info_and_never_throws(read, value, level):
    event = read(line(level=value))
    assert event.level == level
    assert event.fields == {"level": value}


def test_a_span_without_level_is_of_level_info(read):
    assert read(b'{"type":"span"}').level == 3


def test_a_good_gauge_beside_a_bad_one_stays_a_gauge(read):
    event = read(line(gauges={"good": {"type": "gauge", "value": 1}, "bad": 5}))
    assert event.gauges == {"good": Gauge(1)}
    assert event.fields == {"gauges": {"bad": 5}}


@pytest.mark.parametrize("strict", [False, True])
def test_unknown_keys_are_kept_as_fields_also_v5s_names_beside_a_type(read, strict):
    extra = {
        "message": "m",
        "severity": "warn",
        "@timestamp": "x",
        "tags": ["a"],
        "resource": {},
        "labels": {},
        "n": None,
    }
    assert read(line(**extra), strict=strict).fields == extra


def test_an_unknown_key_never_takes_a_fields_place(read):
    assert read(line(user="top", fields={"user": "own"})).fields == {"user": "own", "user_": "top"}
