"""Format ``json``: the v6 form (reference §3.7), by golden lines; the same events as console lines (§5.3)."""

import json

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta import components, formats
from rutta.events import v5
from rutta.events.event import Error, Event, Frame, Gauge, Span, StackTrace, Unit
from rutta.formats import Format, lenient_lines
from rutta.message import NOTHING, Batch, Block, Origin
from rutta.rows.rows import EventRows

ORIGIN = Origin(bytes(range(16)), 7)
RECEIVED = 1_700_000_000_000_000_000


def batch_of(data, codec="json", *, columns=NOTHING, strict=False, **block):
    """Decode bytes, with a fixed origin and time of receipt."""
    given = Block(data, origin=ORIGIN, received=RECEIVED, **block)
    return components.module("codecs", codec).make(strict).decode(given, columns)


def of_events(*events):
    """A batch of events."""
    return Batch(EventRows(events), size=1, origin=ORIGIN, received=RECEIVED)


# --- json: the v6 form ------------------------------------------------------------------------------------------

HEAD = '"id":"AAECAwQFBgcICQoLDA0ODw==","parentSpanId":"t61rcWkgMzE=","name":"a.b","level":"warn","received":1704164646000000000,"timestamp":1704164645678000000,"context":{"c":1},"fields":{"f":0.1},"gauges":{"g":{"type":"gauge","value":2,"unit":"seconds"},"m":{"type":"money","amount":5,"currency":"USD"}}'  # noqa: E501
BASE = {
    "id": bytes(range(16)),
    "parent_span_id": bytes.fromhex("b7ad6b7169203331"),
    "name": "a.b",
    "level": 4,
    "received": 1704164646000000000,
    "timestamp": 1704164645678000000,
    "context": {"c": 1},
    "fields": {"f": 0.1},
    "gauges": {"g": Gauge(2, Unit("seconds")), "m": Gauge(5, Unit("currency", text="USD"))},
}
USD = Gauge(12.5, Unit("currency", text="USD"))
ERROR = Error("m", "T", StackTrace((Frame(site="s", file="f", line_no=3),), 1), Error("i"))
ERROR_JSON = '{"message":"m","errorType":"T","stackTrace":{"frames":[{"site":"s","file":"f","lineNo":3}],"droppedFramesCount":1},"inner":{"message":"i"}}'  # noqa: E501
SPAN = Span(
    trace_id=bytes(15) + b"\x01",
    span_id=bytes(7) + b"\x02",
    flags=3,
    label="GET",
    kind=2,
    started=1704164645678000000,
    finished=1704164645679500000,
    status={"code": 1},
    links=({"type": "x"},),
    events=({"event": "e"},),
    baggage={"k": "v"},
    parent_span_id=bytes.fromhex("b7ad6b7169203331"),
    state=[["a", "b"]],
)
SPAN_JSON = '"spanContext":{"traceId":"AAAAAAAAAAAAAAAAAAAAAQ==","spanId":"AAAAAAAAAAI=","parentSpanId":"t61rcWkgMzE=","flags":3,"traceContext":{"k":"v"},"traceState":[["a","b"]]},"label":"GET","kind":2,"started":1704164645678000000,"finished":1704164645679500000,"links":[{"type":"x"}],"events":[{"event":"e"}],"status":{"type":"spanStatus","code":1}'  # noqa: E501

