"""Make blocks of a container's log: one per stream, the runtime's prefixes taken off, parts of lines joined.

What is not whole (parts of a line, the last event when lines are joined) is held, not long; the file's watermark stays
before it. A line that is not of the runtime's form is shipped as it is, with the time of now, and counted.
"""

import io
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from rutta.containers import cri
from rutta.containers.multiline import Rule, Traces
from rutta.events.values import Mismatch
from rutta.message import Block
from rutta.tail.shaping import Made

PATIENCE: Final = 10.0  # seconds that the rest of a line is waited for
BEFORE: Final = -1  # the offset of what begins in the file before

_encode = msgspec.json.Encoder().encode


class Line(NamedTuple):
    """A whole line of a container: its time, its text with a newline, and where its first part stands."""

    time: int
    text: bytes
    start: int


class _Held:
    """Something that is not whole: lines, or parts of one."""

    __slots__ = ("line_time", "parts", "since", "size", "start", "too_long")

    def __init__(self, line_time: int, start: int, now: float) -> None:
        self.line_time = line_time
        self.start = start
        self.since = now
        self.parts: list[bytes] = []
        self.size = 0
        self.too_long = False

    def add(self, part: bytes, limit: int) -> bool:
        """Add a part; False if it has become too long just now, and is dropped."""
        if self.too_long:
            return True
        self.size += len(part)
        if self.size > limit + 1:  # a newline is no part of a line
            self.too_long = True
            self.parts.clear()
            return False
        self.parts.append(part)
        return True


class Settings(NamedTuple):
    """``rule`` makes what joins lines, or None; ``patience``: seconds that a continuation is waited for.

    ``named``: the codec is not the source's, so blocks name it.
    """

    limit: int
    codec: str
    named: bool = False
    rule: Callable[[], Rule] | None = None
    patience: float = 1.0


