"""Target ``applicationinsights``: telemetry items to Application Insights (Azure Monitor), by ``/v2.1/track``.

https://learn.microsoft.com/azure/azure-monitor/app/connection-strings names the endpoint; the document "Server
Telemetry Channel Error Handling" (https://github.com/microsoft/ApplicationInsights-dotnet/tree/main/docs) says what its
answers mean: 206 names each item that was not taken and why, and some of them are worth another try.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import ConfigError, Reject, Retry
from rutta.events.numbering import Numbering
from rutta.insights import connection, limits
from rutta.insights.connection import Connection
from rutta.insights.items import Item, Rules, item, keyed
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Answer, Client
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

_AT_ONCE: Final = 1000  # items of one request
_ENCODED: Final = 500  # events encoded before others have their turn
_HOPS: Final = 5
BATCH: Final = Gathering(max_events=_AT_ONCE, max_bytes=2**20, max_delay=1.0)
EXAMPLE: Final[Mapping[str, Any]] = {
    "endpoint": "http://127.0.0.1:8080",
    "connectionString": {"env": "APPLICATIONINSIGHTS_CONNECTION_STRING"},
}

_PASSING: Final = frozenset({401, 403, 408, 429, 439, 500, 502, 503, 504})
"""Of an item: worth another try; 439 is 429 over a longer time (the daily cap)."""


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Application Insights."""

    connection_string: Annotated[
        Secret | None, Meta(description="as the portal shows it: InstrumentationKey=…;IngestionEndpoint=…")
    ] = None
    instrumentation_key: Annotated[
        Secret | None, Meta(description="the original's way: the key alone, to the global endpoint")
    ] = None
    endpoint: Annotated[str | None, Meta(description="where to, over what the connection string says")] = None
    events: Annotated[
        Literal["Trace", "Event"], Meta(description="what an event without an error becomes: a trace, a custom event")
    ] = "Trace"
    track_dependencies: Annotated[
        bool, Meta(description="spans that are no requests are dependencies; false: traces")
    ] = True
    span_numbers: Annotated[
        Numbering,
        Meta(description="how senders count kinds and status codes of spans: Logary client 1, OpenTelemetry server 1"),
    ] = "Logary"
    developer_mode: Annotated[bool, Meta(description="one item a request, to see each at once")] = False
    compression: Annotated[Literal["None", "Gzip"], Meta(description="how requests are compressed")] = "Gzip"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if self.endpoint is not None:
            http_client.endpoint(self.endpoint)
        if (self.connection_string is None) == (self.instrumentation_key is None):
            raise ValueError("give either connectionString or instrumentationKey")


def make(config: Config, name: str) -> "ApplicationInsights":
    """Build the target; nothing is connected before ``send``."""
    return ApplicationInsights(config)


class Trouble(Struct, rename="camel"):
    """One item that was not taken."""

    index: int | None = None
    status_code: int = 0
    message: str = ""


class Taken(Struct, rename="camel"):
    """The answer's body."""

    items_received: int = 0
    items_accepted: int = 0
    errors: list[Trouble] = []


