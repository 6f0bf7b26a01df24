"""Read the values of the v6 schema: typed objects, ids, levels; and say what was wrong with one that is not.

Readers take what JSON (or msgpack) gave and return what ``event.py`` holds, or raise ``Mismatch``. The caller
decides: ``strict`` refuses the event, ``lenient`` keeps the value as a field.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from rutta.events.event import INFO, LEVEL_WORDS, NO_ID

_T = TypeVar("_T")


class Mismatch(ValueError):
    """A value that the schema does not take: where (``.gauges.load``) and why.

    ``instead`` is what stands in for it in lenient mode, ``rest`` the part of the value that could not be read
    (all of it when ``None``).
    """

    def __init__(self, reason: str, *, path: str = "", instead: Any = None, rest: Any = None) -> None:
        """The raiser knows the reason; callers add the path with ``under``."""
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.instead = instead
        self.rest = rest

    def under(self, key: str | int) -> "Mismatch":
        """Put the path one step further from the value, and return it."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}"
        self.path = step + self.path
        return self

    def __str__(self) -> str:
        """Say it as the original did: ``.level: reason``."""
        return f"{self.path}: {self.reason}" if self.path else self.reason


def called(value: object) -> str:
    """Name the JSON type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an object" if isinstance(value, dict) else "an array"


def expected(what: str, value: object) -> Mismatch:
    """Make the usual mismatch."""
    return Mismatch(f"expected {what}, got {called(value)}")


def text(value: object) -> str:
    """Read a string."""
    if isinstance(value, str):
        return value
    raise expected("a string", value)


def number(value: object) -> int | float:
    """Read a finite number, or a typed one."""
    value = unwrap(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0:
        return value
    raise expected("a finite number", value)


def mapping(value: object) -> dict[str, Any]:
    """Read an object."""
    if isinstance(value, dict):
        return value
    raise expected("an object", value)


def array(value: object) -> list[Any]:
    """Read an array."""
    if isinstance(value, list):
        return value
    raise expected("an array", value)


def name(value: object) -> str:
    """Read an event's name: dotted, or an array of its segments."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ".".join(value)
    raise expected("a string or an array of strings", value)


def entries(value: object, read: Callable[[Any], _T]) -> dict[str, _T]:
    """Read every entry of an object; those that cannot be read are the ``rest`` of one mismatch."""
    good: dict[str, _T] = {}
    bad: dict[str, Any] = {}
    first: Mismatch | None = None
    for key, one in mapping(value).items():
        try:
            good[key] = read(one)
        except Mismatch as problem:
            bad[key] = one
            first = first or problem.under(key)
    if first is not None:
        first.instead, first.rest = good, bad
        raise first
    return good


# --- levels -----------------------------------------------------------------------------------------------------

LEVELS: Final[dict[Any, int]] = {
    **{word: level for level, word in enumerate(LEVEL_WORDS) if word},
    **{word.capitalize(): level for level, word in enumerate(LEVEL_WORDS) if word},
    **{word.upper(): level for level, word in enumerate(LEVEL_WORDS) if word},
}


def level(value: object) -> int:
    """Read a level: a word in any case, or 1–6. Another word stands for info, another number for the nearest."""
    if isinstance(value, str):
        known = LEVELS.get(value) or LEVELS.get(value.lower())
        if known:
            return known
        raise Mismatch(f"{value!r} is not a level; there are {', '.join(LEVEL_WORDS[1:])}", instead=INFO)
    if isinstance(value, int) and not isinstance(value, bool):
        if 1 <= value <= 6:
            return value
        raise Mismatch(f"{value} is not a level; levels are 1 to 6", instead=min(6, max(1, value)))
    raise expected("a level", value)


def lenient_level(value: object) -> int:
    """Read a level of v5's object: other loggers number theirs (pino's info is 30), so no number is taken for near."""
    try:
        return level(value)
    except Mismatch as problem:
        if not isinstance(value, str):
            problem.instead = None
        raise


# --- ids --------------------------------------------------------------------------------------------------------

