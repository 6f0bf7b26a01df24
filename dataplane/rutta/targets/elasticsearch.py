"""Target ``elasticsearch``: index events into Elasticsearch or OpenSearch, by ``_bulk``.

Delivered is a document that the cluster says it has. Its ``_id`` is the event's, and it is created: what is sent again
is there already (409), which is delivered, too. A request is 200 whatever becomes of its documents, so each has its
own verdict (``rutta.elastic.answers``).
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta, Struct

from rutta.elastic import answers
from rutta.elastic.operations import Form, Shape, index_at, operations
from rutta.errors import Reject, Retry
from rutta.message import Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Client, Compression, Login
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.net.uri import split
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

# http.max_content_length is 100 MB, on small nodes of Amazon's service 10 MiB; operations add a fifth.
BATCH: Final = Gathering(max_events=10_000, max_bytes=5 * 2**20, max_delay=0.5)
EXAMPLE: Final[Mapping[str, Any]] = {"endpoint": "http://127.0.0.1:9200", "dataStream": "logs-rutta-default"}
URI_IGNORED: Final = {"_type": "mapping types are gone since Elasticsearch 8"}

_ANSWER: Final = 32 * 2**20  # bytes of an answer that are read: each refusal quotes a part of its document
# https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create
_NAME: Final = re.compile(r"(?!\.\.?$)[^A-Z\\/*?\"<>| ,#:_+-][^A-Z\\/*?\"<>| ,#:]*")
_LONGEST_NAME: Final = 255  # bytes


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Elasticsearch and OpenSearch."""

    endpoint: Annotated[str | None, Meta(description="address of the cluster; absent: http://127.0.0.1:9200")] = None
    publish_to: Annotated[str | None, Meta(description="the original's name for `endpoint`")] = None
    data_stream: Annotated[str | None, Meta(description="data stream to append to, instead of `index`")] = None
    index: Annotated[
        str | None, Meta(description="index; `%Y %m %d %H` are of the event's time; absent: `logary-%Y-%m-%d`")
    ] = None
    index_name: Annotated[str | None, Meta(description="the original's way to say `index: NAME-%Y-%m-%d`")] = None
    action: Annotated[
        Literal["Create", "Index"],
        Meta(description="Create leaves what is there; Index writes it again"),
    ] = "Create"
    codec: Annotated[
        Form,
        Meta(description="documents: ndjson is the event as it came, json always the v6 form, ecs Elastic's schema"),
    ] = "ndjson"
    pipeline: Annotated[str | None, Meta(description="ingest pipeline; absent: the index's own")] = None
    username: Annotated[str | None, Meta(description="user name")] = None
    password: Annotated[Secret | None, Meta(description="password")] = None
    api_key: Annotated[Secret | None, Meta(description="API key of Elasticsearch: encoded, or `id:key`")] = None
    bearer: Annotated[Secret | None, Meta(description="token, sent as `Authorization: Bearer`")] = None
    compression: Compression = "None"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "60s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if self.endpoint is not None and self.publish_to is not None:
            raise ValueError("give either endpoint or publishTo, its old name")
        http_client.endpoint(self.address)
        places = [one for one in (self.data_stream, self.index, self.index_name) if one is not None]
        if len(places) > 1:
            raise ValueError("give one of dataStream, index and indexName (the old way to say index)")
        if self.data_stream is not None and self.action == "Index":
            raise ValueError("a data stream is appended to only; leave action at Create")
        _check_name(self.data_stream or self.pattern)
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if sum(one is not None for one in (self.password, self.api_key, self.bearer)) > 1:
            raise ValueError("give only one of password, apiKey and bearer")
        if self.compression == "Zstd":
            raise ValueError("bulk requests may be compressed by gzip only; set compression to Gzip or None")

    @property
    def address(self) -> str:
        """Where the cluster is."""
        return self.endpoint or self.publish_to or "http://127.0.0.1:9200"

    @property
    def pattern(self) -> str:
        """Name of the index, with letters for the date."""
        return self.index or f"{self.index_name or 'logary'}-%Y-%m-%d"


