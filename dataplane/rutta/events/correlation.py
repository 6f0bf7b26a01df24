"""The ids of trace and span that an event carries among its fields or its context, by their usual names."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from rutta.events.event import Event
from rutta.events.values import Mismatch, event_id, span_id

TRACE_KEYS: Final = ("traceId", "trace_id", "traceID", "trace.id")
SPAN_KEYS: Final = ("spanId", "span_id", "spanID", "span.id")


def take(event: Event, values: dict[str, Any]) -> tuple[bytes, bytes]:
    """Take both ids out of the named values of an event (``flat``), empty if there is none; what is no id stays."""
    trace = _taken(values, TRACE_KEYS, event_id)
    if event.parent_span_id:
        values.pop("parentSpanId", None)
        return trace, event.parent_span_id
    return trace, _taken(values, SPAN_KEYS, span_id)


def _taken(values: dict[str, Any], keys: Sequence[str], read: Callable[[object], bytes]) -> bytes:
    for key in keys:
        if key in values:
            try:
                found = read(values[key])
            except Mismatch:
                continue
            if found:
                del values[key]
                return found
    return b""
