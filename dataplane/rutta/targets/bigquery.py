"""Target ``bigquery``: stream events into a table of Google BigQuery, by ``tabledata.insertAll``.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll: valid rows of a request are taken, the
others are named one by one. ``insertId`` is the event's id, by which BigQuery drops what is sent again within minutes.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from rutta.errors import Reject, Retry
from rutta.googlecloud import credentials
from rutta.googlecloud.credentials import Credentials
from rutta.googlecloud.rows import SCHEMA, rows
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Answer, Client, Login
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

# Limits: https://cloud.google.com/bigquery/quotas#streaming_inserts (50 000 rows; 500 are advised)
_AT_ONCE: Final = 500
_MOST: Final = 50_000
_LARGEST: Final = 10_000_000  # bytes of a request, not compressed

BATCH: Final = Gathering(max_events=_AT_ONCE, max_bytes=4 * 2**20, max_delay=0.5)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:9050", "projectId": "my-project"}

_HEAD: Final = b'{"skipInvalidRows":true,"ignoreUnknownValues":true,"rows":['


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Google BigQuery."""

    project_id: Annotated[str | None, Meta(description="project; absent: the credentials' or the machine's")] = None
    dataset: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_]+$", max_length=1024, description="dataset")] = "logs"
    table: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+$", max_length=1024, description="table to insert into")] = (
        "all"
    )
    try_create: Annotated[bool, Meta(description="create dataset and table when they are missing")] = True
    location: Annotated[str | None, Meta(description="of a created dataset: EU, europe-north1, …")] = None
    batch_size: Annotated[Annotated[int, Meta(ge=1, le=_MOST)], Meta(description="rows of one request at most")] = (
        _AT_ONCE
    )
    credentials: Annotated[Secret | None, Meta(description="key of a service account, as JSON")] = None
    endpoint: Annotated[str, Meta(description="the service; http:// is an emulator and needs no login")] = (
        "https://bigquery.googleapis.com"
    )
    compression: http_client.Compression = "Gzip"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(self.endpoint)
        if self.compression == "Zstd":
            raise ValueError("BigQuery reads gzip only; set compression to Gzip or None")


def make(config: Config, name: str) -> "BigQuery":
    """Build the target; nothing is connected before ``send``."""
    credentials.available()
    return BigQuery(config)


class Trouble(Struct):
    """One thing that is wrong with a row, or with a request (https://cloud.google.com/bigquery/docs/error-messages)."""

    reason: str = ""
    location: str = ""
    message: str = ""


class Bad(Struct):
    """A row that was not taken."""

    index: int
    errors: list[Trouble] = []


class Taken(Struct, rename="camel"):
    """The answer to a request whose valid rows were taken."""

    insert_errors: list[Bad] = []


class _Error(Struct):
    errors: list[Trouble] = []
    message: str = ""


class _Refusal(Struct):
    error: _Error = msgspec.field(default_factory=_Error)


_PASSING: Final = frozenset(
    {"stopped", "timeout", "backendError", "internalError", "rateLimitExceeded", "quotaExceeded", "jobBackendError"}
)


