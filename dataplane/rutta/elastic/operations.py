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
from rutta.events.timestamps import iso
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
    stamps = [iso(time, digits=9) for time in times]
    heads = _heads(batch, shape, times)
    if shape.form == "ecs":
        documents = [ecs.document(event, stamp) for event, stamp in zip(formats.events(batch), stamps, strict=True)]
        return [b"%b\n%b\n" % pair for pair in zip(heads, documents, strict=True)]
    lines = formats.encode_lines(batch, Format(shape.form))
    if _may_hold_a_stamp(batch, lines):
        lines = [_without_stamp(line, time) for line, time in zip(lines, times, strict=True)]
    return [
        b'%b\n{"@timestamp":"%b",%b\n' % (head, stamp.encode(), line[1:])
        if line[:2] == b'{"'
        else b'%b\n{"@timestamp":"%b"%b\n' % (head, stamp.encode(), _rest(line))
        for head, stamp, line in zip(heads, stamps, lines, strict=True)
    ]


def _heads(batch: Batch, shape: Shape, times: Sequence[int]) -> list[bytes]:
    ids = b"\n".join(parts.ids(batch)).translate(_URL_SAFE, b"=").split(b"\n")
    if "%" not in shape.dated:
        start = b'{"%b":{"_id":"' % shape.action.encode()
        return [b'%b%b"}}' % (start, id_) for id_ in ids]
    starts = [_start(shape.action, shape.dated, time // _HOUR) for time in times]
    return [b'%b%b"}}' % pair for pair in zip(starts, ids, strict=True)]


@functools.lru_cache(maxsize=1024)
def _start(action: str, index: str, hour: int) -> bytes:
    return b'{"%b":{"_index":"%b","_id":"' % (action.encode(), index_at(index, hour * _HOUR).encode())


def index_at(index: str, time: int) -> str:
    """Name the index of a time (ns): of the event's, so that a later try goes to the same."""
    return datetime.fromtimestamp(time // 10**9, UTC).strftime(index)


def _may_hold_a_stamp(batch: Batch, lines: Sequence[bytes]) -> bool:
    """Whether a line may have a key ``@timestamp``, escaped or not. Two of a name are no document."""
    return any(b"@timestamp" in line or b"\\u0040" in line for line in lines)


def _without_stamp(line: bytes, time: int) -> bytes:
    """Take a key ``@timestamp`` out of a line; what does not say the event's time is kept under another name."""
    if b"@timestamp" not in line and b"\\u0040" not in line:
        return line
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
