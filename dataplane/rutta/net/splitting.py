"""One send as requests: the events of several batches numbered through, and cut in halves while too large.

What became of each number is noted in a ``Tally``, which makes the ``Outcome``.
"""

import bisect
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence

from rutta.errors import Reject, Retry
from rutta.message import Batch
from rutta.targets import Lost, Outcome


class TooLarge(Reject):
    """The other side refuses a request for its size: half of it may do."""


class Tally:
    """Numbers the events of the batches of one send; what is noted of a number becomes its outcome."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        """Numbers run from 0 over all batches in order."""
        self._starts = list(itertools.accumulate((len(batch) for batch in batches), initial=0))
        self._retry: list[Lost] = []
        self._rejected: list[Lost] = []
        self._after: float | None = None

    def __len__(self) -> int:
        """Count the events of all batches."""
        return self._starts[-1]

    def retry(self, numbers: Iterable[int], reason: str, after: float | None = None) -> None:
        """Note that these are to be tried again, not before ``after`` seconds."""
        self._retry += self._lost(numbers, reason)
        if after is not None:
            self._after = max(after, self._after or 0.0)

    def reject(self, numbers: Iterable[int], reason: str) -> None:
        """Note that these will never be taken."""
        self._rejected += self._lost(numbers, reason)

    def _lost(self, numbers: Iterable[int], reason: str) -> list[Lost]:
        return [Lost(*self.place(number), reason) for number in numbers]

    def place(self, number: int) -> tuple[int, int]:
        """Return the batch of a number, and its row there."""
        batch = bisect.bisect_right(self._starts, number) - 1
        return batch, number - self._starts[batch]

    def outcome(self) -> Outcome:
        """Return the outcome; what nothing was noted of is delivered."""
        return Outcome(retry=tuple(self._retry), rejected=tuple(self._rejected), after=self._after)


Post = Callable[[Sequence[int]], Awaitable[Sequence[Sequence[int]]]]
"""Sends the events of these numbers; returns the numbers that are still to be sent, in groups."""


async def deliver(tally: Tally, post: Post, *, most: int | None = None, only: Sequence[int] | None = None) -> Outcome:
    """Post all numbers of ``tally`` in order, ``most`` at once, in halves where ``post`` raises ``TooLarge``.

    With ``only`` just these numbers. ``Retry`` keeps the order: what comes after it is tried again too. Raised by a
    request of all events, ``Retry`` and ``Reject`` go to the caller. ``post`` may note numbers in the tally itself.
    """
    wanted = range(len(tally)) if only is None else only
    count = len(wanted)
    step = most or max(1, count)
    todo: list[Sequence[int]] = [wanted[at : at + step] for at in reversed(range(0, count, step))]
    while todo:
        numbers = todo.pop()
        try:
            todo += reversed(await post(numbers))
        except TooLarge as exc:
            middle = len(numbers) // 2
            if middle:
                todo += [numbers[middle:], numbers[:middle]]
            else:
                tally.reject(numbers, str(exc))
        except Retry as exc:
            if len(numbers) == count:
                raise
            for left in [numbers, *reversed(todo)]:
                tally.retry(left, str(exc), exc.after)
            break
        except Reject as exc:
            if len(numbers) == count:
                raise
            tally.reject(numbers, str(exc))
    return tally.outcome()
