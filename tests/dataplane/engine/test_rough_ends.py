"""Rough ends: targets that break in odd places, reloads that come fast or fail half-way, stops amid them."""

import asyncio
from types import SimpleNamespace

import pytest

from rutta import intake
from rutta.delivery import RetryPolicy
from rutta.errors import ConfigError, Retry
from rutta.message import Receipt
from rutta.targets import Lost, Outcome


async def finish(delivery):
    task = asyncio.create_task(delivery.run())
    await asyncio.wait_for(delivery.drain(), 10)
    task.cancel()
    await asyncio.wait({task})
    return task


async def test_an_outcome_that_names_what_was_not_sent_is_a_bug_and_ends_nothing(make_delivery, told, make_batch):
    delivery = make_delivery(told([Outcome(retry=[Lost(7, 0, "?")]), Outcome(rejected=[Lost(0, 9, "?")])]))
    delivery.put(make_batch("a"), Receipt(1))
    await finish(delivery)
    assert delivery.stats.delivered == 1
    assert delivery.stats.restarts == 2


async def test_an_event_named_twice_is_counted_once(make_delivery, told, make_batch):
    delivery = make_delivery(told([Outcome(rejected=[Lost(0, 0, "bad"), Lost(0, 0, "bad")])]))
    delivery.put(make_batch("a", "b"), Receipt(1))
    await finish(delivery)
    assert (delivery.stats.delivered, delivery.stats.dropped) == (1, {"rejected": 1})


async def test_a_target_that_cannot_be_closed_ends_alone(make_delivery, told, make_batch):
    class Stuck(told):
        async def close(self):
            raise OSError("no")

    delivery = make_delivery(Stuck())
    delivery.put(make_batch("a"), Receipt(1))
    task = await finish(delivery)
    assert task.cancelled()
    assert delivery.stats.delivered == 1


async def test_a_stop_does_not_wait_out_a_pause_between_tries(make_delivery, told, make_batch):
    target = told([Retry("down")])
    delivery = make_delivery(target, retry=RetryPolicy(3600, 3600))
    delivery.put(make_batch("a"), Receipt(1))
    task = asyncio.create_task(delivery.run())
    while delivery.breaker.state != "Retrying":
        await asyncio.sleep(0)
    await asyncio.wait_for(delivery.drain(), 10)
    assert delivery.stats.delivered == 1
    task.cancel()
    await asyncio.wait({task})


async def test_receipts_of_a_target_that_is_taken_out_end_and_those_at_shutdown_do_not(make_delivery, told, make_batch):
    for release in (True, False):
        target = told()
        target.hold = asyncio.Event()
        delivery = make_delivery(target)
        receipts = [Receipt(1), Receipt(1)]
        task = asyncio.create_task(delivery.run())
        delivery.put(make_batch("sent"), receipts[0])
        while not target.sent:
            await asyncio.sleep(0)
        delivery.put(make_batch("waiting"), receipts[1])
        for receipt in receipts:
            receipt.release()
        task.cancel()
        await asyncio.wait({task})
        assert delivery.abandon(release=release) == 2
        assert [receipt.done for receipt in receipts] == [release, release]
        assert delivery.stats.dropped == {"shutdown": 2}


async def test_what_was_computed_for_a_target_goes_when_it_is_done(make_delivery, told, make_batch):
    """Another target may hold the batch for long; its queue is charged for the lines, not for our encodings."""
    batch = make_batch("a")
    delivery = make_delivery(told([lambda batches: batches[0].memo.update(x=b"large") or Outcome()]))
    delivery.put(batch, Receipt(1))
    await finish(delivery)
    assert batch.memo == {}


async def test_a_codec_that_raises_is_an_error_of_the_input(engine, running):
    async with running(engine.config("a")) as router:
        engine.codec.decode = lambda *_: 1 / 0
        receipt = engine.listeners[0].say("x")
        assert (receipt.count, receipt.failed, receipt.done) == (0, 1, True)
        assert router.ears["in"].stats.errors == {"codec": 1}


