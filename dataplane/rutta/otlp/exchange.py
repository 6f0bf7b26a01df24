"""One request of OTLP and its answer, by HTTP or gRPC, and what a failure means for the events.

https://opentelemetry.io/docs/specs/otlp/: only some failures are worth another try; after the others the same request
must not be sent again. What an operator can mend without touching the events (credentials, a wrong address) is tried
again nevertheless, as all our targets do.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol

from rutta.errors import ConfigError, Reject, Retry
from rutta.net import grpc_client, http_client
from rutta.net.http_client import Client, Login
from rutta.net.splitting import TooLarge
from rutta.otlp.requests import Signal, Word, status
from rutta.settings import ClientTls, Secret

if TYPE_CHECKING:
    from grpc import aio

_PROTOBUF: Final = "application/x-protobuf"
_PASSING: Final = frozenset({502, 503, 504})  # of 5xx; 429 and what an operator can mend are the client's to know

# https://opentelemetry.io/docs/specs/otlp/#failures
_PASSING_CODES: Final = frozenset({
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS",
})  # fmt: skip
_MENDED_CODES: Final[Mapping[str, str]] = {
    "UNAUTHENTICATED": " Check the credentials, they are read anew for each try.",
    "PERMISSION_DENIED": " Check the credentials, they are read anew for each try.",
    "UNIMPLEMENTED": " Correct the endpoint, or leave this out of signals.",
}


class Refused(Reject):
    """The request must not be sent again as it is; one of its events may be to blame for all."""


class Exchange(Protocol):
    """Sends requests. ``failures`` counts troubles by word."""

    failures: Counter[str]

    async def open(self) -> None:
        """Prepare; connects nowhere."""

    async def export(self, signal: Signal, body: bytes) -> bytes:
        """Send one request and return the answer. Raises ``Retry``, ``TooLarge`` or ``Refused``."""

    def hide(self, text: str) -> str:
        """Take our secrets out of a text that came from outside."""

    async def close(self) -> None:
        """Close all connections; idempotent."""


class Http:
    """OTLP/HTTP with binary protobuf."""

    def __init__(self, client: Client, urls: Mapping[Word, str], *, compression: str) -> None:
        """``urls`` are those of the signals."""
        self._client = client
        self._urls = urls
        self._compression = compression
        self.failures = client.failures
        self.open, self.close, self.hide = client.open, client.close, client.hide

    async def export(self, signal: Signal, body: bytes) -> bytes:
        """Send one request. An answer that breaks off behind its status is one that says nothing more."""
        url = self._urls[signal.word]
        packed, encoding = await http_client.compressed(body, self._compression)
        headers = {"Content-Type": _PROTOBUF, **encoding}
        answer = await self._client.request("POST", url, packed, headers=headers)
        if answer.is_success:
            return answer.body
        said = status(answer.body)
        answer = answer._replace(body=said.message.encode() or answer.body)
        if answer.status >= 500 and answer.status not in _PASSING:
            self.failures[str(answer.status)] += 1
            place, words = http_client.place(url), self._client.quote(answer.body)
            raise Refused(f"{place} answered {answer.status} {answer.reason}{words}.")
        try:
            self._client.check(url, answer)
        except TooLarge:
            raise
        except Reject as exc:
            raise Refused(str(exc)) from exc
        except Retry as exc:
            hint = " Or leave this out of signals." if answer.status == 404 else ""
            raise Retry(f"{exc}{hint}", after=said.after if exc.after is None else exc.after) from exc
        return b""


class Grpc:
    """OTLP/gRPC; messages go as bytes."""

    def __init__(
        self,
        endpoint: str,
        *,
        timeout: float,
        tls: ClientTls | None,
        compression: str,
        headers: Mapping[str, Secret],
        login: Login | None,
    ) -> None:
        """``timeout`` seconds for one request; headers become metadata."""
        self._endpoint = endpoint
        self._timeout = timeout
        self._tls = tls
        self._compression = compression
        self._headers = dict(headers)
        self._login = login
        self._secrets: list[str] = []
        self._channel: aio.Channel | None = None
        self.failures: Counter[str] = Counter()

    async def open(self) -> None:
        """Prepare the channel. ``Retry`` if the TLS files cannot be read."""
        await self.close()
        self._channel = grpc_client.channel(self._endpoint, self._tls)

    async def export(self, signal: Signal, body: bytes) -> bytes:
        """Call the signal's method."""
        import grpc

        if self._channel is None:
            raise Retry("The gRPC client is not open.")
        call = self._channel.unary_unary(signal.method)
        packed, metadata = grpc_client.compression(self._compression), self._metadata()
        try:
            answer: bytes = await call(body, timeout=self._timeout, metadata=metadata, compression=packed)
        except grpc.aio.AioRpcError as exc:
            raise self._failure(signal, exc) from exc
        return answer

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        """Read the headers now; they may hold secrets."""
        try:
            found = {name.lower(): secret.reveal() for name, secret in self._headers.items()}
            self._secrets = list(found.values())
            if self._login is not None:
                secret = self._login.secret.reveal()
                found["authorization"] = self._login.header(secret)
                self._secrets += [secret, found["authorization"]]
        except ConfigError as exc:  # a file that is mounted later, or just being replaced
            raise Retry(f"{exc}.") from exc
        if not all(value.isascii() and value.isprintable() for value in found.values()):
            raise Retry("A header's value is not printable ASCII; mend the setting or the file it is read from.")
        return tuple(found.items())

    def _failure(self, signal: Signal, exc: "aio.AioRpcError") -> Retry | Reject:
        word = exc.code().name
        self.failures[word] += 1
        details = " ".join((exc.details() or "").split())[:200]
        text = self.hide(f"{signal.word} to {self._endpoint} answered {word}: {details}.")
        after = _retry_info(exc)
        if word in _PASSING_CODES or (word == "RESOURCE_EXHAUSTED" and after is not None):
            return Retry(text, after=after)
        if word in _MENDED_CODES:
            return Retry(text + _MENDED_CODES[word], after=after)
        return TooLarge(text) if word == "RESOURCE_EXHAUSTED" else Refused(text)

    def hide(self, text: str) -> str:
        """Take our secrets out of a text that came from outside."""
        for secret in self._secrets:
            text = text.replace(secret, "***") if secret else text
        return text

    async def close(self) -> None:
        """Close the channel; idempotent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


def _retry_info(exc: "aio.AioRpcError") -> float | None:
    for key, value in exc.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return status(value).after
    return None