def _check_name(pattern: str) -> None:
    if wrong := re.search(r"%[^YmdH]|%$", pattern):
        raise ValueError(f"{pattern!r} has {wrong[0]!r}; there are %Y, %m, %d and %H")
    name = index_at(pattern, 0)
    if not _NAME.fullmatch(name) or len(name.encode()) > _LONGEST_NAME:
        raise ValueError(
            f'{name!r} cannot name an index or data stream: no capitals, none of \\ / * ? " < > | space , # :, '
            f"no - _ + in front, at most {_LONGEST_NAME} bytes"
        )


def from_uri(uri: str) -> dict[str, Any]:
    """Take host, port and path as the endpoint (``elasticsearch://es:9200/?dataStream=…``); ``.`` is none."""
    parts = split(uri)
    if parts.hostname in (None, "."):
        return {}
    return {"endpoint": f"http://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"}


def make(config: Config, name: str) -> "Elasticsearch":
    """Build the target; nothing is connected before ``send``."""
    return Elasticsearch(config)


class Elasticsearch:
    """Owns a pool of connections from ``open`` to ``close``."""

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        place = config.data_stream or config.pattern
        is_dated = "%" in place
        action: Literal["create", "index"] = "index" if config.action == "Index" else "create"
        self._shape = Shape(action, config.codec, place if is_dated else "")
        query = {"filter_path": answers.FILTER, **({"pipeline": config.pipeline} if config.pipeline else {})}
        path = "_bulk" if is_dated else f"{quote(place, safe='')}/_bulk"
        parts = http_client.endpoint(config.address)
        whole = "&".join(filter(None, (parts.query, urlencode(query, safe=",*"))))
        self._url = parts._replace(path=f"{parts.path.rstrip('/')}/{path}", query=whole, fragment="").geturl()
        self._place = f"{http_client.place(config.address)} {place}"
        self._client = Client(
            endpoint=config.address,
            timeout=config.timeout,
            connect_timeout=config.connect_timeout,
            tls=config.tls,
            login=_login(config),
        )

    @property
    def columns(self) -> Columns:
        """What documents are made of."""
        return self._shape.columns

    async def open(self) -> None:
        """Prepare the pool; whether the cluster answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Index the events; documents that the cluster will never take are rejected, each with its words."""
        made = [operation for batch in batches for operation in operations(batch, self._shape)]
        tally = Tally(batches)
        return await deliver(tally, partial(self._post, made, tally))

    async def _post(self, made: Sequence[bytes], tally: Tally, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        whole = made if len(numbers) == len(made) else [made[number] for number in numbers]
        body, encoding = await http_client.compressed(b"".join(whole), self._config.compression)
        headers = {"Content-Type": "application/x-ndjson", **encoding}
        answer = await self._client.request("POST", self._url, body, headers=headers, limit=_ANSWER)
        try:
            self._client.check(self._url, answer)
        except TooLarge:
            raise
        except Reject as exc:  # one document may be to blame for all
            raise (TooLarge(str(exc)) if len(numbers) > 1 else exc) from exc
        try:
            items = answers.read(answer.body)
        except msgspec.DecodeError:
            raise Retry(f"{self._place} gave an answer that is not one of _bulk, or broke off.") from None
        if items and len(items) != len(numbers):
            raise Retry(f"{self._place} told of {len(items)} documents, not of {len(numbers)}.")
        self._sort(items, numbers, tally)
        return ()

    def _sort(self, items: Sequence[answers.Item], numbers: Sequence[int], tally: Tally) -> None:
        for number, item in zip(numbers, items, strict=False):  # none: all are in
            verdict = item.verdict()
            if verdict == "taken":
                continue
            reason = self._client.hide(f"{self._place} did not take the document ({item.status}): {item.error}")[:500]
            if verdict == "again":
                self._client.failures[str(item.status)] += 1
                tally.retry([number], reason)
            else:
                tally.reject([number], reason)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it indexes, and how often which trouble was met."""
        return {"endpoint": self._place, "failures": dict(self._client.failures)}


def _login(config: Config) -> Login | None:
    if config.api_key is not None:
        return Login("ApiKey", config.api_key)
    if config.bearer is not None:
        return Login("Bearer", config.bearer)
    if config.password is not None:
        return Login("Basic", config.password, config.username or "")
    return None
