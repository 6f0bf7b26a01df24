"""Balance links between real sockets."""

import asyncio
from typing import Any

import pytest

from rutta import conversion
from rutta.errors import ConfigError
from rutta.link.protocol import HOP_LIMIT
from rutta.listeners import link as link_listener
from rutta.message import Origin
from rutta.targets import DELIVERED
from rutta.targets import link as link_target


async def test_a_block_arrives_as_it_was_sent(links: Any) -> None:
    here = await links.receive()
    target = await links.send_to(here.address)
    batch = links.batch(
        [b'{"a":1}', b'{"a":2}'],
        codec="auto",
        context={"host": "n1", "deep": {"x": [1, None, 2.5]}},
        times=[-5, 2**62],
        origin=Origin(b"o" * 16, 7),
        received=123,
        hop=2,
    )
    assert await target.send([batch]) == DELIVERED
    (block,) = here.intake.blocks
    assert (block.data, block.codec, block.count) == (b'{"a":1}\n{"a":2}\n', "auto", 2)
    assert (block.context, list(block.times)) == (batch.context, [-5, 2**62])
    assert (block.origin, block.received, block.hop) == (batch.origin, 123, 3)


async def test_blocks_are_spread_over_all_receivers(links: Any) -> None:
    ends = [await links.receive() for _ in range(3)]
    target = await links.send_to(*(end.address for end in ends))
    await links.until(lambda: target.status()["connected"] == 3)
    for number in range(60):
        await target.send([links.batch([b"%d" % number])])
    assert [len(end.intake.events) for end in ends] == [20, 20, 20]


async def test_at_least_once_acknowledges_when_the_receipt_is_done(links: Any) -> None:
    here = await links.receive(links.Intake(finish=False), delivery="AtLeastOnce")
    target = await links.send_to(here.address)
    sending = asyncio.create_task(target.send([links.batch([b"1"])]))
    await links.until(lambda: here.intake.receipts)
    assert not sending.done()
    here.intake.finish_all()
    assert await sending == DELIVERED


async def test_what_a_dead_receiver_had_is_sent_to_another_one(links: Any) -> None:
    dying = await links.receive(links.Intake(finish=False), delivery="AtLeastOnce")
    target = await links.send_to(dying.address)
    batch = links.batch([b"1"])
    sending = asyncio.create_task(target.send([batch]))
    await links.until(lambda: dying.intake.blocks)
    await dying.kill()
    again = await links.receive(delivery="AtLeastOnce", bind=dying.address)
    assert await sending == DELIVERED
    assert [block.origin for block in again.intake.blocks] == [batch.origin]
    assert target.status()["sentAgain"] == 1


async def test_what_a_dead_receiver_had_is_possibly_lost_in_at_most_once(links: Any) -> None:
    here = await links.receive(links.Intake())
    here.intake.offer = swallow(here)
    target = await links.send_to(here.address)
    outcome = await target.send([links.batch([b"1", b"2"]), links.batch([b"3"])])
    assert outcome.word == "possibly_lost"
    assert [(lost.batch, lost.row) for lost in outcome.rejected] == [(0, 0), (0, 1), (1, 0)]
    assert target.status()["possiblyLost"] == 1


def swallow(here: Any) -> Any:
    """Take a block and die before the acknowledgement is out."""

    def offer(_block: Any) -> Any:
        here.task.cancel()
        here.listener._end._wire.close(0)
        raise asyncio.CancelledError

    return offer


async def test_a_receiver_that_leaves_takes_and_acknowledges_what_is_in_flight(links: Any) -> None:
    here = await links.receive(links.Intake(finish=False), delivery="AtLeastOnce")
    target = await links.send_to(here.address)
    sending = [asyncio.create_task(target.send([links.batch([b"%d" % number])])) for number in range(5)]
    await links.until(lambda: len(here.intake.receipts) == 5)
    here.listener.stop()
    await links.until(lambda: target.status()["peers"][0]["state"] == "leaving")
    late = asyncio.create_task(target.send([links.batch([b"late"])]))
    here.intake.finish_all()
    assert await asyncio.gather(*sending) == [DELIVERED] * 5
    await here.task
    assert not late.done()
    again = await links.receive(bind=here.address)
    assert await late == DELIVERED
    assert again.intake.events == [b"late"]


async def test_without_a_receiver_everything_is_held(links: Any) -> None:
    here = await links.receive()
    await here.stop()
    target = await links.send_to(here.address)
    sending = asyncio.create_task(target.send([links.batch([b"1"])]))
    await links.until(lambda: any("nobody answers" in peer["problem"] for peer in target.status()["peers"]))
    assert target.status()["waiting"] == 1
    await links.receive(here.intake, bind=here.address)
    assert await sending == DELIVERED


