"""Target ``sse``: by plain sockets, by aiohttp's client over TLS, and by the ``EventSource`` of a browser.

https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl

import aiohttp
import pytest
from aiohttp import web

from rutta import conversion, uris
from rutta.errors import ConfigError, Retry
from rutta.targets import sse

TOKEN = "s3cret-token-of-a-reader"


class Reader:
    """A client: the head of the answer, then the stream's fields, frame by frame."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.status, self.headers = 0, {}

    @classmethod
    async def connect(cls, target, path="/", method="GET", **headers):
        host, _, port = target.status()["bound"][0].rpartition(":")
        made = cls(*await asyncio.open_connection(host, int(port), limit=2**20))
        lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{key}: {value}" for key, value in headers.items())]
        made.writer.write("\r\n".join([*lines, "", ""]).encode())
        try:
            head = (await made.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            await made.close()
            raise
        made.status = int(head[0].split()[1])
        made.headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
        return made

    async def frame(self):
        """The next frame's fields; a comment's is ``""``."""
        lines = (await self.reader.readuntil(b"\n\n")).decode().removesuffix("\n\n").split("\n")
        return {key: value.removeprefix(" ") for key, _, value in (line.partition(":") for line in lines)}

    async def event(self):
        """The next event: its id, and what it says."""
        while "event" not in (found := await self.frame()):
            pass
        assert found["event"] == "Logary.Message"
        return found["id"], json.loads(found["data"])

    async def texts(self, count):
        return [(await self.event())[1]["event"] for _ in range(count)]

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
async def opened():
    """``await opened(setting=…)`` gives a target that listens, closed at the end."""
    made = []

    async def make(**given):
        config = conversion.convert({"bind": "127.0.0.1:0", **given}, sse.Config)
        made.append(sse.make(config, "watch"))
        await made[-1].open()
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
async def connect():
    """``await connect(target, …)`` gives a reader, closed at the end."""
    made = []

    async def join(target, *args, **more):
        made.append(await Reader.connect(target, *args, **more))
        return made[-1]

    yield join
    for one in made:
        await one.close()


def of(batch, *texts):
    return [batch(*({"event": text} for text in texts))]


async def test_an_event_comes_whole_and_by_its_type(opened, connect, batch):
    target = await opened()
    reader = await connect(target)
    assert (reader.status, reader.headers["content-type"]) == (200, "text/event-stream")
    assert (reader.headers["cache-control"], reader.headers["access-control-allow-origin"]) == ("no-store", "*")
    assert await reader.frame() == {"retry": "1000"}
    one = {
        "event": "Slow {route}", "id": "0" * 31 + "1", "level": "warn", "name": "shop",
        "timestamp": 1_700_000_000_000_000_000,
        "fields": {"route": "/buy"}, "gauges": {"mem": {"type": "gauge", "value": 1, "unit": "bytes"}},
        "error": {"message": "late", "stackTrace": {"frames": [{"site": "a"}]}},
        "monetaryValue": {"amount": 12.5, "currency": "SEK"},
    }  # fmt: skip
    outcome = await target.send([batch(one, context={"host": "h"})])
    assert (outcome.retry, outcome.rejected) == ((), ())
    _, found = await reader.event()
    for key in ("event", "level", "name", "timestamp", "fields", "gauges"):
        assert found[key] == one[key]
    assert found["context"] == {"host": "h"}
    assert (found["error"]["message"], found["monetaryValue"]["amount"]) == ("late", 12.5)


@pytest.mark.parametrize(("codec", "odd"), [("ndjson", 1), ("json", None)])
async def test_events_of_other_kinds_come_too_as_they_came_or_in_the_form_of_v6(opened, connect, batch, codec, odd):
    target = await opened(codec=codec)
    reader = await connect(target)
    await target.send(
        [batch({"type": "gauge", "name": "g", "gauge": {"type": "gauge", "value": 3, "unit": "s"}, "odd": 1})]
    )
    found = (await reader.event())[1]
    assert (found["type"], found["gauge"]["value"], found.get("odd")) == ("gauge", 3, odd)


async def test_all_clients_get_all_in_order_and_nobody_has_to_listen(opened, connect, batch):
    target = await opened()
    await target.send(of(batch, "before"))
    readers = [await connect(target) for _ in range(3)]
    for number in range(10):
        await target.send(of(batch, f"{number}a", f"{number}b") + of(batch, f"{number}c"))
    wanted = [f"{number}{letter}" for number in range(10) for letter in "abc"]
    assert [await reader.texts(30) for reader in readers] == [wanted] * 3
    assert target.status()["clients"] == 3


async def test_who_comes_back_goes_on_where_it_was(opened, connect, batch):
    target = await opened()
    reader = await connect(target)
    await target.send(of(batch, "a", "b", "c", "d"))
    ids = [(await reader.event())[0] for _ in range(2)]
    await reader.close()
    await target.send(of(batch, "e"))
    again = await connect(target, **{"Last-Event-ID": ids[-1]})
    assert await again.texts(3) == ["c", "d", "e"]
    stranger = await connect(target, "/?lastEventId=of-another-1")
    assert await stranger.texts(5) == ["a", "b", "c", "d", "e"]


async def test_a_client_that_does_not_read_holds_nobody_up_and_is_left(opened, connect, batch):
    target = await opened(history="256Ki")
    host, _, port = target.status()["bound"][0].rpartition(":")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, (host, int(port)))
        slow.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        reader = await connect(target)
        large, got = of(batch, *["x" * 1000] * 64), 0
        while target.status()["slowClients"] == 0:
            assert got < 64_000, "the slow client should have been left by now"
            await target.send(large)
            got += len(await reader.texts(64))
        assert target.status()["clients"] == 1


