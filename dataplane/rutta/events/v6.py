"""Read an event of the v6 schema (reference §3.2–3.5), its defects mended (docs/formats.md lists them).

``read`` never fails: what a key cannot take is kept as a field of the same name, and reported; a strict codec refuses
the event for what is reported or missing, a lenient one does not ask.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from rutta.events import spans, stack_trace, timestamps, units
from rutta.events.event import KINDS, NO_TIME, Event, Kind
from rutta.events.values import (
    Mismatch,
    entries,
    event_id,
    expected,
    level,
    name,
    number,
    text,
    unwrap,
    values,
    with_fields,
)  # fmt: skip

Reader = Callable[[Any], Any]
_Keys = Mapping[str, tuple[str, Reader]]  # key → attribute, reader

_BY_WORD: Final[dict[str, Kind]] = {kind.lower(): kind for kind in KINDS}


def kind_of(source: Mapping[str, Any]) -> Kind | None:
    """Tell the kind of a v6 object; ``None`` when it is none: then v5's lenient object is meant.

    Words in any case; an unknown word is an event if there is an ``event`` (reference §3.2).
    """
    word = source.get("type")
    if not isinstance(word, str):
        return None
    kind = _BY_WORD.get(word) or _BY_WORD.get(word.lower())
    return "event" if kind is None and "event" in source else kind


def read(source: dict[str, Any], kind: Kind) -> tuple[Event, list[Mismatch]]:
    """Read an object of a kind. The event is complete; the mismatches say what was not as the schema wants it."""
    found: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    problems: list[Mismatch] = []
    keys = _KEYS[kind]
    for key, value in source.items():
        place = keys.get(key)
        if place is None:
            if key != "type" or (isinstance(value, str) and value.lower() not in _BY_WORD):
                extra[key] = value
            continue
        try:
            found[place[0]] = place[1](value)
        except Mismatch as problem:
            problems.append(problem.under(key))
            if problem.instead is not None:
                found[place[0]] = problem.instead
            if value is not None:
                extra[key] = value if problem.rest is None else problem.rest
    if extra:
        found["fields"] = with_fields(found.get("fields"), extra)
    return _BUILD[kind](kind, found), problems


def missing(source: Mapping[str, Any], kind: Kind) -> list[Mismatch]:
    """Say which required keys an object lacks."""
    return [Mismatch("is required", path=f".{key}") for key in _REQUIRED.get(kind, ()) if key not in source]


# --- how each kind is put together ------------------------------------------------------------------------------


def _event(kind: Kind, found: dict[str, Any]) -> Event:
    found.setdefault("timestamp", NO_TIME)
    return Event(kind=kind, **found)


def _user(kind: Kind, found: dict[str, Any]) -> Event:
    user = {key: found.pop(key) for key in ("userId", "prevUserId", "newUserId", "key", "value") if key in found}
    return _event(kind, {**found, "user": user})


def _span(kind: Kind, found: dict[str, Any]) -> Event:
    return Event(kind=kind, **spans.assemble(found))


# --- the keys ---------------------------------------------------------------------------------------------------


def _optional(read: Reader) -> Reader:
    """Take null for absent, as the official JavaScript client sends it."""
    return lambda value: None if value is None else read(value)


def _gauges(value: object) -> Any:
    return entries(value, units.gauge)


def _labels(value: object) -> Any:
    return entries(value, text)


def _buckets(value: object) -> Any:
    """Read a histogram's buckets: upper bound, a number as text, to count."""
    counts = entries(value, number)
    for bound in counts:
        try:
            float(bound)
        except ValueError:
            raise Mismatch(f"{bound[:64]!r} is not the number of an upper bound") from None
    return counts


def _scalar(value: object) -> Any:
    plain = unwrap(value)
    if isinstance(plain, list) or plain is None:
        raise expected("a value", value)
    return plain


_COMMON: Final[_Keys] = {
    "id": ("id", event_id),
    "parentSpanId": ("parent_span_id", spans.parent),
    "name": ("name", name),
    "level": ("level", level),
    "timestamp": ("timestamp", timestamps.parse),
    "received": ("received", timestamps.parse_or_zero),
    "context": ("context", values),
    "fields": ("fields", values),
    "gauges": ("gauges", _gauges),
}


_EVENT_KEYS: Final[_Keys] = {
    "event": ("text", text),
    "monetaryValue": ("money", _optional(units.money)),
    "error": ("error", _optional(stack_trace.error)),
}
_GAUGE_KEYS: Final[_Keys] = {"gauge": ("gauge", units.gauge), "labels": ("labels", _labels)}
_HISTOGRAM_KEYS: Final[_Keys] = {
    "labels": ("labels", _labels),
    "buckets": ("buckets", _buckets),
    "sum": ("sum", number),
}

_KEYS: Final[Mapping[Kind, _Keys]] = {
    "event": {**_COMMON, **_EVENT_KEYS},
    "gauge": {**_COMMON, **_GAUGE_KEYS},
    "histogram": {**_COMMON, **_HISTOGRAM_KEYS},
    "span": {**_COMMON, **spans.KEYS},
    "identifyUser": {**_COMMON, "prevUserId": ("prevUserId", text), "newUserId": ("newUserId", text)},
    "setUserProperty": {**_COMMON, "userId": ("userId", text), "key": ("key", text), "value": ("value", _scalar)},
    "forgetUser": {**_COMMON, "userId": ("userId", text)},
}
_REQUIRED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "event": ("event",),
    "gauge": ("gauge", "labels"),
    "histogram": ("labels", "buckets", "sum"),
    "identifyUser": ("prevUserId", "newUserId"),
    "setUserProperty": ("userId", "key", "value"),
    "forgetUser": ("userId",),
}
_BUILD: Final[Mapping[Kind, Callable[[Kind, dict[str, Any]], Event]]] = {
    "event": _event, "gauge": _event, "histogram": _event, "span": _span,
    "identifyUser": _user, "setUserProperty": _user, "forgetUser": _user,
}  # fmt: skip
KEYS: Final = frozenset({"type"}.union(*_KEYS.values()))
"""Every key that the schema knows; others are fields."""
