"""The link protocol against a model: any mix of loss, duplication, reordering, restarts and silence, at every step.

One sender with two receivers. Messages lie in two bags from which hypothesis takes, drops and copies them in any order.
At the end the network is made perfect, and everything must come to its end.
"""

import os
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rutta.link.incoming import Credit, Receiver
from rutta.link.outgoing import SenderPeer, State
from rutta.link.protocol import AT_LEAST_ONCE, AT_MOST_ONCE, Parcel, decode
from rutta.link.spread import Spread
from rutta.message import Origin, Receipt

HEARTBEAT = 1.0
CREDIT = Credit(size=4000, blocks=16)


class Handed:
    """What one life of a receiver was given."""

    def __init__(self, world: "World", place: int) -> None:
        self.world = world
        self.origins: Counter[Origin] = Counter()
        self.open: list[tuple[Origin, Receipt]] = []
        self.receiver = Receiver(
            self.offer,
            full=lambda: world.full,
            delivery=world.delivery,
            name=f"r{place}",
            credit=CREDIT,
            owing=lambda: None,
        )

    def offer(self, parcel: Parcel) -> Receipt:
        assert parcel.payload == b"x" * parcel.count
        self.origins[parcel.origin] += 1
        self.world.handed[parcel.origin] += 1
        receipt = Receipt(parcel.count)
        self.open.append((parcel.origin, receipt))
        return receipt

    def finish(self, at: int) -> None:
        origin, receipt = self.open.pop(at)
        self.world.finished.add(origin)
        receipt.release()


