"""The syntax of InfluxDB's line protocol: names, keys, tag values and field values, escaped so that they come back.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/, and the server itself where that page
is silent: what is said here of newlines, backslashes and ``#`` is tested against InfluxDB 1.6.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Any, Final

from rutta.events import units

SMALLEST: Final = -(2**63)
LARGEST: Final = 2**63 - 1
_LOST_IN_NAMES: Final = re.compile(r'\\(?=[",= \n]|$)')


def quote(text: str) -> str:
    r"""Write a string field. A newline stays one: every InfluxDB reads on to the closing quote, and ``\n`` would come
    back as two characters."""
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _integer(value: int) -> str:
    return f"{value}i" if SMALLEST <= value <= LARGEST else f"{SMALLEST if value < 0 else LARGEST}i"


def _float(value: float) -> str | None:
    return repr(value) if math.isfinite(value) else None  # the protocol has neither infinity nor NaN


def _boolean(value: bool) -> str:
    return "T" if value else "F"


def _fraction(value: dict[str, Any]) -> str | None:
    return _float(units.as_number(value)) if value.get("type") == "fraction" else None


_ENCODERS: Final[dict[type, Callable[[Any], str | None]]] = {
    str: quote, int: _integer, float: _float, bool: _boolean, dict: _fraction,
}  # fmt: skip


def scalar(value: object) -> str | None:
    """Write a field's value; None for what the protocol has no type for."""
    encode = _ENCODERS.get(type(value))
    return encode(value) if encode is not None else None


def _escape(text: str) -> str:
    """Escape what ends a name, key or tag value. There is no way to write a newline, so ``\\n`` stands for it."""
    for special in ",= ":
        if special in text:
            text = text.replace(special, "\\" + special)
    return text.replace("\n", "\\n") if "\n" in text else text


def _name(text: str) -> str:
    """Escape a name or key. A backslash before a special character or the end would be lost, so it becomes a slash."""
    return _escape(_LOST_IN_NAMES.sub("/", text) if "\\" in text else text)


@functools.lru_cache(maxsize=4096)
def key(name: str) -> str:
    """Write a key of a tag or field (most are seen again and again)."""
    return _name(name)


def tag(value: str) -> str:
    """Write the value of a tag. A backslash at its end would escape what follows, so it becomes a slash."""
    return _escape(value[:-1] + "/" if value.endswith("\\") else value)


@functools.lru_cache(maxsize=1024)
def name_of(measurement: str) -> str:
    """Write a measurement; one that begins with ``#`` would be a comment."""
    escaped = _name(measurement)
    return "\\" + escaped if escaped.startswith("#") else escaped
