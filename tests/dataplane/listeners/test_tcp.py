"""The tcp listener, over real sockets, on both event loops."""

import asyncio
import contextlib
import resource
import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rutta.conversion import convert
from rutta.errors import ConfigError
from rutta.listeners import tcp
from rutta.net.streams import Streams
from rutta.settings import Duration, Size, Tls


def make(**settings: Any) -> Streams:
    return tcp.make(tcp.Config(**{"bind": "127.0.0.1:0", **settings}), "in")


async def dial(address: tuple[str, int], **options: Any) -> asyncio.StreamWriter:
    return (await asyncio.open_connection(*address, **options))[1]


async def hang_up(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_lines_arrive_whole_however_they_are_sent(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        writer = await dial(address)
        for piece in (b'{"a":', b"1}\n{}\r", b"\n[", b"]"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.003)
        await hang_up(writer)
        assert await intake.count(3) == [b'{"a":1}', b"{}", b"[]"]
    assert all(block.lines for block in intake.blocks)


async def test_a_last_line_without_newline_is_a_line(running: Any, intake: Any) -> None:
    async with running(make(codec="plain"), intake) as address:
        await hang_up(await _sent(address, b"one\ntwo"))
        assert await intake.count(2) == [b"one", b"two"]


async def _sent(address: tuple[str, int], data: bytes, **options: Any) -> asyncio.StreamWriter:
    writer = await dial(address, **options)
    writer.write(data)
    await writer.drain()
    return writer


async def test_an_over_long_line_is_counted_and_the_connection_goes_on(running: Any, intake: Any) -> None:
    async with running(make(max_line_bytes=Size(100)), intake) as address:
        writer = await _sent(address, b"a\n" + b"x" * 100_000 + b"\nb\n")
        assert await intake.count(2) == [b"a", b"b"]
        assert intake.refused == {"oversize": 1}
        await hang_up(writer)


async def test_small_reads_of_many_connections_share_a_block(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        writers = [await dial(address) for _ in range(50)]
        for number, writer in enumerate(writers):
            writer.write(b"%d\n" % number)
        await intake.count(50)
        assert len(intake.blocks) < 25
        assert sorted(intake.inputs, key=int) == [b"%d" % number for number in range(50)]
        await hang_up(*writers)


async def test_a_peer_that_sends_line_by_line_is_read_in_naps_and_loses_nothing(running: Any, intake: Any) -> None:
    async with running(make(codec="plain"), intake) as address:
        writer = await dial(address)
        lines = [b"%d" % number for number in range(2000)]
        for line in lines:
            writer.write(line + b"\n")
            await asyncio.sleep(0)
        await hang_up(writer)  # in the middle of a nap
        assert await intake.count(2000) == lines
        assert len(intake.blocks) < 1000


async def test_order_is_kept_per_connection(running: Any, intake: Any) -> None:
    async def send(address: tuple[str, int], name: int) -> None:
        writer = await dial(address)
        for number in range(200):
            writer.write(b"%d %d\n" % (name, number))
            if number % 20 == 0:
                await writer.drain()
                await asyncio.sleep(0)
        await hang_up(writer)

    async with running(make(), intake) as address:
        await asyncio.gather(*(send(address, name) for name in range(8)))
        await intake.count(1600)
    for name in range(8):
        mine = [int(line.split()[1]) for line in intake.inputs if line.startswith(b"%d " % name)]
        assert mine == list(range(200))


async def test_octet_counted_frames_are_lines_to_a_line_codec(running: Any, intake: Any) -> None:
    async with running(make(octet_counted=True), intake) as address:
        await hang_up(await _sent(address, b"2 {}3 [1]5 a\nb\nc"))
        assert await intake.count(3) == [b"{}", b"[1]", b"a\nb\nc"]


async def test_a_stream_that_cannot_be_framed_is_closed_and_others_go_on(running: Any, intake: Any) -> None:
    async with running(make(octet_counted=True), intake) as address:
        good = await dial(address)
        reader, bad = await asyncio.open_connection(*address)
        bad.write(b"2 {}no count\n")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        good.write(b"2 []")
        assert await intake.count(2) == [b"{}", b"[]"]
        assert intake.refused == {"framing": 1}
        await hang_up(good, bad)


async def test_elements_over_many_lines_come_whole(running: Any, intake: Any) -> None:
    text = b"<log4j:event logger='a'>\n<log4j:message>x</log4j:message>\n</log4j:event>"
    async with running(make(codec="log4jxml"), intake) as address:
        writer = await _sent(address, text + b"\n" + text[:30])
        assert await intake.count(1) == [text]
        writer.write(text[30:])
        assert await intake.count(2) == [text, text]
        await hang_up(writer)
    assert not any(block.lines for block in intake.blocks)


async def test_nothing_is_read_while_the_intake_is_full(running: Any, intake: Any, eventually: Any) -> None:
    listener = make()
    async with running(listener, intake) as address:
        intake.fill_after = 1
        first = await _sent(address, b"first\n")
        await intake.count(1)
        second = await _sent(address, b"later\n")
        first.write(b"later\n")
        with socket.create_connection(address) as sender:
            sent = await asyncio.to_thread(_lines_until_stuck, sender)
            assert intake.inputs == [b"first"]
            assert listener.status()["held"]
            intake.drain()
            await intake.count(3 + sent)
        assert not listener.status()["held"]
        await hang_up(first, second)


def _lines_until_stuck(sender: socket.socket) -> int:
    """Send until the receiver's window has been closed for a while; return how many whole lines were sent."""
    sender.setblocking(False)
    line, sent = b"x" * 999 + b"\n", 0
    while select.select([], [sender], [], 0.1)[1]:
        sent += sender.send(line[sent % 1000 :] + line * 100)
    return sent // 1000


async def test_a_silent_connection_is_closed_and_its_last_line_counts(running: Any, intake: Any) -> None:
    listener = make(idle_timeout=Duration(0.05))
    async with running(listener, intake) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"unended")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        assert await intake.count(1) == [b"unended"]
        assert listener.status()["idleClosed"] == 1
        await hang_up(writer)


async def test_connections_above_the_limit_are_refused_and_counted(running: Any, intake: Any, eventually: Any) -> None:
    listener = make(max_connections=2)
    async with running(listener, intake) as address:
        kept = [await dial(address) for _ in range(2)]
        await eventually(lambda: listener.status()["connections"] == 2)
        reader, refused = await asyncio.open_connection(*address)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        assert listener.status()["refused"] == 1
        await hang_up(refused, kept.pop())
        await eventually(lambda: listener.status()["connections"] == 1)
        kept.append(await _sent(address, b"in\n"))
        assert await intake.count(1) == [b"in"]
        await hang_up(*kept)


async def test_a_torn_connection_gives_no_torn_event(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        sock = socket.create_connection(address)
        sock.sendall(b"whole\nhal")
        await intake.count(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()  # a reset
        await intake.until(lambda: intake.refused["framing"] == 1)
    assert intake.inputs == [b"whole"]


async def test_stop_reads_what_was_sent_before_and_tells_the_peers(running: Any, intake: Any) -> None:
    listener = make()
    async with running(listener, intake) as address:
        reader, writer = await asyncio.open_connection(*address)
        await asyncio.sleep(0.01)
        writer.write(b"last\n")
        late = socket.create_connection(address)  # still in the kernel's queue when we stop
        late.sendall(b"late\n")
        listener.stop()
        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert sorted(intake.inputs) == [b"last", b"late"]
    late.close()
    await hang_up(writer)


async def test_stop_before_serve_lets_go_of_the_port() -> None:
    listener = make()
    (address,) = await listener.bind()
    listener.stop()
    port = int(address.rpartition(":")[2])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


async def test_serve_that_is_cancelled_closes_its_connections(intake: Any) -> None:
    listener = make()
    (address,) = await listener.bind()
    task = asyncio.create_task(listener.serve(intake))
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    writer.write(b"x\n")
    await intake.count(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    await hang_up(writer)


async def test_a_port_in_use_is_named_with_listener_and_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"the listener in cannot bind 127.0.0.1:{port}: another process.*\.?$"):
            await make(bind=f"127.0.0.1:{port}").bind()


async def test_when_one_of_several_bindings_fails_none_stays_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, good = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        with pytest.raises(ConfigError):
            await make(bind=f"127.0.0.1:{good},127.0.0.1:{port}").bind()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", good))


async def test_two_listeners_share_a_port_when_asked_to(running: Any, intake: Any, eventually: Any) -> None:
    first = make(reuse_port=True)
    async with running(first, intake) as address:
        second = make(bind=f"127.0.0.1:{address[1]}", reuse_port=True)
        async with running(second, intake):
            writers = [await _sent(address, b"x\n") for _ in range(40)]
            await intake.count(40)
            counts = [one.status()["accepted"] for one in (first, second)]
            assert sum(counts) == 40
            assert all(counts)
            await hang_up(*writers)


@pytest.fixture
def few_descriptors() -> Iterator[Callable[[int], None]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_running_out_of_descriptors_delays_new_connections_only(
    running: Any, intake: Any, few_descriptors: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(make(), intake) as address:
        old = await _sent(address, b"old\n")
        await intake.count(1)
        waiting = socket.socket()
        few_descriptors(waiting.fileno() + 1)  # not one more
        waiting.connect(address)
        waiting.sendall(b"new\n")
        old.write(b"still\n")
        assert await intake.count(2) == [b"old", b"still"]
        async with asyncio.timeout(5):
            while "accept_failed" not in {getattr(record, "event", "") for record in caplog.records}:
                await asyncio.sleep(0.01)
        few_descriptors(20000 if waiting.fileno() > 1000 else 1024)
        assert await intake.count(3) == [b"old", b"still", b"new"]
        waiting.close()
        await hang_up(old)


def tls_of(certificates: Any, *, mutual: bool = False) -> Tls:
    return Tls(certificates.server, certificates.server_key, certificates.ca if mutual else None)


def client_context(certificates: Any, *, own: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates.ca)
    if own is not None:
        context.load_cert_chain(*own)
    return context


async def test_lines_come_over_tls(running: Any, intake: Any, certificates: Any) -> None:
    async with running(make(tls=tls_of(certificates)), intake) as address:
        data = b"x" * 99 + b"\n"
        writer = await _sent(address, data * 10_000, ssl=client_context(certificates))
        await intake.count(10_000)
        await hang_up(writer)
    assert set(intake.inputs) == {b"x" * 99}


async def test_a_bad_handshake_hurts_nobody_else(running: Any, intake: Any, certificates: Any, eventually: Any) -> None:
    listener = make(tls=tls_of(certificates))
    async with running(listener, intake) as address:
        silent = socket.create_connection(address)  # says nothing
        rude = socket.create_connection(address)
        rude.sendall(b'{"clear":"text"}\n')
        writer = await _sent(address, b"good\n", ssl=client_context(certificates))
        assert await intake.count(1) == [b"good"]
        await eventually(lambda: listener.status()["failedHandshakes"] == 1)
        assert listener.status()["connections"] == 2
        silent.close()
        rude.close()
        await hang_up(writer)


@pytest.mark.parametrize("who", ["nobody", "a stranger"])
async def test_mtls_refuses(who: str, running: Any, intake: Any, certificates: Any) -> None:
    own = None if who == "nobody" else (certificates.stranger, certificates.stranger_key)
    async with running(make(tls=tls_of(certificates, mutual=True)), intake) as address:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await _ask(address, client_context(certificates, own=own))
    assert intake.inputs == []


async def _ask(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection(*address, ssl=context)
    writer.write(b"in\n")
    try:
        return await reader.readexactly(1)
    finally:
        await hang_up(writer)


async def test_mtls_takes_a_known_client(running: Any, intake: Any, certificates: Any) -> None:
    own = (certificates.client, certificates.client_key)
    async with running(make(tls=tls_of(certificates, mutual=True)), intake) as address:
        writer = await _sent(address, b"in\n", ssl=client_context(certificates, own=own))
        assert await intake.count(1) == [b"in"]
        await hang_up(writer)


async def test_a_rotated_certificate_is_taken_and_a_broken_one_is_not(
    running: Any, intake: Any, certificates: Any, tmp_path: Any
) -> None:
    crt, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def put(certificate: str, private: str) -> None:
        for source, target in ((certificate, crt), (private, key)):
            with open(source, "rb") as file:
                (tmp_path / "new").write_bytes(file.read())
            (tmp_path / "new").replace(target)

    put(certificates.stranger, certificates.stranger_key)
    async with running(make(tls=Tls(str(crt), str(key))), intake) as address:
        with pytest.raises(ssl.SSLError):
            await dial(address, ssl=client_context(certificates))
        put(certificates.server, certificates.server_key)
        writer = await _sent(address, b"new\n", ssl=client_context(certificates))
        assert await intake.count(1) == [b"new"]
        crt.write_text("rubbish")
        second = await _sent(address, b"old\n", ssl=client_context(certificates))
        assert await intake.count(2) == [b"new", b"old"]
        await hang_up(writer, second)


async def test_a_missing_certificate_is_named() -> None:
    with pytest.raises(ConfigError, match="the listener in cannot use the certificate /no/where"):
        await make(tls=Tls("/no/where", "/no/key")).bind()


@pytest.mark.parametrize("bind", ["99999", "1.2.3.4", "host:99999", "a:b:c", "[::1:80"])
def test_a_binding_that_is_none_is_a_problem_of_the_configuration(bind: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a (binding|port)"):
        convert({"bind": bind}, tcp.Config)
