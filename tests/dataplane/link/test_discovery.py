"""Finding peers: DNS answers that change, resolvers that fail, addresses as they are."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rutta.link import discovery
from rutta.link.discovery import Discovery
from rutta.targets import DELIVERED


class Names:
    """A resolver whose answers the test sets; ``None`` is a failure."""

    def __init__(self, answer: Sequence[str] | None) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        if self.answer is None:
            raise OSError("name or service not known")
        return self.answer


async def told_by(names: Names, places: Sequence[tuple[str, int]], links: Any, steps: Sequence[Any]) -> list[set[str]]:
    told: list[set[str]] = []
    seeker = Discovery(places, lambda found: told.append(set(found)), interval=0.001, resolver=names)
    task = asyncio.create_task(seeker.run())
    for answer in [names.answer, *steps]:
        names.answer = answer
        asked = names.asked
        await links.until(lambda asked=asked: names.asked >= asked + 2 or task.done())
    task.cancel()
    return told


async def test_changes_are_told_once(links: Any) -> None:
    told = await told_by(Names(["10.0.0.1"]), [("r", 5)], links, [["10.0.0.2", "10.0.0.1"], ["10.0.0.1", "10.0.0.2"]])
    assert told == [{"tcp://10.0.0.1:5"}, {"tcp://10.0.0.1:5", "tcp://10.0.0.2:5"}]


async def test_known_addresses_stay_when_the_resolver_fails(links: Any) -> None:
    told = await told_by(Names(["fd00::1"]), [("r", 5)], links, [None, ["fd00::2"]])
    assert told == [{"tcp://[fd00::1]:5"}, {"tcp://[fd00::2]:5"}]


async def test_addresses_are_told_once_and_never_asked_for() -> None:
    told: list[frozenset[str]] = []
    names = Names(None)
    await Discovery([("127.0.0.1", 1), ("::1", 2)], told.append, interval=1, resolver=names).run()
    assert told == [{"tcp://127.0.0.1:1", "tcp://[::1]:2"}]
    assert names.asked == 0


async def test_one_family_of_a_name_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    async def both(*_: Any, **__: Any) -> Any:
        six, four = socket.AF_INET6, socket.AF_INET
        return [
            (six, 1, 6, "", ("fd00::1", 1, 0, 0)),
            (four, 1, 6, "", ("10.0.0.1", 1)),
            (six, 1, 6, "", ("fd00::2", 1)),
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both, raising=False)
    assert await discovery.resolve("r", 1) == ["fd00::1", "fd00::2"]


@pytest.mark.parametrize("text", ["tcp://a:1", "a:1", " a:1 "])
def test_an_address_may_name_its_transport(text: str) -> None:
    assert discovery.parse(text) == ("a", 1)


@pytest.mark.parametrize("text", ["a", "a:", ":1", "a:0", "a:65536", "a:b", "[]:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        discovery.parse(text)


async def test_peers_come_and_go_with_dns_and_nothing_is_lost(links: Any) -> None:
    """All receivers listen on one port, on addresses of their own, as pods do."""
    first = await links.receive(bind="127.0.0.1:0")
    port = int(first.address.rpartition(":")[2])
    names = Names(["127.0.0.1"])
    target = await links.send_to(resolver=names, dns="pods", port=port, refresh="5ms")
    sent = 0

    async def keep_sending() -> None:
        nonlocal sent
        while True:
            assert await target.send([links.batch([b"%d" % sent])]) == DELIVERED
            sent += 1

    sending = asyncio.create_task(keep_sending())
    second = await links.receive(bind=f"127.0.0.2:{port}")
    third = await links.receive(bind=f"127.0.0.3:{port}")
    names.answer = ["127.0.0.1", "127.0.0.2"]
    await links.until(lambda: len(second.intake.blocks) > 20)
    names.answer = ["127.0.0.2", "127.0.0.3"]
    await links.until(
        lambda: [peer["address"][6:15] for peer in target.status()["peers"]] == ["127.0.0.2", "127.0.0.3"]
    )
    alone = len(first.intake.blocks)
    await links.until(lambda: len(third.intake.blocks) > 20)
    await second.stop()  # leaves before DNS knows
    names.answer = ["127.0.0.3"]
    more = sent + 20
    await links.until(lambda: sent > more)
    sending.cancel()
    got = sorted(int(line) for end in (first, second, third) for line in end.intake.events)
    assert got[:sent] == list(range(sent))
    assert len(got) <= sent + 1  # the last one may have been cancelled on its way
    assert len(first.intake.blocks) == alone