class BigQuery:
    """Owns a pool of connections and its credentials from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._credentials = Credentials(config.credentials)
        self._client = Client(
            endpoint=config.endpoint, timeout=config.timeout, connect_timeout=config.connect_timeout, tls=config.tls
        )
        self._created = False

    async def open(self) -> None:
        """Prepare the pool; whether the service answers is seen with the first send."""
        await self._credentials.open()
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Insert the events; rows that BigQuery finds invalid are rejected, each with its words."""
        project = await self._credentials.project(self._config.project_id)
        made = [row for batch in batches for row in rows(batch)]
        tally = Tally(batches)
        return await deliver(tally, partial(self._post, project, made, tally), most=self._config.batch_size)

    async def _post(
        self, project: str, made: Sequence[bytes], tally: Tally, numbers: Sequence[int]
    ) -> Sequence[Sequence[int]]:
        body = _HEAD + b",".join([made[number] for number in numbers]) + b"]}"
        if len(body) > _LARGEST:
            raise TooLarge(f"The row has {len(body)} bytes; BigQuery takes {_LARGEST}.")
        config = self._config
        url = self._url(project, f"{config.dataset}/tables/{config.table}/insertAll")
        answer = await self._request(url, body)
        if answer.status == 404 and config.try_create:
            return await self._missing(project, answer, numbers)
        self._check(url, answer, len(numbers))
        self._created = False
        self._sort(_read(answer), numbers, tally)
        return ()

    def _url(self, project: str, rest: str) -> str:
        return f"{self._config.endpoint.rstrip('/')}/bigquery/v2/projects/{quote(project, safe=':')}/datasets/{rest}"

    async def _request(self, url: str, body: bytes) -> Answer:
        if self._config.credentials is not None or not self._config.endpoint.startswith("http://"):
            self._client.use(Login("Bearer", Secret(value=await self._credentials.token())))
        packed, encoding = await http_client.compressed(body, self._config.compression)
        headers = {"Content-Type": http_client.JSON, **encoding}
        answer = await self._client.request("POST", url, packed, headers=headers, limit=2**23)
        if answer.status == 401:
            self._credentials.forget()
        return answer

    def _check(self, url: str, answer: Answer, count: int) -> None:
        """Raise what an answer means that is no success."""
        if answer.status == 403 and _reasons(answer) & _PASSING:
            self._client.failures["403"] += 1
            raise Retry(f"{url} answered 403{self._client.quote(answer.body)}.")
        try:
            self._client.check(url, answer)
        except TooLarge:
            raise
        except Reject as exc:  # one row may be to blame for all
            raise (TooLarge(str(exc)) if count > 1 else exc) from exc

    def _sort(self, taken: Taken, numbers: Sequence[int], tally: Tally) -> None:
        for bad in taken.insert_errors:
            if bad.index >= len(numbers):
                continue
            words = "; ".join(f"{one.reason} {one.location}: {one.message}" for one in bad.errors)
            number, reason = numbers[bad.index], self._client.hide(f"BigQuery did not take the row: {words}")
            if bad.errors and all(one.reason in _PASSING for one in bad.errors):
                tally.retry([number], reason)
            else:
                tally.reject([number], reason)

    async def _missing(self, project: str, answer: Answer, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        """Create what is missing and try again; later, if it was created just now (that takes BigQuery a while)."""
        said, config = self._client.quote(answer.body), self._config
        place = f"{project}.{config.dataset}.{config.table}"
        if self._created:
            raise Retry(f"The table {place} is not there yet{said}.")
        dataset: dict[str, Any] = {"datasetReference": {"projectId": project, "datasetId": config.dataset}}
        if config.location:
            dataset["location"] = config.location
        reference = {"projectId": project, "datasetId": config.dataset, "tableId": config.table}
        table = {
            "tableReference": reference,
            "schema": {"fields": SCHEMA},
            "timePartitioning": {"type": "DAY", "field": "timestamp"},
        }
        for rest, wanted in (("", dataset), (f"{config.dataset}/tables", table)):
            url = self._url(project, rest).rstrip("/")
            made = await self._request(url, msgspec.json.encode(wanted))
            if not made.is_success and made.status != 409:
                words = self._client.quote(made.body)
                raise Retry(f"{place} is missing and cannot be created ({made.status}{words}); create it.")
        self._created = True
        return [numbers]

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()
        await self._credentials.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it inserts, and how often which trouble was met."""
        table = f"{self._config.dataset}.{self._config.table}"
        return {"endpoint": f"{self._config.endpoint} {table}", "failures": dict(self._client.failures)}


def _read(answer: Answer) -> Taken:
    """Read which rows were not taken; ``Retry`` if the answer broke off, for nobody knows then."""
    try:
        return msgspec.json.decode(answer.body, type=Taken)
    except msgspec.DecodeError:
        raise Retry("BigQuery's answer broke off; rows that are sent again are dropped by their insertId.") from None


def _reasons(answer: Answer) -> set[str]:
    try:
        return {one.reason for one in msgspec.json.decode(answer.body, type=_Refusal).error.errors}
    except msgspec.DecodeError:
        return set()