async def test_inputs_that_are_no_events_are_told_at_once_and_then_once_a_minute(engine, running, caplog, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(intake, "time", SimpleNamespace(monotonic=lambda: now))

    def told():
        found = [record.getMessage() for record in caplog.records if record.name == "rutta.intake"]
        caplog.clear()
        return found

    async with running(engine.config("a")) as router:
        (listener,) = engine.listeners
        listener.say("!x")
        assert told() == [
            "Listener in: 1 input was no event: !x; all are counted in rutta_decode_errors_total.",
        ]
        listener.say("!x")
        listener.intake.refuse("oversize", 4)
        assert told() == []
        now += intake.QUIET
        listener.say("!x")
        (line,) = told()
        assert line.startswith("Listener in: 6 inputs were no events, the last: !x;")
        assert router.ears["in"].stats.errors == {"malformed": 3, "oversize": 4}


async def test_two_fast_reloads_never_open_a_target_twice_and_conserve_its_events(engine, running, until):
    configs = [engine.config("a", tags=[1]), engine.config("a", tags=[2])]
    async with running(engine.config("a", drain=5), reload=lambda: configs.pop(0)) as router:
        first = engine.targets["a", 0]
        first.hold = asyncio.Event()
        engine.listeners[0].say("one")
        await until(lambda: first.sent)
        assert await router.reload()
        assert await router.reload()
        for _ in range(50):
            await asyncio.sleep(0)
        assert engine.targets["a", 1].opened == engine.targets["a", 2].opened == 0
        (status,) = router.status()["targets"]
        assert (status["received"], status["delivered"], status["held"]) == (1, 0, 1)
        first.hold.set()
        await until(lambda: engine.targets["a", 2].opened)
        assert first.closed == 1
        (status,) = router.status()["targets"]
        assert (status["received"], status["delivered"], status["held"]) == (1, 1, 0)


async def test_a_reload_whose_listener_cannot_be_bound_brings_the_old_one_back(engine, running):
    """The new listener wants the old one's port, so the old one is closed for it; it is bound and served again."""
    new = engine.config("a", listeners=(("in", 1), ("more", -1)))
    configs = [new, engine.config("a", listeners=(("in", 1),))]
    async with running(engine.config("a", listeners=(("in", 1),)), reload=lambda: configs.pop(0)) as router:
        assert not await router.reload()
        assert engine.listeners[0].say("x").count == 1
        assert await router.reload()
        assert engine.listeners[0].say("y").count == 1


async def test_any_exception_of_a_reload_is_told_and_the_next_reload_works(engine, running):
    def read():
        if not told:
            told.append(1)
            raise TypeError("a key that is no text")
        return engine.config("a", "b")

    told = []
    async with running(engine.config("a"), reload=read) as router:
        assert not await router.reload()
        assert "a key that is no text" in router.status()["reload"]["error"]
        assert await router.reload()
        assert set(router.lanes.by_name) == {"a", "b"}


async def test_a_stop_in_the_middle_of_a_reload_ends_the_process(engine, running):
    binding, go_on = asyncio.Event(), asyncio.Event()

    async def slow(self):
        binding.set()
        await go_on.wait()
        return ["127.0.0.1:9"]

    config = engine.config("a", listeners=(("in", 1), ("more", 9)))
    async with running(engine.config("a"), reload=lambda: config) as router:
        engine.listener.bind = slow
        reload = asyncio.create_task(router.reload())
        await asyncio.wait_for(binding.wait(), 5)
        router.ready = False  # what a stop does first
        go_on.set()
        assert not await asyncio.wait_for(reload, 5)
        assert router.lanes.by_name["a"].entry == router.config.targets[0]
        router.ready = True
    assert all(one.stopped.is_set() for one in engine.listeners)


@pytest.mark.parametrize("tag", [-1])
async def test_a_start_that_fails_says_why(engine, running, tag):
    with pytest.raises(ConfigError, match="is taken"):
        async with running(engine.config("a", listeners=(("in", tag),))):
            pass
