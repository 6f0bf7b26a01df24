"""What the tests of targets share: batches made by the real codec, a scripted HTTP server, the real InfluxDB 1."""

import asyncio
import gzip
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from aiohttp import web

from rutta import formats
from rutta.codecs import json as json_codec
from rutta.message import EVERYTHING, Batch, Block
from rutta.targets import Outcome


def make_batch(*events: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> Batch:
    """Decode events as they come from the network."""
    data = b"".join(json.dumps({"type": "event", **event}).encode() + b"\n" for event in events)
    return json_codec.make(False).decode(Block(data, context=context), EVERYTHING)


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """``batch({...}, {...})`` makes a batch of these events."""
    return make_batch


def rows(lost: Sequence[Any]) -> list[tuple[int, int]]:
    return [(one.batch, one.row) for one in lost]


@pytest.fixture
def split_outcome() -> Callable[[Outcome], tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
    """Places (batch, row) of an outcome to retry, and of the rejected."""
    return lambda outcome: (rows(outcome.retry), rows(outcome.rejected))


class Seen(NamedTuple):
    """A request that came in, its body decompressed."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def lines(self) -> list[bytes]:
        return self.body.splitlines()


Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


class Web:
    """An HTTP server that answers as told: ``answers`` in order, then ``usual``."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: list[Answer | web.Response] = []
        self.usual: Answer = self.take
        self.released = asyncio.Event()
        self.url = ""

    async def take(self, request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=204)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()  # aiohttp inflates what it knows
        self.seen.append(Seen(request.method, request.path, dict(request.query), request.headers.copy(), body))
        answer = self.answers.pop(0) if self.answers else self.usual
        return answer if isinstance(answer, web.Response) else await answer(request, body)

    async def reset(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Close the connection in the middle of the request."""
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def half(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Send a head that promises more than comes, then close."""
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        request.transport.close()
        return web.Response()

    async def half_body(self, request: web.Request, body: bytes) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        request.transport.close()
        return web.Response()

    async def silence(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Answer when the test is over."""
        await self.released.wait()
        return web.Response()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Web]:
    """A scripted HTTP server on a free port."""
    fake = Web()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    fake.released.set()
    await runner.cleanup()


class Influx:
    """The real InfluxDB 1 of the distribution, on free ports, asked over HTTP."""

    def __init__(self, folder: Path) -> None:
        self.port, rpc = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = folder / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
            f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n'
        )
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(["influxd", "-config", config], stdout=log, stderr=log)

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def query(self, text: str, db: str = "") -> list[dict[str, Any]]:
        """Return all series of all statements."""
        data = urllib.parse.urlencode({"q": text, "db": db, "epoch": "ns"}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data=data, timeout=10) as answer:
            results = json.load(answer)["results"]
        assert not any("error" in one for one in results), results
        return [series for one in results for series in one.get("series", ())]

    def rows(self, text: str, db: str) -> list[dict[str, Any]]:
        """Return the rows of a query, without what is null."""
        return [
            {name: value for name, value in zip(series["columns"], values, strict=True) if value is not None}
            | series.get("tags", {})
            for series in self.query(text, db)
            for values in series["values"]
        ]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    """Start InfluxDB 1 once; skipped where it is not installed."""
    if shutil.which("influxd") is None:
        pytest.skip(
            "influxd is not installed (apt-get install influxdb): the tests against the real InfluxDB 1 are out"
        )
    running = Influx(tmp_path_factory.mktemp("influx"))
    try:
        deadline = time.monotonic() + 30
        while not running.ready():
            assert time.monotonic() < deadline, "influxd did not start within 30 s"
            time.sleep(0.05)
        yield running
    finally:
        running.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def as_came() -> formats.Format:
    return formats.Format("ndjson")


@pytest.fixture
def gunzip() -> Callable[[Path], bytes]:
    return lambda path: gzip.decompress(path.read_bytes())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Files of a self-signed certificate for ``localhost`` and of its key."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")
