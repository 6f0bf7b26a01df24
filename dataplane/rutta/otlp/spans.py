"""Spans (opentelemetry.proto.trace.v1.Span)."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import structs

from rutta.events import flat, numbering, schema
from rutta.events.event import INFO, LEVEL_WORDS, NO_TIME, Event, Span
from rutta.events.numbering import Numbering
from rutta.events.values import Mismatch, event_id, span_id
from rutta.net.protobuf import FIXED32, FIXED64, NUMBER, field, tag_of, varint
from rutta.otlp.logs import exception
from rutta.otlp.resources import Split
from rutta.otlp.values import attributes, encoded

_TRACE, _SPAN, _STATE, _PARENT, _NAME, _ATTRIBUTE, _EVENT, _LINK, _STATUS = map(tag_of, (1, 2, 3, 4, 5, 9, 11, 13, 15))
_KIND, _START, _END, _FLAGS = tag_of(6, NUMBER), tag_of(7, FIXED64), tag_of(8, FIXED64), tag_of(16, FIXED32)
_EVENT_TIME, _EVENT_NAME, _EVENT_ATTRIBUTE = tag_of(1, FIXED64), tag_of(2), tag_of(3)
_LINK_STATE, _LINK_ATTRIBUTE = tag_of(3), tag_of(4)
_MESSAGE, _CODE = tag_of(2), tag_of(3, NUMBER)

_time: Final = struct.Struct("<Q").pack
_flags: Final = struct.Struct("<I").pack
_SAMPLED: Final = 1  # the only flag that W3C's trace context and the original have in common

_KINDS: Final[Mapping[numbering.Kind, int]] = {
    "internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5,
}  # fmt: skip
_CODES: Final[Mapping[numbering.Status, int]] = {"unset": 0, "ok": 1, "error": 2}


def span(event: Event, split: Split, counted: Numbering) -> bytes:
    """Write an event of kind span. One without ids has those of its event's id, the same each time it is sent."""
    own = event.span or Span()
    start = max(0, own.started)
    parts = [
        field(_TRACE, own.trace_id or event.id), field(_SPAN, own.span_id or event.id[8:]),
        _KIND, varint(_KINDS[numbering.kind(own.kind, counted)]),
        _START, _time(start), _END, _time(max(start, own.finished)), _FLAGS, _flags(own.flags & _SAMPLED),
    ]  # fmt: skip
    state, events, links = _state(own.state), list(_events(event, own)), [_link(one) for one in own.links]
    texts = ((_STATE, encoded(state)), (_PARENT, own.parent_span_id or event.parent_span_id))
    parts += [field(tag, value) for tag, value in (*texts, (_NAME, encoded(own.label or event.name))) if value]
    left = {"state": own.state if not state else None, "links": [one for one in own.links if not _link(one)]}
    parts.append(attributes(_ATTRIBUTE, _attributes(event, own, split, left)))
    parts += [field(_EVENT, one) for one in events]
    parts += [field(_LINK, one) for one in links if one]
    if own.status:
        parts.append(field(_STATUS, _status(own.status, counted)))
    return b"".join(parts)


def _attributes(event: Event, own: Span, split: Split, left: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all that has no place of its own; ``left`` is what should have one and was not fit for it."""
    found = flat.properties(structs.replace(event, context=split.rest, error=None, span=None, parent_span_id=b""))
    yield from found.items()
    more = {
        "baggage": own.baggage, "status.source": (own.status or {}).get("source"), **left,
        "unfinished": not own.finished, "level": LEVEL_WORDS[event.level] if event.level != INFO else "",
    }  # fmt: skip
    yield from ((key, value) for key, value in more.items() if value and key not in found)


def _status(status: Mapping[str, Any], counted: Numbering) -> bytes:
    code, text = _CODES[numbering.status(status.get("code"), counted)], status.get("description")
    written = field(_MESSAGE, encoded(text)) if isinstance(text, str) and text else b""
    return written + _CODE + varint(code)


def _state(state: Any) -> str:
    """Write trace state as W3C has it: ``key@vendor=value,…``; from text, or the original's list of pairs."""
    if isinstance(state, str):
        return state
    try:
        return ",".join(
            f"{key['key']}{'@' + key['vendor'] if key.get('vendor') else ''}={text}" for key, text in state or ()
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        return ""


# --- what happened within it, and what it follows ----------------------------------------------------------------


def _events(event: Event, own: Span) -> Iterator[bytes]:
    """Write the events of a span, and its error as the conventions want it: an event ``exception``."""
    for one in own.events:
        if not isinstance(one, dict):
            yield _event(own.started, "event", {"value": one})
            continue
        inner = schema.read(one)
        values = flat.properties(structs.replace(inner, error=None))
        if inner.error is not None:
            values |= exception(inner.error)
        if inner.level != INFO:
            values.setdefault("level", LEVEL_WORDS[inner.level])
        if inner.text and inner.name:
            values.setdefault("logger", inner.name)
        yield _event(own.started if inner.timestamp == NO_TIME else inner.timestamp, inner.text or inner.name, values)
    if event.error is not None:
        yield _event(max(own.started, own.finished), "exception", exception(event.error))


def _event(time: int, name: str, values: Mapping[str, Any]) -> bytes:
    return b"".join([
        _EVENT_TIME, _time(max(0, time)), field(_EVENT_NAME, encoded(name)),
        attributes(_EVENT_ATTRIBUTE, values.items()),
    ])  # fmt: skip


def _link(link: Any) -> bytes:
    """Write a link; nothing if it names no trace."""
    if not isinstance(link, dict):
        return b""
    before = link.get("predecessor")
    context = before if isinstance(before, dict) else {"traceId": before}
    try:
        trace = event_id(context.get("traceId"))
        inner = span_id(context["spanId"]) if context.get("spanId") else b""
    except Mismatch:
        return b""
    if not trace:
        return b""
    state, given = _state(context.get("traceState")), link.get("attrs")
    values = {"type": link["type"]} if isinstance(link.get("type"), str) else {}
    values |= given if isinstance(given, dict) else {}
    texts = ((_TRACE, trace), (_SPAN, inner), (_LINK_STATE, encoded(state)))
    written = b"".join([field(tag, value) for tag, value in texts if value])
    return written + attributes(_LINK_ATTRIBUTE, values.items())
