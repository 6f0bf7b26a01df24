"""The receiver's side of a link, all its sessions, as a state machine free of I/O.

It is fed messages with the identity of the connection they came by, and leaves answers in ``out``. Blocks go to
``offer``, whose receipt tells when they are done. Acknowledgements are owed until ``flush``, so that one answers many
blocks. Credit is given while the intake is not ``full``.
"""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from rutta.link.numbers import Numbers
from rutta.link.protocol import (
    AT_LEAST_ONCE,
    VERSION,
    Ack,
    Data,
    Delivery,
    Frames,
    Hello,
    Leave,
    Message,
    Parcel,
    Ping,
    Refuse,
    Welcome,
    encode,
)  # fmt: skip
from rutta.link.seen import Seen
from rutta.message import Origin, Receipt

FORGET_AFTER: Final = 4  # heartbeats without a message; a sender gives up after three
SHARES: Final = 4  # one sender alone gets a quarter of all credit
LEAST_SIZE: Final = 64 * 1024  # a sender's credit when there are very many
LEAST_BLOCKS: Final = 2
MOST_SESSIONS: Final = 4096  # more senders than any topology has; a flood of hellos ends here
SLOWEST: Final = 300.0  # seconds between heartbeats: who wants to be remembered for longer is not


class Credit(NamedTuple):
    """What all senders together may have under way."""

    size: int = 16 * 2**20
    blocks: int = 1024


ALL_CREDIT: Final = Credit()


class Session:
    """One sender, as the receiver knows it."""

    def __init__(self, hello: Hello, identity: bytes, now: float) -> None:
        """Give it a name that no other session has."""
        self.id = os.urandom(8)
        self.link = hello.link
        self.epoch = hello.epoch
        self.name = hello.name
        self.heartbeat = min(max(hello.heartbeat / 1000, 0.01), SLOWEST)
        self.identity = identity
        self.heard = now
        self.ping = 0
        self.taken = Numbers()
        self.done = Numbers()
        self.blocks = 0
        self.size = 0
        self.limit_blocks = 0
        self.limit_size = 0


