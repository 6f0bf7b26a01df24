"""A set of sequence numbers that is mostly whole, kept and told as ranges: its size follows from what is missing."""

from bisect import bisect_right
from collections.abc import Sequence


class Numbers:
    """Numbers from 1: all up to ``upto``, and ranges above it."""

    __slots__ = ("_ends", "_starts", "upto")

    def __init__(self) -> None:
        """Empty."""
        self.upto = 0
        self._starts: dict[int, int] = {}  # first → last of a range
        self._ends: dict[int, int] = {}  # last → first

    def __contains__(self, number: int) -> bool:
        """Whether it was added."""
        if number <= self.upto:
            return True
        return any(first <= number <= last for first, last in self._starts.items())

    def add(self, number: int) -> bool:
        """Add one; say whether it is new."""
        if number == self.upto + 1:
            self.upto = self._starts.pop(number + 1, number)
            self._ends.pop(self.upto, None)
            return True
        if number in self:
            return False
        first = self._ends.pop(number - 1, number)
        last = self._starts.pop(number + 1, number)
        self._starts[first] = last
        self._ends[last] = first
        return True

    def ranges(self) -> tuple[int, ...]:
        """Tell the ranges above ``upto``: first, last, first, last, …, ascending."""
        return tuple(edge for pair in sorted(self._starts.items()) for edge in pair) if self._starts else ()


def within(number: int, ranges: Sequence[int]) -> bool:
    """Whether a number is in one of the ascending ranges (first, last, first, last, …)."""
    at = bisect_right(ranges, number)
    return at % 2 == 1 or (at > 0 and ranges[at - 1] == number)
