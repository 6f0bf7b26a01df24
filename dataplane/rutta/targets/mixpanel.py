"""Target ``mixpanel``: import events, by ``/import`` (https://developer.mixpanel.com/reference/import-events).

``/import`` with ``strict=1`` takes the good events of a request and names the bad ones; ``$insert_id`` is the event's
id, so what is sent again is counted once. (The original used ``/track``, which says nothing of single events.)
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from rutta import formats
from rutta.events import flat
from rutta.events.event import LEVEL_WORDS, Event
from rutta.formats import logfmt
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Client, Login
from rutta.net.splitting import Tally, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

_AT_ONCE: Final = 2000  # events of one request; bytes: 2 MB at first, 10 MB by now
BATCH: Final = Gathering(max_events=_AT_ONCE, max_bytes=2**20, max_delay=1.0)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:8080", "token": {"env": "MIXPANEL_TOKEN"}}

_NAMES: Final = {"identifyUser": "$identify", "setUserProperty": "Set user property", "forgetUser": "Forget user"}
_USERS: Final = ("userId", "user", "user.userId", "user.newUserId")  # where a user's id is, first come first
_OURS: Final = frozenset({"time", "distinct_id", "$insert_id", "token"})


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Mixpanel."""

    token: Annotated[Secret | None, Meta(description="the project's token")] = None
    project_id: Annotated[str | None, Meta(description="project, with a service account")] = None
    username: Annotated[str | None, Meta(description="service account's user name")] = None
    password: Annotated[Secret | None, Meta(description="service account's secret")] = None
    endpoint: Annotated[str, Meta(description="the API; in Europe https://api-eu.mixpanel.com")] = (
        "https://api.mixpanel.com"
    )
    batch_size: Annotated[
        Annotated[int, Meta(ge=1, le=_AT_ONCE)], Meta(description="events of one request at most")
    ] = _AT_ONCE
    compression: http_client.Compression = "Gzip"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        account = (self.username, self.password, self.project_id)
        if (self.token is None) == all(one is None for one in account):
            raise ValueError("give either token, or username, password and projectId of a service account")
        if self.token is None and None in account:
            raise ValueError("username, password and projectId go together")
        if self.compression == "Zstd":
            raise ValueError("Mixpanel reads gzip only; set compression to Gzip or None")


def make(config: Config, name: str) -> "Mixpanel":
    """Build the target; nothing is connected before ``send``."""
    return Mixpanel(config)


class Failed(Struct):
    """One event that ``/import`` did not take."""

    index: int
    field: str = ""
    message: str = ""


class Refusal(Struct):
    """The answer when some were not taken."""

    failed_records: list[Failed] = []
    num_records_imported: int = 0


class Mixpanel:
    """Owns a pool of connections from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        query = {"strict": "1", **({"project_id": config.project_id} if config.project_id else {})}
        self._url = f"{config.endpoint.rstrip('/')}/import?{urlencode(query)}"
        self._client = Client(
            endpoint=config.endpoint,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
            login=_login(config),
        )

    async def open(self) -> None:
        """Prepare the pool; whether the API answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Import the events; those that Mixpanel finds invalid are rejected with its words."""
        lines = [json_of(event) for batch in batches for event in formats.events(batch)]
        tally = Tally(batches)
        return await deliver(tally, partial(self._post, lines, tally), most=self._config.batch_size)

    async def _post(self, lines: Sequence[bytes], tally: Tally, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        body, encoding = await http_client.compressed(
            b"[" + b",".join([lines[number] for number in numbers]) + b"]", self._config.compression
        )
        headers = {"Content-Type": http_client.JSON, **encoding}
        answer = await self._client.request("POST", self._url, body, headers=headers, limit=2**22)
        refusal = _refusal(answer.body) if answer.status == 400 else None
        if refusal is None:
            self._client.check(self._url, answer)
            return ()
        for failed in refusal.failed_records:
            if failed.index < len(numbers):
                tally.reject([numbers[failed.index]], self._client.hide(f"{failed.field}: {failed.message}"))
        return ()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it sends to, and how often which trouble was met."""
        return {"endpoint": self._url, "failures": dict(self._client.failures)}


def _login(config: Config) -> Login:
    """The token is a user name without a password; a service account has both."""
    if config.token is not None:
        return Login("User", config.token)
    assert config.password is not None  # noqa: S101 - checked by Config
    return Login("Basic", config.password, config.username or "")


def _refusal(body: bytes) -> Refusal | None:
    """Read which events were not taken; None if the answer does not say."""
    try:
        found = msgspec.json.decode(body, type=Refusal)
    except msgspec.DecodeError:
        return None
    return found if found.failed_records else None


def json_of(event: Event) -> bytes:
    """Write an event as ``/import`` takes it; its name is the text with placeholders unfilled, as in the original."""
    values = flat.properties(event)
    label = event.span.label if event.span is not None else ""
    name = _NAMES.get(event.kind) or event.text or label or event.name or event.kind
    user = next((flat.shown(values[key]) for key in _USERS if values.get(key) is not None), "")
    properties = {f"fields.{key}" if key in _OURS else key: value for key, value in values.items()}
    properties |= {
        "time": event.timestamp // 1_000_000,
        "distinct_id": user,
        "$insert_id": event.id.hex(),
        "formatted": logfmt.told(event),
        "level": LEVEL_WORDS[event.level],
        "logger": event.name,
    }
    if event.kind == "identifyUser":
        properties |= {"$identified_id": user, "$anon_id": flat.shown(event.user.get("prevUserId", ""))}
    if "ip" in properties:
        properties["ip"] = flat.shown(properties["ip"])
    return msgspec.json.encode({"event": name, "properties": properties})