class World(RuleBasedStateMachine):
    """Two receivers, one sender, and a bad network."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.full = False
        self.limits: dict[bytes, int] = {}
        self.handed: Counter[Origin] = Counter()
        self.finished: set[Origin] = set()
        self.settled: dict[Origin, bool] = {}
        self.mine: set[Origin] = set()  # offered by the sender that lives
        self.to_receiver: list[tuple[int, bytes, tuple[bytes, ...]]] = []
        self.to_sender: list[tuple[int, bytes, tuple[bytes, ...]]] = []
        self.number = 0

    @initialize(delivery=st.sampled_from([AT_MOST_ONCE, AT_LEAST_ONCE]))
    def start(self, delivery: str) -> None:
        self.delivery = delivery
        self.receivers = [Handed(self, place) for place in (0, 1)]
        self.new_sender()
        self.network_works_for_a_while(10)

    def new_sender(self) -> None:
        self.spread = Spread(self.settle)
        self.peers = [SenderPeer(os.urandom(16), name="s", heartbeat=HEARTBEAT, now=self.now) for _ in (0, 1)]
        for peer in self.peers:
            self.spread.add(peer)
        self.mine.clear()
        self.connections = [os.urandom(5) for _ in (0, 1)]
        self.carry()

    def settle(self, parcel: Parcel, acknowledged: bool) -> None:
        origin = parcel.origin
        assert origin not in self.settled, "settled twice"
        self.settled[origin] = acknowledged
        if acknowledged:
            assert self.handed[origin] > 0
            assert self.delivery == AT_MOST_ONCE or origin in self.finished
        else:
            assert self.delivery == AT_MOST_ONCE

    def carry(self) -> None:
        """Put what was said into the network."""
        for place, peer in enumerate(self.peers):
            self.to_receiver += [(place, self.connections[place], frames) for frames in peer.out]
            peer.out.clear()
        for place, life in enumerate(self.receivers):
            life.receiver.flush()
            self.to_sender += [(place, identity, frames) for identity, frames in life.receiver.out]
            life.receiver.out.clear()

    def bring_to_receiver(self, at: int) -> None:
        place, identity, frames = self.to_receiver.pop(at)
        payload = frames[1] if len(frames) > 1 else b""
        self.receivers[place].receiver.receive(identity, decode(frames[0]), payload, self.now)
        self.carry()

    def bring_to_sender(self, at: int) -> None:
        place, identity, frames = self.to_sender.pop(at)
        peer = self.peers[place]
        if self.connections[place] == identity:  # else it was for a connection that is no more
            peer.receive(decode(frames[0]), self.now)
            self.spread.turn([peer])
        self.carry()

    @rule(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=6))
    def offer(self, sizes: list[int]) -> None:
        for size in sizes:
            self.offer_one(size)

    def offer_one(self, size: int) -> None:
        self.number += 1
        origin = Origin(b"m" * 16, self.number)
        self.mine.add(origin)
        self.spread.submit(Parcel(b"x" * size, codec="json", count=size, hop=1, origin=origin, received=1))
        self.carry()

    @precondition(lambda self: self.to_receiver)
    @rule(data=st.data())
    def receiver_gets_any(self, data: st.DataObject) -> None:
        self.bring_to_receiver(data.draw(st.integers(0, len(self.to_receiver) - 1)))

    @precondition(lambda self: self.to_sender)
    @rule(data=st.data())
    def sender_gets_any(self, data: st.DataObject) -> None:
        self.bring_to_sender(data.draw(st.integers(0, len(self.to_sender) - 1)))

    @rule(count=st.integers(1, 8))
    def network_works_shortly(self, count: int) -> None:
        self.network_works_for_a_while(count)

    @rule(count=st.integers(1, 12))
    def network_works_for_a_while(self, count: int) -> None:
        for _ in range(count):
            if self.to_receiver:
                self.bring_to_receiver(0)
            if self.to_sender:
                self.bring_to_sender(0)

    @precondition(lambda self: self.to_receiver)
    @rule(data=st.data(), twice=st.booleans())
    def lose_or_copy_to_receiver(self, data: st.DataObject, twice: bool) -> None:
        lose_or_copy(self.to_receiver, data.draw(st.integers(0, len(self.to_receiver) - 1)), twice=twice)

    @precondition(lambda self: self.to_sender)
    @rule(data=st.data(), twice=st.booleans())
    def lose_or_copy_to_sender(self, data: st.DataObject, twice: bool) -> None:
        lose_or_copy(self.to_sender, data.draw(st.integers(0, len(self.to_sender) - 1)), twice=twice)

    @rule(data=st.data(), place=st.integers(0, 1))
    def finish_a_block(self, data: st.DataObject, place: int) -> None:
        life = self.receivers[place]
        if life.open:
            life.finish(data.draw(st.integers(0, len(life.open) - 1)))
            self.carry()

    @rule(full=st.booleans())
    def targets_fill_or_empty(self, full: bool) -> None:
        self.full = full
        self.limits = {s.id: s.limit_blocks for life in self.receivers for s in life.receiver.sessions}
        if not full:
            for life in self.receivers:
                life.receiver.renew()
        self.carry()

    @rule(seconds=st.sampled_from([0.5, 1.0, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for peer in self.peers:
            peer.tick(self.now)
        self.spread.turn(self.peers)
        for life in self.receivers:
            life.receiver.tick(self.now)
        self.carry()

    @rule(place=st.integers(0, 1))
    def connection_breaks(self, place: int) -> None:
        """What was under way is lost; the next one has another identity, and nobody is told."""
        old = self.connections[place]
        self.connections[place] = os.urandom(5)
        self.to_receiver = [one for one in self.to_receiver if one[1] != old]
        self.to_sender = [one for one in self.to_sender if one[1] != old]

    @rule(sizes=st.lists(st.integers(1, 900), min_size=1, max_size=6), dies=st.booleans())
    def blocks_arrive_but_no_answer_returns(self, sizes: list[int], dies: bool) -> None:
        """The receiver dies with what it took, or is cut off until its sender believes it dead."""
        self.offer(sizes)
        while self.to_receiver:
            self.bring_to_receiver(0)
        self.to_sender.clear()
        if dies:
            self.receivers = [Handed(self, place) for place in (0, 1)]
            self.carry()
            return
        for _ in range(4):
            self.time_passes(1.0)
            self.to_sender.clear()

    @precondition(lambda self: self.settled or self.handed)
    @rule(place=st.integers(0, 1))
    def receiver_restarts(self, place: int) -> None:
        self.receivers[place] = Handed(self, place)

    @precondition(lambda self: len(self.settled) > 3)
    @rule(place=st.integers(0, 1))
    def receiver_leaves(self, place: int) -> None:
        self.receivers[place].receiver.leave()
        self.carry()

    @precondition(lambda self: len(self.settled) > 3)
    @rule()
    def sender_restarts(self) -> None:
        self.new_sender()

    @invariant()
    def nothing_is_handed_over_twice(self) -> None:
        if not hasattr(self, "receivers"):
            return
        if self.delivery == AT_MOST_ONCE:
            assert not [origin for origin, times in self.handed.items() if times > 1]
        for life in self.receivers:
            assert not [origin for origin, times in life.origins.items() if times > 1]

    @invariant()
    def a_sender_keeps_within_its_credit(self) -> None:
        for life in getattr(self, "receivers", ()):
            for session in life.receiver.sessions:
                assert session.blocks <= session.limit_blocks
                assert session.size < session.limit_size + 900 or session.size == 0
                if self.full:
                    assert session.limit_blocks == self.limits.setdefault(session.id, session.limit_blocks)

    def teardown(self) -> None:
        if not hasattr(self, "receivers"):
            return
        self.targets_fill_or_empty(full=False)
        for place, life in enumerate(self.receivers):
            if life.receiver.leaving:
                self.receivers[place] = Handed(self, place)
        for _ in range(12):
            self.network_works_for_a_while(1000)
            for life in self.receivers:
                while life.open:
                    life.finish(0)
            self.carry()
            self.network_works_for_a_while(1000)
            self.time_passes(1.0)
        assert not self.to_receiver or len(self.to_receiver) < 10
        assert all(peer.state is State.READY for peer in self.peers)
        assert all(origin in self.settled for origin in self.mine)
        if self.delivery == AT_LEAST_ONCE:
            assert all(self.settled[origin] for origin in self.mine)
        else:
            lost = sum(not self.settled[origin] for origin in self.mine)
            assert self.spread.possibly_lost == lost
            assert self.spread.acknowledged == len(self.mine) - lost
        assert all(self.handed[origin] for origin in self.mine if self.settled[origin])


def lose_or_copy(bag: list, at: int, *, twice: bool) -> None:
    if twice:
        bag.append(bag[at])
    else:
        bag.pop(at)


World.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestAnyMixOfFaults = World.TestCase
