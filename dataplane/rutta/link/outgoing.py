"""The sender's side of one session with one receiver, as a state machine free of I/O.

It is fed messages and the time and leaves messages in ``out``, and parcels in ``done`` (acknowledged) and ``lost``
(unacknowledged when the session ended); its owner takes them away after each call. Loss, duplication and reordering of
messages are harmless: what a ping proves missing is sent again, and the receiver takes a sequence number once.
"""

import enum
from collections.abc import Iterator
from typing import Final

from rutta.link.numbers import within
from rutta.link.protocol import VERSION, Ack, Data, Frames, Hello, Leave, Message, Parcel, Ping, Refuse, Welcome
from rutta.link.protocol import encode as _encode

DEAD_AFTER: Final = 2  # pings without any answer; so between two and three heartbeats


class State(enum.Enum):
    """Where a peer is in its life."""

    DIALLING = "dialling"  # no answer yet
    READY = "ready"
    LEAVING = "leaving"  # acknowledges what it has, takes nothing new
    REFUSED = "refused"  # it does not speak our version; asked again with every heartbeat
    CLOSED = "closed"


class _Flight:
    __slots__ = ("parcel", "ping")

    def __init__(self, parcel: Parcel, ping: int) -> None:
        self.parcel = parcel
        self.ping = ping  # pings sent before its last transmission: an answer to a later one proves it lost