GOLDEN = [
    (
        Event(text="hi {f}", money=USD, error=ERROR, **BASE),
        f'{{"type":"event",{HEAD},"event":"hi {{f}}","monetaryValue":{{"type":"money","amount":12.5,"currency":"USD"}},"error":{ERROR_JSON}}}',  # noqa: E501
        'lvl=warn   ts=2024-01-02T03:04:05.678Z evt="hi 0.1" money="USD 12.50" recv=2024-01-02T03:04:06.000Z parent=b7ad6b7169203331 '  # noqa: E501
        'c=1 g="2.00 s" m="USD 5.00" name=a.b type=event error.message=m error.type=T error.stackTrace="at s in f:3" error.inner.message=i',  # noqa: E501
    ),
    (
        Event(kind="gauge", gauge=Gauge(0.5, Unit("percent")), labels={"l": "x y"}, **BASE),
        f'{{"type":"gauge",{HEAD},"gauge":{{"type":"gauge","value":0.5,"unit":"percent"}},"labels":{{"l":"x y"}}}}',
        'lvl=warn   ts=2024-01-02T03:04:05.678Z g="50.00 %" recv=2024-01-02T03:04:06.000Z parent=b7ad6b7169203331 '
        'c=1 f=0.1 g="2.00 s" m="USD 5.00" l="x y" name=a.b type=gauge',
    ),
    (
        Event(kind="histogram", buckets={"0.1": 3, "1": 4}, sum=2.5, labels={"l": "x"}, **BASE),
        f'{{"type":"histogram",{HEAD},"buckets":{{"0.1":3,"1":4}},"labels":{{"l":"x"}},"sum":2.5}}',
        'lvl=warn   ts=2024-01-02T03:04:05.678Z sum=2.5 buckets="0.1:3 1:4" recv=2024-01-02T03:04:06.000Z parent=b7ad6b7169203331 '  # noqa: E501
        'c=1 f=0.1 g="2.00 s" m="USD 5.00" l=x name=a.b type=histogram',
    ),
    (
        Event(kind="span", span=SPAN, **BASE),
        f'{{"type":"span",{HEAD},{SPAN_JSON}}}',
        'lvl=warn   ts=2024-01-02T03:04:05.678Z lbl=GET dur="1.50 ms" recv=2024-01-02T03:04:06.000Z parent=b7ad6b7169203331 '  # noqa: E501
        'c=1 f=0.1 g="2.00 s" m="USD 5.00" name=a.b type=span',
    ),
    (
        Event(kind="identifyUser", user={"prevUserId": "a", "newUserId": "b"}, **BASE),
        f'{{"type":"identifyUser",{HEAD},"prevUserId":"a","newUserId":"b"}}',
        "lvl=warn   ts=2024-01-02T03:04:05.678Z prevUserId=a newUserId=b recv=2024-01-02T03:04:06.000Z parent=b7ad6b7169203331 "  # noqa: E501
        'c=1 f=0.1 g="2.00 s" m="USD 5.00" name=a.b type=identifyUser',
    ),
    (
        Event(kind="setUserProperty", user={"userId": "a", "key": "k", "value": 7}, **BASE),
        f'{{"type":"setUserProperty",{HEAD},"userId":"a","key":"k","value":7}}',
        "lvl=warn   ts=2024-01-02T03:04:05.678Z userId=a key=k value=7 recv=2024-01-02T03:04:06.000Z parent=b7ad6b7169203331 "  # noqa: E501
        'c=1 f=0.1 g="2.00 s" m="USD 5.00" name=a.b type=setUserProperty',
    ),
    (
        Event(kind="forgetUser", user={"userId": "a"}, **BASE),
        f'{{"type":"forgetUser",{HEAD},"userId":"a"}}',
        "lvl=warn   ts=2024-01-02T03:04:05.678Z userId=a recv=2024-01-02T03:04:06.000Z parent=b7ad6b7169203331 "
        'c=1 f=0.1 g="2.00 s" m="USD 5.00" name=a.b type=forgetUser',
    ),
]


@pytest.mark.parametrize(("event", "line", "shown"), GOLDEN)
def test_every_kind_is_written_in_the_v6_form_its_keys_in_order_and_as_logfmt(event, line, shown):
    assert formats.encode(of_events(event), Format("json")).decode() == line + "\n"
    assert formats.encode(of_events(event), Format("logfmt")).decode() == shown + "\n"


@pytest.mark.parametrize(("event", "line", "shown"), GOLDEN)
@pytest.mark.parametrize("strict", [False, True])
def test_what_is_written_reads_back_as_the_same_event(event, line, shown, strict):
    assert batch_of(line.encode() + b"\n", strict=strict).rows.events() == [event]
    packed = formats.encode(of_events(event), Format("msgpack"))
    assert batch_of(packed, "binary", lines=False, strict=strict).rows.events() == [event]
    assert msgpack.unpackb(packed) == [1, json.loads(line)]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.1, "0.1"),
        (1e22, "1e22"),
        (2**63 - 1, "9223372036854775807"),
        (10**30, "1" + "0" * 30),
        (float("nan"), "null"),
        (float("inf"), "null"),
        ("\x00\u2028é", '"\\u0000\u2028é"'),
        (None, "null"),
        ({"type": "fraction", "value": [1, 3]}, '{"type":"fraction","value":[1,3]}'),
    ],
)
def test_values_are_written_shortest_and_always_as_json(value, written):
    line = formats.encode(of_events(Event(fields={"v": value})), Format("json")).decode()
    assert f'"fields":{{"v":{written}}}' in line


