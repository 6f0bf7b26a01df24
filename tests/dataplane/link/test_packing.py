"""Packing batches into blocks."""

from typing import Any

from rutta.link.opaque import Opaque
from rutta.link.packing import LARGEST, Packer
from rutta.message import NOTHING, Block, Origin


def pack(*batches: Any) -> list[Any]:
    return Packer().pack(list(enumerate(batches)))


def test_batches_that_are_alike_share_a_block(links: Any) -> None:
    one, other = links.batch([b"1"], times=[5]), links.batch([b"2", b"3"], times=[6, 7])
    (packed,) = pack(one, other)
    parcel = packed.parcel
    assert (parcel.payload, parcel.count) == (b"1\n2\n3\n", 3)
    assert parcel.times == b"".join(n.to_bytes(8, "little") for n in (5, 6, 7))
    assert parcel.origin not in (one.origin, other.origin)
    assert [tuple(lost[:2]) for lost in packed.lost("x")] == [(0, 0), (1, 0), (1, 1)]


def test_batches_that_differ_do_not(links: Any) -> None:
    batches = [
        links.batch([b"1"]),
        links.batch([b"2"], codec="plain"),
        links.batch([b"3"], codec="plain", context={"a": 1}),
        links.batch([b"4"], codec="plain", context={"a": 1}, hop=1),
        links.batch([b"5"], codec="plain", context={"a": 1}, hop=1, times=[1]),
        links.batch([b"6"], codec="plain", context={"a": 1}, hop=1, times=[1]),
    ]
    packed = pack(*batches)
    assert [one.parcel.payload for one in packed] == [b"1\n", b"2\n", b"3\n", b"4\n", b"5\n6\n"]
    assert [one.parcel.hop for one in packed] == [1, 1, 1, 2, 2]


def test_a_whole_batch_keeps_its_origin_and_a_part_does_not(links: Any) -> None:
    """Two parts of one block may go to one receiver by two routes: the second is no duplicate."""
    batch = links.batch([b"1", b"2"])
    assert pack(batch)[0].parcel.origin == batch.origin
    assert pack(batch.take([0]))[0].parcel.origin != batch.origin


def test_closed_blocks_pass_as_they_are(links: Any) -> None:
    blocks = [Block(b"x\n", codec="new", count=1, hop=2, origin=Origin(b"o" * 16, n)) for n in (1, 2)]
    packed = pack(*(Opaque().decode(block, NOTHING) for block in blocks))
    assert [one.parcel.origin for one in packed] == [block.origin for block in blocks]
    assert [(one.parcel.codec, one.parcel.hop, one.parcel.count) for one in packed] == [("new", 3, 1)] * 2


def test_a_block_is_never_larger_than_a_mebibyte(links: Any) -> None:
    lines = [b"%05d" % number + b"x" * 995 for number in range(3000)]
    packed = pack(links.batch(lines, times=list(range(3000))))
    assert len(packed) > 1
    assert all(len(one.parcel.payload) <= LARGEST for one in packed)
    assert b"".join(one.parcel.payload for one in packed).splitlines() == lines
    assert [lost for one in packed for lost in one.lost("x")] == [(0, row, "x") for row in range(3000)]
    assert b"".join(one.parcel.times for one in packed) == b"".join(n.to_bytes(8, "little") for n in range(3000))
    assert len({one.parcel.origin for one in packed}) == len(packed)


def test_only_a_single_event_may_be_larger(links: Any) -> None:
    huge = b"x" * (2 * LARGEST)
    packed = pack(links.batch([b"a", huge, b"b"]))
    assert [one.parcel.payload for one in packed] == [b"a\n", huge + b"\n", b"b\n"]


def test_batches_are_gathered_to_a_quarter_of_that(links: Any) -> None:
    packed = pack(*(links.batch([b"x" * 99_999]) for _ in range(6)))
    assert [one.parcel.count for one in packed] == [2, 2, 2]
