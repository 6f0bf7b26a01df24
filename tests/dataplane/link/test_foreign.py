"""Plain ZeroMQ: listeners pull and sub, target shipper, and the original's proxy."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import zmq

from rutta import conversion, proxy
from rutta.codecs.json import make as json_codec
from rutta.errors import ConfigError, Retry
from rutta.listeners import pull, sub
from rutta.message import EVERYTHING, Block
from rutta.targets import DELIVERED, shipper


@pytest.fixture
def foreign() -> Iterator[Any]:
    """Another program's ZeroMQ."""
    with zmq.Context() as context:
        context.linger = 0
        made: list[Any] = []

        def socket(kind: int, *, connect: str = "", bind: bool = False, **options: int) -> Any:
            one = context.socket(kind)
            made.append(one)
            for name, value in options.items():
                one.setsockopt(getattr(zmq, name), value)
            if connect:
                one.connect(f"tcp://{connect}")
            return (one, f"127.0.0.1:{one.bind_to_random_port('tcp://127.0.0.1')}") if bind else one

        yield socket
        for one in made:
            one.close(0)


@pytest.fixture
async def ship() -> AsyncIterator[Any]:
    opened: list[Any] = []

    async def make(**config: Any) -> Any:
        target = shipper.make(conversion.convert({"linger": "1s", **config}, shipper.Config), "out")
        await target.open()
        opened.append(target)
        return target

    yield make
    for target in opened:
        await target.close()


async def pulling(links: Any, **config: Any) -> Any:
    given = {"bind": "127.0.0.1:0", **config}
    return await links.serve(pull.make(conversion.convert(given, pull.Config), "in"))


def events(*lines: bytes) -> Any:
    batch = json_codec(False).decode(Block(b"".join(line + b"\n" for line in lines)), EVERYTHING)
    assert not batch.failed
    return batch


async def test_messages_of_one_line_share_blocks(links: Any, foreign: Any) -> None:
    here = await pulling(links)
    push = foreign(zmq.PUSH, connect=here.address)
    for number in range(500):
        push.send(b'{"n":%d}' % number)
    await links.until(lambda: here.listener.status().get("messages") == 500)
    await here.stop()
    assert here.intake.events == [b'{"n":%d}' % number for number in range(500)]
    assert all(block.lines and block.data.endswith(b"\n") for block in here.intake.blocks)
    assert len(here.intake.blocks) < 250


@pytest.mark.parametrize(
    ("codec", "message"),
    [("json", b'[{"a":1}]'), ("json", b'{"a":\n1}'), ("plain", b"a\nb"), ("binary", b"\x81"), ("log4jxml", b"<e/>")],
)
async def test_a_message_that_is_no_line_is_a_block_of_its_own(
    links: Any, foreign: Any, codec: str, message: bytes
) -> None:
    here = await pulling(links, codec=codec)
    push = foreign(zmq.PUSH, connect=here.address)
    push.send(message)
    await links.until(lambda: here.intake.blocks)
    (block,) = here.intake.blocks
    assert (block.data, block.lines) == (message, False)


async def test_order_is_kept_between_lines_and_other_messages(links: Any, foreign: Any) -> None:
    here = await pulling(links, codec="plain")
    push = foreign(zmq.PUSH, connect=here.address)
    for message in (b"1", b"2", b"3\n3", b"4"):
        push.send(message)
    await links.until(lambda: here.listener.status().get("messages") == 4)
    await here.stop()
    assert b"|".join(block.data.strip() for block in here.intake.blocks).replace(b"\n", b"|") == b"1|2|3|3|4"


async def test_frames_of_a_message_are_concatenated(links: Any, foreign: Any) -> None:
    here = await pulling(links)
    push = foreign(zmq.PUSH, connect=here.address)
    push.send_multipart([b'{"a":', b"", b"1}"])
    await links.until(lambda: here.intake.blocks)
    assert here.intake.events == [b'{"a":1}']


