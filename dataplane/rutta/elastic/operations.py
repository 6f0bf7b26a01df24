"""Events as operations of ``_bulk``: for each a line that says what to do, and a line that is the document.

A document that is not ECS is the event's line with ``@timestamp`` put in front: data streams want it, and an index
takes a text like this for a date by itself. The line is not taken apart, unless it has a key of that name.
"""

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Raw

from rutta import formats
from rutta.elastic import ecs
from rutta.events import json_text, timestamps
from rutta.events.timestamps import isos
from rutta.events.values import Mismatch, keep
from rutta.formats import Format, parts
from rutta.message import EVERYTHING, Batch, Columns

Action = Literal["create", "index"]
Form = Literal["ndjson", "json", "ecs"]

_HOUR: Final = 3600 * 10**9  # ns
# Ids in this alphabet, without padding, are stored in 16 bytes (org.elasticsearch.index.mapper.Uid).
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_STAMP: Final = "@timestamp"
_JSON: Final = msgspec.json.Encoder()
_every_key: Final = msgspec.json.Decoder(dict[str, Raw]).decode


class Shape(NamedTuple):
    """How events become operations. ``dated``: an index with ``strftime``'s letters for the event's time, else none."""

    action: Action
    form: Form
    dated: str = ""

    @property
    def columns(self) -> Columns:
        """What is read of an event beside its line."""
        return EVERYTHING if self.form == "ecs" else formats.columns_of(Format(self.form)) | {"timestamp"}


def operations(batch: Batch, shape: Shape) -> list[bytes]:
    """Write each event of a batch as two lines."""
    times = parts.times(batch)
    stamps = isos(times)
    starts = _starts(shape, times)
    ids = b"\n".join(parts.ids(batch)).translate(_URL_SAFE, b"=").split(b"\n")
    if shape.form == "ecs":
        documents = [ecs.document(event, stamp) for event, stamp in zip(formats.events(batch), stamps, strict=True)]
        return list(map(b'%b%b"}}\n%b\n'.__mod__, zip(starts, ids, documents, strict=True)))
    lines = formats.encode_lines(batch, Format(shape.form))
    if any(b"@timestamp" in line or b"\\u0040" in line for line in lines):  # a key may be written with an escape
        lines = [_without_stamp(line, time) for line, time in zip(lines, times, strict=True)]
    return [
        b"".join((start, id_, b'"}}\n{"@timestamp":"', stamp, b'",', line[1:], b"\n"))
        if line[:2] == b'{"'
        else b"".join((start, id_, b'"}}\n{"@timestamp":"', stamp, b'"', _rest(line), b"\n"))
        for start, id_, stamp, line in zip(starts, ids, "\n".join(stamps).encode().split(b"\n"), lines, strict=True)
    ]


def _starts(shape: Shape, times: Sequence[int]) -> list[bytes]:
    """Begin the action lines, as far as the id."""
    if not shape.dated:
        return [b'{"%b":{"_id":"' % shape.action.encode()] * len(times)
    return [_start(shape.action, shape.dated, time // _HOUR) for time in times]


@functools.lru_cache(maxsize=1024)
def _start(action: str, index: str, hour: int) -> bytes:
    return b'{"%b":{"_index":"%b","_id":"' % (action.encode(), index_at(index, hour * _HOUR).encode())


def index_at(index: str, time: int) -> str:
    """Name the index of a time (ns): of the event's, so that a later try goes to the same."""
    return datetime.fromtimestamp(time // 10**9, UTC).strftime(index)


def _without_stamp(line: bytes, time: int) -> bytes:
    """Take a key ``@timestamp`` out of a line; what does not say the event's time is kept under another name."""
    whole = _keys_of(line)
    if _STAMP not in whole:
        return line
    own = whole.pop(_STAMP)
    if not _says(own, time):
        keep(whole, f"{_STAMP}_", own)
    return _JSON.encode(whole)


def _keys_of(line: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = _every_key(line)
    except json_text.REFUSED:  # nested too deep for the decoder, now that it is called from further down
        return json_text.value(line)
    return found


def _says(own: Any, time: int) -> bool:
    try:
        return timestamps.parse(msgspec.json.decode(own) if isinstance(own, Raw) else own) == time
    except (Mismatch, *json_text.REFUSED):
        return False


def _rest(line: bytes) -> bytes:
    """Return an object without its brace, to stand behind another member."""
    rest = line.strip(json_text.SPACE)[1:].lstrip(json_text.SPACE)
    return rest if rest == b"}" else b"," + rest
