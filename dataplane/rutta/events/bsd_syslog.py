"""Read syslog as RFC 3164 describes what it found: ``Oct 11 22:14:15 host tag[7]: text``, and what is near to it.

Taken are also times of ISO 8601 (rsyslog), with a year before or behind the clock, with decimals, or with an asterisk
before and a colon after (Cisco); a host that is left out (the ``syslog`` call of C libraries); no time at all.
"""

import calendar
import functools
import re
import time
from typing import Final, NamedTuple

from rutta.events.event import NO_TIME

_MONTHS: Final = {month: number for number, month in enumerate(calendar.month_abbr) if month}
_AHEAD: Final = 24 * 3600  # seconds that a sender's clock, or its zone, may be ahead of us
_SECOND: Final = 10**9

STAMP: Final = rf"(?:{'|'.join(_MONTHS)}) [ \d]\d \d\d:\d\d:\d\d"
"""The time of RFC 3164 §4.1.2, as an expression."""

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT[^ ]++) ++"
    rf"|[*.]?({'|'.join(_MONTHS)}) ++(\d\d?) (?:(\d{{4}}) )?(\d\d):(\d\d):(\d\d)(?:\.(\d{{1,9}}))?(?: (\d{{4}}))?:? ++"
)
_TAG: Final = re.compile(r"([^ :\[\]]{1,128})(?:\[([^\] ]{0,128})\]:?(?= |$)|:(?= |$))")
_PROCESS: Final = re.compile(r"([^ :\[\]<>]{1,128})\[(\d{1,10})\]:(?= |$)")


class Moment(NamedTuple):
    """A time of day without a zone, and often without a year (0)."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int


class Old(NamedTuple):
    """What a message says; empty for what it does not say."""

    time: Moment | str
    host: str
    app: str
    process: str
    text: str


def read(text: str, *, has_priority: bool) -> Old:
    """Read what follows the priority. Without a time, hardly anything is told apart from the text (§4.3.2)."""
    found = _TIME.match(text)
    if found is None:
        tag = _PROCESS.match(text) if has_priority else None
        return Old("", "", "", "", text) if tag is None else Old("", "", tag[1], tag[2], _after(text, tag.end()))
    start, host = found.end(), ""
    tag = _TAG.match(text, start)
    if tag is None:
        host, space, _ = text[start:].partition(" ")
        start += len(host) + len(space)
        tag = _TAG.match(text, start)
    if tag is None:
        return Old(_time(found), host, "", "", text[start:])
    return Old(_time(found), host, tag[1], tag[2] or "", _after(text, tag.end()))


def of_stamp(stamp: str) -> Moment:
    """Read what ``STAMP`` found."""
    return Moment(0, _MONTHS[stamp[:3]], int(stamp[4:6]), int(stamp[7:9]), int(stamp[10:12]), int(stamp[13:]), 0)


def moment(text: str) -> Moment | None:
    """Return the time at the beginning of a message, if it has one without a zone."""
    found = _TIME.match(text)
    time_ = "" if found is None else _time(found)
    return time_ if isinstance(time_, Moment) else None


def _after(text: str, end: int) -> str:
    return text[end + 1 :] if text[end : end + 1] == " " else text[end:]


def _time(found: "re.Match[str]") -> Moment | str:
    iso, month, day, year, hour, minute, second, decimals, late_year = found.groups()
    if iso:
        return str(iso)
    nanosecond = int(decimals.ljust(9, "0")) if decimals else 0
    return Moment(
        int(year or late_year or 0), _MONTHS[month], int(day), int(hour), int(minute), int(second), nanosecond
    )


def utc(moment_: Moment, received: int) -> int:
    """Return a moment in UTC, in nanoseconds; ``NO_TIME`` if there is none such."""
    return _of_minute(moment_, received, is_local=False)


def local(moment_: Moment, received: int) -> int:
    """Return a moment in the zone of this process, in nanoseconds; ``NO_TIME`` if there is none such."""
    return _of_minute(moment_, received, is_local=True)


def is_utc() -> bool:
    """Whether the zone of this process is UTC, all the year."""
    return time.timezone == 0 and not time.daylight


def _of_minute(moment_: Moment, received: int, *, is_local: bool) -> int:
    year, month, day, hour, minute, second, nanosecond = moment_
    if hour > 23 or minute > 59 or second > 60:
        return NO_TIME
    start = _minute(year, month, day, hour, minute, received // _SECOND // 3600, is_local)
    return NO_TIME if start is None else (start + second) * _SECOND + nanosecond


@functools.lru_cache(maxsize=1024)
def _minute(year: int, month: int, day: int, hour: int, minute: int, received: int, is_local: bool) -> int | None:
    """Return the second at which a minute began, in the last year in which it was before ``received`` (an hour).

    Cached: most messages are of the same minute.
    """
    now = received * 3600
    this_year = time.gmtime(now).tm_year
    for one in (year,) if year else range(this_year + 1, this_year - 9, -1):
        if not 1 <= day <= calendar.monthrange(one, month)[1]:
            continue
        start = (
            int(time.mktime((one, month, day, hour, minute, 0, 0, 0, -1)))
            if is_local
            else calendar.timegm((one, month, day, hour, minute, 0, 0, 0, 0))
        )
        if year or start <= now + _AHEAD:
            return start
    return None
