"""The form in which container runtimes write logs: ``TIME stdout|stderr TAG MESSAGE``, a block at a time.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md. The tag is ``F`` for the
end of a line and ``P`` for a part of it, with further tags after a colon. containerd leaves trailing zeros of the time
out and writes ``Z``, CRI-O writes an offset.
"""

import functools
import io
from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple

from rutta.events import timestamps
from rutta.events.values import Mismatch

STREAMS: Final = (b"stdout", b"stderr")
NAMES: Final = ("stdout", "stderr")

_SECONDS: Final = 19  # characters of a time before its fraction
_LONGEST_TIME: Final = 30  # characters of a time in UTC
_HEAD: Final = _LONGEST_TIME + 10
_OFFSET: Final = 6  # characters of an offset: +02:00


class Uniform(NamedTuple):
    """A block of whole lines of one stream, prefixes taken off."""

    stream: int
    payload: bytes
    times: "array[int]"


def read_uniform(data: bytes, limit: int) -> Uniform | None:
    """Take the prefixes off a block; None if it is not all whole lines of one stream, with times in UTC.

    Nothing is made per line but its text and its time: lists of parts would keep the garbage collector busy, which
    costs a third more.
    """
    lines = io.BytesIO(data).readlines()
    stream, prefix = (0, b" stdout F ") if lines[0].find(b" stdout F ", 0, _HEAD) > 0 else (1, b" stderr F ")
    try:
        ends = [line.index(prefix) for line in lines]
        first = min(lines)[:_SECONDS]
        if max(ends) > _LONGEST_TIME or max(map(len, lines)) > limit:
            return None
        if first == max(lines)[:_SECONDS]:
            base = _second(first, b"Z")
            times = [base + int(line[20 : end - 1].ljust(9, b"0")) for line, end in zip(lines, ends, strict=True)]
        else:
            times = [
                _second(line[:_SECONDS], b"Z") + int(line[20 : end - 1].ljust(9, b"0"))
                for line, end in zip(lines, ends, strict=True)
            ]
    except ValueError:  # another stream, tag, or time
        return None
    size = len(prefix)
    payload = b"".join([line[end + size :] for line, end in zip(lines, ends, strict=True)])
    return Uniform(stream, payload, array("q", times))


class Table(NamedTuple):
    """The columns of lines that are all whole; messages have their newline."""

    times: Sequence[bytes]
    streams: Sequence[bytes]
    tags: Sequence[bytes]
    messages: Sequence[bytes]


def read(data: bytes) -> Table | None:
    """Split a block of lines into columns; None if a line is not of this form."""
    try:
        return Table(*zip(*[line.split(b" ", 3) for line in io.BytesIO(data)], strict=False))
    except TypeError:  # a line has fewer parts
        return None


def times(texts: Sequence[bytes]) -> "array[int]":
    """Read times as nanoseconds since the epoch; ValueError or Mismatch if one is none."""
    offset = b"Z" if texts[0].endswith(b"Z") else texts[0][-_OFFSET:]
    end = -len(offset)
    try:
        first = min(texts)[:_SECONDS]
        if first == max(texts)[:_SECONDS]:
            base = _second(first, offset)
            return array("q", [base + int(text[20:end].ljust(9, b"0")) for text in texts])
        return array("q", [_second(text[:_SECONDS], offset) + int(text[20:end].ljust(9, b"0")) for text in texts])
    except ValueError:  # another offset in between: it was set while the container ran
        return array("q", [timestamps.parse(text.decode(errors="replace")) for text in texts])


@functools.lru_cache(maxsize=256)
def _second(text: bytes, offset: bytes) -> int:
    return timestamps.parse((text + offset).decode(errors="replace"))


def one_time(text: bytes) -> int | None:
    """Read one time; None if it is none."""
    try:
        return times([text])[0]
    except (Mismatch, ValueError, OverflowError):
        return None
