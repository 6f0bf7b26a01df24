"""Read and write points in time: nanoseconds since the Unix epoch, as int64.

A number's unit is told by its magnitude, by fixed bounds, so that an old or a future time is read as what it is and
the same input always gives the same time (the original compared with now, and replaced what was older than two
years by now):

    below 10**11   seconds        (up to the year 5138; int64 nanoseconds end in 2262)
    below 10**14   milliseconds   (from March 1973)
    below 10**17   microseconds   (from March 1973)
    otherwise      nanoseconds    (from March 1973)

0 is "not known": the time of receipt is taken. A text of 19 or more digits is nanoseconds (the official JavaScript
client sends these), a shorter one is read as the number. Other texts are ISO 8601 with a date, a time with seconds,
any number of decimals (nine count), and an offset.
"""

import functools
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from rutta.events.event import NO_TIME
from rutta.events.values import Mismatch, expected

NANOSECONDS: Final = 10**17  # a number of at least this size is nanoseconds

_SECOND: Final = 10**9
_LIMIT: Final = 2**63
_DIGITS: Final = re.compile(r"[+-]?[0-9]{1,40}")
_ISO: Final = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d):(\d\d)(?:[.,](\d+))?\s?([Zz]|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse(value: object) -> int:
    """Read a time; ``NO_TIME`` for the number 0. Mismatch says what is accepted."""
    if type(value) is int and NANOSECONDS <= value < _LIMIT:  # the usual form
        return value
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, int) and not isinstance(value, bool):
        return _from_int(value)
    if isinstance(value, float):
        return _from_float(value)
    raise expected("a time", value)


def parse_or_zero(value: object) -> int:
    """Read a time that may not have come yet (a span's end): 0 for null and 0."""
    found = NO_TIME if value is None else parse(value)
    return 0 if found == NO_TIME else found


def _from_int(value: int) -> int:
    if value == 0:
        return NO_TIME
    return _bounded(value * _scale(value))


def _scale(value: float) -> int:
    size = abs(value)
    if size < 10**11:
        return _SECOND
    if size < 10**14:
        return 10**6
    return 1000 if size < NANOSECONDS else 1


def _from_float(value: float) -> int:
    if value == 0:
        return NO_TIME
    if value - value != 0:  # NaN, or infinite
        raise Mismatch(f"{value} is not a time")
    whole = int(value)
    scale = _scale(value)
    # The fraction apart: the product in floating point would lose digits that the number still has.
    return _bounded(whole * scale + round((value - whole) * scale))


def _bounded(value: int) -> int:
    if -_LIMIT < value < _LIMIT:
        return value
    raise Mismatch("the time lies outside the years 1677 to 2262")


def _from_text(value: str) -> int:
    if _DIGITS.fullmatch(value):
        count = int(value)
        return _bounded(count) if len(value.lstrip("+-")) >= 19 else _from_int(count)
    match = _ISO.fullmatch(value)
    if match is None:
        raise Mismatch(f"{value[:64]!r} is not a time: write ISO 8601 with seconds and offset, or nanoseconds")
    minute, second, decimals, offset = match.groups()
    start = _minute(minute, offset)
    if int(second) > 60:
        raise Mismatch(f"{value!r} is not a time")
    return _bounded((start + int(second)) * _SECOND + (int(decimals[:9].ljust(9, "0")) if decimals else 0))


@functools.lru_cache(maxsize=1024)
def _minute(text: str, offset: str) -> int:
    """Return the second at which a minute of an offset began; cached: most events are of the same minute."""
    try:
        moment = datetime.fromisoformat(f"{text[:10]}T{text[11:]}:00+00:00")
    except ValueError:
        raise Mismatch(f"{text!r} is not a time") from None
    return (moment - _EPOCH) // timedelta(seconds=1) - _offset(offset)


def _offset(text: str) -> int:
    if text in "Zz":
        return 0
    digits = text[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    if hours > 23 or minutes > 59 or seconds > 59:
        raise Mismatch(f"{text!r} is not an offset")
    return (hours * 3600 + minutes * 60 + seconds) * (-1 if text[0] == "-" else 1)


def iso(value: int, *, digits: int = 3) -> str:
    """Write a time in UTC with that many decimals, cut, not rounded: ``2024-01-02T03:04:05.678Z``."""
    seconds, rest = divmod(value, _SECOND)
    decimals = f".{rest:09}"[: digits + 1] if digits else ""
    return f"{_second(seconds)}{decimals}Z"


def isos(values: Sequence[int]) -> list[str]:
    """Write times with all nine decimals; in three quarters of the time of one by one."""
    return [f"{_second(value // _SECOND)}.{value % _SECOND:09}Z" for value in values]


@functools.lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