class SenderPeer:
    """One receiver as its sender sees it."""

    def __init__(self, link: bytes, *, name: str, heartbeat: float, now: float) -> None:
        """``link`` is unique to this object; ``heartbeat`` is in seconds. Asks for a session at once."""
        self.link = link
        self.name = name
        self.heartbeat = heartbeat
        self.peer_name = ""
        self.delivery = ""
        self.state = State.DIALLING
        self.epoch = 0
        self.session = b""
        self.problem = ""
        self.out: list[Frames] = []
        self.done: list[Parcel] = []
        self.lost: list[Parcel] = []
        self.resent = 0
        self.died = 0
        self._flying: dict[int, _Flight] = {}
        self._wants_to_go = False
        self._start(now)

    def _start(self, now: float) -> None:
        """Begin the next session's handshake."""
        self.state = State.DIALLING
        self.epoch += 1
        self.session = b""
        self.sequence = 0
        self.sent_size = 0
        self.limit_blocks = 0
        self.limit_size = 0
        self.flying_size = 0
        self._pings = 0
        self._unanswered = 0
        self._hello(now)

    def _hello(self, now: float) -> None:
        self._pinged = now
        self._say(Hello(VERSION, self.link, self.epoch, self.name, round(self.heartbeat * 1000)))

    def _say(self, message: Message) -> None:
        self.out.append((_encode(message),))

    @property
    def in_flight(self) -> int:
        """Blocks sent and not acknowledged."""
        return len(self._flying)

    @property
    def has_room(self) -> bool:
        """Whether a block may be sent now; the last one may exceed the bytes."""
        return self.state is State.READY and self.sequence < self.limit_blocks and self.sent_size < self.limit_size

    def parcels(self) -> Iterator[Parcel]:
        """Give what is in flight."""
        return (flight.parcel for flight in self._flying.values())

    def send(self, parcel: Parcel) -> None:
        """Send a block; only when ``has_room``."""
        self.sequence += 1
        size = len(parcel.payload)
        self.sent_size += size
        self.flying_size += size
        self._flying[self.sequence] = _Flight(parcel, self._pings)
        self.out.append(parcel.frames(self.session, self.sequence))

    def receive(self, message: Message | None, now: float) -> None:
        """Take a message of the receiver; None is one that cannot be read."""
        if self.state is State.CLOSED:
            return
        match message:
            case Ack():
                self._acknowledged(message, now)
            case Welcome():
                self._welcomed(message, now)
            case Leave():
                self._told_to_leave(message, now)
            case Refuse():
                self._refused(message, now)
            case None | Hello() | Data() | Ping():
                self.problem = "the peer sends what no receiver sends; is it a Rutta link of this version?"

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        if welcome.epoch != self.epoch:
            return
        if welcome.version != VERSION:
            self._unfit(f"the peer speaks link protocol {welcome.version}, this is {VERSION}")
        elif self.state in (State.DIALLING, State.REFUSED):
            self.state = State.READY
            self.session = welcome.session
            self.delivery = welcome.delivery
            self.peer_name = welcome.name
            self.problem = ""
            self._unanswered = 0
            self._pinged = now
        elif welcome.session != self.session:  # it was restarted and has forgotten us
            self._over("the peer was restarted", now)

    def _acknowledged(self, ack: Ack, now: float) -> None:
        if not self.session or ack.session != self.session:
            return
        self._unanswered = 0
        self.limit_blocks = max(self.limit_blocks, ack.blocks)
        self.limit_size = max(self.limit_size, ack.size)
        self._settle(ack)
        self._send_again(ack)
        if self.state is State.LEAVING and not self._flying:
            self._part(now)

    def _settle(self, ack: Ack) -> None:
        flying = self._flying
        while flying and (first := next(iter(flying))) <= ack.done:
            self._finish(first)
        if ack.also:
            for sequence in [number for number in flying if within(number, ack.also)]:
                self._finish(sequence)

    def _finish(self, sequence: int) -> None:
        parcel = self._flying.pop(sequence).parcel
        self.flying_size -= len(parcel.payload)
        self.done.append(parcel)

    def _send_again(self, ack: Ack) -> None:
        """Send what a later ping has overtaken and the receiver still lacks (a connection broke)."""
        if not self._flying or ack.ping == 0 or self.sequence <= ack.taken:
            return
        for sequence, flight in self._flying.items():
            if sequence > ack.taken and flight.ping < ack.ping:
                flight.ping = self._pings
                self.resent += 1
                self.out.append(flight.parcel.frames(self.session, sequence))

    def _told_to_leave(self, leave: Leave, now: float) -> None:
        if leave.session != self.session or not self.session:
            self._say(Leave(leave.session))  # an old session of ours: let it go
            return
        self._unanswered = 0
        if self.state is State.READY:
            self.state = State.LEAVING
        if not self._flying:
            self._part(now)

    def _part(self, now: float) -> None:
        """Say the last word of a session; a fresh one is asked for at the next heartbeat."""
        self._say(Leave(self.session))
        if self._wants_to_go:
            self.state = State.CLOSED
            return
        self._start(now)
        self.out.pop()  # the one that leaves would not answer

    def _refused(self, refusal: Refuse, now: float) -> None:
        if refusal.code == "version" and self.state is State.DIALLING:
            self._unfit(refusal.text)
        elif self.session and refusal.session == self.session:
            self._over(refusal.text, now)

    def _unfit(self, text: str) -> None:
        self.state = State.REFUSED
        self.problem = text[:300]

    def _over(self, why: str, now: float) -> None:
        """End a session that did not end in order: what was in flight is lost to it."""
        self.died += 1
        self.problem = why[:300]
        self.lost += self.parcels()
        self._flying.clear()
        if self._wants_to_go:
            self.state = State.CLOSED
        else:
            self._start(now)

    def _ping(self, now: float) -> None:
        self._pinged = now
        self._pings += 1
        self._unanswered += 1
        self._say(Ping(self.session, self._pings, self.sequence))

    def tick(self, now: float) -> None:
        """Let time pass: ping, ask again, notice that the peer is dead."""
        if self.state is State.CLOSED or now - self._pinged < self.heartbeat:
            return
        if self.state in (State.DIALLING, State.REFUSED):
            self._hello(now)
        elif self._unanswered >= DEAD_AFTER:
            self._over("the peer does not answer", now)
        else:
            self._ping(now)

    def leave(self, now: float) -> None:
        """Finish what is in flight, then part for ever (``CLOSED``)."""
        self._wants_to_go = True
        if self.state in (State.DIALLING, State.REFUSED):
            self.state = State.CLOSED
        elif self.state in (State.READY, State.LEAVING):
            self.state = State.LEAVING
            if not self._flying:
                self._part(now)

    def abandon(self) -> None:
        """Part at once; what is in flight is lost to this session."""
        if self.session:
            self._say(Leave(self.session))
        self.lost += self.parcels()
        self._flying.clear()
        self.state = State.CLOSED
