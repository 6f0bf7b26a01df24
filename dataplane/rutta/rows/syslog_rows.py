"""The events of a batch as lines of syslog; nothing of them is looked at until somebody asks."""

from collections.abc import Sequence
from typing import Any

from rutta.events import syslog
from rutta.events.event import INFO, Event
from rutta.rows import columns
from rutta.rows.rows import Cells, LineRows, join_lines


class SyslogRows(LineRows):
    """Lines of syslog; a NUL in a text stands for a newline."""

    __slots__ = ("_cells", "_found", "_received", "_times_given")

    def __init__(
        self,
        payload: bytes,
        count: int,
        *,
        received: int,
        times_given: bool = False,
        lines: Sequence[bytes] | None = None,
    ) -> None:
        """``payload`` is newline-terminated. ``received``, ``times_given``: as in ``events.syslog.reader``."""
        super().__init__(payload, count, codec="syslog", lines=lines)
        self._received = received
        self._times_given = times_given
        self._found: list[syslog.Found] | None = None
        self._cells: Cells = {}

    def column(self, name: str) -> Sequence[Any]:
        """Return one part of every event."""
        if name not in self._cells:
            self._cells[name] = self._column(name)
        return self._cells[name]

    def _column(self, name: str) -> Sequence[Any]:
        if name == "kind":
            return ["event"] * self._count
        if name == "level":
            return [syslog.LEVELS.get(found[0], INFO) for found in self._taken_apart()]
        return [columns.column_of(event, name) for event in self.events()]

    def events(self) -> list[Event]:
        """Return every line as an event."""
        return list(map(syslog.reader(received=self._received, times_given=self._times_given), self._taken_apart()))

    def _taken_apart(self) -> list[syslog.Found]:
        if self._found is None:
            self._found = syslog.LINE.findall(self._payload[:-1].decode(errors="replace")) if self._count else []
        return self._found

    def take(self, rows: Sequence[int]) -> "SyslogRows":
        """Return only these rows."""
        lines = self.lines()
        lines = [lines[row] for row in rows]
        return SyslogRows(
            join_lines(lines), len(lines), received=self._received, times_given=self._times_given, lines=lines
        )
