"""The udp listener, over real sockets, on both event loops."""

import asyncio
import logging
import os
import socket
from typing import Any

import pytest

from rutta.errors import ConfigError
from rutta.listeners import udp
from rutta.net import datagrams
from rutta.settings import Size


def make(**settings: Any) -> datagrams.Datagrams:
    return udp.make(udp.Config(**{"bind": "127.0.0.1:0", **settings}), "in")


def send(address: tuple[str, int], *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            sock.sendto(datagram, address)


async def test_datagrams_travel_together_as_lines_in_order(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        send(address, *(b"%d" % number for number in range(500)))
        assert await intake.count(500) == [b"%d" % number for number in range(500)]
    assert len(intake.blocks) < 20
    assert all(block.lines for block in intake.blocks)


async def test_newlines_at_the_end_are_taken_off(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        send(address, b"{}\n", b"[]", b"1\r\n", b"2\n\n")
        assert await intake.count(4) == [b"{}", b"[]", b"1", b"2"]


async def test_plain_loses_one_line_ending_only(running: Any, intake: Any) -> None:
    async with running(make(codec="plain"), intake) as address:
        send(address, b"a\n", b"b\r\n", b"c\n\n")
        assert await intake.count(3) == [b"a", b"b", b"c\n"]


async def test_a_datagram_with_newlines_is_one_input(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        send(address, b"{}", b'{\n"a":1\n}', b"[]")
        assert await intake.count(3) == [b"{}", b'{\n"a":1\n}', b"[]"]


async def test_a_codec_without_lines_gets_each_datagram_untouched(running: Any, intake: Any) -> None:
    async with running(make(codec="binary"), intake) as address:
        send(address, b"\x81\n", b"\x80")
        assert await intake.count(2) == [b"\x81\n", b"\x80"]
    assert not any(block.lines for block in intake.blocks)


async def test_the_largest_datagram_comes_whole(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        send(address, b"x" * 65507, b"y")
        assert await intake.count(2) == [b"x" * 65507, b"y"]


@pytest.mark.parametrize("codec", ["json", "binary"])
async def test_any_datagram_is_survived(codec: str, running: Any, intake: Any) -> None:
    async with running(make(codec=codec), intake) as address:
        send(address, b"", os.urandom(1000).replace(b"\n", b""), b"\x00", b"", b"\xff" * 9, b"end")
        await intake.until(lambda: b"end" in intake.inputs)
        assert intake.refused == {"empty": 2}
        assert len(intake.inputs) == 4


async def test_many_more_than_fit_one_turn_all_come(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        send(address, *(b"%d" % number * 100 for number in range(1500)))
        await intake.count(1500)
    assert len(intake.inputs) == 1500


async def test_every_binding_is_read(running: Any, intake: Any) -> None:
    listener = make(bind="127.0.0.1:0,[::1]:0")
    async with running(listener, intake):
        for bound in listener.status()["bound"]:
            host, _, port = bound.rpartition(":")
            send((host.strip("[]"), int(port)), bound.encode())
        assert sorted(await intake.count(2)) == sorted(bound.encode() for bound in listener.status()["bound"])


async def test_nothing_is_read_while_the_intake_is_full_and_the_kernel_counts_what_it_drops(
    running: Any, intake: Any
) -> None:
    listener = make(receive_buffer=Size(4096))
    async with running(listener, intake) as address:
        intake.fill_after = 1
        send(address, b"first")
        await intake.count(1)
        send(address, *[b"x" * 1000] * 100)
        for _ in range(5):
            await asyncio.sleep(0)
        assert intake.inputs == [b"first"]
        assert listener.status()["held"]
        intake.drain()
        await intake.count(2)
    kept = len(intake.inputs) - 1
    assert 0 < kept < 100
    assert intake.drops == 100 - kept
    assert listener.status()["kernelDrops"] == intake.drops


async def test_a_small_kernel_buffer_is_said_and_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(datagrams, "_ask_for", lambda sock, size: 1000)
    listener = make(receive_buffer=Size(2000))
    with caplog.at_level(logging.WARNING):
        await listener.bind()
    listener.stop()
    assert listener.status()["receiveBuffer"] == 1000
    assert [record.__dict__["event"] for record in caplog.records] == ["udp_small_buffer"]


async def test_the_kernel_buffer_is_as_large_as_asked() -> None:
    listener = make(receive_buffer=Size(100_000))
    await listener.bind()
    listener.stop()
    assert listener.status()["receiveBuffer"] == 100_000


async def test_stop_takes_what_the_kernel_holds(running: Any, intake: Any) -> None:
    listener = make()
    async with running(listener, intake) as address:
        send(address, b"a", b"b")
        listener.stop()
    assert intake.inputs == [b"a", b"b"]


async def test_a_port_in_use_is_named_and_shared_only_when_asked_to(running: Any, intake: Any) -> None:
    async with running(make(reuse_port=True), intake) as address:
        with pytest.raises(ConfigError, match=f"the listener in cannot bind 127.0.0.1:{address[1]}"):
            await make(bind=f"127.0.0.1:{address[1]}").bind()
        async with running(make(bind=f"127.0.0.1:{address[1]}", reuse_port=True), intake):
            for number in range(20):
                send(address, b"%d" % number)
            await intake.count(20)


async def test_a_host_name_is_bound(running: Any, intake: Any) -> None:
    async with running(make(bind="localhost:0"), intake) as address:
        send(address, b"x")
        assert await intake.count(1) == [b"x"]
