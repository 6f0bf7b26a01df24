"""From a JSON object to an event: which of the two schemas it follows, and what strict adds."""

from typing import Any

from rutta.errors import DecodeError
from rutta.events import v5, v6
from rutta.events.event import KINDS, Event
from rutta.events.values import called

KEYS = v6.KEYS | v5.KEYS
"""Every key that either schema gives a meaning; a column ``fields.KEY`` of another one can be read by itself."""


def read(source: dict[str, Any]) -> Event:
    """Read any object, leniently: nothing fails, and nothing that came is left out."""
    kind = v6.kind_of(source)
    return v5.read(source) if kind is None else v6.read(source, kind)[0]


def read_strict(source: object) -> Event:
    """Read an object of the v6 schema; ``DecodeError`` gives the path and reason of all that is wrong."""
    if not isinstance(source, dict):
        raise DecodeError(f"expected an object, got {called(source)}")
    kind = v6.kind_of(source)
    word = source.get("type")
    if kind is None or (isinstance(word, str) and word.lower() == "control"):
        raise DecodeError(_no_type(source), word="schema")
    event, problems = v6.read(source, kind)
    problems = v6.missing(source, kind) + problems
    if problems:
        raise DecodeError("; ".join(map(str, problems)), word="schema")
    return event


def _no_type(source: dict[str, Any]) -> str:
    if "type" not in source:
        return ".type: is required"
    word = source["type"]
    if not isinstance(word, str):
        return f".type: expected a string, got {called(word)}"
    return f".type: {word[:64]!r} is not a kind of event; there are {', '.join(KINDS)}"
