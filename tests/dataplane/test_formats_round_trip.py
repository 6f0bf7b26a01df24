"""Every event reads back from JSON and from msgpack as it was."""

import json

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rutta import components, formats
from rutta.events.event import NO_TIME, Error, Event, Frame, Gauge, Span, StackTrace, Unit
from rutta.formats import Format
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


# --- round trips ------------------------------------------------------------------------------------------------

text = st.text(max_size=5)
json_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(text.filter(lambda key: key != "type"), inner, max_size=3)
    ),
    max_leaves=4,
)
time = st.integers(-(2**63) + 1, 2**63 - 1).filter(bool)
id16, id8 = (st.just(b"") | st.binary(min_size=size, max_size=size).filter(any) for size in (16, 8))
values = st.dictionaries(text, json_value, max_size=3)
finite = st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
gauge = st.builds(
    Gauge,
    finite,
    st.sampled_from(
        [
            Unit("bytes"),
            Unit("currency", text="SEK"),
            Unit("scaled", (Unit("seconds"),), 1e9),
            Unit("div", (Unit("bytes"), Unit("seconds"))),
            Unit("other", text="seconds"),
        ]
    ),
)
frames = st.lists(
    st.builds(Frame, site=text, file=st.none() | text, line_no=st.none() | st.integers(0, 9)), max_size=2
).map(tuple)
error = st.recursive(
    st.builds(
        Error,
        message=st.none() | text,
        error_type=st.none() | text,
        stack_trace=st.none() | st.builds(StackTrace, frames),
    ),
    lambda inner: st.builds(Error, message=text, inner=inner),
    max_leaves=2,
)
common = {
    "id": id16,
    "parent_span_id": id8,
    "name": text,
    "level": st.integers(1, 6),
    "timestamp": st.just(NO_TIME) | time,
    "received": st.just(0) | time,
    "context": values,
    "fields": values,
    "gauges": st.dictionaries(text, gauge, max_size=2),
}
labels = st.dictionaries(text, text, max_size=2)
events = st.one_of(
    st.builds(Event, text=text, money=st.none() | gauge, error=st.none() | error, **common),
    st.builds(Event, kind=st.just("gauge"), gauge=gauge, labels=labels, **common),
    st.builds(
        Event,
        kind=st.just("histogram"),
        labels=labels,
        sum=finite,
        buckets=st.dictionaries(st.floats(allow_nan=False).map(str), finite, max_size=2),
        **common,
    ),
    st.builds(Event, kind=st.just("forgetUser"), user=st.fixed_dictionaries({"userId": text}), **common),
)
spans = st.builds(
    lambda event, span: msgspec.structs.replace(
        event, kind="span", timestamp=span.started, parent_span_id=span.parent_span_id, span=span
    ),
    st.builds(Event, **common),
    st.builds(
        Span,
        trace_id=id16,
        span_id=id8,
        parent_span_id=id8,
        flags=st.integers(0, 3),
        label=text,
        kind=st.integers(0, 4),
        started=time,
        finished=st.just(0) | time,
        status=st.none() | st.fixed_dictionaries({"code": st.integers(0, 2)}),
        links=st.lists(values, max_size=2).map(tuple),
        events=st.lists(values, max_size=2).map(tuple),
        baggage=st.none() | st.dictionaries(text, text, min_size=1, max_size=2),
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events | spans, max_size=3))
def test_every_event_makes_the_round_trip_by_json_and_by_msgpack(originals):
    payload = EventRows(originals).payload()
    found = batch_of(payload).rows.events()
    assert found == originals
    assert not batch_of(payload, strict=True).errors
    completed = formats.events(of_events(*originals))
    packed = formats.encode(of_events(*originals), Format("msgpack"))
    assert batch_of(packed, "binary").rows.events() == completed
    assert batch_of(formats.encode(of_events(*originals), Format("json"))).rows.events() == completed
    json.loads(b"[" + payload.replace(b"\n", b",")[:-1] + b"]")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events | spans, max_size=3))
def test_every_event_has_one_console_line(originals):
    whole = formats.encode(of_events(*originals), Format("logfmt")).decode()
    assert len(whole.split("\n")) == len(originals) + 1
    assert whole.isprintable() or not any(ord(one) < 32 for one in whole.replace("\n", ""))
