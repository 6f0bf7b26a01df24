"""Requests that are too large go in halves; what comes after a failure keeps its place."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.errors import Reject, Retry
from rutta.message import Batch
from rutta.net.splitting import Tally, TooLarge, deliver


class Sized:
    """Stands for a batch where only its length counts."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


def tally(*sizes: int) -> Tally:
    return Tally([Sized(size) for size in sizes])  # type: ignore[misc]


class Server:
    """Takes at most ``limit`` numbers at once; raises what is planned for a number."""

    def __init__(self, limit: int = 1000, troubles: dict[int, Exception] | None = None) -> None:
        self.limit = limit
        self.troubles = troubles or {}
        self.taken: list[int] = []

    async def post(self, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        if len(numbers) > self.limit:
            raise TooLarge("too large")
        for number in numbers:
            if number in self.troubles:
                raise self.troubles[number]
        self.taken += numbers
        return ()


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6), limit=st.integers(1, 10))
async def test_everything_is_taken_once_and_in_order_whatever_the_limit(sizes: list[int], limit: int) -> None:
    server = Server(limit)
    outcome = await deliver(tally(*sizes), server.post)
    assert server.taken == list(range(sum(sizes)))
    assert not outcome.retry
    assert not outcome.rejected


async def test_one_event_that_is_too_large_is_rejected_alone(split_outcome: Callable[..., Any]) -> None:
    server = Server(troubles={4: TooLarge("413")})
    assert split_outcome(await deliver(tally(3, 0, 4), server.post)) == ([], [(2, 1)])
    assert server.taken == [0, 1, 2, 3, 5, 6]


async def test_what_comes_after_a_failure_is_tried_again_too(split_outcome: Callable[..., Any]) -> None:
    server = Server(2, {3: Retry("busy", after=7.0)})
    outcome = await deliver(tally(2, 6), server.post)
    assert server.taken == [0, 1]
    assert split_outcome(outcome) == ([(1, row) for row in range(6)], [])
    assert outcome.after == 7.0


async def test_a_part_that_is_rejected_does_not_stop_the_others(split_outcome: Callable[..., Any]) -> None:
    server = Server(2, {3: Reject("no")})
    assert split_outcome(await deliver(tally(6), server.post, most=2)) == ([], [(0, 2), (0, 3)])
    assert server.taken == [0, 1, 4, 5]


@pytest.mark.parametrize("trouble", [Retry("busy"), Reject("no")])
async def test_what_is_said_of_all_events_goes_to_the_caller(trouble: Exception) -> None:
    with pytest.raises(type(trouble)):
        await deliver(tally(3), Server(troubles={0: trouble}).post)


async def test_what_a_post_leaves_is_sent_next_in_its_order() -> None:
    seen: list[list[int]] = []

    async def post(numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        seen.append(list(numbers))
        return [[0, 2], [3]] if len(numbers) == 4 else ()

    await deliver(tally(4), post)
    assert seen == [[0, 1, 2, 3], [0, 2], [3]]


def test_numbers_are_told_by_batch_and_row_over_empty_batches(batch: Callable[..., Batch]) -> None:
    one = tally(0, 2, 0, 0, 1)
    one.reject([0, 1, 2], "x")
    assert [(lost.batch, lost.row) for lost in one.outcome().rejected] == [(1, 0), (1, 1), (4, 0)]