async def test_a_client_that_reads_late_gets_what_is_kept(opened, connect, batch):
    target = await opened(history="64Mi")
    reader = await connect(target)
    for number in range(200):
        await target.send(of(batch, f"{number}" + "x" * 100_000))
    texts = await reader.texts(200)
    assert [text.rstrip("x") for text in texts] == [f"{number}" for number in range(200)]
    assert target.status()["slowClients"] == 0


async def test_a_quiet_stream_has_heartbeats(opened, connect):
    reader = await connect(await opened(heartbeat="50ms"))
    assert await reader.frame() == {"retry": "1000"}
    assert [await reader.frame() for _ in range(2)] == [{"": ""}] * 2


async def test_more_clients_than_the_limit_are_refused(opened, connect, batch):
    target = await opened(maxClients=2)
    readers = [await connect(target) for _ in range(2)]
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await Reader.connect(target)
    await readers[0].close()
    while target.status()["clients"] == 2:
        await asyncio.sleep(0)
    await connect(target)
    assert target.status()["refused"] == 1


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/events", "GET", {}, 200), ("/events?x=1", "GET", {}, 200), ("/events", "HEAD", {}, 200),
        ("/", "GET", {}, 404), ("/events", "POST", {"Content-Length": 0}, 405),
        ("/events", "OPTIONS", {"Access-Control-Request-Headers": "authorization"}, 200),
        ("/events", "GET", {"X": "y" * 40_000}, 431), ("/events", "NO SUCH", {}, 400),
    ],
)  # fmt: skip
async def test_only_what_is_there_is_answered(opened, connect, path, method, headers, status):
    target = await opened(path="/events")
    reader = await connect(target, path, method, **headers)
    assert reader.status == status
    if method == "OPTIONS":
        assert reader.headers["access-control-allow-methods"] == "get"
        assert reader.headers["access-control-allow-headers"] == "authorization"
    if method == "HEAD":
        assert await reader.reader.read() == b""


@pytest.mark.parametrize(
    ("given", "origin", "allowed"),
    [({}, "https://a.example", "*"), ({"origins": ["https://a.example"]}, "https://a.example", "https://a.example"),
     ({"origins": ["https://a.example"]}, "https://b.example", None), ({"cors": False}, "https://a.example", None)],
)  # fmt: skip
async def test_pages_of_other_origins_may_read_or_not(opened, connect, given, origin, allowed):
    reader = await connect(await opened(**given), Origin=origin)
    assert reader.headers.get("access-control-allow-origin") == allowed