class ContainerLines:
    """The state of one file."""

    streams: Final = len(cri.STREAMS)
    takes_lines: Final = True
    inherits: Final = True
    broken: Final = ""

    def __init__(
        self, settings: Settings, context: Callable[[str], Mapping[str, Any]], refuse: Callable[[str, int], None]
    ) -> None:
        """``context`` returns what is known of a stream (``stdout``) at the moment."""
        self._settings = settings
        self._context = context
        self._refuse = refuse
        self._parts: list[_Held | None] = [None] * self.streams
        self._events: list[_Held | None] = [None] * self.streams
        self._rules = None if settings.rule is None else [settings.rule() for _ in cri.STREAMS]

    # --- the common case: whole lines of one or two streams, nothing held -------------------------------------

    def shape(self, data: bytearray, size: int, start: int, *, only: int | None = None) -> Sequence[Made]:
        """Make a block per stream."""
        content = bytes(memoryview(data)[:size])
        if self._rules is None and not any(self._parts):
            one = cri.read_uniform(content, self._settings.limit)
            if one is not None:
                return [self._block(one.stream, one.payload, one.times, start)] if only in (None, one.stream) else []
            made = self._at_once(content, start, only)
            if made is not None:
                return made
        return self._line_by_line(content, start, only)

    def _at_once(self, content: bytes, start: int, only: int | None) -> list[Made] | None:
        """Take a block whose lines are all whole, valid and short enough; None if they are not."""
        table = cri.read(content)
        if table is None:
            return None
        count = len(table.tags)
        if table.tags.count(b"F") != count:
            return None
        counts = [table.streams.count(stream) for stream in cri.STREAMS]
        if sum(counts) != count or max(map(len, table.messages)) > self._settings.limit + 1:
            return None
        try:
            times = cri.times(table.times)
        except (Mismatch, ValueError, OverflowError):
            return None
        wanted = [stream for stream, lines in enumerate(counts) if lines and only in (None, stream)]
        return [self._part(table, times, stream, start) for stream in wanted]

    def _part(self, table: cri.Table, times: "array[int]", stream: int, start: int) -> Made:
        name = cri.STREAMS[stream]
        rows = [row for row, one in enumerate(table.streams) if one == name]
        messages = [table.messages[row] for row in rows]
        return self._block(stream, b"".join(messages), array("q", [times[row] for row in rows]), start)

    def _block(self, stream: int, data: bytes, times: "array[int]", start: int) -> Made:
        codec = self._settings.codec if self._settings.named else None
        context = self._context(cri.NAMES[stream])
        return Made(Block(data, context=context, times=times, codec=codec), start, stream)

    # --- line by line: parts, joined lines, what is of no form -------------------------------------------------

    def _line_by_line(self, content: bytes, start: int, only: int | None) -> list[Made]:
        found: list[list[Line]] = [[] for _ in cri.STREAMS]
        before = [self.floor(stream, start) for stream in range(self.streams)]
        now = time.monotonic()
        at = start
        for raw in io.BytesIO(content):
            self._line(raw, at, now, found, only)
            at += len(raw)
        made = []
        for stream, lines in enumerate(found):
            if only in (None, stream):
                made += self._blocks(stream, self._joined(stream, lines, now), before[stream])
        return made

    def _line(self, raw: bytes, at: int, now: float, found: list[list[Line]], only: int | None) -> None:
        parts = raw.split(b" ", 3)
        stream = _number(parts[1]) if len(parts) > 2 else None
        moment = None if stream is None else cri.one_time(parts[0])
        if stream is None or moment is None:
            if only in (None, 0):
                self._refuse("framing", 1)
                found[0].append(Line(time.time_ns(), raw, at))
            return
        message = parts[3] if len(parts) == 4 else b"\n"
        tag = parts[2].partition(b":")[0].strip()
        held = self._parts[stream]
        if held is None:
            if tag == b"F" and len(message) <= self._settings.limit + 1:
                found[stream].append(Line(moment, message, at))
                return
            held = self._parts[stream] = _Held(moment, at, now)
        if not held.add(message if tag == b"F" else message[:-1], self._settings.limit):
            self._refuse("oversize", 1)
        if tag == b"F":
            self._parts[stream] = None
            if not held.too_long:
                found[stream].append(Line(held.line_time, b"".join(held.parts), held.start))

    def _joined(self, stream: int, lines: Sequence[Line], now: float) -> list[tuple[int, list[bytes]]]:
        """Put lines together that belong together; the last event is held, for it may go on."""
        if self._rules is None:
            return [(line.time, [line.text]) for line in lines]
        rule, whole = self._rules[stream], []
        held = self._events[stream]
        for line in lines:
            follows = rule.continues(line.text)
            if held is not None and follows and held.size + len(line.text) <= self._settings.limit:
                held.add(line.text, self._settings.limit)
                held.since = now
                continue
            if held is not None:
                whole.append((held.line_time, held.parts))
            held = _Held(line.time, line.start, now)
            held.add(line.text, self._settings.limit)
        self._events[stream] = held
        return whole

    def _blocks(self, stream: int, events: Sequence[tuple[int, list[bytes]]], start: int) -> list[Made]:
        """Make blocks of events; one of several lines is JSON, which only codec auto can have between plain lines."""
        if not events:
            return []
        if self._settings.codec == "auto" or all(len(parts) == 1 for _, parts in events):
            messages = [parts[0] if len(parts) == 1 else _as_json(parts) for _, parts in events]
            return [self._block(stream, b"".join(messages), array("q", [moment for moment, _ in events]), start)]
        made: list[Made] = []
        run: list[tuple[int, list[bytes]]] = []
        for event in events:
            if len(event[1]) == 1:
                run.append(event)
                continue
            made += self._blocks(stream, run, start)
            run = []
            one = self._block(stream, _as_json(event[1]), array("q", [event[0]]), start)
            one.block.codec = "json"
            made.append(one)
        return made + self._blocks(stream, run, start)

    # --- what is held -----------------------------------------------------------------------------------------

    @property
    def is_holding(self) -> bool:
        """Whether something is not whole."""
        return any(self._parts) or any(self._events)

    def due(self, now: float) -> Sequence[Made]:
        """Return what has waited long enough for its rest."""
        made: list[Made] = []
        for stream in range(self.streams):
            part, event = self._parts[stream], self._events[stream]
            if part is not None and now - part.since > PATIENCE:
                made += self._end_part(stream)
            elif event is not None and part is None and now - event.since > self._settings.patience:
                made += self._end_event(stream)
        return made

    def _end_part(self, stream: int) -> list[Made]:
        """A line whose rest did not come is a line."""
        held, self._parts[stream] = self._parts[stream], None
        made = self._end_event(stream)
        if held is not None and not held.too_long:
            made += self._blocks(stream, [(held.line_time, [b"".join([*held.parts, b"\n"])])], held.start)
        return made

    def _end_event(self, stream: int) -> list[Made]:
        held, self._events[stream] = self._events[stream], None
        return [] if held is None else self._blocks(stream, [(held.line_time, held.parts)], held.start)

    def inherit(self, older: "ContainerLines", streams: Sequence[int]) -> None:
        """Hold what the file before this one ends with, and go on with its traces."""
        for stream in streams:
            for mine, others in ((self._parts, older._parts), (self._events, older._events)):
                mine[stream], others[stream] = others[stream], None
                if (held := mine[stream]) is not None:
                    held.start = BEFORE
            if self._rules and older._rules and type(self._rules[stream]) is type(older._rules[stream]) is Traces:
                self._rules[stream] = older._rules[stream]

    def holds(self, stream: int) -> bool:
        """Whether there is a part of a line, or an event that may go on."""
        return self._parts[stream] is not None or self._events[stream] is not None

    def let_go(self, stream: int) -> None:
        """Forget it: it was done before."""
        self._parts[stream] = self._events[stream] = None

    def has_inherited(self, stream: int) -> bool:
        """Whether something is held that begins in the file before."""
        return any(held is not None and held.start == BEFORE for held in (self._parts[stream], self._events[stream]))

    def finish(self) -> Sequence[Made]:
        """Nothing more comes."""
        return [made for stream in range(self.streams) for made in self._end_part(stream)]

    def abandon(self) -> None:
        """What is held will never be whole."""
        if lost := sum(held is not None for held in (*self._parts, *self._events)):
            self._refuse("framing", lost)
        self._parts = [None] * self.streams
        self._events = [None] * self.streams

    def floor(self, stream: int, otherwise: int) -> int:
        """Return where the first line that is held stands."""
        starts = [held.start for held in (self._parts[stream], self._events[stream]) if held is not None]
        return max(0, min(starts, default=otherwise))


def _number(stream: bytes) -> int | None:
    return cri.STREAMS.index(stream) if stream in cri.STREAMS else None


def _as_json(parts: Sequence[bytes]) -> bytes:
    """Write an event of several lines as one line of JSON."""
    text = b"".join(parts).decode(errors="replace").replace("\r\n", "\n").removesuffix("\n")
    return _encode({"message": text}) + b"\n"