async def test_any_message_is_survived(links: Any, foreign: Any) -> None:
    here = await pulling(links, maxMessageBytes="1Ki")
    push = foreign(zmq.PUSH, connect=here.address)
    for message in (b"", b" ", b"\n", b"\xff\xfe", bytes(range(256))):
        push.send(message)
    push.send(b"x" * 2000)  # cuts the connection; it comes back
    other = foreign(zmq.PUSH, connect=here.address)
    other.send(b'{"a":1}')
    await links.until(lambda: b'{"a":1}' in here.intake.events)
    assert here.intake.refused == [("empty", 1)] * 3


async def test_a_full_intake_holds_the_pushers_back(links: Any, foreign: Any) -> None:
    here = await pulling(links, highWaterMark=5)
    push = foreign(zmq.PUSH, SNDHWM=5, SNDBUF=4096)
    push.connect(f"tcp://{here.address}")
    push.send(b"{1}")
    await links.until(lambda: here.intake.blocks)
    here.intake.full = True
    held = sent = 0
    while held < 50:  # the sender finds no room in 50 looks, a loop turn apart
        try:
            push.send(b"{" + b"x" * 100_000, zmq.NOBLOCK)
            sent, held = sent + 1, 0
        except zmq.Again:
            held += 1
        await asyncio.sleep(0.002)
        assert sent < 1000
    here.intake.empty()
    await links.until(lambda: here.listener.status()["messages"] == sent + 1)


async def test_a_stopping_listener_reads_what_is_here(links: Any, foreign: Any) -> None:
    here = await pulling(links)
    push = foreign(zmq.PUSH, connect=here.address)
    push.send(b"{0}")
    await links.until(lambda: here.intake.blocks)
    for number in range(1, 5000):
        push.send(b"{%d}" % number)
    await links.until(lambda: here.listener.status()["messages"] > 1000)
    await here.stop()
    assert len(here.intake.events) == here.listener.status()["messages"]


async def test_sub_gets_what_is_published_by_all_it_connects_to(links: Any, foreign: Any) -> None:
    (one, first), (other, second) = foreign(zmq.PUB, bind=True), foreign(zmq.PUB, bind=True)
    here = await links.serve(sub.make(conversion.convert({"connect": [f"tcp://{first}", second]}, sub.Config), "in"))
    while {b'{"p":1}', b'{"p":2}'} - set(here.intake.events):
        one.send(b'{"p":1}')
        other.send_multipart([b'{"p":', b"2}"])
        await asyncio.sleep(0.002)
    assert here.address == first


async def test_shipper_pushes_an_event_a_message(links: Any, foreign: Any, ship: Any) -> None:
    puller, address = foreign(zmq.PULL, bind=True)
    target = await ship(pushTo=f"tcp://{address}", codec="ndjson")
    assert await target.send([events(b'{"a":1}', b'{"a":2}'), events(b'{"a":3}')]) == DELIVERED
    await links.until(lambda: puller.poll(0))
    assert [puller.recv() for _ in range(3)] == [b'{"a":1}', b'{"a":2}', b'{"a":3}']


async def test_shipper_pushes_a_batch_a_message(links: Any, foreign: Any, ship: Any) -> None:
    puller, address = foreign(zmq.PULL, bind=True)
    target = await ship(pushTo=address, codec="ndjson", perMessage="Batch")
    assert await target.send([events(b'{"a":1}', b'{"a":2}')]) == DELIVERED
    await links.until(lambda: puller.poll(0))
    assert puller.recv() == b'{"a":1}\n{"a":2}\n'


async def test_shipper_shares_messages_between_peers(links: Any, foreign: Any, ship: Any) -> None:
    (one, first), (other, second) = foreign(zmq.PULL, bind=True), foreign(zmq.PULL, bind=True)
    target = await ship(pushTo=[first, second], codec="ndjson")
    sent = 0
    while not (one.poll(0) and other.poll(0)):
        await target.send([events(b'{"a":1}', b'{"a":2}')])
        sent += 2
        await asyncio.sleep(0.002)
    got = 0
    while got < sent:
        for puller in (one, other):
            while puller.poll(0):
                puller.recv()
                got += 1
        await asyncio.sleep(0.002)
    assert got == sent


