"""HTTP for targets: one pooled client, and the meaning of a status for a batch.

Rules: 2xx is delivered. 408, 425, 429, 5xx, no answer at all, and what an operator can mend without touching the events
(401, 403, 404, 405, 407, 410, a redirect) are ``Retry``, after ``Retry-After`` when that is given. 413 is ``TooLarge``.
Any other 4xx is ``Reject``. Secrets are read anew for each request, so a rotated one is taken; no message shows them.
"""

import asyncio
import base64
import gzip
import io
import time
from collections import Counter
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import zstandard
from msgspec import Meta
from multidict import CIMultiDict
from yarl import URL

from rutta import VERSION
from rutta.errors import ConfigError, Reject, Retry
from rutta.net.splitting import TooLarge
from rutta.net.tls import client_context
from rutta.settings import ClientTls, Secret

Compression = Annotated[Literal["None", "Gzip", "Zstd"], Meta(description="how request bodies are compressed")]

JSON: Final = "application/json"

_THREAD_FROM: Final = 2**16  # bytes: smaller bodies are compressed faster than a thread is asked
_AS_FILE_FROM: Final = 2**20  # bytes: aiohttp warns of larger bodies given as bytes
_LONGEST_WAIT: Final = 3600.0  # seconds: more than this a Retry-After is not believed
_SECRET_FROM: Final = 6  # characters: a shorter value of a query is a word, and hiding it would spoil messages
_QUOTED: Final = 200  # characters of an answer that stand in a message
_TRY_AGAIN: Final = frozenset({401, 403, 407, 408, 425, 429})


class Login(NamedTuple):
    """Who we are to the other side: ``Basic`` with a user name, ``User`` with the secret as the user name and no
    password, ``ApiKey`` with the secret as it is or as ``id:key``, else the scheme's word and the secret."""

    scheme: Literal["Basic", "User", "Bearer", "Token", "GenieKey", "ApiKey"]
    secret: Secret
    username: str = ""

    def header(self, secret: str) -> str:
        """Return the value of ``Authorization`` (RFC 7617, RFC 6750)."""
        if self.scheme == "Basic":
            return "Basic " + base64.b64encode(f"{self.username}:{secret}".encode()).decode()
        if self.scheme == "User":
            return "Basic " + base64.b64encode(f"{secret}:".encode()).decode()
        if self.scheme == "ApiKey" and ":" in secret:  # no letter of base64: it is not encoded yet
            return "ApiKey " + base64.b64encode(secret.encode()).decode()
        return f"{self.scheme} {secret}"


class Answer(NamedTuple):
    """What the other side said; ``complete`` is false when the body broke off."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    @property
    def is_success(self) -> bool:
        """Whether the request was taken."""
        return 200 <= self.status < 300


class Client:
    """A pool of connections. ``open`` before use, ``close`` after; both may be called again."""

    def __init__(
        self,
        *,
        timeout: float,
        tls: ClientTls | None = None,
        login: Login | None = None,
        headers: Mapping[str, Secret] | None = None,
        connect_timeout: float = 10.0,
        endpoint: str = "",
    ) -> None:
        """``timeout`` seconds for a whole request, ``connect_timeout`` for a connection.

        ``endpoint`` is what the user set: the values of its query may be tokens and are hidden.
        """
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._tls = tls
        self._login = login
        self._headers = dict(headers or {})
        self._session: aiohttp.ClientSession | None = None
        self._secrets: list[str] = []
        self._query = _query_values(endpoint)
        self.failures: Counter[str] = Counter()

    async def open(self) -> None:
        """Prepare the pool; connects nowhere. ``Retry`` if the TLS files cannot be read."""
        await self.close()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=client_context(self._tls or ClientTls()), ttl_dns_cache=10),
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=self._connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"rutta/{VERSION}"},
        )

    async def request(
        self, method: str, url: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None, limit: int = 2**16
    ) -> Answer:
        """Send one request and return the answer, at most ``limit`` bytes of its body. ``Retry`` if none came."""
        if self._session is None:
            raise Retry("The HTTP client is not open.")
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=io.BytesIO(body) if len(body) > _AS_FILE_FROM else body or None,
                headers=self._merged(headers or {}),
                allow_redirects=False,
                proxy=_proxy(url),
            ) as response:
                return await _read(response, limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            word, why = _trouble(exc, self._timeout, self._connect_timeout)
            self.failures[word] += 1
            raise Retry(f"{place(url)} {why}.") from exc

    def _merged(self, headers: Mapping[str, str]) -> CIMultiDict[str]:
        """Put what the user set over what the target says, whatever the case of letters."""
        merged = CIMultiDict(headers)
        merged.update(self._own_headers())
        if any("\n" in value or "\r" in value for value in merged.values()):
            raise Retry("A header's value holds a line break; mend the setting or the file it is read from.")
        return merged

    def _own_headers(self) -> dict[str, str]:
        """The headers that hold secrets, read now."""
        try:
            own = {name: secret.reveal() for name, secret in self._headers.items()}
            self._secrets = list(own.values())
            if self._login:
                secret = self._login.secret.reveal()
                own["Authorization"] = self._login.header(secret)
                self._secrets += [secret, own["Authorization"]]
        except ConfigError as exc:  # a file that is mounted later, or just being replaced
            raise Retry(f"{exc}.") from exc
        return own

    def use(self, login: Login) -> None:
        """Take another login for the requests to come: a token that was renewed."""
        self._login = login

    def check(self, url: str, answer: Answer) -> None:
        """Return if the answer is a success; raise what its status means for the batch otherwise."""
        if answer.is_success:
            return
        self.failures[str(answer.status)] += 1
        message = f"{place(url)} answered {answer.status} {answer.reason}{self.quote(answer.body)}."
        if answer.status == 413:
            raise TooLarge(message)
        if answer.status in (401, 403, 407):
            raise Retry(f"{message[:-1]}; check the credentials, they are read anew for each try.")
        if answer.status in (404, 405, 410):  # the place is wrong, or not there yet: the events are not
            raise Retry(f"{message[:-1]}; correct the endpoint, or wait until it is there.")
        if 300 <= answer.status < 400:
            raise Retry(f"{message[:-1]}; set the endpoint to {self.hide(answer.headers.get('Location', 'its goal'))}.")
        if answer.status >= 500 or answer.status in _TRY_AGAIN:
            raise Retry(message, after=retry_after(answer.headers))
        raise Reject(message)

    def quote(self, body: bytes) -> str:
        """Return the beginning of an answer for a message, without secrets; empty if there is nothing to say."""
        text = " ".join(body[: 4 * _QUOTED].decode("utf-8", "replace").split())[:_QUOTED]
        return f": {self.hide(text)}" if text else ""

    def hide(self, text: str) -> str:
        """Take our secrets out of a text that came from outside."""
        for secret in (*self._secrets, *self._query):
            if secret:
                text = text.replace(secret, "***")
        return text

    async def close(self) -> None:
        """Close all connections; idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read(response: aiohttp.ClientResponse, limit: int) -> Answer:
    """Read an answer whose head has come; a body that breaks off is no failure of the request itself."""
    parts: list[bytes] = []
    left = limit
    complete = True
    try:
        while left > 0 and (part := await response.content.read(left)):
            parts.append(part)
            left -= len(part)
    except (aiohttp.ClientError, OSError):
        complete = False
    if left <= 0:
        response.close()
    return Answer(response.status, response.reason or "", response.headers, b"".join(parts), complete)