@pytest.mark.parametrize("time", [0, 1, -1, 10**17 - 1, -(10**17) + 1, 10**17, -(10**17), 2**63 - 1, -(2**63) + 1])
def test_a_time_reads_back_also_where_its_number_would_be_taken_for_another_unit(time):
    (event,) = batch_of(formats.encode(of_events(Event(timestamp=time)), Format("json"))).rows.events()
    assert event.timestamp == time


# --- the fast way of json ---------------------------------------------------------------------------------------

VARIANTS = [
    {},
    {"id": "ab" * 16},
    {"id": "AAECAwQFBgcICQoLDA0ODw=="},
    {"id": "AAECAwQFBgcICQoLDA0ODw"},
    {"id": "zz"},
    {"id": ""},
    {"id": "0" * 32},
    {"id": " " * 32},
    {"id": "!!!!AAECAwQFBgcICQoLDA=="},
    {"level": 5},
    {"level": "INFO"},
    {"level": 9},
    {"level": "fatal"},
    {"timestamp": 5},
    {"timestamp": 1600000000123456789},
    {"timestamp": 2**63},
    {"timestamp": "1600000000123456789"},
    {"received": 1600000000123456789},
    {"received": 0},
    {"name": ["a", "b"]},
    {"name": "a"},
    {"context": {"k": 1, "h": 2}},
    {"context": None},
    {"context": 5},
    {"fields": {"f": [None, 1.5]}},
    {"fields": []},
    {"fields": None},
    {"gauges": {}},
    {"gauges": {"g": {"type": "gauge", "value": 1}}},
    {"gauges": 5},
    {"gauges": None},
    {"extra": 1},
    {"error": "x"},
    {"monetaryValue": {"amount": 1, "currency": "sek"}},
    {"type": "Event"},
    {"type": "span"},
    {"event": 5},
    {"event": None},
]


@pytest.mark.parametrize("context", [None, {"h": 1}])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fast_way_to_the_v6_form_gives_what_the_slow_one_gives(variant, context):
    data = msgspec.json.encode({"type": "event", "event": "x", **variant}) + b"\n"
    batch = batch_of(data * 2, context=context, times=[8, 9])
    slow = of_events(*formats.events(batch))
    assert formats.encode(batch, Format("json")).splitlines() == formats.encode(slow, Format("json")).splitlines()


# --- the fast way of json for lines of nobody's schema ------------------------------------------------------------

TEXTS = st.text(max_size=4) | st.sampled_from(
    ["info", "WARN", "Error", "nonsense", "2026-11-27T10:00:00Z", "\U0001f600"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
ODD = st.sampled_from(
    [{"type": "int64", "value": 3}, {"message": "m"}, [["a", 1]], {}, {"a": {"type": "float", "value": 1}}]
)
LENIENT = st.dictionaries(st.sampled_from([*v5.KEYS, "type", "a", "ts", "b c", "é"]), LEAVES | ODD, max_size=6)


@given(LENIENT, st.booleans(), st.sampled_from([None, {"h": 1}]), st.sampled_from([None, [8]]))
def test_the_fast_way_of_nobodys_schema_gives_what_the_slow_one_gives(source, is_ascii, context, times):
    data = json.dumps(source, ensure_ascii=is_ascii).encode()
    batch = batch_of(data + b"\n", context=context, times=times)
    (fast,) = formats.encode(batch, Format("json")).splitlines()
    (slow,) = formats.encode(of_events(*formats.events(batch)), Format("json")).splitlines()
    assert list(json.loads(fast).items()) == list(json.loads(slow).items())


@pytest.mark.parametrize(
    ("line", "is_fast"),
    [
        (b'{"level":"info","message":"m","timestamp":"2026-11-27T10:00:00Z","logger":"a.b","x":{"y":[1]}}', True),
        (b'{"severity":"ERROR","@timestamp":1790000000000,"source":"s"}', True),
        (b"{}", True),
        (b'{"level":"nonsense"}', False),
        (b'{"level":30}', False),
        (b'{"level":"info","severity":"warn"}', False),
        (b'{"message":5}', False),
        (b'{"name":["a","b"]}', False),
        (b'{"timestamp":"yesterday"}', False),
        (b'{"timestamp":0}', False),
        (b'{"error":"boom"}', False),
        (b'{"fields":{"a":1}}', False),
        (b'{"a":{"type":"int64","value":3}}', False),
        (b'{"\\u0074ype":"gauge"}', False),
        (b'{"a":' + b"[" * 101 + b"]" * 101 + b"}", False),
    ],
)
def test_what_needs_to_be_taken_apart_is(line, is_fast):
    assert (lenient_lines.read(line) is not None) == is_fast
