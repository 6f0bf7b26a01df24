"""The listener ``syslog``, over real sockets, on both event loops; what it has in common with tcp and udp is there."""

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import pytest

from rutta import components
from rutta.conversion import convert
from rutta.errors import ConfigError
from rutta.listeners import syslog


def make(**settings: Any) -> Any:
    return syslog.make(convert({"bind": "127.0.0.1:0", **settings}, syslog.Config), "in")


async def send(address: tuple[str, int], *pieces: bytes, **how: Any) -> None:
    _, writer = await asyncio.open_connection(*address, **how)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    writer.close()
    await writer.wait_closed()


async def test_a_stream_has_counted_messages_or_lines_as_it_begins(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        await send(address, b"6 <13>", b"ab9 <1", b"3>c\nd ef")
        await intake.count(2)
        await send(address, b"<13>g\n<1", b"3>h\r\n<13>i")
        assert await intake.count(5) == [b"<13>ab", b"<13>c\0d e", b"<13>g", b"<13>h", b"<13>i"]
    assert all(block.lines for block in intake.blocks)
    assert intake.refused == {"framing": 1}  # "f" is no count


async def test_messages_of_many_streams_share_blocks(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        await asyncio.gather(*(send(address, b"5 <13>%d" % number) for number in range(8)))
        await asyncio.gather(*(send(address, b"<14>%d\n" % number) for number in range(8)))
        found = await intake.count(16)
    assert sorted(found) == sorted(b"<%d>%d" % (pri, number) for pri in (13, 14) for number in range(8))


@pytest.mark.parametrize("framing", ["OctetCounted", "Lines"])
async def test_the_framing_may_be_said(framing: str, running: Any, intake: Any, eventually: Any) -> None:
    listener = make(framing=framing)
    async with running(listener, intake) as address:
        await send(address, b"4 <1>a")
        assert await intake.count(1) == [b"4 <1>a" if framing == "Lines" else b"<1>a"]
        await send(address, b"<1>b\n")
        await intake.until(lambda: len(intake.inputs) == 2 or bool(intake.refused))
        assert intake.refused == ({} if framing == "Lines" else {"framing": 1})


async def test_too_long_a_message_is_counted_and_the_stream_goes_on(running: Any, intake: Any) -> None:
    async with running(make(maxLineBytes=20), intake) as address:
        await send(address, b"<13>" + b"x" * 30 + b"\n<13>y\n")
        await send(address, b"34 <13>" + b"x" * 30 + b"5 <13>z")
        assert await intake.count(2) == [b"<13>y", b"<13>z"]
    assert intake.refused == {"oversize": 2}


async def test_a_datagram_is_a_message(running: Any, intake: Any) -> None:
    async with running(make(protocol="Udp"), intake) as address:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for datagram in (b"<13>a\n", b"<13>b\0", b"<13>c\nd\r\n", b"", b"12 <13>e", b"\xff"):
                peer.sendto(datagram, address)
        assert await intake.count(5) == [b"<13>a", b"<13>b", b"<13>c\0d", b"12 <13>e", b"\xff"]
    assert intake.refused == {"empty": 1}


async def test_tls_and_mutual_tls(running: Any, intake: Any, certificates: Any) -> None:
    tls = {"certFile": certificates.server, "keyFile": certificates.server_key, "clientCaFile": certificates.ca}
    async with running(make(tls=tls), intake) as address:
        context = ssl.create_default_context(cafile=certificates.ca)
        context.load_cert_chain(certificates.client, certificates.client_key)
        await send(address, b"6 <13>ab", ssl=context)
        assert await intake.count(1) == [b"<13>ab"]
        stranger = ssl.create_default_context(cafile=certificates.ca)
        stranger.load_cert_chain(certificates.stranger, certificates.stranger_key)
        with contextlib.suppress(OSError):  # TLS 1.3 tells the client when it reads or writes
            await send(address, b"6 <13>xx", ssl=stranger)
        await send(address, b"6 <13>cd", ssl=context)
        assert await intake.count(2) == [b"<13>ab", b"<13>cd"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol": "Udp", "tls": {"certFile": "c", "keyFile": "k"}}, "tls is over protocol Tcp"),
        ({"protocol": "udp"}, "did you mean Udp"),
        ({"bind": "nowhere"}, "is not a binding"),
        ({"framing": "Octets"}, "is not one of Auto, OctetCounted, Lines"),
        ({"codec": "json"}, "unknown setting"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        convert(settings, syslog.Config)


def test_its_codec_is_no_setting() -> None:
    assert syslog.Config().codec in components.names("codecs")
