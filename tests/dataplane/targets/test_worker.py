"""The thread behind a target: jobs in order, errors to the one who waits, and an end that does not hang."""

import asyncio
import threading
from functools import partial

import pytest

from rutta.disk.worker import Worker


async def test_jobs_run_in_order_on_one_thread_that_is_not_ours() -> None:
    worker = Worker("w")
    seen: list[tuple[int, int]] = []

    def note(number: int) -> None:
        seen.append((number, threading.get_ident()))

    await asyncio.gather(*(worker.run(partial(note, number)) for number in range(20)))
    worker.stop()
    assert [number for number, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen} | {threading.get_ident()}) == 2


async def test_what_a_job_raises_goes_to_the_one_who_waits_and_the_next_job_runs() -> None:
    worker = Worker("w")
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 / 0)
    assert await worker.run(lambda: 7) == 7
    worker.stop()


async def test_a_job_given_up_before_its_turn_is_not_run() -> None:
    worker, gate, ran = Worker("w"), threading.Event(), []
    first = asyncio.create_task(worker.run(lambda: gate.wait(5)))
    second = asyncio.create_task(worker.run(lambda: ran.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    assert await first
    assert await worker.run(lambda: list(ran)) == []
    worker.stop()


async def test_after_its_end_it_takes_no_job() -> None:
    worker = Worker("w")
    await worker.run(bool)
    worker.stop()
    with pytest.raises(RuntimeError, match="has ended"):
        await worker.run(bool)


def test_a_job_that_ends_after_its_loop_harms_nobody() -> None:
    worker, gate, done = Worker("w"), threading.Event(), threading.Event()

    async def leave() -> None:
        task = asyncio.create_task(worker.run(lambda: gate.wait(5)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    gate.set()
    worker.submit(done.set)
    assert done.wait(5)
    worker.stop()
