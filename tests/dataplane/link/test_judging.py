"""Blocks of peers that are broken, or nobody we know: refused, counted, done with."""

import pytest

from rutta.link.judging import is_sound, lines_of
from rutta.link.opaque import Opaque
from rutta.link.protocol import Parcel, pack_times
from rutta.link.receiver import offer
from rutta.message import NOTHING, Block, Origin, Receipt

ORIGIN = Origin(b"m" * 16, 1)


def parcel(payload=b'{"a":1}\n{"a":2}\n', **given):
    return Parcel(payload, **{"codec": "json", "count": 2, "hop": 1, "origin": ORIGIN, "received": 1, **given})


def test_what_a_sender_makes_is_sound():
    assert is_sound(parcel())
    assert is_sound(parcel(times=pack_times([1, 2]), context={"file": "x", "labels": {"a": [1, None]}}))


@pytest.mark.parametrize(
    "given",
    [
        {"count": 20_000_000},
        {"count": -5},
        {"count": 0},
        {"payload": b""},
        {"payload": b"no end"},
        {"times": b"\0" * 8},
        {"times": pack_times([1, 2, 3])},
        {"context": {"x": object()}},
        {"context": {"x": "y" * 100_000}},
        {"hop": -1},
        {"received": -1},
        {"origin": Origin(b"short", 1)},
        {"origin": Origin(b"m" * 16, 0)},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_contradicts_itself_is_not(given):
    found = parcel(**given)
    assert not is_sound(found)

    class Intake:
        refused: dict[str, int] = {}

        def refuse(self, word, count=1):
            self.refused[word] = self.refused.get(word, 0) + count

        def offer(self, block):
            raise AssertionError("it is not offered")

    receipt = offer(Intake(), found)
    assert receipt.done
    assert Intake.refused["framing"] == lines_of(found) >= 1


def test_a_sound_parcel_is_offered():
    class Intake:
        def offer(self, block):
            self.block = block
            return Receipt()

    intake = Intake()
    offer(intake, parcel())
    assert (intake.block.count, intake.block.codec) == (2, "json")


def test_a_proxys_batches_are_never_cut():
    batch = Opaque().decode(Block(b"a\nb\n", codec="plain", count=2), NOTHING)
    assert len(batch) == 2
    assert batch.is_closed
