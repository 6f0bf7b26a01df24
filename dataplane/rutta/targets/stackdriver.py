"""Target ``stackdriver``: write events to Google Cloud Logging (Stackdriver, as it was called), by ``entries.write``.

https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/write with ``partialSuccess``: good entries of a
request are written, the others are named one by one. ``insertId`` is the event's id, by which Logging drops what is
sent again. JSON over REST, for the payload is JSON: in gRPC each value of it is a message of its own.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from msgspec import Meta, Struct

from rutta import formats
from rutta.errors import Reject, Retry
from rutta.events.event import Event
from rutta.googlecloud import credentials, log_answers
from rutta.googlecloud.credentials import Credentials
from rutta.googlecloud.log_answers import PASSING
from rutta.googlecloud.log_entries import LARGEST, Where, encode, entry, shortened
from rutta.googlecloud.resources import Detector, Resource
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Answer, Client, Login
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

_AT_ONCE: Final = 1000  # entries of one request; only bytes have a limit
_LARGEST: Final = 10_000_000  # bytes of a request (https://cloud.google.com/logging/quotas#api-limits)
_SECOND: Final = 10**9  # nanoseconds

# Logging orders by timestamp and insertId itself: requests need not wait for each other
BATCH: Final = Gathering(max_events=_AT_ONCE, max_bytes=4 * 2**20, max_delay=0.5, concurrency=4)
EXAMPLE: Final[Mapping[str, Any]] = {
    "endpoint": "http://127.0.0.1:8080",
    "projectId": "my-project",
    "resource": {"type": "global"},
}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Google Cloud Logging."""

    project_id: Annotated[str | None, Meta(description="project; absent: the credentials' or the machine's")] = None
    log_id: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9/_.-]+$", max_length=511, description="name of the log in the project")
    ] = "rutta"
    resource: Annotated[
        Resource | None, Meta(description="what writes; absent: found out (GKE, Compute Engine, Cloud Run, global)")
    ] = None
    labels: Annotated[Mapping[str, str], Meta(description="labels of every entry that has none of that name")] = {}
    max_batch_size: Annotated[Annotated[int, Meta(ge=1)], Meta(description="entries of one request at most")] = _AT_ONCE
    oversize: Annotated[
        Literal["Truncate", "Reject"],
        Meta(description="of an entry above 256 KiB, cut the largest parts and say which, or reject it"),
    ] = "Truncate"
    max_age: Annotated[
        Duration,
        Meta(description="reject older events: a log bucket drops what is older than it keeps logs; 0: send all"),
    ] = default(Duration, "30d")
    credentials: Annotated[Secret | None, Meta(description="key of a service account, as JSON")] = None
    endpoint: Annotated[str, Meta(description="the service; http:// is a stand-in and needs no login")] = (
        "https://logging.googleapis.com"
    )
    compression: http_client.Compression = "Gzip"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        if self.compression == "Zstd":
            raise ValueError("Cloud Logging reads gzip only; set compression to Gzip or None")


def make(config: Config, name: str) -> "Stackdriver":
    """Build the target; nothing is connected before ``send``."""
    credentials.available()
    return Stackdriver(config)


class Lines:
    """The entries of one send: written, or why one is not to be sent at all."""

    def __init__(self, events: Sequence[Event], where: Where, config: Config) -> None:
        """Write them all."""
        self.refused: dict[int, str] = {}
        self.truncated = 0
        self._oversize = config.oversize
        self._max_age = config.max_age
        self._oldest = time.time_ns() - int(config.max_age * _SECOND) if config.max_age else -(2**63)
        self.written = [self._write(number, event, where) for number, event in enumerate(events)]

    def _write(self, number: int, event: Event, where: Where) -> bytes:
        if event.timestamp < self._oldest:
            self.refused[number] = f"The event is older than {self._max_age:g} s (maxAge); its bucket would drop it."
            return b""
        whole = entry(event, where)
        line = encode(whole)
        if len(line) <= LARGEST:
            return line
        shorter = shortened(whole) if self._oversize == "Truncate" else None
        if shorter is None:
            self.refused[number] = f"The entry has {len(line)} bytes; Cloud Logging takes 256 KiB."
            return b""
        self.truncated += 1
        return shorter


