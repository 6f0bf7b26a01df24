"""v5's lenient object, row by row of reference §3.8, and inputs shaped like the original's demo files (§3.12)."""

import json

import pytest

from rutta.events.event import NO_TIME, Error, Event, Frame, Gauge, StackTrace, Unit


def test_an_empty_object_is_an_event_with_the_defaults(read):
    assert read(b"{}") == Event(text="-", level=2, timestamp=NO_TIME)


@pytest.mark.parametrize(
    ("source", "attribute", "expected"),
    [
        *[({key: "a.b"}, "name", "a.b") for key in ("name", "source", "logger")],
        *[({key: "hi"}, "text", "hi") for key in ("message", "value")],
        *[({key: "Warn"}, "level", 4) for key in ("level", "severity")],
        ({"severity": "WARNING"}, "level", 3),
        ({"level": 5}, "level", 5),
        *[({key: 1600000000123456789}, "timestamp", 1600000000123456789) for key in ("timestamp", "@timestamp")],
        *[({key: "2024-01-02T03:04:05Z"}, "timestamp", 1704164645 * 10**9) for key in ("timestamp", "@timestamp")],
        ({"context": {"a": {"b": [1, None]}}}, "context", {"a": {"b": [1, None]}}),
        ({"fields": {"a": None}}, "fields", {"a": None}),
        (
            {"gauges": {"t": {"type": "gauge", "value": {"type": "float", "value": 2.5}, "unit": {"type": "seconds"}}}},
            "gauges",
            {"t": Gauge(2.5, Unit("seconds"))},
        ),
        (
            {
                "gauges": {
                    "t": {
                        "type": "gauge",
                        "value": {"type": "int64", "value": 2},
                        "unit": {"type": "div", "nom": {"type": "bytes"}, "denom": {"type": "seconds"}},
                    }
                }
            },
            "gauges",
            {"t": Gauge(2, Unit("div", (Unit("bytes"), Unit("seconds"))))},
        ),
        ({"tags": ["a", "b"]}, "fields", {"tags": ["a", "b"]}),
        ({"error": "it broke"}, "fields", {"error": "it broke"}),
        ({"error": {"code": 5}}, "fields", {"error": {"code": 5}}),
        (
            {"error": "System.Exception: x\n   at A.B()"},
            "error",
            Error("x", "System.Exception", StackTrace((Frame(site="A.B()"),))),
        ),
        ({"_logary.error": {"message": "m"}}, "error", Error("m")),
        ({"user": {"name": "al"}, "n": 5, "list": [1]}, "fields", {"user": {"name": "al"}, "n": 5, "list": [1]}),
        ({"id": 5}, "fields", {"id": 5}),
    ],
)
def test_every_alias_is_read_and_every_other_key_becomes_a_field(read, source, attribute, expected):
    event = read(json.dumps(source).encode())
    assert getattr(event, attribute) == expected
    if attribute != "fields":
        assert event.fields == ({"severity": "WARNING"} if source == {"severity": "WARNING"} else {})


@pytest.mark.parametrize(
    ("source", "attribute", "value", "fields"),
    [
        ({"level": 30, "severity": "error"}, "level", 5, {"level": 30}),  # pino counts to 60
        ({"level": 30}, "level", 2, {"level": 30}),
        ({"message": 5, "value": "v"}, "text", "v", {"message": 5}),
        ({"message": "m", "value": "v"}, "text", "m", {"value": "v"}),
        ({"message": "m", "value": None}, "text", "m", {"value": None}),
        ({"name": {}, "logger": "l"}, "name", "l", {"name": {}}),
        ({"timestamp": "soon"}, "timestamp", NO_TIME, {"timestamp": "soon"}),
        ({"fields": 5}, "fields", {"fields": 5}, {"fields": 5}),
        ({"context": [1]}, "context", {}, {"context": [1]}),
        ({"gauges": {"a": 1}}, "gauges", {}, {"gauges": {"a": 1}}),
        ({"type": 5, "message": "m"}, "text", "m", {"type": 5}),
        ({"type": "request", "message": "m"}, "text", "m", {"type": "request"}),
        ({"x": 1, "fields": {"x": 2}}, "text", "-", {"x": 2, "x_": 1}),
    ],
)
def test_a_key_that_cannot_be_read_gives_way_to_the_next_alias_and_is_kept(read, source, attribute, value, fields):
    event = read(json.dumps(source).encode())
    assert getattr(event, attribute) == value
    assert event.fields == fields


def test_an_array_of_lenient_objects_is_a_batch(decode):
    batch = decode(b'[{"message":"a"},{"message":"b"}]', lines=False)
    assert batch.rows.column("text") == ["a", "b"]


# --- §3.12: shapes of the demo files, written anew --------------------------------------------------------------

LEVELS = ["Verbose", "Debug", "Info", "Warn", "Error", "Fatal"]
DEMO = [
    {"context": {"service": "checkout", "env": "demo"}},
    {"colour": "green"},
    {"name": "shop.cart", "items": ["pear", "plum", 3]},
    *[
        {
            "name": "shop.users",
            "level": level,
            "value": "{user.username} signed in as {@user} ({user})",
            "fields": {"user": {"username": "ada", "roles": ["admin"]}},
            **({"@timestamp": "2018-05-04T11:22:33.4567Z"} if level != "Fatal" else {}),
        }
        for level in LEVELS
    ],
]
TRACE = (
    "System.IO.FileNotFoundException: Could not load file or assembly 'Cart'.\r\nFile name: 'Cart'\r\n"
    "   at Shop.Cart.Open(String id) in /src/Cart.cs:line 12\r\n   at Shop.Program.Main()\r\n\r\n"
    "=== Binding log ===\r\nLOG: nothing found"
)


def test_the_nine_demo_lines_are_read(decode, write):
    data = b"".join(json.dumps(one).encode() + b"\n" for one in DEMO)
    batch = decode(data)
    assert not batch.errors
    events = batch.rows.events()
    assert events[0].context == {"service": "checkout", "env": "demo"}
    assert events[1].fields == {"colour": "green"}
    assert (events[2].name, events[2].fields) == ("shop.cart", {"items": ["pear", "plum", 3]})
    assert [event.level for event in events[3:]] == [1, 2, 3, 4, 5, 6]
    assert {event.timestamp for event in events[3:8]} == {1525432953456700000}
    assert events[8].timestamp == NO_TIME
    shown = write(data, form="logfmt").splitlines()
    assert b'evt="ada signed in as' in shown[3]


def test_the_demo_lines_with_arrays_and_with_a_trace_in_fields_are_read(read):
    mixed = read(b'{"name":"a.b","mixed":[1,"x",null,2.5],"numbers":[1,2,3],"message":"hello"}')
    assert (mixed.text, mixed.fields) == ("hello", {"mixed": [1, "x", None, 2.5], "numbers": [1, 2, 3]})
    fatal = read(json.dumps({"level": "Fatal", "user": {"name": "ada"}, "fields": {"error": TRACE}}).encode())
    assert fatal.level == 6
    assert fatal.fields == {"error": TRACE, "user": {"name": "ada"}}
    top = read(json.dumps({"error": TRACE}).encode()).error
    assert top is not None
    assert top.error_type == "System.IO.FileNotFoundException"
    assert top.message is not None
    assert "LOG: nothing found" in top.message
