"""Target ``opsgenie``: one alert per event, by the Alert API v2 (https://docs.opsgenie.com/docs/alert-api).

The API takes one alert a request and answers 202 when it has queued it. Alerts with one ``alias`` are one alert that
is counted up: the alias is the text with its placeholders unfilled, as in the original. What is too long for the API
is cut and ends in an ellipsis. Route what shall wake somebody here (``minLevel: error``), not everything.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from rutta import formats
from rutta.events import flat
from rutta.events.event import ERROR, FATAL, INFO, WARN, Event
from rutta.formats import logfmt
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Client, Login
from rutta.net.splitting import Tally, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

BATCH: Final = Gathering(max_events=100, max_bytes=2**20, max_delay=0.2)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:8080", "apiKey": {"env": "OPSGENIE_API_KEY"}}

# Field lengths of https://docs.opsgenie.com/docs/alert-api#create-alert
_MESSAGE: Final = 130
_ALIAS: Final = 512
_DESCRIPTION: Final = 15_000
_ENTITY: Final = 512
_SOURCE: Final = 100
_DETAILS: Final = 8_000  # characters of all keys and values together
_TAGS: Final = 20
_TAG: Final = 50
_PRIORITIES: Final = {FATAL: "P1", ERROR: "P2", WARN: "P3", INFO: "P4"}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Opsgenie."""

    api_key: Annotated[Secret, Meta(description="key of an API integration")]
    endpoint: Annotated[str, Meta(description="the API; in Europe https://api.eu.opsgenie.com")] = (
        "https://api.opsgenie.com"
    )
    tags: Annotated[tuple[str, ...], Meta(description="tags of every alert, before the event's own")] = ()
    teams: Annotated[tuple[str, ...], Meta(description="names of the teams that alerts are routed to")] = ()
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)


def make(config: Config, name: str) -> "Opsgenie":
    """Build the target; nothing is connected before ``send``."""
    return Opsgenie(config)


class Opsgenie:
    """Owns a pool of connections from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        base = config.endpoint.rstrip("/").removesuffix("/v2")  # the original's default ended in it
        self._url = f"{base}/v2/alerts"
        self._client = Client(
            endpoint=config.endpoint,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
            login=Login("GenieKey", config.api_key),
        )

    async def open(self) -> None:
        """Prepare the pool; whether the API answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Create one alert per event, in order."""
        events = [event for batch in batches for event in formats.events(batch)]
        return await deliver(Tally(batches), partial(self._create, events), most=1)

    async def _create(self, events: Sequence[Event], numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        for number in numbers:
            body = msgspec.json.encode(alert(events[number], self._config))
            answer = await self._client.request("POST", self._url, body, headers={"Content-Type": http_client.JSON})
            self._client.check(self._url, answer)
        return ()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it sends to, and how often which trouble was met."""
        return {"endpoint": self._url, "failures": dict(self._client.failures)}


def alert(event: Event, config: Config) -> dict[str, Any]:
    """Return the body that creates an alert."""
    about = logfmt.told(event)
    values = flat.texts(event)
    tags = [*config.tags, *map(str, _list(event.fields.get("tags") or event.context.get("tags")))]
    stack = values.get("error.stack", "")
    source = values.get("service") or values.get("host") or values.get("hostname") or event.name
    found = {
        "message": _cut(about.splitlines()[0] if about.strip() else event.name or event.kind, _MESSAGE),
        "alias": _cut(event.text or about or event.name, _ALIAS),
        "description": _cut("\n".join(filter(None, (about, values.get("error.message"), stack))), _DESCRIPTION),
        "priority": _PRIORITIES.get(event.level, "P5"),
        "entity": _cut(event.name, _ENTITY),
        "source": _cut(source, _SOURCE),
        "tags": [_cut(tag, _TAG) for tag in dict.fromkeys(tags)][:_TAGS],
        "details": _details({"id": event.id.hex(), "timestamp": str(event.timestamp), **values}),
        "responders": [{"name": team, "type": "team"} for team in config.teams],
    }
    return {key: value for key, value in found.items() if value}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _details(values: Mapping[str, str]) -> dict[str, str]:
    """Keep what fits into the characters that all details may have together; the last that does is cut."""
    found: dict[str, str] = {}
    left = _DETAILS
    for key, value in values.items():
        if len(key) >= left:
            break
        found[key] = _cut(value, left - len(key))
        left -= len(key) + len(found[key])
    return found