class Stackdriver:
    """Owns a pool of connections and its credentials from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._url = f"{config.endpoint.rstrip('/')}/v2/entries:write"
        self._credentials = Credentials(config.credentials)
        self._detector = Detector(config.resource)
        self._client = Client(
            endpoint=config.endpoint, timeout=config.timeout, connect_timeout=config.connect_timeout, tls=config.tls
        )
        self._truncated = 0

    async def open(self) -> None:
        """Prepare the pool; whether the service answers is seen with the first send."""
        await self._credentials.open()
        await self._detector.open()
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Write the events; entries that Logging finds invalid are rejected, each with its words."""
        project = await self._credentials.project(self._config.project_id)
        where = Where(project, (await self._detector.resource()).of_project(project))
        events = [event for batch in batches for event in formats.events(batch)]
        lines = Lines(events, where, self._config)
        tally = Tally(batches)
        post = partial(self._post, self._head(where), lines, tally)
        outcome = await deliver(tally, post, most=self._config.max_batch_size)
        self._truncated += lines.truncated
        return outcome

    def _head(self, where: Where) -> bytes:
        common = {
            "logName": f"projects/{where.project}/logs/{quote(self._config.log_id, safe='')}",
            "resource": where.resource,
            "labels": self._config.labels,
            "partialSuccess": True,
        }
        return encode(common)[:-1] + b',"entries":['

    async def _post(self, head: bytes, lines: Lines, tally: Tally, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        wanted = [number for number in numbers if number not in lines.refused]
        if wanted:
            body = head + b",".join([lines.written[number] for number in wanted]) + b"]}"
            if len(body) > _LARGEST:
                raise TooLarge(f"The request has {len(body)} bytes; Cloud Logging takes {_LARGEST}.")
            self._sort(await self._request(body), wanted, tally)
        # noted only now: had the request failed, all would be tried again
        for number in numbers:
            if number in lines.refused:
                tally.reject([number], lines.refused[number])
        return ()

    async def _request(self, body: bytes) -> Answer:
        if self._config.credentials is not None or not self._config.endpoint.startswith("http://"):
            self._client.use(Login("Bearer", Secret(value=await self._credentials.token())))
        packed, encoding = await http_client.compressed(body, self._config.compression)
        headers = {"Content-Type": http_client.JSON, **encoding}
        answer = await self._client.request("POST", self._url, packed, headers=headers, limit=2**23)
        if answer.status == 401:
            self._credentials.forget()
        return answer

    def _sort(self, answer: Answer, wanted: Sequence[int], tally: Tally) -> None:
        """Note the entries that were not written; raise what an answer means that is about all of them."""
        if answer.is_success:
            return
        if not answer.complete:
            raise Retry("Cloud Logging's answer broke off; entries that are sent again are dropped by their insertId.")
        refused = log_answers.read(answer)
        if not refused.entries:
            self._check(answer, len(wanted), refused.after)
        for index, status in refused.entries.items():
            if 0 <= index < len(wanted):
                reason = self._client.hide(f"Cloud Logging did not write the entry: {status.code} {status.message}")
                if status.code in PASSING:
                    tally.retry([wanted[index]], reason, refused.after)
                else:
                    tally.reject([wanted[index]], reason)

    def _check(self, answer: Answer, count: int, after: float | None) -> None:
        try:
            self._client.check(self._url, answer)
        except TooLarge:
            raise
        except Reject as exc:  # one entry may be to blame for all
            raise (TooLarge(str(exc)) if count > 1 else exc) from exc
        except Retry as exc:
            raise Retry(str(exc), after=after if exc.after is None else exc.after) from exc

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._detector.close()
        await self._credentials.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it writes to, how often which trouble was met, and how many entries were cut."""
        return {
            "endpoint": f"{self._config.endpoint} {self._config.log_id}",
            "resource": self._detector.known.type,
            "failures": dict(self._client.failures),
            "truncated": self._truncated,
        }
