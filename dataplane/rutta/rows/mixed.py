"""Rows of the codec ``auto``: lines of which some are JSON objects and the others plain text."""

from collections.abc import Sequence
from typing import Any, TypeVar

from rutta.events.event import Event
from rutta.message import Batch, Rows
from rutta.rows.rows import JsonRows, PlainRows, join_lines

_T = TypeVar("_T")


class MixedRows:
    """Lines of which some are JSON objects and the others plain text."""

    __slots__ = ("_is_json", "_lines", "_parts", "codec")

    def __init__(self, lines: Sequence[bytes], is_json: Sequence[bool]) -> None:
        """``is_json`` tells for each line."""
        self.codec = "auto"
        self._lines = lines
        self._is_json = is_json
        self._parts: tuple[PlainRows, JsonRows] | None = None

    def __len__(self) -> int:
        """Count the events."""
        return len(self._lines)

    def payload(self) -> bytes:
        """Return the lines as they came."""
        return join_lines(self._lines)

    def lines(self) -> Sequence[bytes]:
        """Return one line per event."""
        return self._lines

    def parts(self) -> tuple[PlainRows, JsonRows]:
        """Return the plain rows, and the JSON rows."""
        if self._parts is None:
            objects = [line for line, is_json in zip(self._lines, self._is_json, strict=True) if is_json]
            others = [line for line, is_json in zip(self._lines, self._is_json, strict=True) if not is_json]
            self._parts = (
                PlainRows(join_lines(others), len(others)),
                JsonRows(join_lines(objects), len(objects), lines=objects),
            )
        return self._parts

    def places(self) -> tuple[list[int], list[int]]:
        """Return which rows are plain, and which are JSON."""
        rows = range(len(self._lines))
        return [row for row in rows if not self._is_json[row]], [row for row in rows if self._is_json[row]]

    def weave(self, plain: Sequence[_T], objects: Sequence[_T]) -> list[_T]:
        """Put what was made of the two parts into the order of the lines."""
        answers = iter(plain), iter(objects)
        return [next(answers[is_json]) for is_json in self._is_json]

    def column(self, name: str) -> Sequence[Any]:
        """Return one part of every event."""
        plain, objects = self.parts()
        return self.weave(plain.column(name), objects.column(name))

    def events(self) -> Sequence[Event]:
        """Return every event."""
        plain, objects = self.parts()
        return self.weave(plain.events(), objects.events())

    def take(self, rows: Sequence[int]) -> "MixedRows":
        """Return only these rows."""
        return MixedRows([self._lines[row] for row in rows], [self._is_json[row] for row in rows])


def apart(batch: Batch, rows: MixedRows) -> tuple[Batch, Batch]:
    """Return the batch's plain events and its JSON events as batches of their own; ids and times stay."""
    plain, objects = rows.parts()
    at_plain, at_objects = rows.places()
    return _part(batch, plain, at_plain), _part(batch, objects, at_objects)


def _part(batch: Batch, rows: Rows, places: Sequence[int]) -> Batch:
    return Batch(
        rows,
        size=1,
        origin=batch.origin,
        received=batch.received,
        context=batch.context,
        times=None if batch.times is None else [batch.times[row] for row in places],
        numbers=[batch.numbers[row] for row in places],
    )
