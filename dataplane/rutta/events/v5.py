"""Read the lenient object of v5: any JSON object, whoever wrote it (reference §3.8).

The first alias of a key that can be read is taken; everything else becomes a field under the name it had.
"""

from typing import Any, Final

from rutta.events import stack_trace, timestamps
from rutta.events.event import NO_TIME, Error, Event
from rutta.events.units import gauge
from rutta.events.values import (
    Mismatch,
    entries,
    expected,
    lenient_level,
    name,
    text,
    unwrap_all,
    values,
    with_fields,
)

NO_TEXT: Final = "-"  # what v5 wrote for an object without a text


def read(source: dict[str, Any]) -> Event:
    """Read an object; never fails."""
    rest = dict(source)
    found: dict[str, Any] = {"text": NO_TEXT, "timestamp": NO_TIME}
    taken: set[str] = set()
    for key in sorted(KEYS & source.keys(), key=_PLACES.__getitem__):
        attribute, read_one = _READERS[key]
        if attribute not in taken and _take(found, attribute, rest, key, read_one):
            taken.add(attribute)
    if rest:
        found["fields"] = with_fields(found["fields"], rest) if found.get("fields") else unwrap_all(rest)
    return Event(kind="event", **found)


def _take(found: dict[str, Any], attribute: str, rest: dict[str, Any], key: str, read_one: Any) -> bool:
    """Read one key and take it out of the rest; what could not be read of it stays there."""
    value = rest[key]
    if value is None and key != "value":
        del rest[key]
        return False
    try:
        found[attribute] = read_one(value)
        del rest[key]
    except Mismatch as problem:
        if problem.instead is None:
            return False
        found[attribute] = problem.instead
        if problem.rest is not None:
            rest[key] = problem.rest
    return True


def _error(value: object) -> Error:
    """Read an error that is one: v6's object, or a printed stack trace. Other texts stay a field."""
    if isinstance(value, str) and not stack_trace.looks_like(value):
        raise expected("a stack trace", value)
    found = stack_trace.error(value)
    if found is None or found == Error():
        raise expected("an error", value)
    return found


_ALIASES: Final = (
    ("name", ("name", "source", "logger"), name),
    ("text", ("message", "value"), text),
    ("level", ("level", "severity"), lenient_level),
    ("timestamp", ("timestamp", "@timestamp"), timestamps.parse),
    ("error", ("error", "_logary.error"), _error),
    ("fields", ("fields",), values),
    ("context", ("context",), values),
    ("gauges", ("gauges",), lambda value: entries(value, gauge)),
)
_READERS: Final = {key: (attribute, read_one) for attribute, aliases, read_one in _ALIASES for key in aliases}
_PLACES: Final = {key: place for place, key in enumerate(_READERS)}
ATTRIBUTES: Final = {key: attribute for key, (attribute, _) in _READERS.items()}
"""Every key that v5 knows, and what of an event it is; others are fields."""
KEYS: Final = frozenset(ATTRIBUTES)
