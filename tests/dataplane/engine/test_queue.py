"""The queue: bytes bound it, its policy says what happens when it is full, and nothing leaves it uncounted."""

import asyncio

import pytest

from rutta.message import Receipt
from rutta.queue import Item, Queue
from rutta.targets import Gathering

NOW = Gathering(max_delay=0)


def item(batch):
    return Item(batch, Receipt(len(batch)))


def names(items):
    return [name for one in items for name in one.batch.rows.names]


def test_block_takes_everything_and_turns_full_at_the_limit(make_batch):
    queue = Queue(300, "Block")
    assert queue.put(item(make_batch("a", "b"))) == []
    assert not queue.full
    assert queue.put(item(make_batch("c"))) == []
    assert queue.full
    assert (queue.bytes, queue.events) == (300, 3)


def test_block_has_room_again_below_low_water_and_says_so_once(make_batch):
    told = []
    queue = Queue(400, "Block", on_room=lambda: told.append(queue.bytes))
    batches = [make_batch(name) for name in "abcd"]
    for batch in batches:
        queue.put(item(batch))
    queue.finish(batches[0])
    assert not queue.full
    queue.finish(batches[1])
    assert told == [300]


def test_drop_newest_refuses_what_has_no_place(make_batch):
    queue = Queue(250, "DropNewest")
    queue.put(item(make_batch("a", "b")))
    (lost,) = queue.put(item(make_batch("c")))
    assert lost.batch.rows.names == ["c"]
    queue.finish(lost.batch)
    assert (queue.bytes, queue.events) == (200, 2)


def test_drop_newest_takes_one_batch_larger_than_the_limit_when_it_is_empty(make_batch):
    queue = Queue(10, "DropNewest")
    assert queue.put(item(make_batch("a"))) == []


def test_drop_oldest_makes_place_for_the_new(make_batch):
    queue = Queue(250, "DropOldest")
    queue.put(item(make_batch("a")))
    queue.put(item(make_batch("b")))
    lost = queue.put(item(make_batch("c", "d")))
    assert names(lost) == ["a", "b"]


async def test_drop_oldest_never_takes_out_what_is_being_sent(make_batch):
    queue = Queue(150, "DropOldest")
    queue.put(item(make_batch("a")))
    sending = await queue.gather(NOW)
    assert names(queue.put(item(make_batch("b")))) == []
    assert names(queue.put(item(make_batch("c")))) == ["b"]
    assert names(sending) == ["a"]


async def test_gather_takes_several_batches_up_to_its_limits(make_batch):
    queue = Queue(10_000, "Block")
    for name in "abcde":
        queue.put(item(make_batch(name)))
    assert names(await queue.gather(NOW._replace(max_events=2))) == ["a", "b"]
    assert names(await queue.gather(NOW._replace(max_bytes=200))) == ["c", "d"]
    assert names(await queue.gather(NOW)) == ["e"]


async def test_a_batch_with_too_many_events_is_cut_under_one_receipt(make_batch):
    queue = Queue(10_000, "Block")
    receipt = Receipt(3)
    receipt.hold()
    queue.put(Item(make_batch("a", "b", "c"), receipt))
    receipt.release()
    for expected in (["a", "b"], ["c"]):
        (one,) = await queue.gather(NOW._replace(max_events=2))
        assert one.batch.rows.names == expected
        assert not receipt.done
        queue.finish(one.batch)
        one.receipt.release()
    assert receipt.done
    assert (queue.bytes, queue.events) == (0, 0)


async def test_gather_waits_for_more_until_there_is_enough(make_batch):
    queue = Queue(10_000, "Block")
    gathering = Gathering(max_events=3, max_delay=30)
    task = asyncio.create_task(queue.gather(gathering))
    for name in "abc":
        await asyncio.sleep(0)
        assert not task.done()
        queue.put(item(make_batch(name)))
    assert names(await asyncio.wait_for(task, 5)) == ["a", "b", "c"]


async def test_gather_waits_no_longer_than_its_delay_and_not_at_all_in_a_hurry(make_batch):
    queue = Queue(10_000, "Block")
    queue.put(item(make_batch("a")))
    assert names(await asyncio.wait_for(queue.gather(Gathering(max_delay=0.001)), 5)) == ["a"]
    queue.put(item(make_batch("b")))
    task = asyncio.create_task(queue.gather(Gathering(max_delay=3600)))
    await asyncio.sleep(0)
    queue.hasten()
    assert names(await asyncio.wait_for(task, 5)) == ["b"]


async def test_a_cancelled_gather_takes_nothing(make_batch):
    queue = Queue(10_000, "Block")
    queue.put(item(make_batch("a")))
    task = asyncio.create_task(queue.gather(Gathering(max_delay=3600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names(await queue.gather(NOW)) == ["a"]


async def test_idle_returns_when_the_last_event_is_finished(make_batch):
    queue = Queue(10_000, "Block")
    batch = make_batch("a")
    queue.put(item(batch))
    task = asyncio.create_task(queue.idle())
    await asyncio.sleep(0)
    assert not task.done()
    queue.finish(batch)
    await asyncio.wait_for(task, 5)