class ApplicationInsights:
    """Owns a pool of connections from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._rules = Rules(config.events == "Event", config.track_dependencies, config.span_numbers)
        self._client = Client(
            endpoint=config.endpoint or "",
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
        )
        self._moved: tuple[str, str] = ("", "")  # from which URL to which we were sent

    async def open(self) -> None:
        """Prepare the pool; whether the service answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Send the events as items; those that the service does not take are rejected or tried again, each alone."""
        where = self._connection()
        events = [event for batch in batches for event in formats.events(batch)]
        items: list[Item] = []
        for at in range(0, len(events), _ENCODED):
            items += [item(event, self._rules) for event in events[at : at + _ENCODED]]
            await asyncio.sleep(0)
        tally = Tally(batches)
        fit = self._fit(items, tally)
        most = 1 if self._config.developer_mode else _AT_ONCE
        try:
            return await deliver(tally, partial(self._post, where, items, tally), most=most, only=fit)
        except Retry as exc:
            tally.retry(fit, self._hide(where, str(exc)), exc.after)
        except Reject as exc:
            tally.reject(fit, self._hide(where, str(exc)))
        return tally.outcome()

    def _fit(self, items: Sequence[Item], tally: Tally) -> Sequence[int]:
        """Count what was cut, and reject what no cut makes small enough; return the others."""
        if cut := sum(one.cuts > 0 for one in items):
            self._client.failures["cut"] += cut
        large = [number for number, one in enumerate(items) if not one.fits]
        tally.reject(large, f"The item has more than {limits.ITEM} bytes, even with its texts cut.")
        return [number for number, one in enumerate(items) if one.fits] if large else range(len(items))

    def _connection(self) -> Connection:
        """Read key and endpoint now: they may stand in a file that changes. ``Retry`` if they cannot be read."""
        given = self._config.connection_string or self._config.instrumentation_key
        assert given is not None  # noqa: S101 - checked by Config
        try:
            found = connection.parse(given.reveal())
        except (ConfigError, ValueError) as exc:
            raise Retry(f"{exc}.") from exc
        return found._replace(endpoint=(self._config.endpoint or found.endpoint).rstrip("/"))

    async def _post(
        self, where: Connection, items: Sequence[Item], tally: Tally, numbers: Sequence[int]
    ) -> Sequence[Sequence[int]]:
        body = b"\n".join([keyed(items[number].line, where.key) for number in numbers])
        url, answer = await self._request(f"{where.endpoint}/v2.1/track", body)
        if answer.status == 200:
            return ()
        taken = _read(answer)
        is_told = taken is not None and any(one.index in range(len(numbers)) for one in taken.errors)
        if answer.status == 206 or (answer.status == 400 and is_told):
            return self._sort(where, answer, taken, numbers, tally)
        if answer.status == 439:
            self._client.failures["439"] += 1
            words = self._client.quote(answer.body)
            raise Retry(f"{url} answered 439, too many items{words}.", after=http_client.retry_after(answer.headers))
        try:
            self._client.check(url, answer)
        except TooLarge:
            raise
        except Reject as exc:  # one item may be to blame for all; not for a cap that was reached
            raise (TooLarge(str(exc)) if answer.status == 400 and len(numbers) > 1 else exc) from exc
        return ()

    async def _request(self, url: str, body: bytes) -> tuple[str, Answer]:
        """Send a request, to where the service moved us; that is remembered until the endpoint changes."""
        packed, encoding = await http_client.compressed(body, self._config.compression)
        headers = {"Content-Type": "application/x-json-stream", "Accept": http_client.JSON, **encoding}
        start, target = url, self._moved[1] if self._moved[0] == url else url
        for _ in range(_HOPS):
            try:
                answer = await self._client.request("POST", target, packed, headers=headers, limit=2**22)
            except Retry:
                self._moved = ("", "")
                raise
            location = answer.headers.get("Location", "")
            if answer.status not in (307, 308) or not location:
                return target, answer
            moved = urljoin(target, location)
            if urlsplit(moved).scheme not in ("https", urlsplit(start).scheme):
                raise Retry(f"{target} sends us to an address without TLS; set the endpoint.")
            target, self._moved = moved, (start, moved)
        self._moved = ("", "")
        raise Retry(f"{start} sends us from address to address; set the endpoint.")

    def _sort(
        self, where: Connection, answer: Answer, taken: Taken | None, numbers: Sequence[int], tally: Tally
    ) -> Sequence[Sequence[int]]:
        """Note what was not taken, item by item; after 400 return what is not named, for none of it was taken."""
        if taken is None:
            raise Retry("The answer to a request that was taken in part broke off; some items may be there twice.")
        left = set(numbers)
        after = http_client.retry_after(answer.headers)
        for trouble in taken.errors:
            if trouble.index is None or not 0 <= trouble.index < len(numbers):
                continue
            number, words = numbers[trouble.index], " ".join(trouble.message.split())[:200]
            reason = self._hide(where, f"The item was not taken, {trouble.status_code}: {words}")
            if number not in left:
                continue
            left.discard(number)
            self._client.failures[str(trouble.status_code)] += 1
            if trouble.status_code in _PASSING:
                tally.retry([number], reason, after)
            else:
                tally.reject([number], reason)
        rest = [number for number in numbers if number in left]
        return [rest] if rest and answer.status == 400 else ()

    def _hide(self, where: Connection, text: str) -> str:
        return self._client.hide(text).replace(where.key, "***")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it sends to, and how often which trouble was met."""
        place = self._config.endpoint or "the connection string's"
        return {"endpoint": self._moved[1] or place, "failures": dict(self._client.failures)}


def _read(answer: Answer) -> Taken | None:
    """Read what was not taken; None if the answer does not say it, or broke off."""
    try:
        return msgspec.json.decode(answer.body, type=Taken)
    except msgspec.DecodeError:
        return None