def _trouble(exc: Exception, timeout: float, connect_timeout: float) -> tuple[str, str]:
    """Say why no answer came: a word that is counted, and the words for people."""
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return "connectTimeout", f"took no connection within {connect_timeout:g} s"
    if isinstance(exc, TimeoutError):
        return "timeout", f"gave no answer within {timeout:g} s"
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        return "tls", f"has a certificate that is not trusted: {exc.certificate_error}"
    if isinstance(exc, aiohttp.ClientSSLError):
        return "tls", f"does not speak TLS as we do: {exc.os_error}"
    if isinstance(exc, aiohttp.ClientConnectorError):
        return "connect", f"cannot be reached: {exc.os_error.strerror or exc.os_error}"
    if isinstance(exc, aiohttp.ClientConnectionError | OSError):
        return "reset", "closed the connection before it answered"
    return "protocol", f"gave an answer that is not HTTP: {type(exc).__name__}"


def _proxy(url: str) -> URL | None:
    """The proxy that the environment names for a URL (``https_proxy``, ``no_proxy``, …), credentials included.

    Not aiohttp's ``trust_env``: that reads credentials from ``~/.netrc`` too, which nobody asked for.
    """
    proxies = getproxies_environment()
    parts = urlsplit(url)
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address or proxy_bypass(parts.hostname or ""):
        return None
    return URL(address if "://" in address else f"http://{address}")


def place(url: str) -> str:
    """A URL as it stands in messages: without its query, which may hold a token."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _query_values(url: str) -> list[str]:
    """The values of a URL's query that are long enough to be a secret, as they stand and decoded; the longest first."""
    raw = [one.partition("=")[2] or one for one in urlsplit(url).query.split("&")]
    values = {form for one in raw for form in (one, unquote(one), unquote_plus(one)) if len(form) >= _SECRET_FROM}
    return sorted(values, key=len, reverse=True)


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Read ``Retry-After`` (RFC 9110 §10.2.3): seconds or a date; at most an hour, None if absent or broken."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text) if text.isdecimal() else parsedate_to_datetime(text).timestamp() - (now or time.time())
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT)


async def compressed(body: bytes, how: str) -> tuple[bytes, dict[str, str]]:
    """Compress a body; return it and the header that says so. Large ones do not hold the loop."""
    if how == "None":
        return body, {}
    pack = _gzip if how == "Gzip" else _zstd
    packed = await asyncio.to_thread(pack, body) if len(body) >= _THREAD_FROM else pack(body)
    return packed, {"Content-Encoding": how.lower()}


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1, mtime=0)  # level 1: four times as fast as 6, 15 % larger


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(body)


def endpoint(text: str) -> SplitResult:
    """Check the address of a server; ``ValueError`` says what is wrong with it."""
    try:
        parts = urlsplit(text)
    except ValueError as exc:
        raise ValueError(f"endpoint is not an address ({exc}); write it like http://host:8080/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = text.partition("?")[0].rpartition("@")[2]
        raise ValueError(f"endpoint {shown!r} is not an address; write it like http://host:8080/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("endpoint must not hold credentials; use username and password")
    _ = parts.port  # ValueError if that is no port
    return parts
