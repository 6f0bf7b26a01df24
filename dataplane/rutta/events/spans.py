"""Read the keys of spans: the v6 schema's, and as the official JavaScript client writes them (reference §2.6, §3.5).

Kinds and status codes are kept as the numbers they came as: a span does not say whether its sender counts as
Logary does (1 client, 2 server; code 1 error) or as OpenTelemetry for JavaScript (1 server, 2 client; code 1 ok).
"""

from collections.abc import Mapping
from typing import Any, Final

from rutta.events import timestamps
from rutta.events.event import INFO, NO_ID, NO_TIME, Span
from rutta.events.values import (
    Mismatch,
    array,
    entries,
    event_id,
    expected,
    mapping,
    span_id,
    text,
    values,
    with_fields,
)


def assemble(found: dict[str, Any]) -> dict[str, Any]:
    """Turn the attributes that were read into those of an event that holds a span."""
    own: dict[str, Any] = found.pop("span_context", {})
    own |= {attribute: found.pop(key) for key, attribute in _OWN.items() if key in found}
    if attrs := found.pop("attrs", None):
        found["fields"] = with_fields(found.get("fields"), attrs)
    if parent := found.get("parent_span_id") or own.get("parent_span_id"):
        found["parent_span_id"] = own["parent_span_id"] = parent
    # A span's timestamp is its start; a ``timestamp`` overrides ``started``.
    start = found.get("timestamp", NO_TIME)
    if start == NO_TIME:
        start = own.get("started", NO_TIME)
    own["started"] = 0 if start == NO_TIME else start
    found["timestamp"] = start
    found.setdefault("level", INFO)
    found["span"] = Span(**own)
    return found


def parent(value: object) -> bytes:
    """Read the id of a parent; null is none."""
    return NO_ID if value is None else span_id(value)


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise expected("a whole number", value)


def _kind(value: object) -> int:
    kind = _whole(value)
    return kind if 0 <= kind <= 4 else 0


def _status(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    given = mapping(value)
    try:
        _whole(given.get("code"))
    except Mismatch as problem:
        raise problem.under("code") from None
    return {key: one for key, one in given.items() if key != "type"}


def _several(value: object) -> tuple[Any, ...]:
    return () if value is None else tuple(array(value))


def _baggage(value: object) -> dict[str, str] | None:
    return None if value is None else entries(value, text)


def _as_it_is(value: object) -> object:
    return value


def _context(value: object) -> dict[str, Any]:
    """Read ``spanContext``; ``traceFlags`` is another spelling of ``flags``."""
    given = mapping(value)
    for key in ("traceId", "spanId"):
        if key not in given:
            raise Mismatch("is required", path=f".{key}")
    found: dict[str, Any] = {}
    for key, one in given.items():
        place = _CONTEXT.get(key)
        if place is None:
            raise Mismatch("is no key of a span's context", path=f".{key}")
        try:
            found[place[0]] = place[1](one)
        except Mismatch as problem:
            raise problem.under(key) from None
    return found


_CONTEXT: Final[Mapping[str, Any]] = {
    "traceId": ("trace_id", event_id),
    "spanId": ("span_id", span_id),
    "parentSpanId": ("parent_span_id", parent),
    "traceFlags": ("flags", _whole),
    "flags": ("flags", _whole),
    "traceContext": ("baggage", _baggage),
    "traceState": ("state", _as_it_is),
}
KEYS: Final[Mapping[str, Any]] = {
    "label": ("label", text),
    "spanContext": ("span_context", _context),
    **{key: _CONTEXT[key] for key in ("traceId", "spanId", "flags", "traceContext", "traceState")},
    "kind": ("span_kind", _kind),  # the event has a kind, too
    "started": ("started", timestamps.parse),
    "finished": ("finished", timestamps.parse_or_zero),
    "status": ("status", _status),
    "links": ("links", _several),
    "events": ("events", _several),
    "attrs": ("attrs", values),
}
"""Key → the attribute's name while it is read, and its reader."""
_OWN: Final = {key: key for key, _ in KEYS.values() if key not in ("span_context", "span_kind", "attrs")} | {
    "span_kind": "kind"
}
