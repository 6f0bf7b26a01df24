"""Target ``influxdb``: write events as points, to InfluxDB 1 (``db``) or 2 (``org``, ``bucket``).

Delivered is what the server said it wrote. Of a partial write the bad lines are rejected with the server's reason and
the good ones, which are in, are not sent again; when the server does not say which lines it dropped, halves are
written again to find out (points are idempotent). A missing database is created if that is allowed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import Retry
from rutta.influx import refusals as influx_refusals
from rutta.influx.measurement import DIVISORS, Rules, lines
from rutta.influx.refusals import Refusal
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Answer, Client, Compression, Login
from rutta.net.splitting import Tally, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

BATCH: Final = Gathering(max_events=5000, max_bytes=4 * 2**20, max_delay=0.5)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:8086/write", "db": "logs"}

_ALLOWED: Final = (
    "service", "host", "hostname", "app", "cluster", "clusterName", "rack", "dc", "deployment", "deploymentName",
    "namespace", "zone", "region", "country",
)  # fmt: skip
_AT_ONCE: Final = 500  # events encoded before others have their turn: about 5 ms
_ANSWER: Final = 8 * 2**20  # bytes of an answer that are read: it may quote every line
_SEARCH: Final = 200  # writes to find dropped lines with, in one send


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of InfluxDB."""

    endpoint: Annotated[
        str, Meta(description="address of the server; the path is always `/write`, in version 2 `/api/v2/write`")
    ]
    db: Annotated[str, Meta(min_length=1, description="version 1: database")] = "logary"
    username: Annotated[str | None, Meta(description="version 1: user name")] = None
    password: Annotated[Secret | None, Meta(description="version 1: password")] = None
    retention: Annotated[str | None, Meta(description="version 1: retention policy; absent: the default one")] = None
    consistency: Annotated[
        Literal["Any", "One", "Quorum", "All"], Meta(description="version 1: how many nodes of a cluster must have it")
    ] = "Quorum"
    create_db: Annotated[bool, Meta(description="version 1: create the database when it is missing")] = True
    disable_create_db: Annotated[bool, Meta(description="the original's way to say `createDb: false`")] = msgspec.field(
        default=False, name="disableCreateDB"
    )
    org: Annotated[str | None, Meta(description="version 2: organisation")] = None
    bucket: Annotated[str | None, Meta(description="version 2: bucket; makes it version 2")] = None
    token: Annotated[Secret | None, Meta(description="version 2: API token")] = None
    precision: Annotated[
        Literal["ns", "us", "ms", "s"],
        Meta(description="unit of the timestamps; two points of one series at one time are one point"),
    ] = "ns"
    allowed_tags: Annotated[
        tuple[str, ...], Meta(description="context keys that become tags; others become fields")
    ] = _ALLOWED
    nested: Annotated[
        Literal["Omit", "Json"], Meta(description="lists and objects in fields: leave out, or write as JSON text")
    ] = "Omit"
    batch_size: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="the original's name for `batch.maxEvents`: lines of one request"),
    ] = None
    compression: Compression = "None"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if (self.org is None) != (self.bucket is None):
            raise ValueError("org and bucket go together (version 2)")
        if self.token is not None and (self.bucket is None or self.username is not None):
            raise ValueError("token goes with org and bucket (version 2), and not with username")
        if self.compression == "Zstd":
            raise ValueError("InfluxDB reads gzip only; set compression to Gzip or None")


def make(config: Config, name: str) -> "InfluxDb":
    """Build the target; nothing is connected before ``send``."""
    return InfluxDb(config)


