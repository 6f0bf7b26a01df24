"""The http listener, over real sockets, on both event loops."""

import asyncio
import base64
import contextlib
import gzip
import random
import ssl
import zlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest
import zstandard

from rutta.conversion import convert
from rutta.errors import ConfigError
from rutta.listeners import http
from rutta.message import Block, Failure, Receipt
from rutta.net.cors import Cors
from rutta.net.http_auth import Auth, User
from rutta.net.http_connection import Connection
from rutta.net.http_server import HttpServer, Limits
from rutta.settings import Duration, Secret, Size, Tls


def make(**settings: Any) -> http.Http:
    return http.make(http.Config(**{"bind": "127.0.0.1:0", **settings}), "web")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """An HTTP client that sends exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, *, body: bool = True) -> Answer:
        async with asyncio.timeout(8):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in head[1:-2])}
            size = int(headers.get("content-length", 0)) if body else 0
            return Answer(int(head[0].split()[1]), headers, await self.reader.readexactly(size))

    async def ask(self, raw: bytes) -> Answer:
        self.writer.write(raw)
        return await self.read()

    async def closed(self) -> bool:
        async with asyncio.timeout(8):
            try:
                return await self.reader.read(1) == b""
            except ConnectionError:
                return True


def request(method: str = "POST", path: str = "/", body: bytes = b"", **headers: str) -> bytes:
    rows = [f"{method} {path} HTTP/1.1", "Host: x"]
    rows += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        rows.append(f"Content-Length: {len(body)}")
    return "\r\n".join(rows).encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def connected(address: tuple[str, int], **options: Any) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(*address, **options)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def ask(running: Any, intake: Any, raw: bytes, **settings: Any) -> Answer:
    async with running(make(**settings), intake) as address, connected(address) as client:
        return await client.ask(raw)


def failing(*failures: Failure, failed: int = 0) -> Any:
    def answer(block: Block) -> Receipt:
        receipt = Receipt(0, failures, failed)
        receipt.release()
        return receipt

    return answer


# --- what the original answered (reference §2.4) ---


@pytest.mark.parametrize("path", ["/", "/i/logary", "/?source=web", "http://host/i/logary"])
@pytest.mark.parametrize("body", [b'{"a":1}', b'[{"a":1},{"a":2}]', b'{"a":1}\n{"a":2}\n'])
async def test_a_post_is_one_atomic_block_and_201_true(path: str, body: bytes, running: Any, intake: Any) -> None:
    answer = await ask(running, intake, request(path=path, body=body))
    assert (answer.status, answer.body) == (201, b"true")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    (block,) = intake.blocks
    assert (block.data, block.lines, block.atomic) == (body, False, True)


async def test_a_bad_body_is_400_with_one_json_string(running: Any, intake: Any) -> None:
    intake.answer = failing(
        Failure(0, "schema", ".level: expected 1–6"),
        Failure(3, "malformed", "not JSON"),
        Failure(4, "schema", "[4].name: not a string"),
        failed=6,
    )
    answer = await ask(running, intake, request(body=b"[]"))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    text = "Found 6 errors:\n  [0].level: expected 1–6\n  [3]: not JSON\n  [4].name: not a string\n  … and 3 more"
    assert msgspec.json.decode(answer.body) == text


async def test_one_error_is_said_in_the_singular(running: Any, intake: Any) -> None:
    intake.answer = failing(Failure(0, "empty", "no input"))
    answer = await ask(running, intake, request(body=b""))
    assert msgspec.json.decode(answer.body) == "Found 1 error:\n  [0]: no input"


async def test_get_is_a_hint_that_names_the_path(running: Any, intake: Any) -> None:
    answer = await ask(running, intake, request("GET", "/events"), path="/events")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert b"/events" in answer.body
    assert answer.body.count(b"\n") == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/other"),
        ("POST", "/events/"),
        ("POST", "/"),
        ("PUT", "/events"),
        ("DELETE", "/events"),
        ("POST", "/EVENTS"),
    ],
)
async def test_anything_else_is_404_false(method: str, path: str, running: Any, intake: Any) -> None:
    answer = await ask(running, intake, request(method, path, b"{}"), path="/events")
    assert (answer.status, answer.body) == (404, b"false")
    assert intake.blocks == []


async def test_head_is_404_without_a_body(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address, connected(address) as client:
        client.writer.write(request("HEAD"))
        assert (await client.read(body=False)).status == 404
        assert (await client.ask(request(body=b"{}"))).status == 201


async def test_the_six_headers_become_context(running: Any, intake: Any) -> None:
    headers = {
        "CF_IPCountry": "SE", "cf_connecting_ip": "192.0.2.1", "X_Forwarded_For": "10.0.0.1",
        "x_forwarded_proto": "https", "Forwarded": "for=192.0.2.60", "User_Agent": "tést", "X_Other": "no",
    }  # fmt: skip
    raw = request(body=b"{}", **headers).replace(b"\r\nX-Other", b"\r\nx-forwarded-for: 10.0.0.2\r\nX-Other")
    await ask(running, intake, raw)
    assert intake.blocks[0].context == {
        "cf-ipcountry": "SE", "cf-connecting-ip": "192.0.2.1", "x-forwarded-for": "10.0.0.1,10.0.0.2",
        "x-forwarded-proto": "https", "forwarded": "for=192.0.2.60", "user-agent": "tést",
    }  # fmt: skip


async def test_context_is_each_request_s_own(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address, connected(address) as client:
        for agent in ("a", "b", ""):
            await client.ask(request(body=b"{}", **({"User_Agent": agent} if agent else {})))
    assert [block.context for block in intake.blocks] == [{"user-agent": "a"}, {"user-agent": "b"}, None]


# --- CORS ---

ALLOW = "access-control-allow-origin"


async def test_a_preflight_allows_what_is_asked_for(running: Any, intake: Any) -> None:
    raw = request("OPTIONS", "/anywhere", Origin="https://a", Access_Control_Request_Headers="x-one,  x-two")
    answer = await ask(running, intake, raw)
    assert (answer.status, answer.body) == (200, b"")
    assert {name: value for name, value in answer.headers.items() if name.startswith("access")} == {
        ALLOW: "*",
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "x-one, x-two",
        "access-control-max-age": "86400",
    }


async def test_a_preflight_without_headers_allows_content_type(running: Any, intake: Any) -> None:
    answer = await ask(running, intake, request("OPTIONS"))
    assert answer.headers["access-control-allow-headers"] == "Content-Type"


async def test_every_answer_to_a_post_may_be_read_by_the_page(running: Any, intake: Any) -> None:
    intake.answer = failing(Failure(0, "empty", "no input"))
    async with running(make(), intake) as address, connected(address) as client:
        assert (await client.ask(request())).headers[ALLOW] == "*"
        assert (await client.ask(request(content_encoding="br"))).headers[ALLOW] == "*"


@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
async def test_disabled_cors_is_off_everywhere(method: str, running: Any, intake: Any) -> None:
    answer = await ask(running, intake, request(method, Origin="https://a"), cors=Cors(enabled=False))
    assert answer.status == (404 if method == "OPTIONS" else 201)
    assert not [name for name in answer.headers if name.startswith("access") or name == "vary"]


@pytest.mark.parametrize(
    ("origin", "allowed"), [("https://a", True), ("https://b", True), ("https://c", False), ("", False)]
)
async def test_an_allow_list_names_the_origin_it_allows(origin: str, allowed: bool, running: Any, intake: Any) -> None:
    listener = make(cors=Cors(origins=["https://a", "https://b"]))
    headers = {"Origin": origin} if origin else {}
    async with running(listener, intake) as address, connected(address) as client:
        post = await client.ask(request(**headers))
        assert (post.status, post.headers.get(ALLOW)) == (201, origin if allowed else None)
        assert post.headers["vary"] == "Origin"
        preflight = await client.ask(request("OPTIONS", **headers))
        assert (preflight.status, preflight.headers.get(ALLOW)) == ((200, origin) if allowed else (404, None))


# --- compressed bodies ---


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def streamed_zstd(data: bytes) -> bytes:
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return stream.compress(data) + stream.flush()


SQUEEZED: dict[str, Any] = {
    "gzip": ("gzip", gzip.compress),
    "gzip of two members": ("x-gzip", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("DEFLATE", raw_deflate),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "zstd of unknown size": ("zstd", streamed_zstd),
}


@pytest.mark.parametrize("name", SQUEEZED)
async def test_a_compressed_body_is_taken(name: str, running: Any, intake: Any) -> None:
    coding, squeeze = SQUEEZED[name]
    answer = await ask(running, intake, request(body=squeeze(b'{"a":"b"}' * 9), content_encoding=coding))
    assert answer.status == 201
    assert intake.blocks[0].data == b'{"a":"b"}' * 9


@pytest.mark.parametrize("name", SQUEEZED)
async def test_a_bomb_is_413_and_the_connection_goes_on(name: str, running: Any, intake: Any) -> None:
    coding, squeeze = SQUEEZED[name]
    bomb = squeeze(b"\0" * 10_000_001)
    assert len(bomb) < 100_000
    async with running(make(max_body_bytes=Size(100_000)), intake) as address, connected(address) as client:
        assert (await client.ask(request(body=bomb, content_encoding=coding))).status == 413
        assert (await client.ask(request(body=squeeze(b"x" * 100_000), content_encoding=coding))).status == 201
    assert len(intake.blocks) == 1


@pytest.mark.parametrize("name", SQUEEZED)
@pytest.mark.parametrize("harm", ["truncated", "corrupt"])
async def test_a_broken_compressed_body_is_400(name: str, harm: str, running: Any, intake: Any) -> None:
    coding, squeeze = SQUEEZED[name]
    data = squeeze(bytes(range(256)) * 4)
    data = data[:-5] if harm == "truncated" else b"\x07" + data[1:]
    answer = await ask(running, intake, request(body=data, content_encoding=coding))
    assert answer.status == 400
    assert coding.lower() in msgspec.json.decode(answer.body)
    assert intake.blocks == []
    assert intake.refused == {"encoding": 1}


@pytest.mark.parametrize("name", [name for name in SQUEEZED if "deflate" not in name])
async def test_what_follows_a_compressed_body_is_not_overlooked(name: str, running: Any, intake: Any) -> None:
    coding, squeeze = SQUEEZED[name]
    assert (await ask(running, intake, request(body=squeeze(b"{}") + b"more", content_encoding=coding))).status == 400


async def test_an_unknown_encoding_is_415_and_says_what_is_known(running: Any, intake: Any) -> None:
    answer = await ask(running, intake, request(body=b"x", content_encoding="br"))
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate, zstd")


# --- limits ---


async def test_a_body_above_the_limit_is_413_before_it_is_read(running: Any, intake: Any) -> None:
    async with running(make(max_body_bytes=Size(10)), intake) as address, connected(address) as client:
        answer = await client.ask(request(body=b"x" * 11)[:-11])
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert await client.closed()


async def test_a_client_that_goes_on_sending_can_read_its_413(running: Any, intake: Any) -> None:
    async with running(make(max_body_bytes=Size(10)), intake) as address, connected(address) as client:
        client.writer.write(request(body=b"x" * 3_000_000))
        assert (await client.read()).status == 413


async def test_a_chunked_body_above_the_limit_is_413(running: Any, intake: Any) -> None:
    async with running(make(max_body_bytes=Size(10)), intake) as address, connected(address) as client:
        client.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = await client.ask(b"8\r\n12345678\r\n" * 2)
        assert answer.status == 413


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n", 414),
        (b"POST / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"h%d: v\r\n" % i for i in range(200)), 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 40_000 + b"\r\n", 431),
        (b"rubbish\r\n", 400),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -3\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost : x\r\n", 400),
        (b"CONNECT host:443 HTTP/1.1\r\nHost: x\r\n", 404),
    ],
    ids=[
        "long path", "many headers", "long header", "rubbish", "tls hello", "both lengths", "two lengths",
        "negative length", "space", "connect",
    ],
)  # fmt: skip
async def test_a_bad_head_is_answered_and_closed(head: bytes, status: int, running: Any, intake: Any) -> None:
    async with running(make(), intake) as address:
        async with connected(address) as client:
            answer = await client.ask(head + b"\r\n")
            assert (answer.status, answer.headers["connection"]) == (status, "close")
            assert await client.closed()
        async with connected(address) as client:
            assert (await client.ask(request())).status == 201


async def test_headers_that_never_end_are_cut_off(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address, connected(address) as client:
        client.writer.write(b"POST / HTTP/1.1\r\nA: ")
        for _ in range(600):
            client.writer.write(b"x" * 1000)
            await asyncio.sleep(0)
        assert (await client.read()).status == 431


@pytest.mark.parametrize("sent", [b"POST / HT", request(body=b"12345")[:-1]], ids=["half a head", "half a body"])
async def test_a_slow_request_is_408(sent: bytes, running: Any, intake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rutta.net.http_server.SWEEP", 0.01)
    listener = make(header_timeout=Duration(0.05), body_timeout=Duration(0.05))
    async with running(listener, intake) as address, connected(address) as client:
        answer = await client.ask(sent)
        assert answer.status == 408
        assert await client.closed()
        assert listener.status()["timeouts"] == 1


async def test_a_loris_that_drips_is_408_all_the_same(
    running: Any, intake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rutta.net.http_server.SWEEP", 0.01)

    async def drip(client: Client) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                client.writer.write(b"a: b\r\n")
                await asyncio.sleep(0.005)

    async with running(make(header_timeout=Duration(0.05)), intake) as address, connected(address) as client:
        client.writer.write(b"POST / HTTP/1.1\r\n")
        dripping = asyncio.create_task(drip(client))
        assert (await client.read()).status == 408
        dripping.cancel()


async def test_an_idle_connection_is_closed(running: Any, intake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rutta.net.http_server.SWEEP", 0.01)
    async with running(make(idle_timeout=Duration(0.05)), intake) as address, connected(address) as client:
        assert (await client.ask(request())).status == 201
        assert await client.closed()


async def test_connections_above_the_limit_are_refused(running: Any, intake: Any) -> None:
    listener = make(max_connections=1)
    async with running(listener, intake) as address, connected(address) as first:
        assert (await first.ask(request())).status == 201
        async with connected(address) as second:
            assert await second.closed()
        assert listener.status()["refused"] == 1
        assert (await first.ask(request())).status == 201


async def test_bodies_in_memory_have_a_limit_together(running: Any, intake: Any) -> None:
    listener = make(max_in_flight_bytes=Size(1000))
    async with running(listener, intake) as address, connected(address) as first, connected(address) as second:
        first.writer.write(request(body=b"x" * 900)[:-1])
        async with asyncio.timeout(5):
            while listener.status()["bodyBytes"] < 899:
                await asyncio.sleep(0.001)
        assert (await second.ask(request(body=b"y" * 900))).status == 503
        assert (await first.ask(b"x")).status == 201
        assert (await second.ask(request(body=b"y" * 900))).status == 201
        assert listener.status()["bodyBytes"] == 0


# --- the protocol ---


async def test_requests_sent_ahead_are_answered_in_order(running: Any, intake: Any) -> None:
    async with running(make(), intake) as address, connected(address) as client:
        pipeline = [request(body=b"%d" % number) for number in range(50)] + [request("GET"), request("PUT")]
        client.writer.write(b"".join(pipeline))
        assert [(await client.read()).status for _ in pipeline] == [201] * 50 + [200, 404]
    assert intake.inputs == [b"%d" % number for number in range(50)]


async def test_requests_sent_ahead_of_a_slow_answer_are_answered_in_order(running: Any, intake: Any) -> None:
    receipts: list[Receipt] = []

    def hold(block: Block) -> Receipt:
        receipts.append(Receipt(1))
        return receipts[-1]

    intake.answer = hold
    async with running(make(acknowledge="Delivered"), intake) as address, connected(address) as client:
        client.writer.write(request(body=b"1") + request("GET") + request(body=b"2"))
        await intake.count(1)
        await asyncio.sleep(0.01)
        assert intake.inputs == [b"1"]
        receipts[0].release()
        assert [(await client.read()).status for _ in range(2)] == [201, 200]
        await intake.count(2)
        receipts[1].release()
        assert (await client.read()).status == 201


async def test_a_request_split_anywhere_is_the_same_request(running: Any, intake: Any) -> None:
    raw = request(body=b'{"a":"b"}', user_agent="x")
    async with running(make(), intake) as address, connected(address) as client:
        for at in range(1, len(raw)):
            client.writer.write(raw[:at])
            await asyncio.sleep(0)
            assert (await client.ask(raw[at:])).status == 201
    assert {block.data for block in intake.blocks} == {b'{"a":"b"}'}


async def test_a_chunked_body_is_put_together(running: Any, intake: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running(make(), intake) as address, connected(address) as client:
        answer = await client.ask(head + b'3;x=y\r\n{"a\r\n4\r\n":1}\r\n0\r\nTrailer: x\r\n\r\n')
        assert answer.status == 201
        assert (await client.ask(request(body=b"next"))).status == 201
    assert intake.inputs == [b'{"a":1}', b"next"]


async def test_expect_continue_is_answered_before_the_body(running: Any, intake: Any) -> None:
    raw = request(body=b"{}", Expect="100-continue")
    async with running(make(), intake) as address, connected(address) as client:
        assert (await client.ask(raw[:-2])).status == 100
        assert (await client.ask(b"{}")).status == 201


async def test_expect_continue_that_is_refused_gets_its_answer_at_once(running: Any, intake: Any) -> None:
    raw = request(body=b"{}", Expect="100-continue", content_encoding="br")
    async with running(make(), intake) as address, connected(address) as client:
        assert (await client.ask(raw[:-2])).status == 415
        assert await client.closed()


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [("1.1", "", True), ("1.1", "close", False), ("1.0", "", False), ("1.0", "keep-alive", True)],
)
async def test_connections_stay_as_their_version_says(
    version: str, connection: str, stays: bool, running: Any, intake: Any
) -> None:
    raw = request(body=b"{}", **({"Connection": connection} if connection else {}))
    async with running(make(), intake) as address, connected(address) as client:
        answer = await client.ask(raw.replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        assert answer.status == 201
        assert (answer.headers.get("connection") == "close") is not stays
        if stays:
            assert (await client.ask(request())).status == 201
        else:
            assert await client.closed()


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_offer_to_upgrade_is_ignored_and_the_body_read(chunked: bool, running: Any, intake: Any) -> None:
    raw = request(body=b"{}", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="AAEAAEAAAAIAAAAB")
    if chunked:
        raw = raw.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked").replace(b"{}", b"2\r\n{}\r\n0\r\n\r\n")
    async with running(make(), intake) as address, connected(address) as client:
        client.writer.write(raw + request(body=b"[]"))
        assert [(await client.read()).status for _ in range(2)] == [201, 201]
    assert intake.inputs == [b"{}", b"[]"]


async def test_a_client_that_closes_its_side_gets_its_answer(running: Any, intake: Any) -> None:
    receipts: list[Receipt] = []

    def hold(block: Block) -> Receipt:
        receipts.append(Receipt(1))
        return receipts[-1]

    intake.answer = hold
    async with running(make(acknowledge="Delivered"), intake) as address, connected(address) as client:
        client.writer.write(request(body=b"{}"))
        await intake.count(1)
        client.writer.write_eof()
        receipts[0].release()
        assert (await client.read()).status == 201
        assert await client.closed()


# --- back-pressure and acknowledgement ---


async def test_a_full_queue_is_503_with_retry_after(running: Any, intake: Any) -> None:
    listener = make(max_wait=Duration(0.02))
    async with running(listener, intake) as address, connected(address) as client:
        intake.fill()
        answer = await client.ask(request(body=b"{}"))
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        await asyncio.sleep(0.03)
        assert (await client.ask(request(body=b"{}"))).status == 503  # at once now, the body is not kept
        assert intake.blocks == []
        intake.drain()
        assert (await client.ask(request(body=b"{}"))).status == 201


async def test_a_queue_that_is_full_for_a_moment_is_waited_for(running: Any, intake: Any) -> None:
    async with running(make(max_wait=Duration(8)), intake) as address, connected(address) as client:
        intake.fill()
        client.writer.write(request(body=b"{}"))
        await asyncio.sleep(0.02)
        assert intake.blocks == []
        intake.drain()
        assert (await client.read()).status == 201


async def test_delivered_answers_when_the_targets_are_done(running: Any, intake: Any) -> None:
    receipts: list[Receipt] = []

    def hold(block: Block) -> Receipt:
        receipts.append(Receipt(1))
        return receipts[-1]

    intake.answer = hold
    async with running(make(acknowledge="Delivered"), intake) as address, connected(address) as client:
        client.writer.write(request(body=b"{}"))
        await intake.count(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.readexactly(1), 0.05)
        receipts[0].release()
        assert (await client.read()).status == 201


async def test_delivered_is_503_when_it_takes_too_long(running: Any, intake: Any) -> None:
    intake.answer = lambda block: Receipt(1)
    answer = await ask(
        running, intake, request(body=b"{}"), acknowledge="Delivered", acknowledge_timeout=Duration(0.02)
    )
    assert answer.status == 503
    assert "retry-after" in answer.headers


async def test_delivered_does_not_wait_for_a_body_that_was_bad(running: Any, intake: Any) -> None:
    intake.answer = failing(Failure(0, "empty", "no input"))
    assert (await ask(running, intake, request(), acknowledge="Delivered")).status == 400


async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(
    running: Any, intake: Any, eventually: Any
) -> None:
    listener = make(max_wait=Duration(60))
    async with running(listener, intake) as address:
        intake.fill()
        async with connected(address) as client:
            client.writer.write(request(body=b"{}"))
            await eventually(lambda: listener.status()["requests"] == 1)
            client.writer.transport.abort()
        intake.drain()
        await eventually(lambda: listener.status()["connections"] == 0)
        assert listener.status()["bodyBytes"] == 0


# --- stopping ---


async def test_stop_answers_what_has_begun_and_closes_the_rest(running: Any, intake: Any) -> None:
    listener = make()
    async with running(listener, intake) as address, connected(address) as idle, connected(address) as busy:
        assert (await idle.ask(request())).status == 201
        raw = request(body=b"{}")
        busy.writer.write(raw[:-1])
        await asyncio.sleep(0.02)
        listener.stop()
        assert await idle.closed()
        answer = await busy.ask(raw[-1:])
        assert (answer.status, answer.headers["connection"]) == (201, "close")
        assert await busy.closed()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*address)


async def test_stop_waits_for_deliveries(running: Any, intake: Any) -> None:
    receipt = Receipt(1)
    intake.answer = lambda block: receipt
    listener = make(acknowledge="Delivered")
    async with running(listener, intake) as address, connected(address) as client:
        client.writer.write(request(body=b"{}"))
        await intake.count(1)
        listener.stop()
        await asyncio.sleep(0.02)
        receipt.release()
        assert (await client.read()).status == 201


async def test_stop_gives_up_a_request_that_does_not_arrive(
    running: Any, intake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rutta.net.http_server.LAST_CALL", 0.05)
    listener = make()
    async with running(listener, intake) as address, connected(address) as client:
        client.writer.write(b"POST / HTTP/1.1\r\n")
        await asyncio.sleep(0.02)
        listener.stop()
        assert await client.closed()


# --- who may post ---

BASIC = "Basic " + base64.b64encode(b"anna:geheim:nis").decode()
AUTH = Auth(bearer=[Secret(value="token-1"), Secret(value="token-2")], basic=[User("anna", Secret(value="geheim:nis"))])


@pytest.mark.parametrize("authorization", ["Bearer token-1", "bearer token-2", BASIC])
async def test_a_known_credential_may_post(authorization: str, running: Any, intake: Any) -> None:
    answer = await ask(running, intake, request(body=b"{}", Authorization=authorization), auth=AUTH)
    assert answer.status == 201


@pytest.mark.parametrize(
    "authorization", ["", "Bearer token-3", "Bearer", "Basic token-1", "Bearer token-1x", "token-1"]
)
async def test_anything_else_is_401_with_a_challenge(authorization: str, running: Any, intake: Any) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with running(make(auth=AUTH), intake) as address, connected(address) as client:
        answer = await client.ask(request(body=b"{}", **headers))
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="rutta", Basic realm="rutta", charset="UTF-8"'
        assert (await client.ask(request(body=b"{}", Authorization="Bearer token-1"))).status == 201
    assert intake.inputs == [b"{}"]


async def test_a_preflight_needs_no_credential(running: Any, intake: Any) -> None:
    assert (await ask(running, intake, request("OPTIONS", Origin="https://a"), auth=AUTH)).status == 200


async def test_a_secret_that_changes_is_taken(
    running: Any, intake: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rutta.net.http_auth.FRESH", 0.0)
    file = tmp_path / "token"
    file.write_text("old\n")
    listener = make(auth=Auth(bearer=[Secret(file=str(file))]))
    async with running(listener, intake) as address, connected(address) as client:
        assert (await client.ask(request(Authorization="Bearer old"))).status == 201
        file.write_text("new\n")
        assert (await client.ask(request(Authorization="Bearer old"))).status == 401
        file.unlink()
        assert (await client.ask(request(Authorization="Bearer new"))).status == 201


async def test_a_secret_that_is_missing_at_start_is_named() -> None:
    with pytest.raises(ConfigError, match="RUTTA_NO_SUCH"):
        await make(auth=Auth(bearer=[Secret(env="RUTTA_NO_SUCH")])).bind()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"auth": {}}, "auth"),
        ({"auth": {"basic": [{"username": "a:b", "password": "x"}]}}, "auth.basic[0].username"),
        ({"path": "events"}, "path"),
        ({"acknowledge": "Sent"}, "acknowledge"),
        ({"cors": {"origins": []}}, "cors.origins"),
        ({"bind": "nowhere"}, ""),
    ],
)
def test_settings_that_cannot_work_are_named_with_their_path(settings: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        convert({"bind": "127.0.0.1:0", **settings}, http.Config)
    assert caught.value.problems[0].path == path


# --- TLS ---


async def test_requests_come_over_tls(running: Any, intake: Any, certificates: Any) -> None:
    listener = make(tls=Tls(certificates.server, certificates.server_key), max_body_bytes=Size(10**6))
    context = ssl.create_default_context(cafile=certificates.ca)
    async with running(listener, intake) as address, connected(address, ssl=context) as client:
        assert (await client.ask(request(body=b"x" * 900_000))).status == 201
        assert (await client.ask(request(body=b"x" * 1_000_001)[:-1_000_001])).status == 413
        assert await client.closed()
    assert intake.inputs == [b"x" * 900_000]


async def test_clear_text_to_a_tls_port_hurts_nobody_else(running: Any, intake: Any, certificates: Any) -> None:
    listener = make(tls=Tls(certificates.server, certificates.server_key, certificates.ca))
    context = ssl.create_default_context(cafile=certificates.ca)
    context.load_cert_chain(certificates.client, certificates.client_key)
    async with running(listener, intake) as address, connected(address) as rude:
        rude.writer.write(request(body=b"{}"))
        async with connected(address, ssl=context) as client:
            assert (await client.ask(request(body=b"[]"))).status == 201
        assert await rude.reader.read(1) != b"H"
    assert intake.inputs == [b"[]"]


# --- any input ---


class Wire:
    """A transport that remembers what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def test_any_bytes_are_survived_and_leave_nothing_behind(intake: Any) -> None:
    chance = random.Random(11)
    reception = http._Reception(http.Config(bind="127.0.0.1:0"), intake, None)
    server = HttpServer([], reception.handle, name="web", check=reception.check, limits=Limits(body=1000, head=500))
    seeds = [
        request(body=b"{}"), request("GET"), request("OPTIONS", Origin="x"),
        request(body=gzip.compress(b"{}"), content_encoding="gzip"),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nA: b\r\n\r\n",
        request(body=b"{}", Upgrade="h2c", Connection="upgrade"),
        request("CONNECT", "a:1"), request(body=b"x" * 2000), b"\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]  # fmt: skip
    answered = 0
    for _ in range(3000):
        data = bytearray(b"".join(chance.choices(seeds, k=chance.randrange(1, 5))))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = bytes(chance.choices(range(256), k=chance.randrange(3)))
            data = data or bytearray(b"x")
        wire, connection = Wire(), Connection(server)
        connection.connection_made(wire)  # type: ignore[arg-type]
        while data and not wire.closing:
            size = chance.randrange(1, 400)
            piece, data = data[:size], data[size:]
            server.view[: len(piece)] = piece
            connection.buffer_updated(len(piece))
        connection.connection_lost(None)
        answered += wire.written.count(b"HTTP/1.1 ")
    assert answered > 3000
    assert server.held == 0
    assert not server.connections


async def test_a_compressed_body_stays_compressed_while_the_queue_is_full(
    running: Any, intake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated: list[int] = []
    gunzip = http.inflate.CODINGS["gzip"]

    def counted(data: bytes, limit: int) -> bytes:
        inflated.append(len(data))
        return gunzip(data, limit)

    monkeypatch.setattr(http.inflate, "CODINGS", {"gzip": counted})
    intake.fill()
    raw = request(body=gzip.compress(b"{}" * 1000), content_encoding="gzip")
    assert (await ask(running, intake, raw, max_wait=0.01)).status == 503
    assert inflated == []
    intake.drain()
    assert (await ask(running, intake, raw)).status == 201
    assert len(inflated) == 1


async def test_what_comes_out_of_a_body_counts_against_the_bodies_in_memory(running: Any, intake: Any) -> None:
    raw = request(body=gzip.compress(bytes(100_000)), content_encoding="gzip")
    assert (await ask(running, intake, raw, max_in_flight_bytes=50_000)).status == 503
    assert intake.blocks == []
    held: list[int] = []

    listener = make(max_in_flight_bytes=200_000)

    def look(block: Any) -> Receipt:
        held.append(listener.status()["bodyBytes"])
        receipt = Receipt(1)
        receipt.release()
        return receipt

    intake.answer = look
    async with running(listener, intake) as address, connected(address) as client:
        for _ in range(5):
            assert (await client.ask(raw)).status == 201
        assert listener.status()["bodyBytes"] == 0
    assert min(held) > 100_000
    assert max(held) < 102_000
