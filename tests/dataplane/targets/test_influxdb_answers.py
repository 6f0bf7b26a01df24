"""The influxdb target against scripted servers: version 1's faults, and version 2 as its documentation has it.

The stand-in for version 2 is written from these pages, no server of that version being at hand:
https://docs.influxdata.com/influxdb/v2/api/v2/#post-/api/v2/write (request: ``Authorization: Token``, ``org``,
``bucket``, ``precision``; ``Content-Encoding: gzip``) and
https://docs.influxdata.com/influxdb/v2/write-data/troubleshoot/ (204, 400 nothing written, 401, 404 with resource,
413, 422 partial write with ``code`` and ``message``, 503 with ``Retry-After``).
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from rutta import conversion
from rutta.errors import Reject, Retry
from rutta.influx import refusals as influx_refusals
from rutta.message import Batch
from rutta.targets import DELIVERED
from rutta.targets.influxdb import Config, InfluxDb, make

Make = Callable[..., Awaitable[InfluxDb]]
V2 = {"org": "my org", "bucket": "logs", "token": "t0ken"}
_LINE = re.compile(r'((?:\\.|[^, ])+(?:,(?:\\.|[^=])+=(?:\\.|[^, ])+)*) (.+) (-?\d+)')  # fmt: skip


class Influx2:
    """The write API of InfluxDB 2, as documented; keeps what it took."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.types: dict[str, str] = {}

    async def write(self, request: web.Request, body: bytes) -> web.StreamResponse:
        if request.path != "/api/v2/write" or request.method != "POST":
            return self.error(404, "not found", "path not found")
        if request.headers.get("Authorization") != "Token t0ken":
            return self.error(401, "unauthorized", "unauthorized access")
        for kind, name in (("organization", "my org"), ("bucket", "logs")):
            if request.query.get({"organization": "org"}.get(kind, kind)) != name:
                return self.error(404, "not found", f'{kind} name "{request.query.get(kind)}" not found')
        if request.query["precision"] not in ("ns", "us", "ms", "s"):
            return self.error(400, "invalid", "invalid precision")
        return self.take(body.decode().split("\n"))

    def take(self, lines: list[str]) -> web.Response:
        for line in lines:
            if not _LINE.fullmatch(line) or "unparsable" in line:
                return self.error(400, "invalid", f"unable to parse '{line}': bad timestamp")
        bad = [line for line in lines if self.conflicts(line)]
        self.written += [line for line in lines if line not in bad]
        if not bad:
            return web.Response(status=204)
        return self.error(
            422, "unprocessable entity", "failure writing points to database: partial write: field type conflict: "
            f'input field "size" on measurement "n" is type boolean, already exists as type string dropped={len(bad)}'
        )  # fmt: skip

    def conflicts(self, line: str) -> bool:
        return bool(re.match(r"n[, ].*[ ,]size=[TF]", line))

    def error(self, status: int, code: str, message: str) -> web.Response:
        return web.json_response({"code": code, "message": message}, status=status)


@pytest_asyncio.fixture
async def opened(server: Any) -> AsyncIterator[Make]:
    """``await opened(**V2)`` is an open target that writes to the scripted server."""
    made: list[InfluxDb] = []

    async def build(**given: Any) -> InfluxDb:
        target = make(conversion.convert({"endpoint": f"{server.url}/somewhere", **given}, Config), "influx")
        made.append(target)
        await target.open()
        return target

    yield build
    for target in made:
        await target.close()


@pytest.fixture
def influx2(server: Any) -> Influx2:
    """The scripted server as InfluxDB 2."""
    stand_in = Influx2()
    server.usual = stand_in.write
    return stand_in


