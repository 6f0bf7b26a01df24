"""Target ``http``: send events to any HTTP endpoint.

A send is one request; any 2xx is delivered. What other statuses mean is said in ``rutta.http_client``; a request that
is too large (413) is sent in halves, and a single event that is too large is rejected. 401 and 403 are tried again,
because credentials are read anew for each try and may have been rotated.
"""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from rutta import formats
from rutta.message import Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Client, Compression, Login
from rutta.net.splitting import Tally, deliver
from rutta.net.uri import split
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

BATCH: Final = Gathering(max_events=10_000, max_bytes=2**20, max_delay=0.2)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:8080/logs"}

_TYPES: Final = {
    "ndjson": "application/x-ndjson",
    "json": "application/x-ndjson",
    "msgpack": "application/msgpack",
    "logfmt": "text/plain; charset=utf-8",
    "plain": "text/plain; charset=utf-8",
}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of an HTTP endpoint."""

    endpoint: Annotated[str, Meta(description="where to send to: an http or https URL, its query included")]
    method: Annotated[Literal["POST", "PUT", "PATCH"], Meta(description="method of the requests")] = "POST"
    codec: Annotated[
        formats.Word, Meta(description="ndjson is the event as it came, json always the v6 form, one line an event")
    ] = "ndjson"
    body: Annotated[
        Literal["Lines", "Array"], Meta(description="Array: one JSON array a request, with codec ndjson or json")
    ] = "Lines"
    headers: Annotated[
        dict[str, Secret], Meta(description="headers of each request, over our own; values may be secrets")
    ] = {}
    username: Annotated[str | None, Meta(description="user name of basic authentication")] = None
    password: Annotated[Secret | None, Meta(description="password of basic authentication")] = None
    bearer: Annotated[Secret | None, Meta(description="token, sent as `Authorization: Bearer`")] = None
    compression: Compression = "None"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.bearer is not None and self.username is not None:
            raise ValueError("give either bearer or username and password")
        if self.body == "Array" and self.codec not in ("ndjson", "json"):
            raise ValueError("body Array goes with codec ndjson or json only")


def from_uri(uri: str) -> dict[str, Any]:
    """Take the URI without its query as the endpoint (``http://h:8080/logs?codec=json``); ``http://.`` has none."""
    parts = split(uri)
    if parts.hostname in (None, "."):
        return {}
    host = parts.netloc.rpartition("@")[2]
    return {"endpoint": parts._replace(scheme=parts.scheme.lower(), netloc=host, query="", fragment="").geturl()}


def make(config: Config, name: str) -> "Http":
    """Build the target; nothing is connected before ``send``."""
    return Http(config)


class Http:
    """Owns a pool of connections from ``open`` to ``close``."""

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._format = formats.Format(config.codec)
        self._client = Client(
            endpoint=config.endpoint,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
            login=_login(config),
            headers=config.headers,
        )
        is_array = config.body == "Array"
        self._headers = {"Content-Type": "application/json" if is_array else _TYPES[config.codec]}

    @property
    def columns(self) -> Columns:
        """What the format reads."""
        return formats.columns_of(self._format)

    async def open(self) -> None:
        """Prepare the pool; whether the endpoint answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Send the batches as one request, or in halves while it is too large."""
        return await deliver(Tally(batches), partial(self._post, batches))

    async def _post(self, batches: Sequence[Batch], numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        url = self._config.endpoint
        body, encoding = await http_client.compressed(self._body(batches, numbers), self._config.compression)
        answer = await self._client.request(self._config.method, url, body, headers={**self._headers, **encoding})
        self._client.check(url, answer)
        return ()

    def _body(self, batches: Sequence[Batch], numbers: Sequence[int]) -> bytes:
        """Join the encodings; event by event only when a part of them is wanted."""
        if len(numbers) == sum(map(len, batches)):
            joined = b"".join([formats.encode(batch, self._format) for batch in batches])
        else:
            lines = itertools.chain.from_iterable(formats.encode_lines(batch, self._format) for batch in batches)
            end = b"" if self._config.codec == "msgpack" else b"\n"
            joined = end.join(itertools.islice(lines, numbers[0], numbers[-1] + 1)) + end
        if self._config.body == "Array":  # a JSON text on one line holds no newline but its last
            return b"[" + joined[:-1].replace(b"\n", b",") + b"]"
        return joined

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it sends to, and how often which trouble was met."""
        return {"endpoint": http_client.place(self._config.endpoint), "failures": dict(self._client.failures)}


def _login(config: Config) -> Login | None:
    if config.bearer is not None:
        return Login("Bearer", config.bearer)
    if config.password is not None:
        return Login("Basic", config.password, config.username or "")
    return None
