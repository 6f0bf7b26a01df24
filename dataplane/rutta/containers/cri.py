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

import msgspec

from rutta.events import timestamps
from rutta.events.values import Mismatch

STREAMS: Final = (b"stdout", b"stderr")
NAMES: Final = ("stdout", "stderr")

_SECONDS: Final = 19  # characters of a time before its fraction
_LONGEST_TIME: Final = 29  # characters of a time in UTC before its Z
_HEAD: Final = _LONGEST_TIME + 11
_OFFSET: Final = 6  # characters of an offset: +02:00

_numbers = msgspec.json.Decoder(list[int]).decode
_NO_TIMES: Final = (ValueError, OverflowError, Mismatch, msgspec.DecodeError)


class Uniform(NamedTuple):
    """A block of whole lines of one stream, prefixes taken off."""

    stream: int
    payload: bytes
    times: "array[int]"


def read_uniform(data: bytes, limit: int) -> Uniform | None:
    """Take the prefixes off a block; None if it is not all whole lines of one stream, with times in UTC.

    Nothing is made per line but its text and its time: lists of parts would keep the garbage collector busy, which
    costs a third more. Times are put together as text and read at once, as JSON: half the price of ``int`` for each.
    """
    lines = io.BytesIO(data).readlines()
    stream, prefix = (0, b"Z stdout F ") if lines[0].find(b"Z stdout F ", 0, _HEAD) > 0 else (1, b"Z stderr F ")
    try:
        ends = [line.index(prefix) for line in lines]
        if max(ends) > _LONGEST_TIME or (len(data) > limit and max(map(len, lines)) > limit):
            return None
        times = array("q", _times(lines, ends))
    except _NO_TIMES:  # another stream or tag, or no time
        return None
    if len(times) != len(lines):
        return None
    size = len(prefix)
    payload = b"".join([line[end + size :] for line, end in zip(lines, ends, strict=True)])
    return Uniform(stream, payload, times)


def _times(lines: Sequence[bytes], ends: Sequence[int]) -> list[int]:
    """Read the times that end with the Z at ``ends``; raises one of ``_NO_TIMES``."""
    first = min(lines)[:_SECONDS]
    if first == max(lines)[:_SECONDS]:
        second = _digits(first)
        parts = [line[20:end].ljust(9, b"0") for line, end in zip(lines, ends, strict=True)]
        return _numbers(b"[%b%b]" % (second, (b"," + second).join(parts)))
    seconds = [line[:_SECONDS] for line in lines]
    digits = {second: _digits(second) for second in set(seconds)}
    parts = [
        digits[second] + line[20:end].ljust(9, b"0") for second, line, end in zip(seconds, lines, ends, strict=True)
    ]
    return _numbers(b"[%b]" % b",".join(parts))


def _digits(text: bytes) -> bytes:
    """Return a second in UTC as the digits of the seconds since the epoch; ValueError before it."""
    second = _second(text, b"Z")
    if second <= 0:
        raise ValueError("before the epoch")
    return b"%d" % (second // 1_000_000_000)


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