async def test_version_1_gets_the_forced_path_the_query_and_basic_auth(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened(username="ann", password="pw", retention="rp 1", precision="us")
    await target.send([batch({"event": "x", "timestamp": 1_700_000_000_000_000_000})])
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/write")
    assert seen.query == {"db": "logary", "consistency": "quorum", "rp": "rp 1", "precision": "u"}
    assert seen.headers["Authorization"] == "Basic YW5uOnB3"
    assert seen.body == b"x,level=debug value=1i 1700000000000000"


async def test_batches_of_one_send_are_lines_of_one_request_in_order(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened()
    await target.send([batch({"event": "a"})])
    await target.send([batch({"event": "b"}), batch({"event": "c"})])
    assert [[line[:1] for line in seen.lines] for seen in server.seen] == [[b"a"], [b"b", b"c"]]


async def test_the_originals_batch_size_is_the_number_of_lines_of_a_request(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened(batchSize=2)
    await target.send([batch(*({"event": name} for name in "abcde"))])
    assert [len(seen.lines) for seen in server.seen] == [2, 2, 1]


async def test_version_2_takes_points_with_token_org_bucket_and_precision(
    opened: Make, server: Any, influx2: Influx2, batch: Callable[..., Batch]
) -> None:
    target = await opened(**V2, precision="ms", compression="Gzip")
    assert await target.send([batch({"event": "a", "name": "n", "timestamp": 1_700_000_000_000_000_000})]) == DELIVERED
    assert influx2.written == ['n,level=debug event="a",value=1i 1700000000000']
    assert server.seen[0].headers["Content-Encoding"] == "gzip"
    assert server.seen[0].query == {"org": "my org", "bucket": "logs", "precision": "ms"}


async def test_version_2_rejects_the_bad_of_a_partial_write_and_gets_the_good_once(
    opened: Make, server: Any, influx2: Influx2, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    target = await opened(**V2)
    one = batch({"name": "n", "event": "a"}, {"name": "n", "event": "b", "fields": {"size": True}}, {"event": "c"})
    assert split_outcome(await target.send([one])) == ([], [(0, 1)])
    assert len(influx2.written) == 2
    assert len(server.seen) == 1


async def test_version_2_wrote_nothing_when_a_line_was_malformed_so_the_others_go_again(
    opened: Make, server: Any, influx2: Influx2, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    target = await opened(**V2)
    one = batch({"event": "a"}, {"event": "unparsable 1"}, {"event": "b"}, {"event": "unparsable 2"})
    assert split_outcome(await target.send([one])) == ([], [(0, 1), (0, 3)])
    assert [line[:1] for line in influx2.written] == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"token": "wrong"}, "answered 401 .*unauthorized access.*check the credentials"),
        ({"bucket": "none"}, 'answered 404: bucket name "none" not found; create it'),
    ],
)
async def test_version_2_says_what_is_missing_and_is_tried_again(
    opened: Make, influx2: Influx2, batch: Callable[..., Batch], given: dict[str, str], message: str
) -> None:
    target = await opened(**{**V2, **given})
    with pytest.raises(Retry, match=message):
        await target.send([batch({"event": "a"})])


@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [(429, {"Retry-After": "9"}, 9.0), (503, {"Retry-After": "5"}, 5.0), (500, {}, None)],
)
async def test_a_busy_server_is_tried_again_when_it_says(
    opened: Make, server: Any, batch: Callable[..., Batch], status: int, headers: dict[str, str], after: float | None
) -> None:
    target = await opened()
    server.answers = [web.json_response({"error": "timeout"}, status=status, headers=headers)]
    with pytest.raises(Retry, match="timeout") as caught:
        await target.send([batch({"event": "a"})])
    assert caught.value.after == after


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_a_fault_of_the_connection_is_tried_again(
    opened: Make, server: Any, batch: Callable[..., Batch], fault: str
) -> None:
    target = await opened(timeout="100ms")
    server.answers = [getattr(server, fault)]
    with pytest.raises(Retry):
        await target.send([batch({"event": "a"})])
    assert await target.send([batch({"event": "a"})]) == DELIVERED


async def test_a_refusal_that_names_no_line_rejects_them_all(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    target = await opened()
    server.answers = [web.json_response({"error": "database is required"}, status=400)]
    with pytest.raises(Reject, match="database is required"):
        await target.send([batch({"event": "a"}, {"event": "b"})])
    assert len(server.seen) == 1


async def test_too_large_is_written_in_halves(opened: Make, server: Any, batch: Callable[..., Batch]) -> None:
    target = await opened()
    server.answers = [web.json_response({"error": "Request Entity Too Large"}, status=413)]
    assert await target.send([batch({"event": "a"}), batch({"event": "b"})]) == DELIVERED
    assert [[line[:1] for line in seen.lines] for seen in server.seen[1:]] == [[b"a"], [b"b"]]


async def test_a_failure_while_searching_keeps_what_is_not_known_yet(
    opened: Make, server: Any, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    dropped = {"error": "partial write: max-series-per-database limit exceeded: (10) dropped=1"}
    server.answers = [web.json_response(dropped, status=400), web.Response(status=204), web.Response(status=500)]
    outcome = await (await opened()).send([batch(*({"event": name} for name in "abcd"))])
    assert split_outcome(outcome) == ([(0, 2), (0, 3)], [])


async def test_the_search_has_an_end_and_the_count_stays_right(
    opened: Make, server: Any, batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rutta.targets.influxdb._SEARCH", 2)

    async def vague(request: web.Request, body: bytes) -> web.StreamResponse:
        count = len(body.splitlines()) // 2
        message = f"partial write: max-series-per-database limit exceeded: (10) dropped={count}"
        return web.json_response({"error": message}, status=400)

    server.usual = vague
    outcome = await (await opened()).send([batch(*({"event": str(number)} for number in range(16)))])
    assert len(outcome.rejected) == 8
    assert "4 of 8 lines, it does not say which" in outcome.rejected[0].reason
    assert len(server.seen) == 3


async def test_a_database_that_must_not_be_created_by_us_is_said(
    opened: Make, server: Any, batch: Callable[..., Batch]
) -> None:
    server.answers = [
        web.json_response({"error": 'database not found: "logary"'}, status=404),
        web.json_response({"results": [{"error": "create is for admins"}]}, status=403),
    ]
    with pytest.raises(Retry, match=r"database 'logary' cannot be created .* create it by hand"):
        await (await opened()).send([batch({"event": "a"})])
    assert server.seen[1].query == {"q": 'CREATE DATABASE "logary"'}


@pytest.mark.parametrize(
    "message",
    [
        "unable to parse 'x': y",
        "partial write: points beyond retention policy dropped=999",
        "partial write: dropped=abc",
        "partial write: field type conflict: input field \"",
        "partial write: " + "unable to parse '" * 500,
    ],
)  # fmt: skip
def test_any_refusal_is_read_without_failing(message: str) -> None:
    refusal = influx_refusals.read(400, b'{"error": %b}' % repr(message).encode().replace(b"'", b'"'))
    refusal = refusal or influx_refusals.Refusal(message, True, None)
    found = influx_refusals.bad_lines(["a b=1i 1", "c d=2i 2"], refusal)
    assert found is None or all(0 <= at < 2 for at in found)
