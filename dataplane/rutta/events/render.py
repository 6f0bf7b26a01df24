"""Write events in the v6 form (reference §3.7): as JSON, and as msgpack for the codec ``binary``.

Always readable back by our codecs, with the event's error, integers as integers, floats in their shortest form.
What has no JSON form (NaN, infinities; only binary input can hold them) is written as null.
"""

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from rutta.events.event import LEVEL_WORDS, NO_TIME, Error, Event, Frame, Span, StackTrace
from rutta.events.timestamps import NANOSECONDS
from rutta.events.units import gauge_to_json

VERSION: Final = 1  # of the msgpack form: [VERSION, {the v6 keys}]

_EMPTY: Final[Mapping[str, Any]] = {}
_INT64: Final = range(-(2**63), 2**64)


class Wire(Struct, rename="camel", gc=False):
    """An event as it is written, its keys in order."""

    type: str
    id: str | bytes | UnsetType = UNSET  # bytes only for JSON, where they become the same base64
    parent_span_id: str | UnsetType = UNSET
    name: str = ""
    level: str = "debug"
    received: int | str | UnsetType = UNSET
    timestamp: int | str | UnsetType = UNSET
    context: Any = _EMPTY
    fields: Any = _EMPTY
    gauges: Any = _EMPTY
    event: str | UnsetType = UNSET
    monetary_value: Any = UNSET
    error: Any = UNSET
    gauge: Any = UNSET
    buckets: Any = UNSET
    labels: Any = UNSET
    sum: Any = UNSET
    span_context: Any = UNSET
    label: str | UnsetType = UNSET
    kind: int | UnsetType = UNSET
    started: int | str | UnsetType = UNSET
    finished: int | str | UnsetType = UNSET
    links: Any = UNSET
    events: Any = UNSET
    status: Any = UNSET
    user_id: Any = UNSET
    prev_user_id: Any = UNSET
    new_user_id: Any = UNSET
    key: Any = UNSET
    value: Any = UNSET


_JSON: Final = msgspec.json.Encoder()
_MSGPACK: Final = msgspec.msgpack.Encoder()


def base64(id_: bytes) -> str:
    """Write an id as the schema does: 24 characters for 16 bytes, 12 for 8."""
    return b2a_base64(id_, newline=False).decode("ascii")


def moment(time: int) -> int | str:
    """Write a time: as a number if ``timestamps`` takes it for nanoseconds again, else (1966–1973) as 19 digits."""
    return time if abs(time) >= NANOSECONDS else f"{time:0{20 if time < 0 else 19}}"


def wire(event: Event) -> Wire:
    """Put an event in the form in which it is written."""
    out = Wire(
        event.kind,
        base64(event.id) if event.id else UNSET,
        base64(event.parent_span_id) if event.parent_span_id else UNSET,
        event.name,
        LEVEL_WORDS[event.level],
        moment(event.received) if event.received else UNSET,
        UNSET if event.timestamp == NO_TIME else moment(event.timestamp),
        event.context,
        event.fields,
        {key: gauge_to_json(gauge) for key, gauge in event.gauges.items()} if event.gauges else _EMPTY,
    )
    if event.kind == "event":
        out.event = event.text
    if event.money is not None:
        out.monetary_value = gauge_to_json(event.money)
    if event.error is not None:
        out.error = error_to_json(event.error)
    if event.kind != "event":
        _own(event, out)
    return out


def _own(event: Event, out: Wire) -> None:
    """Add the keys of the other kinds."""
    if event.kind == "gauge":
        out.labels = event.labels
        if event.gauge is not None:
            out.gauge = gauge_to_json(event.gauge)
    elif event.kind == "histogram":
        out.buckets, out.labels, out.sum = event.buckets, event.labels, event.sum
    elif event.kind == "span":
        _span(event.span or Span(), out)
    else:
        user = event.user
        out.user_id, out.key = user.get("userId", UNSET), user.get("key", UNSET)
        out.prev_user_id, out.new_user_id = user.get("prevUserId", UNSET), user.get("newUserId", UNSET)
        out.value = user.get("value", UNSET)


def _span(span: Span, out: Wire) -> None:
    context: dict[str, Any] = {
        "traceId": base64(span.trace_id or bytes(16)),
        "spanId": base64(span.span_id or bytes(8)),
    }
    if span.parent_span_id:
        context["parentSpanId"] = base64(span.parent_span_id)
    context["flags"] = span.flags
    if span.baggage:
        context["traceContext"] = span.baggage
    if span.state is not None:
        context["traceState"] = span.state
    out.span_context, out.label, out.kind = context, span.label, span.kind
    out.started = moment(span.started) if span.started else 0
    out.finished = moment(span.finished) if span.finished else 0
    out.links, out.events = span.links, span.events
    if span.status is not None:
        out.status = {"type": "spanStatus", **span.status}


def error_to_json(error: Error) -> dict[str, Any]:
    """Write an error as the schema has it."""
    found: dict[str, Any] = {}
    if error.message is not None:
        found["message"] = error.message
    if error.error_type is not None:
        found["errorType"] = error.error_type
    if error.stack_trace is not None:
        found["stackTrace"] = _trace(error.stack_trace)
    if error.inner is not None:
        found["inner"] = error_to_json(error.inner)
    return found


def _trace(trace: StackTrace) -> dict[str, Any]:
    return {
        "frames": [_frame(frame) for frame in trace.frames],
        "droppedFramesCount": trace.dropped_frames_count,
    }


def _frame(frame: Frame) -> Any:
    return msgspec.to_builtins(frame)


def to_json(event: Event) -> bytes:
    """Write one event as a line of JSON, without the newline."""
    return _JSON.encode(wire(event))


def to_msgpack(event: Event) -> bytes:
    """Write one event as the codec ``binary`` reads it."""
    out = wire(event)
    try:
        return _MSGPACK.encode((VERSION, out))
    except OverflowError:  # msgpack has no integer above 64 bits
        return _MSGPACK.encode((VERSION, _bounded(msgspec.to_builtins(out))))


def _bounded(value: Any) -> Any:
    """Write whole numbers that msgpack cannot hold as typed values, which ``values.unwrap`` takes back."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if value in _INT64 else {"type": "bigint", "value": str(value)}
    if isinstance(value, dict):
        return {key: _bounded(one) for key, one in value.items()}
    return [_bounded(one) for one in value] if isinstance(value, list | tuple) else value