class Receiver:
    """All sessions of one listener."""

    def __init__(
        self,
        offer: Callable[[Parcel], Receipt],
        *,
        full: Callable[[], bool],
        delivery: Delivery,
        name: str,
        credit: Credit = ALL_CREDIT,
        owing: Callable[[], None] = lambda: None,
    ) -> None:
        """``offer`` never fails; ``owing`` is called when answers became due outside of ``receive``: then ``flush``."""
        self._offer = offer
        self._full = full
        self._delivery: Delivery = delivery
        self._name = name
        self._credit = credit
        self._owing = owing
        self._sessions: dict[bytes, Session] = {}
        self._links: dict[bytes, Session] = {}
        self._owed: dict[bytes, Session] = {}
        self._seen = Seen()
        self._waiting: dict[Origin, list[tuple[Session, int]]] = {}
        self.leaving = False
        self.out: list[tuple[bytes, Frames]] = []
        self.blocks = self.bytes = self.duplicates = self.refused = self.acks = 0

    @property
    def sessions(self) -> list[Session]:
        """The senders that are here."""
        return list(self._sessions.values())

    @property
    def pending(self) -> int:
        """Blocks taken and not done."""
        return len(self._waiting)

    def receive(self, identity: bytes, message: Message | None, payload: bytes, now: float) -> None:
        """Take one message; ``payload`` is empty but for blocks."""
        match message:
            case Data():
                if (session := self._known(identity, message.session, now)) is not None:
                    self._block(session, message, payload)
            case Ping():
                if (session := self._known(identity, message.session, now)) is not None:
                    session.ping = max(session.ping, message.number)
                    self._owed[session.id] = session
            case Hello():
                self._hello(identity, message, now)
            case Leave():
                if (gone := self._sessions.get(message.session)) is not None:
                    self._forget(gone)
            case _:
                self.refused += 1
                self._say(identity, Refuse(b"", "frame", f"link protocol {VERSION} of a receiver has no such message"))

    def _say(self, identity: bytes, message: Message) -> None:
        self.out.append((identity, (encode(message),)))

    def _known(self, identity: bytes, session_id: bytes, now: float) -> Session | None:
        """Find the session; it is answered where it was last heard, for a broken connection comes back as another."""
        session = self._sessions.get(session_id)
        if session is None:
            self.refused += 1
            self._say(identity, Refuse(session_id, "session", "the receiver does not know this session"))
            return None
        session.identity = identity
        session.heard = now
        return session

    def _hello(self, identity: bytes, hello: Hello, now: float) -> None:
        if hello.version != VERSION:
            self.refused += 1
            text = f"the receiver speaks link protocol {VERSION}, not {hello.version}; update the older side"
            self._say(identity, Refuse(b"", "version", text))
            return
        session = self._links.get(hello.link)
        if session is None or session.epoch < hello.epoch:
            if session is not None:
                self._forget(session)
            if self.leaving:
                return
            if len(self._sessions) >= MOST_SESSIONS:
                self.refused += 1
                self._say(identity, Refuse(b"", "credit", f"the receiver has {MOST_SESSIONS} senders already"))
                return
            session = Session(hello, identity, now)
            self._sessions[session.id] = self._links[hello.link] = session
        if session.epoch == hello.epoch:
            session.identity = identity
            session.heard = now
            self._say(identity, Welcome(VERSION, session.epoch, session.id, self._delivery, self._name))
            self._owed[session.id] = session

    def _forget(self, session: Session) -> None:
        del self._sessions[session.id]
        del self._links[session.link]
        self._owed.pop(session.id, None)

    def _block(self, session: Session, header: Data, payload: bytes) -> None:
        self._owed[session.id] = session
        if header.sequence in session.taken:
            self.duplicates += 1
            return
        # Bytes may be overrun by a block, and by what was on its way; a sender that does not count is far beyond that.
        if header.sequence > session.limit_blocks or session.size > session.limit_size + self._credit.size:
            self.refused += 1
            self._say(session.identity, Refuse(session.id, "credit", "the sender exceeds its credit"))
            self._forget(session)
            return
        session.taken.add(header.sequence)
        session.blocks += 1
        session.size += len(payload)
        self._take(session, header.sequence, Parcel.of(header, payload))

    def _take(self, session: Session, sequence: int, parcel: Parcel) -> None:
        """Hand a block over, once by its origin in AtLeastOnce; acknowledge it now or when it is done."""
        if self._delivery != AT_LEAST_ONCE:
            session.done.add(sequence)
            self._count(parcel)
            self._offer(parcel)
            return
        origin = parcel.origin
        waiting = self._waiting.get(origin)
        if waiting is not None:
            self.duplicates += 1
            waiting.append((session, sequence))
        elif not self._seen.add(origin):
            self.duplicates += 1
            session.done.add(sequence)
        else:
            self._count(parcel)
            self._waiting[origin] = [(session, sequence)]
            self._offer(parcel).on_done(lambda: self._finished(origin))

    def _count(self, parcel: Parcel) -> None:
        self.blocks += 1
        self.bytes += len(parcel.payload)

    def _finished(self, origin: Origin) -> None:
        for session, sequence in self._waiting.pop(origin):
            session.done.add(sequence)
            if session.id in self._sessions:
                self._owed[session.id] = session
        self._owing()

    def flush(self) -> None:
        """Write the answers that are owed."""
        if not self._owed:
            return
        owed, self._owed = self._owed, {}
        full = self._full()
        size, blocks = self._share()
        for session in owed.values():
            if not full and not self.leaving:
                session.limit_blocks = max(session.limit_blocks, session.blocks + blocks)
                session.limit_size = max(session.limit_size, session.size + size)
            self._answer(session)

    def _share(self) -> tuple[int, int]:
        shares = max(SHARES, len(self._sessions))
        return max(LEAST_SIZE, self._credit.size // shares), max(LEAST_BLOCKS, self._credit.blocks // shares)

    def _answer(self, session: Session) -> None:
        done = session.done
        ack = Ack(
            session.id, session.ping, session.taken.upto, done.upto, done.ranges(),
            session.limit_blocks, session.limit_size,
        )  # fmt: skip
        self.acks += 1
        self._say(session.identity, ack)
        if self.leaving:
            self._say(session.identity, Leave(session.id))

    def renew(self) -> None:
        """Give everybody fresh credit: the intake has room again."""
        self._owed.update(self._sessions)
        self.flush()

    def leave(self) -> None:
        """Tell every sender to finish; the last word is theirs, and then there are no sessions."""
        self.leaving = True
        self._owed.update(self._sessions)
        self.flush()

    def tick(self, now: float) -> None:
        """Forget senders that have been silent for too long."""
        for session in self.sessions:
            if now - session.heard >= FORGET_AFTER * session.heartbeat:
                self._forget(session)