_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_UUID: Final = re.compile(
    r"\{?([0-9a-fA-F]{8})-([0-9a-fA-F]{4})-([0-9a-fA-F]{4})-([0-9a-fA-F]{4})-([0-9a-fA-F]{12})\}?"
)


def event_id(value: object) -> bytes:
    """Read an id of 16 bytes: base64 (padded or not), up to 32 hex digits, or a UUID. All zeros mean none."""
    return _id(value, 16)


def span_id(value: object) -> bytes:
    """Read an id of 8 bytes: base64 (padded or not), or up to 16 hex digits. All zeros mean none."""
    return _id(value, 8)


def _id(value: object, size: int) -> bytes:
    if isinstance(value, bytes) and len(value) == size:
        return value if any(value) else NO_ID
    if not isinstance(value, str):
        raise expected("an id", value)
    found = _id_bytes(value, size)
    if found is None:
        raise Mismatch(f"{value[:64]!r} is no id of {size} bytes: write hex digits or base64")
    return found if any(found) else NO_ID


def _id_bytes(value: str, size: int) -> bytes | None:
    if not value:
        return NO_ID
    if len(value) == 2 * size:  # the usual form, fast; ``fromhex`` skips spaces, so the length is looked at
        try:
            found = bytes.fromhex(value)
        except ValueError:
            return None
        return found if len(found) == size else None
    if len(value) <= 2 * size and _HEX.fullmatch(value):
        return bytes.fromhex(value.zfill(2 * size))
    if size == 16 and (match := _UUID.fullmatch(value)):
        return bytes.fromhex("".join(match.groups()))
    if len(value) > 24:
        return None
    try:
        found = base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), altchars=None, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == size else None


# --- typed values -----------------------------------------------------------------------------------------------


def unwrap(value: Any) -> Any:
    """Take the value out of ``{"type": "int64", "value": 7}`` and its like; anything else stays as it is.

    A fraction, in either of the original's two spellings, becomes ``{"type": "fraction", "value": [n, d]}``: the
    one that can be read back.
    """
    if type(value) is not dict:
        return value
    kind = value.get("type")
    if not isinstance(kind, str):
        return value
    kind = kind.lower()
    if kind == "fraction":
        return _fraction(value)
    take = _TYPED.get(kind)
    if take is None or len(value) != 2 or "value" not in value:
        return value
    plain = take(value["value"])
    return value if plain is None else plain


def unwrap_all(values: dict[str, Any]) -> dict[str, Any]:
    """Unwrap the values of an object; the object itself when there is nothing to do."""
    for one in values.values():
        if type(one) is dict:
            return {key: unwrap(value) for key, value in values.items()}
    return values


def _fraction(value: dict[str, Any]) -> dict[str, Any]:
    pair = value.get("value") if len(value) == 2 else [value.get("numerator"), value.get("denominator")]
    if not isinstance(pair, list) or len(value) not in (2, 3) or len(pair) != 2 or not all(map(_whole, pair)):
        return value
    return {"type": "fraction", "value": [int(one) for one in pair]}


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _int(value: Any) -> int | None:
    if isinstance(value, str) and len(value) <= 4000 and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    return value if _whole(value) else (int(value) if isinstance(value, float) and value.is_integer() else None)


def _float(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


_TYPED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "int64": _int,
    "bigint": _int,
    "float": _float,
    "string": _string,
    "bool": _bool,
}


# --- fields -----------------------------------------------------------------------------------------------------


def values(value: object) -> dict[str, Any]:
    """Read ``fields`` or ``context``: any JSON values, typed ones unwrapped."""
    return unwrap_all(mapping(value))


def keep(fields: dict[str, Any], key: str, value: object) -> None:
    """Put a value that has no place of its own into ``fields``, beside what is there (``key_``), never over it."""
    while key in fields:
        key += "_"
    fields[key] = value


def with_fields(fields: dict[str, Any] | None, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with what has no place of its own."""
    whole = dict(fields) if fields else {}
    for key, value in extra.items():
        keep(whole, key, unwrap(value))
    return whole
