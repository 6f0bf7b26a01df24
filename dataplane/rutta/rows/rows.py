"""The events of a batch in the forms in which they come: JSON lines, plain lines, whole events (both: ``mixed``).

All keep the contract of ``message.Rows``. ``events()`` makes new events each time: whoever asks owns them
(``formats.events`` completes them in place and keeps them for all targets).
"""

import copy
import io
from collections.abc import Sequence
from typing import Any

from rutta.events import render
from rutta.events.event import DEBUG, NO_TIME, Event
from rutta.events.v6_events import read_lines
from rutta.rows import columns

Cells = dict[str, Sequence[Any]]


def count_lines(payload: bytes) -> int:
    """Count newlines; measured twice as fast as ``bytes.count`` on lines of a few hundred bytes."""
    return len(payload) - len(payload.replace(b"\n", b""))


def split_lines(payload: bytes) -> list[bytes]:
    """Split a payload into its lines; a ``BytesIO`` finds newlines several times faster than ``split``."""
    return [line[:-1] for line in io.BytesIO(payload)]


def join_lines(lines: Sequence[bytes]) -> bytes:
    """Make a payload of lines."""
    return b"\n".join([*lines, b""])


class LineRows:
    """What all have whose events are lines of a payload, which is split when somebody asks for them."""

    __slots__ = ("_count", "_lines", "_payload", "codec")

    def __init__(self, payload: bytes, count: int, *, codec: str, lines: Sequence[bytes] | None = None) -> None:
        """``payload`` is newline-terminated; ``lines`` are its lines, if they are known."""
        self.codec = codec
        self._payload = payload
        self._count = count
        self._lines = lines

    def __len__(self) -> int:
        """Count the events."""
        return self._count

    def payload(self) -> bytes:
        """Return the lines as they came."""
        return self._payload

    def lines(self) -> Sequence[bytes]:
        """Return one line per event."""
        if self._lines is None:
            self._lines = split_lines(self._payload)
        return self._lines


class JsonRows(LineRows):
    """Lines of checked JSON objects, and the structs of the columns that were decoded with them."""

    __slots__ = ("_cells", "plan", "structs", "written")

    def __init__(
        self,
        payload: bytes,
        count: int,
        *,
        codec: str = "json",
        lines: Sequence[bytes] | None = None,
        plan: columns.Plan | None = None,
        structs: Sequence[Any] | None = None,
        written: bytes | None = None,
    ) -> None:
        """``payload`` is newline-terminated; ``structs`` are what ``plan`` decoded, if it decodes anything.

        ``written`` are the keys of ``plan.raw``, encoded again.
        """
        super().__init__(payload, count, codec=codec, lines=lines)
        self.plan = plan
        self.structs = structs
        self.written = written
        self._cells: Cells = {}

    def column(self, name: str) -> Sequence[Any]:
        """Return one part of every event; decoded now if it was not asked for at the start."""
        if name not in self._cells:
            self._cells[name] = self._column(name)
        return self._cells[name]

    def _column(self, name: str) -> Sequence[Any]:
        plan, structs = self.plan, self.structs
        if plan is None or structs is None or name not in plan.take:
            plan = columns.plan(frozenset({name}))
            structs = columns.decode(plan, self.lines()) if plan.take else [None] * self._count
        return columns.column(plan, name, structs, self.lines)

    def events(self) -> Sequence[Event]:
        """Return every event, read leniently."""
        return read_lines(self.lines())

    def take(self, rows: Sequence[int]) -> "JsonRows":
        """Return only these rows, with what was decoded of them."""
        lines, structs = self.lines(), self.structs
        lines = [lines[row] for row in rows]
        return JsonRows(
            join_lines(lines),
            len(lines),
            codec=self.codec,
            lines=lines,
            plan=self.plan,
            structs=None if structs is None else [structs[row] for row in rows],
        )


class PlainRows(LineRows):
    """Lines of text, in any encoding; nothing of them is looked at until somebody asks."""

    __slots__ = ()

    def __init__(self, payload: bytes, count: int, *, codec: str = "plain") -> None:
        """``payload`` is newline-terminated."""
        super().__init__(payload, count, codec=codec)

    def texts(self) -> list[str]:
        """Return the lines as text; bytes that are not UTF-8 are U+FFFD."""
        lines = self._payload.decode(errors="replace").split("\n")
        lines.pop()
        return lines

    def column(self, name: str) -> Sequence[Any]:
        """Return what plain lines have: a text, and the defaults."""
        if name == "text":
            return self.texts()
        return [{"kind": "event", "level": DEBUG, "name": ""}.get(name)] * self._count

    def events(self) -> Sequence[Event]:
        """Return every line as an event."""
        return [Event(text=text, timestamp=NO_TIME) for text in self.texts()]

    def take(self, rows: Sequence[int]) -> "PlainRows":
        """Return only these rows."""
        lines = self.lines()
        return PlainRows(join_lines([lines[row] for row in rows]), len(rows), codec=self.codec)


class EventRows:
    """Events of codecs whose input is no lines, or that decode everything; others see them as lines of JSON."""

    __slots__ = ("_events", "_lines", "codec", "were_json")

    def __init__(self, events: Sequence[Event], *, lines: Sequence[bytes] | None = None, codec: str = "json") -> None:
        """``lines`` are the events as they came, if that was JSON."""
        self.codec = codec
        self.were_json = lines is not None
        self._events = events
        self._lines = lines

    def __len__(self) -> int:
        """Count the events."""
        return len(self._events)

    def payload(self) -> bytes:
        """Return the events as lines of JSON."""
        return join_lines(self.lines())

    def lines(self) -> Sequence[bytes]:
        """Return one line of JSON per event."""
        if self._lines is None:
            self._lines = [render.to_json(event) for event in self._events]
        return self._lines

    def column(self, name: str) -> Sequence[Any]:
        """Return one part of every event."""
        return [columns.column_of(event, name) for event in self._events]

    def events(self) -> Sequence[Event]:
        """Return copies of the events."""
        return [copy.copy(event) for event in self._events]

    def take(self, rows: Sequence[int]) -> "EventRows":
        """Return only these rows."""
        lines = self._lines if self.were_json else None
        return EventRows(
            [self._events[row] for row in rows],
            lines=None if lines is None else [lines[row] for row in rows],
            codec=self.codec,
        )
