"""What one receiver lets its senders take: credit in bytes and blocks, a number of sessions, patience."""

from rutta.link import incoming
from rutta.link.incoming import SLOWEST, Credit, Receiver
from rutta.link.protocol import VERSION, Data, Hello, Refuse, Welcome, decode
from rutta.message import Receipt


def receiver(**credit):
    taken = []

    def offer(parcel):
        taken.append(parcel)
        receipt = Receipt()
        receipt.release()
        return receipt

    found = Receiver(offer, full=lambda: False, delivery="AtMostOnce", name="r", credit=Credit(**credit))
    return found, taken


def answers(found):
    found.flush()
    out, found.out = found.out, []
    return [decode(frames[0]) for _, frames in out]


def hello(number):
    return Hello(VERSION, number.to_bytes(16, "big"), 1, "s", 2000)


def test_a_sender_that_does_not_count_its_bytes_is_cut_off():
    found, taken = receiver(size=1000, blocks=1000)
    found.receive(b"i", hello(1), b"", 0.0)
    welcome = next(one for one in answers(found) if isinstance(one, Welcome))
    block = b"x" * 60_000
    for sequence in range(1, 20):
        found.receive(
            b"i", Data(welcome.session, sequence, "json", 1, 1, 1, b"m" * 16, sequence, None, None), block, 0.0
        )
    assert len(taken) < 5
    assert any(isinstance(one, Refuse) and one.code == "credit" for one in answers(found))
    assert not found.sessions


def test_there_are_no_more_sessions_than_a_topology_can_have(monkeypatch):
    monkeypatch.setattr(incoming, "MOST_SESSIONS", 10)
    found, _ = receiver()
    for number in range(50):
        found.receive(b"%d" % number, hello(number), b"", 0.0)
    assert len(found.sessions) == 10
    assert found.refused == 40


def test_nobody_is_remembered_for_hours_of_silence():
    found, _ = receiver()
    found.receive(b"i", Hello(VERSION, b"m" * 16, 1, "s", 10**9), b"", 0.0)
    found.tick(SLOWEST * 4 + 1)
    assert not found.sessions
