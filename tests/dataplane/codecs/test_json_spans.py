"""Spans: the keys of reference §3.5, and the official JavaScript client's batches (§2.6)."""

import json

import pytest

from rutta.events.event import NO_TIME, Span

# --- §3.5: spans ------------------------------------------------------------------------------------------------

TRACE, SPAN = bytes.fromhex("0af7651916cd43dd8448eb211c80319c"), bytes.fromhex("b7ad6b7169203331")


def test_every_key_of_a_span_is_read(read):
    event = read(
        json.dumps(
            {
                "type": "span",
                "label": "GET /",
                "kind": 2,
                "started": 1600000000,
                "finished": "1600000001000000000",
                "spanContext": {
                    "traceId": TRACE.hex(),
                    "spanId": SPAN.hex(),
                    "parentSpanId": "1",
                    "flags": 3,
                    "traceContext": {"k": "v"},
                    "traceState": [[{"key": "a", "vendor": "b"}, "c"]],
                },
                "status": {"type": "spanStatus", "code": 1, "source": 1, "description": "d"},
                "links": [{"type": "followsFromTrace", "predecessor": "1", "attrs": {}}],
                "events": [{"type": "event", "event": "e"}],
                "attrs": {"a": {"type": "int64", "value": 5}},
                "fields": {"f": 1},
            }
        ).encode(),
        strict=True,
    )
    assert event.span == Span(
        trace_id=TRACE,
        span_id=SPAN,
        parent_span_id=bytes(7) + b"\x01",
        flags=3,
        label="GET /",
        kind=2,
        started=1600000000 * 10**9,
        finished=1600000001 * 10**9,
        status={"code": 1, "source": 1, "description": "d"},
        links=({"type": "followsFromTrace", "predecessor": "1", "attrs": {}},),
        events=({"type": "event", "event": "e"},),
        state=[[{"key": "a", "vendor": "b"}, "c"]],
        baggage={"k": "v"},
    )
    assert event.fields == {"f": 1, "a": 5}
    assert event.timestamp == 1600000000 * 10**9
    assert event.parent_span_id == bytes(7) + b"\x01"


def test_a_span_may_give_its_ids_at_the_top_and_trace_flags_are_flags(read):
    event = read(
        json.dumps(
            {"type": "span", "traceId": TRACE.hex(), "spanId": SPAN.hex(), "parentSpanId": "2", "flags": 0}
        ).encode()
    )
    assert event.span == Span(trace_id=TRACE, span_id=SPAN, parent_span_id=bytes(7) + b"\x02", flags=0)
    event = read(b'{"type":"span","spanContext":{"traceId":"1","spanId":"2","traceFlags":2}}')
    assert event.span is not None
    assert event.span.flags == 2


@pytest.mark.parametrize(
    ("keys", "started", "timestamp"),
    [
        ({}, 0, NO_TIME),
        ({"started": 1}, 10**9, 10**9),
        ({"timestamp": 2}, 2 * 10**9, 2 * 10**9),
        ({"started": 1, "timestamp": 2}, 2 * 10**9, 2 * 10**9),
        ({"started": 0}, 0, NO_TIME),
    ],
)
def test_a_spans_timestamp_is_its_start_and_overrides_it(read, keys, started, timestamp):
    event = read(json.dumps({"type": "span", **keys}).encode())
    assert event.span is not None
    assert (event.span.started, event.timestamp) == (started, timestamp)


@pytest.mark.parametrize("finished", [0, None])
def test_a_span_that_is_not_finished_has_zero(read, finished):
    event = read(json.dumps({"type": "span", "finished": finished}).encode(), strict=True)
    assert event.span is not None
    assert event.span.finished == 0


@pytest.mark.parametrize("kind", [5, -1, 99])
def test_an_unknown_kind_of_span_is_internal(read, kind):
    event = read(json.dumps({"type": "span", "kind": kind}).encode(), strict=True)
    assert event.span is not None
    assert event.span.kind == 0


JS_BATCH = json.dumps(
    [
        {
            "type": "event",
            "id": "ab" * 16,
            "event": "User clicked",
            "level": 3,
            "name": ["app", "button"],
            "templated": True,
            "timestamp": "1700000000123456789",
            "monetaryValue": None,
            "error": None,
            "context": {"nested": {"a": [None]}},
            "fields": {"list": [1, 2], "nothing": None},
        },
        {
            "type": "span",
            "id": "cd" * 16,
            "spanContext": {"traceId": TRACE.hex(), "spanId": SPAN.hex(), "traceFlags": 1},
            "parentSpanId": None,
            "label": "load",
            "level": 3,
            "name": ["app"],
            "kind": 0,
            "started": "1700000000000000000",
            "finished": "1700000001000000000",
            "status": {"code": 0},
            "links": [],
            "attrs": {"x": 1},
            "events": [{"type": "event", "event": f"e{i}", "timestamp": "1700000000000000000"} for i in range(8)],
        },
    ]
).encode()


@pytest.mark.parametrize("strict", [False, True])
def test_a_batch_of_the_official_javascript_client_is_read_whole(decode, strict):
    batch = decode(JS_BATCH, strict=strict, lines=False)
    assert not batch.errors
    event, span = batch.rows.events()
    assert (event.timestamp, event.name, event.level) == (1700000000123456789, "app.button", 3)
    assert event.fields == {"list": [1, 2], "nothing": None, "templated": True}
    assert event.context == {"nested": {"a": [None]}}
    assert span.span is not None
    assert (span.span.label, span.span.finished, len(span.span.events)) == ("load", 1700000001 * 10**9, 8)
    assert span.fields == {"x": 1}
