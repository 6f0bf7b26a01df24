"""An event as one flat mapping: for services that take properties, labels or details and know nothing of our schema.

Names are the same for all of them. A field keeps its name, and so does what came before; what else an event has takes a
free one (``span.started`` where ``started`` is a field):

    context key k      k, or ``context.k`` if a field is called so
    gauge g            g, and ``g_unit``, ``g_f`` (as people read it) unless it is a bare number; ``gauges.g`` if taken
    money              ``monetaryValue``, ``monetaryValue_unit``, ``monetaryValue_f``
    error              ``error.message``, ``error.type``, ``error.stack``, and ``error.inner.…`` for its cause
    span               ``traceId`` ``spanId`` ``parentSpanId`` (hex), ``spanKind`` ``started`` ``finished`` ``duration``
                       (ns) ``status.…`` (its code as it came) ``links`` ``events`` ``state`` ``baggage``
    gauge kind         ``value``, ``value_unit``, ``value_f``; labels as context
    histogram          ``sum``, ``buckets``; labels as context
    user kinds         ``user.userId``, …

Text, level, name, kind, id and times are not here: every service has places of its own for these.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from rutta.events import units
from rutta.events.event import Error, Event, Gauge, Span, StackTrace, Unit

_DEEPEST: Final = 16  # causes of causes that are shown
SPAN_KINDS: Final = ("internal", "client", "server", "consumer", "producer")  # index is the original's number
_ENCODER: Final = msgspec.json.Encoder()


def properties(event: Event) -> dict[str, Any]:
    """Return everything but text, level, name, kind, id and times; values are JSON values. Yours to change."""
    found = dict(event.fields)
    for prefix, values in (("context", event.context), ("labels", event.labels)):
        for key, value in values.items():
            found[_free(found, key, prefix)] = value
    for key, gauge in event.gauges.items():
        _gauge(found, _free(found, key, "gauges"), gauge)
    if event.money is not None:
        _gauge(found, "monetaryValue", event.money)
    if event.kind == "gauge" and event.gauge is not None:
        _gauge(found, _free(found, "value", "gauge"), event.gauge)
    if event.kind == "histogram":
        found[_free(found, "sum", "histogram")] = event.sum
        found[_free(found, "buckets", "histogram")] = event.buckets
    said: list[tuple[str, Iterable[tuple[str, Any]]]] = [("span", _span(event))]
    if event.error is not None:
        said.insert(0, ("error", errors(event.error)))
    for prefix, pairs in said:
        for key, value in pairs:
            found[_free(found, key, prefix)] = value
    for key, value in event.user.items():
        found[_free(found, f"user.{key}", "of")] = value
    return found


def texts(event: Event) -> dict[str, str]:
    """Return the same with every value as text: strings as they are, everything else as JSON; null is left out."""
    return {key: shown(value) for key, value in properties(event).items() if value is not None}


def shown(value: Any) -> str:
    """Write a value as text: a string as it is, everything else as JSON."""
    return value if isinstance(value, str) else _ENCODER.encode(value).decode()


def errors(error: Error) -> Iterator[tuple[str, str]]:
    """Yield an error and its causes: ``error.message``, ``error.type``, ``error.stack``, ``error.inner.message``, …"""
    prefix, cause = "error", error
    for _ in range(_DEEPEST):
        for name, text in (("message", cause.message), ("type", cause.error_type), ("stack", stack(cause.stack_trace))):
            if text:
                yield f"{prefix}.{name}", text
        if cause.inner is None:
            return
        prefix, cause = f"{prefix}.inner", cause.inner


def stack(trace: StackTrace | None) -> str:
    """Write the frames of a stack trace, one a line."""
    if trace is None:
        return ""
    found = []
    for frame in trace.frames:
        where = frame.site or frame.function_name
        place = f"{frame.file or ''}{'' if frame.line_no is None else f':{frame.line_no}'}"
        found.append("at " + " in ".join(filter(None, (where, place))) if where or place else shown(frame))
    if trace.dropped_frames_count:
        found.append(f"… {trace.dropped_frames_count} more")
    return "\n".join(found)


def _free(taken: Mapping[str, Any], key: str, prefix: str) -> str:
    while key in taken:
        key = f"{prefix}.{key}"
    return key


def _gauge(found: dict[str, Any], key: str, gauge: Gauge) -> None:
    found[key] = gauge.value
    unit = gauge.unit
    if unit.kind == "scalar":
        return
    found[_free(found, f"{key}_unit", "gauges")] = _unit_name(unit)
    found[_free(found, f"{key}_f", "gauges")] = units.display(gauge)


def _unit_name(unit: Unit) -> str:
    word = units.WORDS.get(unit.kind)
    return word[0] if word else units.symbol(unit)


def _span(event: Event) -> Iterator[tuple[str, Any]]:
    """Yield what an event says of spans: its own, if it is one, else the one that it happened in."""
    span = event.span
    if event.parent_span_id:
        yield "parentSpanId", event.parent_span_id.hex()
    if span is None:
        return
    yield from _own_span(span)


def _own_span(span: Span) -> Iterator[tuple[str, Any]]:
    ids = (("traceId", span.trace_id), ("spanId", span.span_id), ("parentSpanId", span.parent_span_id))
    yield from ((key, value.hex()) for key, value in ids if value)
    yield "spanKind", SPAN_KINDS[span.kind] if span.kind in range(len(SPAN_KINDS)) else span.kind
    yield "started", span.started
    if span.finished:
        yield "finished", span.finished
        yield "duration", span.finished - span.started
    yield from ((f"status.{key}", value) for key, value in (span.status or {}).items() if key != "type")
    rest = (("links", span.links), ("events", span.events), ("state", span.state), ("baggage", span.baggage))
    yield from ((key, list(value) if isinstance(value, tuple) else value) for key, value in rest if value)
