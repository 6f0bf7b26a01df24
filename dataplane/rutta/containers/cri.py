"""The form in which container runtimes write logs: ``TIME stdout|stderr TAG MESSAGE``, a block at a time.

https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md. The tag is ``F`` for the
end of a line and ``P`` for a part of it, with further tags after a colon. containerd leaves trailing zeros of the time
out and writes ``Z``, CRI-O writes an offset.
"""

import functools
import io
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec

from rutta.events import timestamps
from rutta.events.values import Mismatch

STREAMS: Final = (b"stdout", b"stderr")
NAMES: Final = ("stdout", "stderr")

_SECONDS: Final = 19  # characters of a time before its fraction
_LONGEST_TIME: Final = 29  # characters of a time in UTC before its Z
_OFFSET: Final = 6  # characters of an offset: +02:00

_MARKS: Final = (b"Z stdout F ", b"Z stderr F ")
_RUNS: Final = 4  # lines of one second that stand together are looked for so often; then each is read alone
_PREFIX: Final = _LONGEST_TIME + len(_MARKS[0])
_second_of = itemgetter(slice(0, _SECONDS))
_fraction = itemgetter(slice(_SECONDS + 1, _LONGEST_TIME))
_mark = itemgetter(slice(_LONGEST_TIME, _PREFIX))
_message = itemgetter(slice(_PREFIX, None))

_numbers = msgspec.json.Decoder(list[int]).decode
_NO_TIMES: Final = (ValueError, OverflowError, Mismatch, msgspec.DecodeError)


class Uniform(NamedTuple):
    """A block of whole lines of one stream, prefixes taken off."""

    stream: int
    payload: bytes
    times: "array[int]"


def read_uniform(data: bytes, limit: int) -> Uniform | None:
    """Take the prefixes off a block; None if it is not all whole lines of one stream, with times in UTC.

    Every line gets a time of the same length first, so that all else is cut at fixed places, by C alone. Nothing is
    made per line but its text and its time: lists of parts would keep the garbage collector busy, which costs a third
    more. Times are put together as text and read at once, as JSON: half the price of ``int`` for each.
    """
    lines = io.BytesIO(data).readlines()
    if len(data) > limit and max(map(len, lines)) > limit:
        return None
    stream = 1 if lines[0].find(_MARKS[1], 0, _PREFIX) > 0 else 0
    try:
        _pad(lines, _MARKS[stream])
        times = array("q", _times(lines))
    except _NO_TIMES:  # another stream or tag, or no time
        return None
    if len(times) != len(lines):
        return None
    return Uniform(stream, b"".join(map(_message, lines)), times)


def _pad(lines: list[bytes], mark: bytes) -> None:
    """Give the times that end early their zeros; ValueError if a line does not go on with the mark after its time."""
    marks = list(map(_mark, lines))
    if marks.count(mark) == len(lines):
        return
    for at, found in enumerate(marks):
        if found != mark:
            line = lines[at]
            end = line.index(mark, 0, _PREFIX)
            lines[at] = line[:end].ljust(_LONGEST_TIME, b"0") + line[end:]


def _times(lines: Sequence[bytes]) -> list[int]:
    """Read the padded times; raises one of ``_NO_TIMES``. Lines of one second mostly stand together: a run."""
    texts: list[bytes] = []
    at = 0
    while at < len(lines):
        second = _second_of(lines[at])
        end = bisect_right(lines, second, at, key=_second_of) if len(texts) < _RUNS else len(lines)
        run = lines[at:end]
        if _second_of(min(run)) == second == _second_of(max(run)):
            digits = _digits(second)
            texts.append(digits + (b"," + digits).join(map(_fraction, run)))
        else:  # slow logs, or clocks that were set
            texts += [_digits(_second_of(line)) + _fraction(line) for line in run]
        at = end
    return _numbers(b"[%b]" % b",".join(texts))


@functools.lru_cache(maxsize=256)
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
