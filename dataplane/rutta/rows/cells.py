"""Take the cells of columns out of decoded structs; says ``WEIRD`` for a row that must be read as a whole event."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import UNSET

from rutta.events import timestamps
from rutta.events.event import DEBUG, INFO, KINDS, NO_TIME
from rutta.events.v5 import NO_TEXT
from rutta.events.values import LEVELS, Mismatch, unwrap

WEIRD: Final = object()

_USUAL: Final[dict[Any, str]] = {kind: kind for kind in KINDS} | {UNSET: "v5"}
_LEVELS: Final = LEVELS | {level: level for level in range(1, 7)}


@functools.lru_cache(maxsize=4096)
def attribute(key: str) -> str:
    """Return the attribute of a decoded struct that holds a key."""
    return "_" + key.encode().hex()


# --- taking columns ---------------------------------------------------------------------------------------------


def _get(key: str) -> Callable[[Any], Any]:
    return operator.attrgetter(attribute(key))


def taker(column_: str) -> Callable[[Any], Any]:
    group, _, key = column_.partition(".")
    if column_ in PLAIN:
        return PLAIN[column_][1]
    return _context_value(key) if group == "context" else _field_value(key)


def _kind(row: Any) -> Any:
    """The kind, ``v5`` for an object without ``type``, or weird."""
    try:
        return _USUAL.get(getattr(row, _TYPE), WEIRD)
    except TypeError:  # ``type`` is an array or object
        return WEIRD


_TYPE: Final = attribute("type")


def _take_kind(row: Any) -> Any:
    kind = _kind(row)
    return "event" if kind == "v5" else kind


def _take_level(row: Any) -> Any:
    kind, level = _kind(row), getattr(row, _LEVEL)
    if level is UNSET and kind == "v5":
        level = getattr(row, _SEVERITY)
    if kind is WEIRD or level is UNSET:
        return WEIRD if kind is WEIRD else INFO if kind == "span" else DEBUG
    return _LEVELS.get(level, WEIRD) if type(level) in (str, int) else WEIRD


_LEVEL, _SEVERITY = attribute("level"), attribute("severity")


def _first_text(keys: Sequence[str], v6: str, missing: str) -> Callable[[Any], Any]:
    """Make a taker of a text: under one key in v6, under the first of several in v5."""
    getters = [_get(key) for key in keys]
    get_v6 = _get(v6)

    def take(row: Any) -> Any:
        kind = _kind(row)
        if kind == "v5":
            value = next((one for one in (get(row) for get in getters) if one is not UNSET), missing)
        else:
            value = get_v6(row)
            value = "" if value is UNSET else value
        return value if kind is not WEIRD and isinstance(value, str) else WEIRD

    return take


def _take_text(row: Any) -> Any:
    kind = _kind(row)
    return "" if kind in KINDS and kind != "event" else _event_text(row)


_take_name = _first_text(("name", "source", "logger"), "name", "")
_event_text = _first_text(("message", "value"), "event", NO_TEXT)


def _take_timestamp(row: Any) -> Any:
    kind, value = _kind(row), getattr(row, _TIME)
    if value is UNSET and kind in ("v5", "span"):
        value = getattr(row, _AT_TIME if kind == "v5" else _STARTED)
    if kind is WEIRD or value is UNSET:
        return WEIRD if kind is WEIRD else None
    try:
        found = timestamps.parse(value)
    except Mismatch:
        return WEIRD
    return WEIRD if found == NO_TIME else found


_TIME, _AT_TIME, _STARTED = attribute("timestamp"), attribute("@timestamp"), attribute("started")


def _field_value(key: str) -> Callable[[Any], Any]:
    get_fields, get_inner, get_top = _get("fields"), _get(key), _get(key)

    def take(row: Any) -> Any:
        kind, fields = _kind(row), get_fields(row)
        if kind is WEIRD or kind == "span":  # a span has fields in ``attrs``, too
            return WEIRD
        value = UNSET if fields is UNSET else get_inner(fields)
        if value is UNSET:
            value = get_top(row)
        return None if value is UNSET else unwrap(value)

    return take


def _context_value(key: str) -> Callable[[Any], Any]:
    get_context, get_inner = _get("context"), _get(key)

    def take(row: Any) -> Any:
        context = get_context(row)
        value = UNSET if context is UNSET else get_inner(context)
        return None if value is UNSET else unwrap(value)

    return take


PLAIN: Final[dict[str, tuple[tuple[str, ...], Callable[[Any], Any]]]] = {
    "kind": ((), _take_kind),
    "level": (("level", "severity"), _take_level),
    "name": (("name", "source", "logger"), _take_name),
    "text": (("event", "message", "value"), _take_text),
    "timestamp": (("timestamp", "@timestamp", "started"), _take_timestamp),
}
"""Column → the keys it can come from beside ``type``, and how it is taken."""