async def test_who_has_no_token_reads_nothing(opened, connect, batch, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    target = await opened(auth={"bearer": [{"file": str(path)}]})
    for headers, query, status in (
        ({}, "", 401), ({"Authorization": "Bearer wrong"}, "", 401), ({"Authorization": f"Bearer {TOKEN}"}, "", 200),
        ({}, f"?access_token={TOKEN}", 200), ({}, "?access_token=wrong", 401),
    ):  # fmt: skip
        reader = await connect(target, f"/{query}", **headers)
        assert reader.status == status
        assert ("www-authenticate" in reader.headers) == (status == 401)
    assert target.status()["clients"] == 2
    assert TOKEN not in repr(target.status()) + repr(target._config)


async def test_it_speaks_tls(opened, batch, certificate):
    target = await opened(tls={"certFile": certificate[0], "keyFile": certificate[1]})
    port = target.status()["bound"][0].rpartition(":")[2]
    trust = ssl.create_default_context(cafile=certificate[0])
    async with aiohttp.ClientSession() as session, session.get(f"https://localhost:{port}/", ssl=trust) as answer:
        assert answer.content_type == "text/event-stream"
        await target.send(of(batch, "a"))
        found = await answer.content.readuntil(b"\n\n") + await answer.content.readuntil(b"\n\n")
        assert b'"a"' in found
        await target.close()
        assert await answer.content.read() == b""


async def test_what_was_written_is_taken_before_it_closes_and_opening_again_goes_on(opened, connect, batch):
    target = await opened()
    reader = await connect(target)
    await target.send(of(batch, "a"))
    await target.close()
    last_id, _ = await reader.event()
    with pytest.raises(asyncio.IncompleteReadError):
        await reader.event()
    with pytest.raises(Retry):
        await target.send(of(batch, "lost"))
    await target.open()
    await target.send(of(batch, "b"))
    assert await (await connect(target, **{"Last-Event-ID": last_id})).texts(1) == ["b"]


async def test_who_sends_no_request_or_goes_in_the_middle_is_forgotten(opened, batch):
    target = await opened()
    host, _, port = target.status()["bound"][0].rpartition(":")
    for said in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        await writer.drain()
        writer.transport.abort()
    _, writer = await asyncio.open_connection(host, int(port))
    while target.status()["accepted"] < 4:
        await asyncio.sleep(0)
    await target.send(of(batch, "a"))
    (silent,) = target._server._open
    silent.beat(asyncio.get_running_loop().time() + 11)
    while target.status()["connections"]:
        await asyncio.sleep(0)
    writer.close()


async def test_an_address_that_is_taken_is_waited_for(opened):
    target = await opened()
    taken = sse.make(conversion.convert({"bind": target.status()["bound"][0]}, sse.Config), "other")
    with pytest.raises(Retry, match="another process"):
        await taken.open()
    await taken.close()
    await target.close()
    await taken.open()
    await taken.close()


def test_the_uri_of_the_original_is_understood():
    entry = uris.entry_of_uri("sse://./?path=/watch&ip=127.0.0.1&port=8081&cors=false")
    config = conversion.convert(entry["sse"], sse.Config)
    assert (config.address, config.path, config.cors) == ("127.0.0.1:8081", "/watch", False)
    assert conversion.convert({}, sse.Config).address == "0.0.0.0:8080"
    assert conversion.convert({"ip": "::1"}, sse.Config).address == "[::1]:8080"


@pytest.mark.parametrize("given", [{"bind": "here"}, {"path": "a"}, {"heartbeat": "1ms"}, {"auth": {}},
                                   {"maxClients": 0}, {"origins": []}, {"codec": "plain"}])  # fmt: skip
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, sse.Config)


# --- a browser --------------------------------------------------------------------------------------------------

PAGE = """<!doctype html><script>
const seen = [], source = new EventSource("STREAM");
source.addEventListener("Logary.Message", one => {
  seen.push(JSON.parse(one.data).event);
  fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
});
source.onopen = () => fetch("/open", {method: "POST"});
</script>"""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture
async def browser(tmp_path):
    """``await browser(url)`` starts Chromium on a page; ended with all that it started."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip(
            "chromium is not installed (apt-get install chromium): the test with a browser's EventSource is out"
        )
    started = []

    async def start(url):
        started.append(
            await asyncio.create_subprocess_exec(
                program, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", url,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
            )
        )  # fmt: skip

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_a_browsers_event_source_gets_all_also_after_it_was_cut_off(opened, server, batch, browser):
    """The page is of another origin, so the browser asks for CORS; it comes back by itself, and with its last id."""
    target = await opened(origins=[server.url])
    news = asyncio.Queue()

    async def answer(request, body):
        if request.path == "/":
            page = PAGE.replace("STREAM", f"http://{target.status()['bound'][0]}/")
            return web.Response(text=page, content_type="text/html")
        news.put_nowait((request.path, body))
        return web.Response()

    async def until(path, body=b""):
        while (await news.get()) != (path, body):
            pass

    server.usual = answer
    await browser(server.url)
    async with asyncio.timeout(50):
        await until("/open")
        await target.send(of(batch, "a", "b"))
        await until("/seen", b'["a","b"]')
        for client in list(target._server.clients):
            client.abort()
        await target.send(of(batch, "while away"))
        await until("/open")
        await target.send(of(batch, "back"))
        await until("/seen", b'["a","b","while away","back"]')
