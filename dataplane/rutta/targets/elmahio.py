"""Target ``elmahio``: write events as messages of a log at elmah.io, up to 50 a request.

The API is at https://docs.elmah.io/using-the-rest-api/ and https://api.elmah.io/swagger: POST
``/v3/messages/{logId}/_bulk`` with a JSON array; the answer has a status for each message, in order. More than 500
requests a minute are answered by 429 (https://docs.elmah.io/handle-elmah-io-downtime/).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import Retry
from rutta.events import flat
from rutta.events.event import DEBUG, ERROR, FATAL, INFO, VERBOSE, WARN, Event
from rutta.formats import logfmt
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Answer, Client
from rutta.net.splitting import Tally, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

BATCH: Final = Gathering(max_events=500, max_bytes=2**20, max_delay=1.0)
EXAMPLE: Final[Mapping[str, Any]] = {
    "endpoint": "http://127.0.0.1:8080",
    "apiKey": {"env": "ELMAHIO_API_KEY"},
    "logId": "5082a1ce-c234-4c2e-92d4-5c5bd5a72854",
}

_AT_ONCE: Final = 50  # messages of one bulk request
_SEVERITIES: Final = {
    VERBOSE: "Verbose", DEBUG: "Debug", INFO: "Information", WARN: "Warning", ERROR: "Error", FATAL: "Fatal",
}  # fmt: skip
# fields of a message that have a place of their own, and the keys of events that fill them
_PLACES: Final = {
    "hostname": ("hostname", "host"), "application": ("service", "app"), "user": ("userId", "user"),
    "version": ("serviceVersion", "version"), "correlationId": ("correlationId", "traceId"), "url": ("url",),
    "method": ("method",),
}  # fmt: skip


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of elmah.io."""

    api_key: Annotated[Secret, Meta(description="API key with permission to write messages")]
    log_id: Annotated[str, Meta(description="the log's id, a UUID")]
    endpoint: Annotated[str, Meta(description="the API")] = "https://api.elmah.io"
    application: Annotated[str | None, Meta(description="application of messages that name no service")] = None
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        try:
            UUID(self.log_id)
        except ValueError:
            raise ValueError("logId is not a UUID; elmah.io shows it in the settings of the log") from None


def make(config: Config, name: str) -> "ElmahIo":
    """Build the target; nothing is connected before ``send``."""
    return ElmahIo(config)


class Result(Struct, rename="camel"):
    """What became of one message of a bulk request."""

    status_code: int = 201


class ElmahIo:
    """Owns a pool of connections from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._url = f"{config.endpoint.rstrip('/')}/v3/messages/{UUID(config.log_id)}/_bulk"
        self._client = Client(
            endpoint=config.endpoint,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
            headers={"api_key": config.api_key},
        )

    async def open(self) -> None:
        """Prepare the pool; whether the API answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Write the events, 50 a request."""
        messages = [message(event, self._config) for batch in batches for event in formats.events(batch)]
        tally = Tally(batches)
        return await deliver(tally, partial(self._post, messages, tally), most=_AT_ONCE)

    async def _post(
        self, messages: Sequence[Mapping[str, Any]], tally: Tally, numbers: Sequence[int]
    ) -> Sequence[Sequence[int]]:
        body = msgspec.json.encode([messages[number] for number in numbers])
        answer = await self._client.request("POST", self._url, body, headers={"Content-Type": http_client.JSON})
        self._client.check(self._url, answer)
        for number, code in zip(numbers, _codes(answer), strict=False):
            if code == 429 or code >= 500:
                tally.retry([number], f"elmah.io answered {code} to this message")
            elif code >= 400:
                tally.reject([number], f"elmah.io answered {code} to this message")
        return ()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it sends to, and how often which trouble was met."""
        return {"endpoint": self._url, "failures": dict(self._client.failures)}


def _codes(answer: Answer) -> list[int]:
    """Return the status of each message; an answer that says nothing of single ones is good for all."""
    try:
        return [one.status_code for one in msgspec.json.decode(answer.body, type=list[Result])]
    except msgspec.DecodeError:
        if answer.body.strip() in (b"", b"[]"):
            return []
        raise Retry("elmah.io gave an answer that is not the API's; check the endpoint.") from None


def message(event: Event, config: Config) -> dict[str, Any]:
    """Return the message of an event (``CreateMessage`` of the API)."""
    values = flat.texts(event)
    title = logfmt.told(event) or event.name or event.kind
    found: dict[str, Any] = {
        "title": title,
        "titleTemplate": event.text if event.text != title else None,
        "severity": _SEVERITIES[event.level],
        "dateTime": _time(event.timestamp),
        "source": event.name or None,
        "type": values.get("error.type"),
        "detail": "\n".join(filter(None, (values.get("error.message"), values.get("error.stack")))) or None,
        "application": config.application,
    }
    for place, keys in _PLACES.items():
        text = next((values[key] for key in keys if key in values), None)
        found[place] = text if text is not None else found.get(place)
    data = {"id": event.id.hex(), "kind": event.kind, **values}
    found["data"] = [{"key": key, "value": value} for key, value in data.items()]
    return {key: value for key, value in found.items() if value is not None}


def _time(nanoseconds: int) -> str:
    """ISO 8601 with microseconds: .NET keeps seven digits, the last three of ours are lost."""
    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9 // 100:07d}Z"
