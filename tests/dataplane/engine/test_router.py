"""The engine as a whole, with a listener and targets that do as told: start, back-pressure, reload, stop."""

import asyncio

import pytest

from rutta.config import Match, Route
from rutta.errors import ConfigError, Retry


async def test_every_target_gets_every_event(engine, running, until):
    async with running(engine.config("a", "b")):
        receipt = engine.listeners[0].say("x y z")
        await asyncio.wait_for(receipt.wait(), 5)
    assert engine.targets["a", 0].delivered == engine.targets["b", 0].delivered == ["x", "y", "z"]


async def test_a_receipt_is_done_when_the_last_target_is(engine, running, until):
    async with running(engine.config("a", "b")):
        engine.targets["b", 0].hold = asyncio.Event()
        receipt = engine.listeners[0].say("x")
        await until(lambda: engine.targets["a", 0].delivered)
        assert not receipt.done
        engine.targets["b", 0].hold.set()
        await asyncio.wait_for(receipt.wait(), 5)


async def test_bad_inputs_are_counted_and_told_and_the_good_go_on(engine, running, until):
    async with running(engine.config("a")) as router:
        receipt = engine.listeners[0].say("x !bad y")
        assert (receipt.count, receipt.failed, receipt.errors[0].row) == (2, 1, 1)
        assert engine.listeners[0].say("x !bad", atomic=True).count == 0
        stats = router.ears["in"].stats
        assert (stats.received, stats.errors) == (2, {"malformed": 2})


async def test_an_unknown_codec_of_a_block_is_an_error_and_no_crash(engine, running, until):
    async with running(engine.config("a")) as router:
        receipt = engine.listeners[0].say("x y", codec="os.path", count=2)
        assert (receipt.count, receipt.failed) == (0, 2)
        assert router.ears["in"].stats.errors == {"codec": 2}


async def test_back_pressure_is_exact(engine, running, until):
    """A stalled target takes what its queue holds, then all listeners are told to stop; they go on below low water."""
    async with running(engine.config("a", limit=1000, listeners=(("in", 1), ("other", 2)))) as router:
        target = engine.targets["a", 0]
        target.hold = asyncio.Event()
        taken = 0
        while not engine.listeners[0].intake.full:
            engine.listeners[0].say(f"{taken}")
            taken += 1
        assert taken == 10
        assert engine.listeners[1].intake.full
        room = asyncio.create_task(engine.listeners[1].intake.room())
        await until(lambda: target.sent)
        assert not room.done()
        target.hold.set()
        await asyncio.wait_for(room, 5)
        assert not engine.listeners[0].intake.full
        assert router.lanes.by_name["a"].stats.dropped.total() == 0


async def test_one_dead_target_with_drop_newest_does_not_slow_the_others(engine, running, until):
    """One of five is a black hole: the others get every event, and the senders are never held back."""
    config = engine.config("dead", "b", "c", "d", "e", limit=2000, when_full="DropNewest", drain=0.2)
    async with running(config) as router:
        engine.targets["dead", 0].hold = asyncio.Event()
        for number in range(500):
            engine.listeners[0].say(f"{number}")
            assert not engine.listeners[0].intake.full
            if number % 10 == 9:
                others = [engine.targets[name, 0] for name in "bcde"]
                await until(lambda: all(len(one.delivered) == number + 1 for one in others))  # noqa: B023
        dead = router.lanes.by_name["dead"]
        assert dead.stats.dropped == {"queue_full_newest": 480}
        assert dead.queue.events == 20
    assert router.left == 20
    assert dead.stats.received == dead.stats.delivered + dead.stats.dropped.total() == 500


async def test_routes_decide_and_what_no_route_takes_is_counted_per_target(engine, running, until):
    routes = [Route(["a"], Match(name="shop.*")), Route(["b"])]
    async with running(engine.config("a", "b", routes=routes)) as router:
        receipt = engine.listeners[0].say("shop.1 bank.1")
        await asyncio.wait_for(receipt.wait(), 5)
        lane = router.lanes.by_name["a"]
        assert engine.targets["a", 0].delivered == ["shop.1"]
        assert (lane.stats.received, lane.stats.delivered, lane.stats.dropped) == (2, 1, {"unrouted": 1})
        assert engine.targets["b", 0].delivered == ["shop.1", "bank.1"]


async def test_codecs_are_asked_for_what_routes_and_targets_read_and_nothing_else(engine, running, until):
    async with running(engine.config("a")):
        engine.listeners[0].say("x")
    async with running(engine.config("a", routes=[Route(["a"], Match(min_level="warn"))])):
        engine.listeners[-1].say("x.1")
    assert engine.codec.seen_columns == [frozenset(), frozenset({"level"})]


async def test_a_binding_that_fails_ends_the_start_with_its_reason(engine, running, until):
    with pytest.raises(ConfigError, match="in is taken"):
        async with running(engine.config("a", listeners=(("fine", 1), ("in", -1)))):
            pass
    assert engine.listeners[0].stopped.is_set()


