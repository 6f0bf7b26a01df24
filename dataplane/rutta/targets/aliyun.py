"""Target ``aliyun``: write events to a Logstore of Alibaba Cloud's Log Service (SLS), by ``PutLogs``.

https://www.alibabacloud.com/help/en/sls/developer-reference/api-sls-2020-12-30-putlogs: log groups in protobuf, packed
by LZ4, signed. One log that is not as the service wants it makes it refuse the whole request: such requests are sent in
halves until it is alone.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import cramjam
import msgspec
from msgspec import Meta, Struct

from rutta import formats
from rutta.aliyun import log_group, signature
from rutta.aliyun.signature import Keys, Request
from rutta.errors import ConfigError, Reject, Retry
from rutta.events import flat
from rutta.events.event import Event
from rutta.message import EVERYTHING, Batch, Columns
from rutta.net import http_client
from rutta.net.http_client import Answer, Client
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.rows.columns import column_of
from rutta.settings import ClientTls, Duration, Secret, default
from rutta.targets import Gathering, Outcome

_AT_ONCE: Final = 4096  # logs of one request, as Alibaba's own clients gather them
_LARGEST: Final = 10_000_000  # bytes of a group, not compressed

BATCH: Final = Gathering(max_events=_AT_ONCE, max_bytes=3 * 2**20, max_delay=1.0)
EXAMPLE: Final[Mapping[str, Any]] = {
    "endpoint": "http://127.0.0.1:8080",
    "project": "my-project",
    "logstore": "logs",
    "accessKeyId": {"env": "ALIBABA_CLOUD_ACCESS_KEY_ID"},
    "accessKey": {"env": "ALIBABA_CLOUD_ACCESS_KEY_SECRET"},
}

_TYPE: Final = "application/x-protobuf"
# https://www.alibabacloud.com/help/en/sls/developer-reference/error-codes and of PutLogs
_QUOTAS: Final = frozenset({"WriteQuotaExceed", "ShardWriteQuotaExceed", "ExceedQuota", "QuotaExceed"})
_LOGINS: Final = frozenset(
    {"Unauthorized", "SignatureNotMatch", "InvalidAccessKeyId", "MissAccessKeyId", "SecurityTokenExpired"}
)
_CLOCK: Final = frozenset({"RequestTimeExpired", "RequestTimeTooSkewed", "InvalidRequestTime"})
_PLACES: Final = frozenset(
    {"ProjectNotExist", "LogStoreNotExist", "LogStoreWithoutShard", "ShardNotExist", "ProjectForbidden"}
)

_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{1,62}$")]


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of Alibaba Cloud's Log Service."""

    endpoint: Annotated[str, Meta(description="of the region: cn-hangzhou.log.aliyuncs.com; https unless it says http")]
    project: Annotated[_Name, Meta(description="project; the request goes to PROJECT.ENDPOINT")]
    logstore: Annotated[_Name, Meta(description="Logstore to write to")]
    access_key_id: Annotated[Secret, Meta(description="id of an access key")]
    access_key: Annotated[Secret, Meta(description="secret of the access key")]
    security_token: Annotated[Secret | None, Meta(description="token of STS, with a key of STS")] = None
    signature: Annotated[Literal["V1", "V4"], Meta(description="how requests are signed; V4 needs region")] = "V1"
    region: Annotated[str | None, Meta(description="region of the project, for signature V4")] = None
    topic: Annotated[str | None, Meta(description="topic of all logs; absent: each event's service")] = None
    source: Annotated[str | None, Meta(description="source of all logs; absent: the machine's name")] = None
    tags: Annotated[Mapping[str, str], Meta(description="tags of all logs")] = {}
    hash_key: Annotated[
        str | None, Meta(description="part that chooses the shard: context.host, fields.KEY, …; absent: any shard")
    ] = None
    batch_size: Annotated[Annotated[int, Meta(ge=1, le=40_960)], Meta(description="logs of one request at most")] = (
        _AT_ONCE
    )
    compression: Annotated[Literal["None", "Lz4"], Meta(description="how request bodies are compressed")] = "Lz4"
    timeout: Annotated[Duration, Meta(description="longest time of one request")] = default(Duration, "30s")
    connect_timeout: Annotated[Duration, Meta(description="longest time until connected")] = default(Duration, "10s")
    client_connect_timeout: Annotated[
        int | None, Meta(description="connectTimeout in milliseconds, as the original's URIs say it")
    ] = None
    client_read_write_timeout: Annotated[
        int | None, Meta(description="timeout in milliseconds, as the original's URIs say it")
    ] = None
    tls: Annotated[ClientTls | None, Meta(description="whom to trust, and what certificate to show")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        http_client.endpoint(_with_scheme(self.endpoint))
        if self.signature == "V4" and not self.region:
            raise ValueError("signature V4 needs the region, like cn-hangzhou")


def make(config: Config, name: str) -> "Aliyun":
    """Build the target; nothing is connected before ``send``."""
    return Aliyun(config)


class Refusal(Struct, rename="camel"):
    """What the service says is wrong."""

    error_code: str = ""
    error_message: str = ""


class Group(Struct, frozen=True):
    """What logs of one request have in common."""

    topic: str
    key: str = ""


class Aliyun:
    """Owns a pool of connections from ``open`` to ``close``."""

    columns: Columns = EVERYTHING

    def __init__(self, config: Config) -> None:
        """Take the settings."""
        self._config = config
        self._base, self._host = _address(config)
        self._source = config.source or os.uname().nodename
        wait, connect = config.client_read_write_timeout, config.client_connect_timeout
        self._client = Client(
            endpoint=self._base,
            timeout=config.timeout if wait is None else wait / 1000,
            connect_timeout=config.connect_timeout if connect is None else connect / 1000,
            tls=config.tls,
        )
        self._secrets: tuple[str, ...] = ()

    async def open(self) -> None:
        """Prepare the pool; whether the service answers is seen with the first send."""
        await self._client.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Write the events, one request for each topic and shard key."""
        events = [event for batch in batches for event in formats.events(batch)]
        logs = [log_group.log(event, self._source) for event in events]
        groups = [self._group(event) for event in events]
        return await deliver(Tally(batches), partial(self._post, logs, groups), most=self._config.batch_size)

    def _group(self, event: Event) -> Group:
        topic = self._config.topic
        if topic is None:
            topic = flat.shown(event.context.get("service", event.fields.get("service", "")))
        part = self._config.hash_key
        if part is None or (value := column_of(event, part)) is None:
            return Group(topic)
        return Group(topic, hashlib.md5(flat.shown(value).encode(), usedforsecurity=False).hexdigest())

    async def _post(
        self, logs: Sequence[bytes], groups: Sequence[Group], numbers: Sequence[int]
    ) -> Sequence[Sequence[int]]:
        apart: dict[Group, list[int]] = {}
        for number in numbers:
            apart.setdefault(groups[number], []).append(number)
        if len(apart) > 1:
            return list(apart.values())
        group = groups[numbers[0]]
        body = log_group.group(
            [logs[number] for number in numbers], topic=group.topic, source=self._source, tags=self._config.tags
        )
        if len(body) > _LARGEST:
            raise TooLarge(f"The logs have {len(body)} bytes; Log Service takes {_LARGEST}.")
        self._check(await self._request(group, body), len(numbers))
        return ()

    async def _request(self, group: Group, body: bytes) -> Answer:
        headers = {"Content-Type": _TYPE, "x-log-apiversion": "0.6.0", "x-log-bodyrawsize": str(len(body))}
        if self._config.compression == "Lz4":
            headers["x-log-compresstype"] = "lz4"
            body = bytes(cramjam.lz4.compress_block(body, store_size=False))
        query = {"key": group.key} if group.key else {}
        path = f"/logstores/{self._config.logstore}/shards/{'route' if group.key else 'lb'}"
        request = Request(self._host, path, query, headers, body)
        keys = self._keys()
        if self._config.signature == "V4":
            headers = signature.v4(request, keys, self._config.region or "")
        else:
            headers = signature.v1(request, keys)
        rest = f"?key={group.key}" if group.key else ""
        return await self._client.request("POST", f"{self._base}{path}{rest}", body, headers=headers)

    def _keys(self) -> Keys:
        """Read the access key, which may have been replaced."""
        config = self._config
        try:
            keys = Keys(
                config.access_key_id.reveal(),
                config.access_key.reveal(),
                config.security_token.reveal() if config.security_token is not None else "",
            )
        except ConfigError as exc:  # a file that is mounted later, or just being replaced
            raise Retry(f"{exc}.") from exc
        self._secrets = tuple(filter(None, keys))
        return keys

    def _check(self, answer: Answer, count: int) -> None:
        """Raise what an answer means that is no success."""
        if answer.is_success:
            return
        code = _code(answer)
        self._client.failures[code or str(answer.status)] += 1
        said = f"{self._base} answered {answer.status}{self._hide(self._client.quote(answer.body))}"
        if code in _QUOTAS:
            raise Retry(f"{said}.", after=http_client.retry_after(answer.headers))
        if code in _LOGINS or answer.status in (401, 407):
            raise Retry(f"{said}; check the access key, it is read anew for each try.")
        if code in _CLOCK:
            raise Retry(f"{said}; set this machine's clock.")
        if code in _PLACES or answer.status in (403, 404, 405, 410) or 300 <= answer.status < 400:
            raise Retry(f"{said}; correct endpoint, project or logstore, or what the access key may do.")
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise Retry(f"{said}.", after=http_client.retry_after(answer.headers))
        if count > 1 or code == "PostBodyTooLarge" or answer.status == 413:  # one log may be to blame for all
            raise TooLarge(f"{said}.")
        raise Reject(f"{said}.")

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def status(self) -> Mapping[str, Any]:
        """Say where it writes to, and how often which trouble was met."""
        config = self._config
        return {"endpoint": f"{self._base} {config.project}/{config.logstore}", "failures": dict(self._client.failures)}


def _with_scheme(endpoint: str) -> str:
    return endpoint if "://" in endpoint else f"https://{endpoint}"


def _address(config: Config) -> tuple[str, str]:
    """Return the URL that requests go to, without a path, and their Host: the project's own.

    An address that is a number has no names below it: then only the Host header names the project.
    """
    parts = urlsplit(_with_scheme(config.endpoint))
    host = f"{config.project}.{parts.netloc}"
    try:
        ip_address(parts.hostname or "")
    except ValueError:
        return f"{parts.scheme}://{host}", host
    return f"{parts.scheme}://{parts.netloc}", host


def _code(answer: Answer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=Refusal).error_code
    except msgspec.DecodeError:
        return ""
