"""Read syslog messages: RFC 5424, and RFC 3164 as well as it can be told.

A message keeps all that it says: the severity is the level, APP-NAME or TAG is the name, MSG is the text; facility,
severity, host, app, procId, msgId and structuredData are fields. What a message says as ``-``, or not at all, is no
field. A message of neither form is a text (RFC 3164 §4.3.3), with its priority if it has one.

Messages are lines here; a NUL in a text stands for a newline (``net.framing_octets.folded``). One expression takes a
whole block of lines apart.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from rutta.events import bsd_syslog, timestamps
from rutta.events.event import DEBUG, ERROR, FATAL, INFO, NO_TIME, WARN, Event
from rutta.events.values import Mismatch

FACILITIES: Final = (  # RFC 5424 §6.2.1, by their usual words
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", *(f"local{number}" for number in range(8)),
)  # fmt: skip
SEVERITIES: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
_LEVEL_OF: Final = (FATAL, FATAL, FATAL, ERROR, WARN, INFO, INFO, DEBUG)

LEVELS: Final = {f"{pri}": _LEVEL_OF[pri % 8] for pri in range(192)}
_WORDS: Final = {f"{pri}": {"facility": FACILITIES[pri // 8], "severity": SEVERITIES[pri % 8]} for pri in range(192)}

# RFC 5424 §6. A value's "]" should be escaped and often is not; only a strict listener minds. Possessive: no input is
# read twice, so none is slow.
_PRI: Final = r"^(?:<(\d{1,3})>)?"
_HEADER: Final = r"1 ([^ \n]++) ([^ \n]++) ([^ \n]++) ([^ \n]++) ([^ \n]++) "
_NAME: Final = r'[^ =\]"\n]++'
_VALUE: Final = r'[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+'
_ELEMENT: Final = rf'\[{_NAME}(?: ++{_NAME}="{_VALUE}")*+ *+\]'
_DATA: Final = rf"(-|(?:{_ELEMENT})++)"
# The usual form of RFC 3164; ``bsd_syslog`` reads the others.
_OLD: Final = (
    rf"({bsd_syslog.STAMP}) ([^ \[\]\n]*[^ :\[\]\n]) "
    r"([^ :\[\]\n]{1,128})(?:\[([^\] \n]{0,128})\])?:(?: ([^\n]*+))?$"
)
LINE: Final = re.compile(rf"{_PRI}(?:{_HEADER}{_DATA}(?: ([^\n]*+))?$|{_OLD}|([^\n]*+)$)", re.MULTILINE)
"""One line: PRI, TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID, STRUCTURED-DATA, MSG; or PRI, the old time, host, tag,
process, text; or PRI and a rest."""

_ASCII: Final = "[!-~]"
_SD_NAME: Final = r"[!#-<>-\\^-~]{1,32}+"  # PRINTUSASCII without '=', ']' and '"'
_SD_VALUE: Final = r'"[^"\\\]\n]*+(?:\\[^\n][^"\\\]\n]*+)*+"'
STRICT: Final = re.compile(
    r"<(?:0|[1-9]\d?|1[0-8]\d|19[01])>1 (?:-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) "
    rf"{_ASCII}{{1,255}} {_ASCII}{{1,48}} {_ASCII}{{1,128}} {_ASCII}{{1,32}} "
    rf"(?:-|(?:\[{_SD_NAME}(?: {_SD_NAME}={_SD_VALUE})*+\])++)(?: [^\n]*+)?",
    re.ASCII,
)
"""A message of RFC 5424 to the letter."""

_SD_PART: Final = re.compile(rf'\[({_NAME})|({_NAME})="({_VALUE})"')
_ESCAPED: Final = re.compile(r'\\(["\\\]])')  # any other backslash is one (§6.3.3)
_BOM: Final = "\ufeff"

Found = tuple[str, str, str, str, str, str, str, str, str, str, str, str, str, str]
"""What ``LINE`` finds of a line."""


def reader(*, received: int, times_given: bool) -> Callable[[Found], Event]:
    """Return what makes events of lines. A time without a year is the last one before it was ``received``, in UTC.

    With ``times_given`` such a time is left out: who read the line first has put it beside it (``codecs.syslog``).
    """
    seconds: dict[str, int] = {}  # many messages are of the same second

    def read(found: Found) -> Event:
        fields: dict[str, Any]
        pri, time, host, app, process, message_id, data, text, stamp, old_host, old_app, old_process, old_text, _ = (
            found
        )
        words = _WORDS.get(pri)
        if not time or words is None:
            if not stamp or words is None:
                return _other(found, received, times_given=times_given)
            fields = {**words, "host": old_host, "app": old_app}
            if old_process:
                fields["procId"] = old_process
            return Event(
                name=old_app, level=LEVELS[pri], timestamp=old_moment(stamp), text=unfolded(old_text), fields=fields
            )
        fields = dict(words)
        if host != "-":
            fields["host"] = host
        if app == "-":
            app = ""
        else:
            fields["app"] = app
        if process != "-":
            fields["procId"] = process
        if message_id != "-":
            fields["msgId"] = message_id
        if data != "-":
            fields["structuredData"] = structured(data)
        if text and text[0] == _BOM:
            text = text[1:]
        return Event(name=app, level=LEVELS[pri], timestamp=moment(time, fields), text=unfolded(text), fields=fields)

    def moment(time: str, fields: dict[str, Any]) -> int:
        zone = time[-1:] if time[-1:] == "Z" else time[-6:]
        decimals = time[20 : -len(zone)]
        if time[19:] != zone and not (time[19:20] == "." and decimals.isdecimal() and len(decimals) <= 9):
            return _moment(time, fields)
        start = seconds.get(time[:19] + zone)
        if start is None:
            start = _moment(time[:19] + zone, fields)
            if start == NO_TIME:
                fields["timestamp"] = time
                return NO_TIME
            seconds[time[:19] + zone] = start
        return start + int(decimals.ljust(9, "0"))

    def old_moment(stamp: str) -> int:
        if times_given:
            return NO_TIME
        start = seconds.get(stamp)
        if start is None:
            seconds[stamp] = start = bsd_syslog.utc(bsd_syslog.of_stamp(stamp), received)
        return start

    return read


def _other(found: Found, received: int, *, times_given: bool) -> Event:
    """Read a message that is of neither form."""
    pri, rest = found[0], whole(found)
    words = _WORDS.get(pri)
    if pri and words is None:
        return Event(level=INFO, timestamp=NO_TIME, text=unfolded(f"<{pri}>{rest}"))
    old = bsd_syslog.read(rest, has_priority=words is not None)
    fields: dict[str, Any] = dict(words or ())
    fields |= {key: value for key, value in (("host", old.host), ("app", old.app), ("procId", old.process)) if value}
    time = NO_TIME
    if isinstance(old.time, bsd_syslog.Moment):
        time = NO_TIME if times_given else bsd_syslog.utc(old.time, received)
    elif old.time:
        time = _moment(old.time, fields)
    level = LEVELS[pri] if words is not None else INFO
    return Event(name=old.app, level=level, timestamp=time, text=unfolded(old.text), fields=fields)


def _moment(time: str, fields: dict[str, Any]) -> int:
    """Read a timestamp; one that is none stays a field."""
    if time != "-":
        try:
            return timestamps.parse(time)
        except Mismatch:
            fields["timestamp"] = time
    return NO_TIME


def old_time(found: Found) -> bsd_syslog.Moment | None:
    """Return the time of a message without its zone, if that is all it has."""
    if found[1] or (found[0] and found[0] not in _WORDS):
        return None
    return bsd_syslog.moment(whole(found))


def structured(data: str) -> dict[str, dict[str, Any]]:
    """Read STRUCTURED-DATA: by SD-ID its parameters. A name that comes several times (§6.3.3) has a list."""
    found: dict[str, dict[str, Any]] = {}
    element: dict[str, Any] = {}
    for name, key, value in _SD_PART.findall(data):
        if name:
            element = found.setdefault(name, {})
            continue
        if "\\" in value:
            value = _ESCAPED.sub(r"\1", value)
        value = unfolded(value)
        if key in element:
            before = element[key]
            element[key] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            element[key] = value
    return found


def whole(found: Found) -> str:
    """Put together again what followed the priority."""
    _, time, host, app, process, message_id, data, text, stamp, old_host, old_app, old_process, old_text, rest = found
    if time:
        return f"1 {time} {host} {app} {process} {message_id} {data}{text and ' ' + text}"
    if stamp:
        return f"{stamp} {old_host} {old_app}{old_process and f'[{old_process}]'}:{old_text and ' ' + old_text}"
    return rest


def unfolded(text: str) -> str:
    """Give a text its newlines back."""
    return text.replace("\0", "\n") if "\0" in text else text
