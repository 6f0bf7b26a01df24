"""Broadcast links: everybody gets every block, gaps are counted."""

import asyncio
from typing import Any

from rutta.link.broadcast import Gaps
from rutta.targets import DELIVERED


async def test_every_receiver_gets_every_block(links: Any) -> None:
    ends = [await links.receive(pattern="Broadcast") for _ in range(3)]
    target = await links.send_to(*(end.address for end in ends), pattern="Broadcast")
    await links.until(lambda: target.status()["connected"] == 3)
    for number in range(50):
        assert await target.send([links.batch([b"%d" % number])]) == DELIVERED
    for end in ends:
        await links.until(lambda end=end: len(end.intake.blocks) == 50)
        assert end.intake.events == [b"%d" % number for number in range(50)]
        assert end.listener.status()["gaps"] == 0


async def test_nothing_is_sent_before_somebody_listens(links: Any) -> None:
    here = await links.receive(pattern="Broadcast")
    await here.stop()
    target = await links.send_to(here.address, pattern="Broadcast")
    sending = asyncio.create_task(target.send([links.batch([b"1"])]))
    await links.until(lambda: any(peer["problem"] for peer in target.status()["peers"]))
    assert not sending.done()
    again = await links.receive(pattern="Broadcast", bind=here.address)
    assert await sending == DELIVERED
    await links.until(lambda: again.intake.events == [b"1"])


async def test_what_a_full_receiver_misses_is_counted_on_both_ends(links: Any) -> None:
    here = await links.receive(pattern="Broadcast")
    target = await links.send_to(here.address, pattern="Broadcast")
    await target.send([links.batch([b"first"])])
    await links.until(lambda: here.intake.blocks)
    here.intake.full = True
    line = b"x" * 200_000
    sent = 1
    while not target.status()["broadcastDropped"]:
        await target.send([links.batch([line])])
        sent += 1
        assert sent < 2000, "somewhere memory has no bound"
    here.intake.empty()
    missed = target.status()["broadcastDropped"]
    await links.until(lambda: len(here.intake.blocks) == sent - missed)
    await links.until(lambda: here.listener.status()["gaps"] == missed)


async def test_a_receiver_of_another_pattern_is_told_apart_in_words(links: Any) -> None:
    here = await links.receive(pattern="Broadcast")
    target = await links.send_to(here.address)
    await links.until(lambda: any("pattern" in peer["problem"] for peer in target.status()["peers"]))


def test_gaps_are_counted_per_sender_from_the_first_block_seen() -> None:
    gaps = Gaps()
    for link, sequence in [(b"a", 7), (b"a", 8), (b"b", 1), (b"a", 11), (b"b", 2), (b"b", 2)]:
        gaps.block(link, sequence)
    assert gaps.missed == 2
    gaps.reached(b"b", 5)
    gaps.reached(b"b", 5)
    gaps.reached(b"c", 5)
    gaps.block(b"c", 6)
    assert gaps.missed == 5