async def test_a_bug_of_a_listener_does_not_end_it(engine, running, until, monkeypatch):
    monkeypatch.setattr("rutta.ears.RESTART_AFTER", 0)
    async with running(engine.config("a")) as router:
        ear = router.ears["in"]
        first = engine.listeners[0]
        first.bug = ValueError("bug")
        ear.task.cancel()
        await asyncio.wait({ear.task})
        ear.task = asyncio.create_task(router._ears.keep_serving(ear))
        await until(lambda: len(engine.listeners) == 2 and engine.listeners[1].intake is not None)
        assert engine.listeners[1].say("x").count == 1
        assert ear.stats.restarts == 1


async def test_what_is_held_is_delivered_before_the_process_ends(engine, running, until):
    async with running(engine.config("a")) as router:
        engine.targets["a", 0].answers = [Retry("later"), Retry("later")]
        engine.listeners[0].say("x y z")
    assert router.left == 0
    assert engine.targets["a", 0].delivered == ["x", "y", "z"]
    assert engine.targets["a", 0].closed == 1


async def test_what_cannot_be_delivered_in_time_is_counted(engine, running, until):
    async with running(engine.config("a", drain=0.1)) as router:
        engine.targets["a", 0].hold = asyncio.Event()
        engine.listeners[0].say("x y")
    assert router.left == 2
    assert router.lanes.by_name["a"].stats.dropped == {"shutdown": 2}


async def test_a_reload_adds_and_removes_targets_and_keeps_the_rest(engine, running, until):
    new = engine.config("b", "c")
    async with running(engine.config("a", "b"), reload=lambda: new) as router:
        engine.listeners[0].say("one")
        assert await router.reload()
        receipt = engine.listeners[0].say("two")
        await asyncio.wait_for(receipt.wait(), 5)
        assert len(engine.listeners) == 1
        assert not engine.listeners[0].stopped.is_set()
        await until(lambda: engine.targets["a", 0].closed == 1)
    assert engine.targets["a", 0].delivered == ["one"]
    assert engine.targets["b", 0].delivered == ["one", "two"]
    assert engine.targets["b", 0].opened == 1
    assert engine.targets["c", 0].delivered == ["two"]


async def test_a_changed_target_opens_when_the_old_one_has_closed_and_loses_nothing(engine, running, until):
    new = engine.config("a", tags=[7])
    async with running(engine.config("a"), reload=lambda: new) as router:
        old = engine.targets["a", 0]
        old.hold = asyncio.Event()
        engine.listeners[0].say("one")
        await until(lambda: old.sent)
        assert await router.reload()
        engine.listeners[0].say("two")
        fresh = engine.targets["a", 7]
        for _ in range(20):
            await asyncio.sleep(0)
        assert fresh.opened == 0
        old.hold.set()
        await until(lambda: fresh.delivered)
        stats = router.lanes.by_name["a"].stats
        assert (stats.received, stats.delivered) == (2, 2)
    assert (old.delivered, fresh.delivered) == (["one"], ["two"])


async def test_a_broken_reload_keeps_the_old_and_says_so(engine, running, until):
    def broken():
        raise ConfigError("targets[0]: has no component")

    async with running(engine.config("a"), reload=broken) as router:
        assert not await router.reload()
        assert not router.status()["reload"]["ok"]
        assert "no component" in router.status()["reload"]["error"]
        await asyncio.wait_for(engine.listeners[0].say("x").wait(), 5)
    assert engine.targets["a", 0].delivered == ["x"]


async def test_a_reload_binds_new_listeners_and_a_failing_one_changes_nothing(engine, running, until):
    configs = [engine.config("a", listeners=(("in", 1), ("more", 2))), engine.config("a", listeners=(("bad", -1),))]
    async with running(engine.config("a"), reload=lambda: configs.pop(0)) as router:
        assert await router.reload()
        await asyncio.wait_for(engine.listeners[1].serving.wait(), 5)
        assert engine.listeners[1].say("x").count == 1
        assert not await router.reload()
        assert set(router.ears) == {"in", "more"}
        assert not engine.listeners[0].stopped.is_set()


async def test_status_tells_listeners_targets_and_the_configuration(engine, running, until):
    async with running(engine.config("a")) as router:
        await asyncio.wait_for(engine.listeners[0].say("x !y").wait(), 5)
        status = router.status()
    assert status["listeners"][0]["bindings"] == ["127.0.0.1:1"]
    assert status["listeners"][0]["received"] == 1
    assert status["listeners"][0]["fake"]
    target = status["targets"][0]
    assert (target["name"], target["state"], target["delivered"], target["held"]) == ("a", "Healthy", 1, 0)


async def test_status_tells_the_trouble_of_a_target_in_words_that_stay_until_it_is_well(engine, running, until):
    told = []
    async with running(engine.config("a")) as router:

        def look(_):
            told.append(router.status()["targets"][0]["trouble"])
            return Retry("401 Unauthorized", after=0)

        engine.targets["a", 0].answers = [look, look, look]
        await asyncio.wait_for(engine.listeners[0].say("x").wait(), 5)
        (target,) = router.status()["targets"]
    assert told == ["", "401 Unauthorized", "401 Unauthorized"]
    assert (target["state"], target["trouble"]) == ("Healthy", "")
    assert "tried again in" in target["lastError"]
