"""Delivery: what a target answers becomes delivered, tried again or dropped, and every event is counted once."""

import asyncio
import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rutta.delivery import RetryPolicy
from rutta.errors import Reject, Retry
from rutta.message import Receipt
from rutta.targets import Gathering, Lost, Outcome


@contextlib.asynccontextmanager
async def running(delivery):
    task = asyncio.create_task(delivery.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def finish(delivery):
    async with running(delivery):
        await asyncio.wait_for(delivery.drain(), 10)


def conserved(delivery):
    stats = delivery.stats
    return stats.received == stats.delivered + stats.dropped.total() + delivery.queue.events


async def test_delivered_events_are_counted_and_the_receipt_is_done(make_delivery, told, make_batch):
    target, receipt = told(), Receipt(2)
    delivery = make_delivery(target)
    delivery.put(make_batch("a", "b"), receipt)
    receipt.release()
    assert not receipt.done
    await finish(delivery)
    assert receipt.done
    assert (delivery.stats.received, delivery.stats.delivered) == (2, 2)
    assert (target.opened, target.closed) == (1, 1)
    assert delivery.breaker.state == "Healthy"


async def test_several_batches_become_one_send(make_delivery, told, make_batch):
    target = told()
    delivery = make_delivery(target)
    for name in "abc":
        delivery.put(make_batch(name), Receipt(1))
    await finish(delivery)
    assert target.sent == [["a", "b", "c"]]


async def test_retry_keeps_all_and_tries_again(make_delivery, told, make_batch):
    target = told([Retry("busy"), Retry("busy")])
    delivery = make_delivery(target)
    delivery.put(make_batch("a"), Receipt(1))
    await finish(delivery)
    assert target.sent == [["a"], ["a"], ["a"]]
    assert delivery.stats.retries == 2
    assert "busy" in delivery.stats.last_error


async def test_reject_drops_the_batches_and_counts_them(make_delivery, told, make_batch):
    receipt = Receipt(2)
    delivery = make_delivery(told([Reject("no such index")]))
    delivery.put(make_batch("a", "b"), receipt)
    receipt.release()
    await finish(delivery)
    assert delivery.stats.dropped == {"rejected": 2}
    assert receipt.done


async def test_an_outcome_splits_good_from_bad_and_never_sends_the_good_again(make_delivery, told, make_batch):
    answer = Outcome(retry=[Lost(0, 1, "later")], rejected=[Lost(1, 0, "bad")], after=0.0)
    target = told([answer])
    delivery = make_delivery(target)
    delivery.put(make_batch("a", "b", "c"), Receipt(3))
    delivery.put(make_batch("d", "e"), Receipt(2))
    await finish(delivery)
    assert target.sent == [["a", "b", "c", "d", "e"], ["b"]]
    assert sorted(target.delivered) == ["a", "b", "c", "e"]
    assert delivery.stats.dropped == {"rejected": 1}
    assert conserved(delivery)


async def test_the_outcome_names_the_reason_of_its_drops(make_delivery, told, make_batch):
    delivery = make_delivery(told([Outcome(rejected=[Lost(0, 0, "peer died")], word="possibly_lost")]))
    delivery.put(make_batch("a"), Receipt(1))
    await finish(delivery)
    assert delivery.stats.dropped == {"possibly_lost": 1}


async def test_a_bug_opens_the_target_again_and_gives_up_only_the_poison_batch(make_delivery, told, make_batch):
    def answer(batches):
        return ValueError("bug") if any("poison" in batch.rows.names for batch in batches) else Outcome()

    target = told([answer] * 20)
    delivery = make_delivery(target)
    for name in ("a", "poison", "b"):
        delivery.put(make_batch(name), Receipt(1))
    await finish(delivery)
    assert sorted(target.delivered) == ["a", "b"]
    assert delivery.stats.dropped == {"poison": 1}
    assert target.opened == delivery.stats.restarts + 1 == 4


async def test_a_target_that_cannot_be_opened_is_tried_again(make_delivery, told, make_batch):
    class Shut(told):
        async def open(self):
            await super().open()
            if self.opened < 4:
                raise Retry("refused")

    target = Shut()
    delivery = make_delivery(target)
    delivery.put(make_batch("a"), Receipt(1))
    await finish(delivery)
    assert target.delivered == ["a"]
    assert target.opened == 4


async def test_the_circuit_opens_after_repeated_failures_and_closes_on_success(make_delivery, told, make_batch):
    states = []
    target = told([lambda batches: states.append(delivery.breaker.state) or Retry("down")] * 7)
    delivery = make_delivery(target)
    delivery.put(make_batch("a"), Receipt(1))
    await finish(delivery)
    assert states[0] == "Healthy"
    assert set(states[1:5]) == {"Retrying"}
    assert set(states[5:]) == {"CircuitOpen"}
    assert delivery.breaker.state == "Healthy"


async def test_an_open_circuit_lets_one_sender_probe(make_delivery, told, make_batch):
    under_way, most = 0, 0

    class Probed(told):
        async def send(self, batches):
            nonlocal under_way, most
            under_way += 1
            if delivery.breaker.state == "CircuitOpen":
                most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return await super().send(batches)

    delivery = make_delivery(
        Probed([Retry("down")] * 30), gathering=Gathering(max_events=1, max_delay=0, concurrency=4)
    )
    for name in "abcdefgh":
        delivery.put(make_batch(name), Receipt(1))
    await finish(delivery)
    assert most == 1
    assert delivery.stats.delivered == 8


async def test_an_event_past_its_budget_is_given_up(make_delivery, told, make_batch):
    delivery = make_delivery(told([Retry("down")] * 1000), retry=RetryPolicy(0.0001, 0.001, budget=0.01))
    delivery.put(make_batch("a"), Receipt(1))
    await finish(delivery)
    assert delivery.stats.dropped == {"retry_budget": 1}


async def test_what_the_other_side_asks_for_is_waited(make_delivery, told, make_batch):
    waited = []
    delivery = make_delivery(told([Retry("slow down", after=0.05)]))
    failure = delivery.breaker.failure
    delivery.breaker.failure = lambda after=None: waited.append(failure(after)) or waited[-1]
    delivery.put(make_batch("a"), Receipt(1))
    await finish(delivery)
    assert waited == [0.05]


async def test_what_a_full_queue_drops_is_counted_under_its_policy(make_delivery, told, make_batch):
    for policy, word in (("DropNewest", "queue_full_newest"), ("DropOldest", "queue_full_oldest")):
        delivery = make_delivery(told(), limit=250, when_full=policy)
        for name in "abc":
            delivery.put(make_batch(name), Receipt(1))
        assert delivery.stats.dropped == {word: 1}
        assert conserved(delivery)
        await finish(delivery)
        assert delivery.stats.delivered == 2


async def test_what_is_left_at_the_end_is_counted_and_its_receipt_never_done(make_delivery, told, make_batch):
    target, receipt = told(), Receipt(1)
    target.hold = asyncio.Event()
    delivery = make_delivery(target)
    delivery.put(make_batch("a"), receipt)
    delivery.put(make_batch("b"), Receipt(1))
    receipt.release()
    async with running(delivery):
        while not target.sent:
            await asyncio.sleep(0)
    assert delivery.abandon() == 2
    assert delivery.stats.dropped == {"shutdown": 2}
    assert not receipt.done
    assert conserved(delivery)


@pytest.mark.parametrize("concurrency", [1, 3])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_events_are_conserved_whatever_the_target_answers(concurrency, told, make_batch, make_delivery, data):
    """Received = delivered + dropped + held at every send, for any mix of answers, and all are settled at the end."""
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=12))
    seen = []

    def answer(kind):
        def reply(batches):
            seen.append(conserved(delivery))
            if kind == "retry":
                return Retry("later")
            if kind == "reject":
                return Reject("never")
            if kind == "bug":
                return ValueError("bug")
            if kind == "split":
                rows = [(at, row) for at, batch in enumerate(batches) for row in range(len(batch))]
                return Outcome(
                    retry=[Lost(at, row, "later") for at, row in rows[::3]],
                    rejected=[Lost(at, row, "never") for at, row in rows[1::3]],
                )
            return Outcome()

        return reply

    kinds = data.draw(st.lists(st.sampled_from(["retry", "reject", "bug", "split", "ok"]), max_size=15))
    target = told([answer(kind) for kind in kinds])
    gathering = Gathering(max_events=data.draw(st.integers(1, 8)), max_delay=0, concurrency=concurrency)
    delivery = make_delivery(target, gathering=gathering, when_full=data.draw(st.sampled_from(["Block", "DropOldest"])))
    receipts = []

    async def scenario():
        for number, size in enumerate(sizes):
            receipt = Receipt(size)
            delivery.put(make_batch(*(f"{number}.{row}" for row in range(size))), receipt)
            receipt.release()
            receipts.append(receipt)
        await finish(delivery)

    asyncio.run(scenario())
    assert all(seen)
    assert conserved(delivery)
    assert delivery.queue.events == delivery.queue.bytes == 0
    assert all(receipt.done for receipt in receipts)
    assert len(target.delivered) == len(set(target.delivered)) == delivery.stats.delivered
