"""The queue: no doubles, no two at once, later and later."""

import asyncio

import pytest

from rutta_operator.wiring.graph import Key
from rutta_operator.work import Work

A, B = Key("RuttaRouter", "default", "a"), Key("RuttaRouter", "default", "b")


async def test_a_key_waits_once():
    work = Work()
    work.extend([A, B, A, A])
    assert [await work.take(), await work.take()] == [A, B]
    assert len(work) == 2
    work.done(A)
    work.done(B)
    assert len(work) == 0


async def test_a_key_that_is_at_work_comes_again_only_when_it_is_done():
    work = Work()
    work.add(A)
    await work.take()
    work.extend([A, A])
    taking = asyncio.create_task(work.take())
    await asyncio.sleep(0)
    assert not taking.done()
    work.done(A)
    assert await taking == A
    work.done(A)
    assert len(work) == 0


async def test_each_failure_waits_longer_up_to_a_minute(monkeypatch):
    asked = []
    monkeypatch.setattr("random.uniform", lambda least, most: asked.append((least, most)) or most)
    work, delays = Work(), []
    for _ in range(12):
        work.add(A)
        await work.take()
        delays.append(work.failed(A))
        assert work.failures(A) == len(delays)
    assert set(asked) == {(0.5, 1.0)}, "each delay has jitter"
    assert delays[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert delays[-1] == 60.0
    work.add(A)
    await work.take()
    work.done(A)
    work.add(A)
    await work.take()
    assert work.failures(A) == 0
    assert work.failed(A) == pytest.approx(0.1)
    work.forget(A)


async def test_of_two_times_the_earlier_counts():
    work = Work()
    work.add_after(A, 60)
    work.add_after(A, 0)
    work.add_after(A, 60)
    assert await asyncio.wait_for(work.take(), 5) == A
    work.forget(A)


async def test_what_is_forgotten_does_not_come_again():
    work = Work()
    work.add_after(A, 0)
    work.forget(A)
    work.add_after(B, 0)
    assert await asyncio.wait_for(work.take(), 5) == B
    assert len(work) == 1