class InfluxDb:
    """Owns a pool of connections from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._rules = Rules(frozenset(config.allowed_tags), DIVISORS[config.precision], config.nested == "Json")
        self._url = _write_url(config)
        self._client = Client(
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
            login=_login(config),
            endpoint=config.endpoint,
        )

    async def open(self) -> None:
        """Prepare the pool; whether the server answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Write the batches; bad lines are rejected, each with the server's reason."""
        points: list[str] = []
        for batch in batches:
            events = formats.events(batch)
            for at in range(0, len(events), _AT_ONCE):
                points += lines(events[at : at + _AT_ONCE], self._rules)
                await asyncio.sleep(0)
        writing = _Writing(Tally(batches), points)
        return await deliver(writing.tally, partial(self._write, writing), most=self._config.batch_size)

    async def _write(self, writing: "_Writing", numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        """Write these lines; return what is still to be written."""
        points = [writing.points[number] for number in numbers]
        answer = await self._post("\n".join(points).encode("utf-8", "replace"))
        if answer.is_success:
            return ()
        refusal = influx_refusals.read(answer.status, answer.body)
        if refusal is None:
            self._client.check(self._url, answer)
            return ()
        return writing.refused(numbers, points, refusal, self._client.hide(refusal.reason))

    async def _post(self, body: bytes) -> Answer:
        packed, encoding = await http_client.compressed(body, self._config.compression)
        headers = {"Content-Type": "text/plain; charset=utf-8", **encoding}
        answer = await self._client.request("POST", self._url, packed, headers=headers, limit=_ANSWER)
        if answer.status != 404:
            return answer
        await self._create(answer)
        return await self._client.request("POST", self._url, packed, headers=headers, limit=_ANSWER)

    async def _create(self, missing: Answer) -> None:
        """Create the database that is missing; ``Retry`` with what the operator can do if that cannot be."""
        config, place = self._config, http_client.place(self._config.endpoint)
        said = self._client.quote(influx_refusals.message_of(missing.body).encode())
        if "database not found" not in influx_refusals.message_of(missing.body) or config.bucket is not None:
            raise Retry(f"{place} answered 404{said}; create it, or correct the settings.")
        if not config.create_db or config.disable_create_db:
            raise Retry(f"The database {config.db!r} does not exist at {place}; create it, or set createDb.")
        name = config.db.replace("\\", "\\\\").replace('"', '\\"')
        query = urlencode({"q": f'CREATE DATABASE "{name}"'}, quote_via=quote)
        answer = await self._client.request(
            "POST", http_client.endpoint(config.endpoint)._replace(path="/query", query=query, fragment="").geturl()
        )
        if not answer.is_success or b'"error"' in answer.body:
            said = self._client.quote(influx_refusals.message_of(answer.body).encode())
            raise Retry(f"The database {config.db!r} cannot be created at {place}{said}; create it by hand.")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it writes to, and how often which trouble was met."""
        return {"endpoint": self._url, "failures": dict(self._client.failures)}


class _Writing:
    """One send: its points, and what is known of them."""

    def __init__(self, tally: Tally, points: list[str]) -> None:
        self.tally = tally
        self.points = points
        self._left = _SEARCH

    def refused(
        self, numbers: Sequence[int], points: Sequence[str], refusal: Refusal, reason: str
    ) -> Sequence[Sequence[int]]:
        """Note the bad lines; return what is to be written again: the good if none was, or halves to search in."""
        bad = list(range(len(numbers))) if len(numbers) == 1 else influx_refusals.bad_lines(points, refusal)
        if bad is None and self._left > 0:
            self._left -= 2
            middle = len(numbers) // 2
            return [numbers[:middle], numbers[middle:]]
        if bad is None:
            dropped = len(numbers) if refusal.dropped is None else refusal.dropped
            bad = list(range(len(numbers)))[len(numbers) - dropped :]
            reason = f"{dropped} of {len(numbers)} lines, it does not say which: {reason}"
        self.tally.reject([numbers[at] for at in bad], reason)
        if refusal.is_partial or len(bad) == len(numbers):
            return ()
        refused = set(bad)
        return [[number for at, number in enumerate(numbers) if at not in refused]]


def _write_url(config: Config) -> str:
    """The path is forced, as in the original; the port and scheme are the endpoint's."""
    if config.bucket is not None:
        path = "/api/v2/write"
        query = {"org": config.org or "", "bucket": config.bucket, "precision": config.precision}
    else:
        path = "/write"
        query = {"db": config.db, "consistency": config.consistency.lower()}
        if config.retention is not None:
            query["rp"] = config.retention
        query["precision"] = {"us": "u"}.get(config.precision, config.precision)
    parts = http_client.endpoint(config.endpoint)
    return parts._replace(path=path, query=urlencode(query, quote_via=quote), fragment="").geturl()


def _login(config: Config) -> Login | None:
    if config.token is not None:
        return Login("Token", config.token)
    if config.password is not None:
        return Login("Basic", config.password, config.username or "")
    return None