async def test_shipper_says_which_events_found_no_room(ship: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipper, "PATIENCE", 0.02)
    target = await ship(pushTo="127.0.0.1:9", codec="ndjson", highWaterMark=3)
    outcome = await target.send([events(b'{"a":1}', b'{"a":2}'), events(b'{"a":3}', b'{"a":4}'), events(b'{"a":5}')])
    assert [tuple(lost[:2]) for lost in outcome.retry] == [(1, 1), (2, 0)]
    assert not outcome.rejected
    with pytest.raises(Retry, match=r"127\.0\.0\.1:9 takes messages"):
        await target.send([events(b'{"a":4}')])


async def test_what_is_in_zeromq_at_the_end_is_still_sent(links: Any, foreign: Any) -> None:
    puller, address = foreign(zmq.PULL, bind=True)
    target = shipper.make(conversion.convert({"pushTo": address, "codec": "ndjson"}, shipper.Config), "out")
    await target.open()
    await target.send([events(*(b'{"a":%d}' % number for number in range(500)))])
    await target.close()
    for number in range(500):
        assert puller.poll(5000)
        assert puller.recv() == b'{"a":%d}' % number


async def test_a_shipper_that_publishes_waits_for_its_first_subscriber(links: Any, foreign: Any, ship: Any) -> None:
    subscriber, address = foreign(zmq.SUB, bind=True)
    subscriber.subscribe(b"")
    target = await ship(publishTo=address, codec="ndjson")
    sending = asyncio.create_task(target.send([events(b'{"a":1}')]))
    await links.until(lambda: subscriber.poll(0))
    assert subscriber.recv() == b'{"a":1}'
    assert await sending == DELIVERED


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "either pushTo or publishTo"),
        ({"pushTo": "a:1", "publishTo": "b:1"}, "either pushTo or publishTo"),
        ({"pushTo": "a"}, "not an address"),
        ({"pushTo": []}, "at least one endpoint"),
    ],
)
def test_shipper_refuses_what_cannot_work(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conversion.convert(config, shipper.Config)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_the_originals_proxies_pass_messages_and_can_be_chained(foreign: Any) -> None:
    """Publisher → XSUB ⇄ XPUB of one proxy → XSUB ⇄ XPUB of another, which dials the first → subscriber."""
    front, middle, back = free_port(), free_port(), free_port()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(proxy.forward([f"tcp://127.0.0.1:{front}"], [], [f"127.0.0.1:{middle}"], stop))
        group.create_task(proxy.forward([], [f"tcp://127.0.0.1:{middle}"], [f"tcp://127.0.0.1:{back}"], stop))
        subscriber = foreign(zmq.SUB, connect=f"127.0.0.1:{back}")
        subscriber.subscribe(b"topic")
        publisher = foreign(zmq.XPUB, connect=f"127.0.0.1:{front}")
        while not publisher.poll(0):
            await asyncio.sleep(0.005)
        assert publisher.recv() == b"\x01topic"
        publisher.send_multipart([b"other", b"a"])
        publisher.send_multipart([b"topic", b"b"])
        while not subscriber.poll(0):
            await asyncio.sleep(0.005)
        assert subscriber.recv_multipart() == [b"topic", b"b"]
        stop.set()


async def test_a_proxy_that_cannot_bind_or_dial_says_so() -> None:
    with pytest.raises(ConfigError, match=r"cannot bind nowhere\.invalid:1"):
        await proxy.forward(["nowhere.invalid:1"], [], ["127.0.0.1:0"], asyncio.Event())
    with pytest.raises(ConfigError, match="cannot dial: 'nowhere' is not an address"):
        await proxy.forward([], ["nowhere"], ["127.0.0.1:0"], asyncio.Event())


async def test_a_cancelled_proxy_ends_its_thread() -> None:
    passing = asyncio.create_task(proxy.forward(["127.0.0.1:0"], [], ["127.0.0.1:0"], asyncio.Event()))
    await asyncio.sleep(0.01)
    passing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await passing


async def test_nothing_more_is_read_once_the_intake_is_full(links: Any, foreign: Any) -> None:
    """Messages that are no lines are offered one by one: each may be the last that there is room for."""
    here = await pulling(links)
    here.intake.full = True
    push = foreign(zmq.PUSH, connect=here.address)
    for number in range(100):
        push.send(b"[%d]" % number)
    await links.until(lambda: here.listener.status().get("messages"))
    assert here.listener.status()["messages"] == 1
