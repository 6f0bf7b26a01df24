"""The wire: the vectors of docs/protocol.md, and what each side does with single messages."""

import json
import re
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.link.incoming import FORGET_AFTER, Receiver
from rutta.link.outgoing import SenderPeer, State
from rutta.link.protocol import (
    AT_LEAST_ONCE,
    AT_MOST_ONCE,
    Ack,
    Data,
    Hello,
    Leave,
    Message,
    Parcel,
    Ping,
    Refuse,
    Welcome,
    decode,
    encode,
    pack_times,
    unpack_times,
)
from rutta.message import Origin, Receipt

PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"
VECTORS = re.findall(r"^\| `([0-9a-f]+)` \| `(.+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("header", "items"), VECTORS)
def test_the_wire_is_as_the_page_says(header: str, items: str) -> None:
    message = decode(bytes.fromhex(header))
    assert message is not None
    assert encode(message).hex() == header
    told = [bytes.fromhex(i[4:]) if isinstance(i, str) and i[:4] == "hex:" else i for i in json.loads(items)]
    assert msgpack.unpackb(bytes.fromhex(header)) == told
    assert [getattr(message, name) for name in message.__struct_fields__] == told[1:]


def test_the_page_has_every_kind() -> None:
    kinds = {type(decode(bytes.fromhex(header))) for header, _ in VECTORS}
    assert kinds == {Hello, Welcome, Data, Ack, Ping, Leave, Refuse}


@given(st.binary(max_size=60))
def test_nothing_but_none_comes_of_garbage(junk: bytes) -> None:
    message = decode(junk)
    assert message is None or decode(encode(message)) == message


def test_later_versions_may_append_items() -> None:
    assert decode(msgpack.packb([6, b"s", "later", {"a": 1}])) == Leave(b"s")


def test_deep_contexts_are_survived() -> None:
    assert decode(b"\x9b\x03" + b"\x81\xa1a" * 5000) is None


def test_times_that_do_not_fit_the_lines_are_left_out() -> None:
    packed = pack_times([1, -2])
    assert list(unpack_times(packed, 2) or ()) == [1, -2]
    assert unpack_times(packed, 3) is None
    assert unpack_times(None, 2) is None


def parcel(number: int = 1, size: int = 10) -> Parcel:
    return Parcel(b"x" * size, codec="json", count=1, hop=1, origin=Origin(b"m" * 16, number), received=1)


class Peer:
    """A sender's peer, and what it said."""

    def __init__(self, delivery: str = AT_MOST_ONCE) -> None:
        self.peer = SenderPeer(b"l" * 16, name="s", heartbeat=1.0, now=0.0)
        self.delivery: Any = delivery
        self.said()

    def said(self) -> list[Message | None]:
        out, self.peer.out = self.peer.out, []
        return [decode(frames[0]) for frames in out]

    def hear(self, *messages: Message, now: float = 0.0) -> None:
        for message in messages:
            self.peer.receive(message, now)

    def ready(self, *, session: bytes = b"s1", blocks: int = 10) -> "Peer":
        self.hear(Welcome(1, self.peer.epoch, session, self.delivery, "r"), ack(session, blocks=blocks))
        return self


def ack(session: bytes = b"s1", *, blocks: int = 10, size: int = 1000, **given: Any) -> Ack:
    return Ack(session, **{"ping": 0, "taken": 0, "done": 0, "also": (), **given}, blocks=blocks, size=size)


def test_a_sender_starts_when_it_is_welcome_and_has_credit() -> None:
    one = Peer()
    one.hear(ack(), Welcome(1, 7, b"s1", "AtMostOnce", "r"))
    assert one.peer.state is State.DIALLING, "a welcome of another epoch is not for this session"
    one.hear(Welcome(1, 1, b"s1", "AtMostOnce", "r"))
    assert (one.peer.state, one.peer.has_room) == (State.READY, False)
    one.hear(ack())
    assert one.peer.has_room


def test_credit_is_in_blocks_and_bytes_and_never_goes_down() -> None:
    one = Peer().ready(blocks=3)
    one.hear(ack(blocks=2, size=25))
    for number in (1, 2):
        one.peer.send(parcel(number))
    assert one.peer.has_room
    one.peer.send(parcel(3))
    assert not one.peer.has_room
    one.hear(ack(blocks=100, size=30))
    assert one.peer.has_room, "1000 bytes were granted first"
    few_bytes = Peer().ready(blocks=100)
    few_bytes.peer.send(parcel(1, size=1000))
    assert not few_bytes.peer.has_room


def test_acknowledgements_of_another_session_are_ignored() -> None:
    one = Peer().ready()
    one.peer.send(parcel())
    one.hear(ack(b"s0", done=1, blocks=99))
    assert (one.peer.done, one.peer.in_flight, one.peer.limit_blocks) == ([], 1, 10)


def test_acknowledged_ranges_are_done() -> None:
    one = Peer().ready()
    parcels = [parcel(number) for number in range(1, 7)]
    for each in parcels:
        one.peer.send(each)
    one.hear(ack(done=1, also=(3, 4, 6, 6)))
    assert one.peer.done == [parcels[at] for at in (0, 2, 3, 5)]
    assert (one.peer.in_flight, one.peer.flying_size) == (2, 20)


def test_what_a_ping_proves_missing_is_sent_again_once() -> None:
    one = Peer().ready()
    for number in (1, 2):
        one.peer.send(parcel(number))
    one.peer.tick(1.0)
    one.peer.send(parcel(3))
    one.said()
    one.hear(ack(ping=1, taken=1))
    assert [message.sequence for message in one.said() if isinstance(message, Data)] == [2]
    one.hear(ack(ping=1, taken=1))
    assert one.said() == []


def test_silence_ends_a_session_after_two_pings() -> None:
    one = Peer().ready()
    mine = parcel()
    one.peer.send(mine)
    for now in (1.0, 2.0):
        one.peer.tick(now)
        assert one.peer.lost == []
    one.peer.tick(3.0)
    assert (one.peer.lost, one.peer.state, one.peer.epoch) == ([mine], State.DIALLING, 2)
    assert isinstance(one.said()[-1], Hello)


def test_an_answer_keeps_a_session_alive() -> None:
    one = Peer().ready()
    for now in range(1, 20):
        one.peer.tick(float(now))
        one.hear(ack(ping=now), now=now + 0.5)
    assert one.peer.state is State.READY


@pytest.mark.parametrize(
    "last", [Refuse(b"s1", "session", "unknown"), Welcome(1, 1, b"s2", "AtMostOnce", "r")], ids=["refused", "welcomed"]
)
def test_a_receiver_that_was_restarted_ends_the_session_at_once(last: Message) -> None:
    one = Peer().ready()
    mine = parcel()
    one.peer.send(mine)
    one.hear(Refuse(b"s0", "session", "an old one"))
    assert one.peer.lost == []
    one.hear(last)
    assert one.peer.lost == [mine]


def test_a_sender_that_is_told_to_leave_finishes_and_asks_again_later() -> None:
    one = Peer().ready()
    one.peer.send(parcel())
    one.said()
    one.hear(Leave(b"s1"))
    assert (one.peer.state, one.peer.has_room, one.said()) == (State.LEAVING, False, [])
    one.hear(ack(done=1))
    assert one.said() == [Leave(b"s1")]
    one.peer.tick(1.0)
    (hello,) = one.said()
    assert isinstance(hello, Hello)
    assert hello.epoch == 2


def test_a_receiver_that_repeats_its_leave_gets_its_answer_again() -> None:
    one = Peer().ready()
    one.hear(Leave(b"s1"))
    one.said()
    one.hear(Leave(b"s1"))
    assert one.said() == [Leave(b"s1")]


def test_a_sender_that_stops_finishes_first() -> None:
    one = Peer().ready()
    mine = parcel()
    one.peer.send(mine)
    one.said()
    one.peer.leave(0.0)
    assert (one.said(), one.peer.has_room) == ([], False)
    one.hear(ack(done=1))
    assert (one.said(), one.peer.state, one.peer.done) == ([Leave(b"s1")], State.CLOSED, [mine])


def test_a_sender_shows_why_it_is_refused_and_goes_on_asking() -> None:
    one = Peer()
    one.hear(Refuse(b"", "version", "update"))
    assert (one.peer.state, one.peer.problem) == (State.REFUSED, "update")
    one.peer.tick(1.0)
    assert isinstance(one.said()[0], Hello)
    one.ready()
    assert (one.peer.state, one.peer.problem) == (State.READY, "")


class End:
    """A receiver, and what it answered."""

    def __init__(self, delivery: Any = AT_MOST_ONCE) -> None:
        self.taken: list[Parcel] = []
        self.receipts: list[Receipt] = []
        self.full = False
        self.receiver = Receiver(self.offer, full=lambda: self.full, delivery=delivery, name="r")

    def offer(self, one: Parcel) -> Receipt:
        self.taken.append(one)
        self.receipts.append(Receipt(1))
        return self.receipts[-1]

    def hear(self, message: Message | None, *, identity: bytes = b"i", payload: bytes = b"", now: float = 0.0) -> None:
        self.receiver.receive(identity, message, payload, now)

    def said(self) -> list[tuple[bytes, Message | None]]:
        self.receiver.flush()
        out, self.receiver.out = self.receiver.out, []
        return [(identity, decode(frames[0])) for identity, frames in out]

    def hello(self, epoch: int = 1, *, link: bytes = b"l" * 16, identity: bytes = b"i", now: float = 0.0) -> bytes:
        self.hear(Hello(1, link, epoch, "s", 1000), identity=identity, now=now)
        return next((message.session for _, message in self.said() if isinstance(message, Welcome)), b"")

    def block(self, session: bytes, sequence: int, number: int = 0, **given: Any) -> None:
        header, payload = parcel(number or sequence).frames(session, sequence)
        self.hear(decode(header), payload=payload, **given)


def test_a_hello_of_the_same_epoch_gets_the_same_session() -> None:
    end = End()
    first = end.hello(2)
    assert end.hello(2) == first
    assert end.hello(1) == b"", "an older one has no answer"
    assert end.hello(3) not in (first, b"")
    assert len(end.receiver.sessions) == 1


def test_a_sequence_number_is_taken_once() -> None:
    end = End()
    session = end.hello()
    for sequence in (1, 3, 3, 1, 2, 2):
        end.block(session, sequence)
    assert [one.origin.sequence for one in end.taken] == [1, 3, 2]
    assert end.receiver.duplicates == 3
    assert [message.done for _, message in end.said() if isinstance(message, Ack)] == [3]


def test_a_session_is_answered_where_it_was_heard_last() -> None:
    end = End()
    session = end.hello(identity=b"old")
    end.hear(Ping(session, 4, 0), identity=b"new")
    ((identity, answer),) = end.said()
    assert identity == b"new"
    assert isinstance(answer, Ack)
    assert answer.ping == 4


def test_an_origin_is_taken_once_and_acknowledged_with_the_first() -> None:
    end = End(AT_LEAST_ONCE)
    one, other = end.hello(), end.hello(link=b"k" * 16, identity=b"j")
    end.block(one, 1, number=5)
    end.block(other, 1, number=5, identity=b"j")
    assert len(end.taken) == 1
    assert all(message.done == 0 for _, message in end.said() if isinstance(message, Ack))
    end.receipts[0].release()
    assert {identity: message.done for identity, message in end.said() if isinstance(message, Ack)} == {
        b"i": 1,
        b"j": 1,
    }
    end.block(other, 2, number=5, identity=b"j")
    assert [message.done for _, message in end.said() if isinstance(message, Ack)] == [2]
    assert (len(end.taken), end.receiver.duplicates) == (1, 2)


def test_a_full_receiver_grants_nothing_more() -> None:
    end = End()
    session = end.hello()
    end.full = True
    end.block(session, 1)
    (before,) = (message.blocks for _, message in end.said() if isinstance(message, Ack))
    end.full = False
    end.receiver.renew()
    (after,) = (message.blocks for _, message in end.said() if isinstance(message, Ack))
    assert after == before + 1


def test_a_sender_that_exceeds_its_credit_is_cut_off() -> None:
    end = End()
    session = end.hello()
    end.block(session, 10_000)
    assert [message.code for _, message in end.said() if isinstance(message, Refuse)] == ["credit"]
    assert (end.taken, end.receiver.sessions) == ([], [])


def test_a_leaving_receiver_repeats_itself_and_answers_no_hello() -> None:
    end = End()
    session = end.hello()
    end.receiver.leave()
    assert (b"i", Leave(session)) in end.said()
    end.hear(Ping(session, 1, 0))
    assert (b"i", Leave(session)) in end.said()
    assert end.hello(link=b"k" * 16) == b""
    end.hear(Leave(session))
    assert end.receiver.sessions == []


def test_a_silent_sender_is_forgotten_and_then_refused() -> None:
    end = End()
    session = end.hello(now=100.0)
    end.receiver.tick(100.0 + FORGET_AFTER - 0.1)
    assert end.receiver.sessions
    end.receiver.tick(100.0 + FORGET_AFTER)
    assert not end.receiver.sessions
    end.block(session, 1)
    assert [message.code for _, message in end.said() if isinstance(message, Refuse)] == ["session"]
    assert end.taken == []
