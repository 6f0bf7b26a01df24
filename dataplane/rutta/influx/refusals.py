"""What InfluxDB means by refusing a write: which lines were bad, and whether the others are in. Pure.

Version 1 writes the good lines and answers 400 ``partial write: …`` (seen with 1.6.7); when no line could be parsed
the prefix is missing. Version 2 answers 400 ``unable to parse …`` and wrote nothing, or 422 ``… partial write: …
dropped=N`` and wrote the others: https://docs.influxdata.com/influxdb/v2/write-data/troubleshoot/
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from rutta.influx import line_protocol

_UNPARSED: Final = "unable to parse '"
_DROPPED: Final = re.compile(r"\bdropped=(\d+)")
_CONFLICT: Final = re.compile(
    r'input field "(.*?)" on measurement "(.*?)" is type (\w+), already exists as type \w+', re.DOTALL
)
_RETENTION: Final = re.compile(r"points (?:beyond|outside) retention policy")
_NAME: Final = re.compile(r"((?:\\[,= ]|[^, ])+)(?:,(?:\\[,= ]|[^ ])*)? ", re.DOTALL)
_FIELD: Final = re.compile(r'((?:\\[,= ]|[^,= ])+)=("(?:\\.|[^"\\])*"|[^, ]*),?', re.DOTALL)


class Refusal(NamedTuple):
    """A refusal of some lines: the server's words, whether the good ones are written, how many were dropped."""

    message: str
    is_partial: bool
    dropped: int | None

    @property
    def reason(self) -> str:
        """The server's words in short."""
        return f"InfluxDB refused the line: {' '.join(self.message.split())[:300]}"


def message_of(body: bytes) -> str:
    """Return the text of an error: ``error`` in version 1, ``message`` in version 2."""
    try:
        answer = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")
    return str(answer.get("error") or answer.get("message") or "")


def read(status: int, body: bytes) -> Refusal | None:
    """Read an answer; None if it does not speak of single lines."""
    if status not in (400, 422):
        return None
    message = message_of(body)
    is_partial = "partial write" in message
    if not is_partial and _UNPARSED not in message:
        return None
    dropped = _DROPPED.findall(message.rpartition("\n")[2])
    return Refusal(message, is_partial, int(dropped[-1]) if dropped else None)


def bad_lines(lines: Sequence[str], refusal: Refusal) -> list[int] | None:
    """Return the positions of the lines that the server means; None if it does not tell."""
    if _UNPARSED in refusal.message:
        found = _unparsed(lines, refusal.message)
        return found if len(found) == refusal.message.count(_UNPARSED) else None
    if refusal.dropped is None:
        return None
    if refusal.dropped >= len(lines):
        return list(range(len(lines)))
    if conflict := _CONFLICT.search(refusal.message):
        found = _conflicting(lines, *conflict.groups())
    elif _RETENTION.search(refusal.message) and "Upper Bound" not in refusal.message:
        found = sorted(sorted(range(len(lines)), key=lambda at: _time(lines[at]))[: refusal.dropped])
    else:
        return None
    return found if len(found) == refusal.dropped else None


def _unparsed(lines: Sequence[str], message: str) -> list[int]:
    """The server quotes the lines it could not parse, in order."""
    found = []
    place = message.find(_UNPARSED)
    for at, line in enumerate(lines):
        if place < 0:
            break
        if message.startswith(line + "'", place + len(_UNPARSED)):
            found.append(at)
            place = message.find(_UNPARSED, place + len(_UNPARSED) + len(line))
    return found


def _conflicting(lines: Sequence[str], field: str, name: str, kind: str) -> list[int]:
    """Lines of this measurement in which this field has the refused type."""
    name, field = line_protocol.name_of(name), line_protocol.key(field)
    found = []
    for at, line in enumerate(lines):
        head = _NAME.match(line)
        if (
            head
            and head[1] == name
            and any(key == field and _type(value) == kind for key, value in _FIELD.findall(line, head.end()))
        ):
            found.append(at)
    return found


def _type(value: str) -> str:
    if value.startswith('"'):
        return "string"
    if value in ("T", "F"):
        return "boolean"
    return "integer" if value.endswith("i") else "float"


def _time(line: str) -> int:
    return int(line.rpartition(" ")[2])