async def test_a_full_receiver_gives_no_credit_and_memory_stays_bounded(links: Any) -> None:
    here = await links.receive(creditBytes="1Mi")
    target = await links.send_to(here.address)
    await links.until(lambda: any(peer["creditBytes"] for peer in target.status()["peers"]))
    here.intake.full = True
    sending = [asyncio.create_task(target.send([links.batch([b"x" * 65535])])) for _ in range(64)]
    await links.until(lambda: target.status()["acknowledged"] == 4)  # 256 KiB: a quarter of all credit
    assert (target.status()["waiting"], len(here.intake.blocks)) == (60, 4)
    here.intake.empty()
    assert await asyncio.gather(*sending) == [DELIVERED] * 64


async def test_a_cancelled_send_is_forgotten(links: Any) -> None:
    here = await links.receive()
    await here.stop()
    target = await links.send_to(here.address)
    sending = asyncio.create_task(target.send([links.batch([b"1"])]))
    await links.until(lambda: target.status()["waiting"] == 1)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    again = await links.receive(bind=here.address)
    await target.send([links.batch([b"2"])])
    assert again.intake.events == [b"2"]


async def test_a_block_that_has_passed_too_many_links_is_rejected(links: Any) -> None:
    here = await links.receive()
    target = await links.send_to(here.address)
    outcome = await target.send([links.batch([b"a", b"b"], hop=HOP_LIMIT), links.batch([b"c"])])
    assert outcome.word == "hop_limit"
    assert [(lost.batch, lost.row) for lost in outcome.rejected] == [(0, 0), (0, 1)]
    assert [(lost.batch, lost.row) for lost in outcome.retry] == [(1, 0)]
    assert await target.send([links.batch([b"c"], hop=HOP_LIMIT - 1)]) == DELIVERED
    assert here.intake.blocks[0].hop == HOP_LIMIT


async def test_garbage_from_a_stranger_does_no_harm(links: Any) -> None:
    import zmq

    here = await links.receive()
    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.connect(f"tcp://{here.address}")
        for frames in ([b""], [b"\xff" * 20], [b"\x93\x03\x01", b"x"], [b"a"] * 9, [b"\x92\x63\x01"]):
            stranger.send_multipart(frames)
        await links.until(lambda: here.listener.status().get("refused") == 5)
    target = await links.send_to(here.address)
    assert await target.send([links.batch([b"1"])]) == DELIVERED


async def test_a_newer_sender_is_told_in_one_sentence(links: Any) -> None:
    import zmq

    from rutta.link.protocol import Hello, Refuse, decode, encode

    here = await links.receive()
    with zmq.Context() as context, context.socket(zmq.DEALER) as newer:
        newer.connect(f"tcp://{here.address}")
        newer.send(encode(Hello(9, b"l" * 16, 1, "new", 1000)))
        await links.until(lambda: newer.poll(0))
        answer = decode(newer.recv())
    assert isinstance(answer, Refuse)
    assert (answer.code, answer.text) == (
        "version",
        "the receiver speaks link protocol 1, not 9; update the older side",
    )


async def test_ipv6_and_several_bindings_work(links: Any) -> None:
    here = await links.receive(bind="127.0.0.1:0,[::1]:0")
    first, second = here.listener.status()["bound"]
    assert second.startswith("[::1]:")
    for address in (first, second):
        target = await links.send_to(address)
        assert await target.send([links.batch([b"1"])]) == DELIVERED


async def test_a_port_in_use_is_one_sentence(links: Any) -> None:
    here = await links.receive()
    config = conversion.convert({"bind": here.address}, link_listener.Config)
    with pytest.raises(ConfigError, match=r"cannot bind 127\.0\.0\.1"):
        await link_listener.make(config, "in").bind()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pattern": "Broadcast", "delivery": "AtLeastOnce"}, "AtLeastOnce needs pattern Balance"),
        ({"bind": "nowhere"}, "not a binding"),
        ({"delivery": "ExactlyOnce"}, "AtMostOnce, AtLeastOnce"),
    ],
)
def test_a_listener_refuses_what_cannot_work(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conversion.convert(config, link_listener.Config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "either addresses or dns"),
        ({"addresses": ["a:1"], "dns": "b"}, "either addresses or dns"),
        ({"dns": "b"}, "dns and port go together"),
        ({"addresses": ["a"]}, "not an address"),
        ({"addresses": []}, "at least one"),
    ],
)
def test_a_target_refuses_what_cannot_work(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conversion.convert(config, link_target.Config)
