"""Spreads parcels over the peers of one link, as a state machine free of I/O.

A parcel goes to the peer with room that has the least in flight, and among equals to the one that was served longest
ago. Without room anywhere it waits, first come first served. What a dead peer leaves behind goes to another one first
of all (AtLeastOnce), or is settled as possibly lost (AtMostOnce).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from rutta.link.outgoing import SenderPeer
from rutta.link.protocol import AT_LEAST_ONCE, Parcel

Settle = Callable[[Parcel, bool], None]


class Spread:
    """The waiting parcels and the peers; the owner adds and removes peers and calls ``turn`` after each event."""

    def __init__(self, settle: Settle, *, alive: Callable[[Parcel], bool] = lambda _: True) -> None:
        """``settle`` is told once for each parcel: acknowledged, or possibly lost. Dead parcels are forgotten."""
        self._settle = settle
        self._alive = alive
        self._waiting: deque[Parcel] = deque()
        self._peers: dict[SenderPeer, int] = {}  # → the turn in which it was last given something
        self._turns = 0
        self.sent = self.sent_bytes = self.acknowledged = self.possibly_lost = self.sent_again = 0

    def __iter__(self) -> Iterator[SenderPeer]:
        """Give the peers."""
        return iter(self._peers)

    @property
    def waiting(self) -> int:
        """Parcels that no peer has."""
        return len(self._waiting)

    def add(self, peer: SenderPeer) -> None:
        """A peer is there."""
        self._peers[peer] = 0

    def remove(self, peer: SenderPeer) -> None:
        """A peer is gone; what it still had is lost to it."""
        peer.abandon()
        self._collect(peer)
        del self._peers[peer]

    def submit(self, parcel: Parcel) -> None:
        """Take a parcel; ``settle`` tells what became of it."""
        self._waiting.append(parcel)
        self._give()

    def turn(self, changed: Iterable[SenderPeer]) -> None:
        """Settle what has happened at these peers, and use the room that it made."""
        for peer in changed:
            self._collect(peer)
        self._give()

    def _collect(self, peer: SenderPeer) -> None:
        if peer.done:
            done, peer.done = peer.done, []
            self.acknowledged += len(done)
            for parcel in done:
                self._settle(parcel, True)
        if peer.lost:
            lost, peer.lost = peer.lost, []
            self._lost(lost, peer.delivery)

    def _lost(self, parcels: list[Parcel], delivery: str) -> None:
        if delivery == AT_LEAST_ONCE:
            again = [parcel for parcel in parcels if self._alive(parcel)]
            self.sent_again += len(again)
            self._waiting.extendleft(reversed(again))
            return
        self.possibly_lost += len(parcels)
        for parcel in parcels:
            self._settle(parcel, False)

    def _give(self) -> None:
        waiting = self._waiting
        while waiting:
            if not self._alive(waiting[0]):
                waiting.popleft()
                continue
            peer = self._best()
            if peer is None:
                return
            self._turns += 1
            self._peers[peer] = self._turns
            parcel = waiting.popleft()
            self.sent += 1
            self.sent_bytes += len(parcel.payload)
            peer.send(parcel)

    def _best(self) -> SenderPeer | None:
        best: SenderPeer | None = None
        least = (0, 0)
        for peer, served in self._peers.items():
            if peer.has_room:
                rank = (peer.flying_size, served)
                if best is None or rank < least:
                    best, least = peer, rank
        return best
