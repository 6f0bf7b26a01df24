"""A listener's surroundings: an intake that remembers, both event loops, certificates."""

import asyncio
import contextlib
import datetime
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rutta.listeners import Intake, Listener
from rutta.message import Block, Receipt

PATIENCE = 10.0


class FakeIntake:
    """Remembers what it was offered; is full when told to be."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.refused: Counter[str] = Counter()
        self.drops = 0
        self.answer: Callable[[Block], Receipt] = self.accept
        self.fill_after: int | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()

    @staticmethod
    def accept(block: Block) -> Receipt:
        receipt = Receipt(1)
        receipt.release()
        return receipt

    @property
    def full(self) -> bool:
        return not self._room.is_set()

    def fill(self) -> None:
        self._room.clear()

    def drain(self) -> None:
        self._room.set()

    def offer(self, block: Block) -> Receipt:
        self.blocks.append(block)
        if self.fill_after is not None and len(self.blocks) >= self.fill_after:
            self.fill_after = None
            self.fill()
        self._news.set()
        return self.answer(block)

    async def room(self) -> None:
        await self._room.wait()

    def refuse(self, word: str, count: int = 1) -> None:
        self.refused[word] += count
        self._news.set()

    def kernel_drops(self, count: int) -> None:
        self.drops += count

    @property
    def inputs(self) -> list[bytes]:
        """Lines (without their ends) and single inputs, in order."""
        return [one for block in self.blocks for one in (block.data.split(b"\n")[:-1] if block.lines else [block.data])]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that was offered or refused makes it true."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def count(self, number: int) -> list[bytes]:
        """Wait for so many inputs."""
        await self.until(lambda: len(self.inputs) >= number)
        return self.inputs


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """Run every test here on both."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@contextlib.asynccontextmanager
async def _running(listener: Listener, intake: Intake) -> AsyncIterator[tuple[str, int]]:
    """Serve; gives the first address; at the end the listener has stopped by itself."""
    bound = await listener.bind()
    task = asyncio.create_task(listener.serve(intake))
    await asyncio.sleep(0)
    host, _, port = bound[0].rpartition(":")
    try:
        yield host.strip("[]"), int(port)
    finally:
        listener.stop()
        async with asyncio.timeout(PATIENCE):
            await task


@pytest.fixture
def running() -> Callable[..., Any]:
    return _running


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until a condition holds that nobody signals."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.002)

    return wait


class Certificates(NamedTuple):
    """Files: an authority, a server's and a client's certificate with keys, and a stranger's authority."""

    ca: str
    server: str
    server_key: str
    client: str
    client_key: str
    stranger: str
    stranger_key: str


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _sign(name: str, key: Any, issuer: Any, issuer_key: Any, *, ca: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(issuer_key or key, hashes.SHA256())


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")

    def write(
        name: str, *, issuer: Any = None, issuer_key: Any = None, ca: bool = False
    ) -> tuple[Any, Any, Path, Path]:
        key = _key()
        certificate = _sign(name, key, issuer, issuer_key, ca=ca)
        crt, pem = folder / f"{name}.crt", folder / f"{name}.key"
        crt.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, key, crt, pem

    root, root_key, ca, _ = write("ca", ca=True)
    _, _, server, server_key = write("server", issuer=root, issuer_key=root_key)
    _, _, client, client_key = write("client", issuer=root, issuer_key=root_key)
    _, _, stranger, stranger_key = write("stranger", ca=True)
    return Certificates(*map(str, (ca, server, server_key, client, client_key, stranger, stranger_key)))
