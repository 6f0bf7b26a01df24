"""The influxdb target against the real InfluxDB 1: what is written, what is refused, and how that is settled."""

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.events.event import Event
from rutta.influx.measurement import Rules, line
from rutta.message import Batch
from rutta.targets import DELIVERED
from rutta.targets.influxdb import Config, InfluxDb, make

Make = Callable[..., Awaitable[InfluxDb]]
NOW = 1_700_000_000_000_000_000
_names = itertools.count(1)


@pytest.fixture
def db(influx: Any) -> str:
    """An empty database."""
    name = f"db{next(_names)}"
    influx.query(f'CREATE DATABASE "{name}"')
    return name


@pytest_asyncio.fixture
async def opened(influx: Any) -> AsyncIterator[Make]:
    """``await opened(db=...)`` is an open target that writes to the real server."""
    made: list[InfluxDb] = []

    async def build(**given: Any) -> InfluxDb:
        target = make(conversion.convert({"endpoint": f"{influx.url}/", **given}, Config), "influx")
        made.append(target)
        await target.open()
        return target

    yield build
    for target in made:
        await target.close()


async def test_points_are_in_the_database_as_the_rules_say(
    opened: Make, influx: Any, db: str, batch: Callable[..., Batch]
) -> None:
    target = await opened(db=db)
    one = batch(
        {
            "event": "Slow {route}", "name": "shop.api", "level": "warn", "timestamp": NOW,
            "context": {"service": "shop", "host": "n1"}, "fields": {"route": "/buy"},
        },
        {"event": "x", "name": "mem", "timestamp": NOW,
         "gauges": {"rss": {"type": "gauge", "value": {"type": "int64", "value": 2048}, "unit": "bytes"}}},
    )  # fmt: skip
    assert await target.send([one]) == DELIVERED
    assert influx.rows('SELECT * FROM "shop.api"', db) == [
        {"time": NOW, "event": "Slow {route}", "route": "/buy", "value": 1, "level": "warn", "service": "shop",
         "host": "n1"}
    ]  # fmt: skip
    assert influx.rows('SELECT * FROM "mem.rss"', db) == [
        {"time": NOW, "event": "x", "value": 2048, "value_f": "2.00 KiB", "value_unit": "bytes", "level": "debug",
         "tags": "gauge"}
    ]  # fmt: skip


def kept(name: str) -> str:
    """What the server makes of a name: a backslash before a special character is a slash."""
    return re.sub(r'\\(?=[",= ])', "/", name)


_words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=12)


@given(
    points=st.lists(
        st.tuples(_words, st.text(st.characters(codec="utf-8"), max_size=20), _words.map(str.strip), st.integers()),
        min_size=1,
        max_size=50,
    )
)
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_text_comes_back_as_it_was(influx: Any, points: list[tuple[str, str, str, int]]) -> None:
    """Names, keys, tags and fields of any characters; the one thing that names and keys lose is told by ``kept``."""
    db = f"any{next(_names)}"
    influx.query(f'CREATE DATABASE "{db}"')
    rules = Rules(frozenset({"host"}))
    events = [
        Event(name=f"m{number}{name}m", timestamp=NOW + number, context={"host": f"h{tag}h"}, text=text,
              fields={f"k{key}k": number, "whole": value})
        for number, (name, text, key, value) in enumerate(points) for tag in [key]
    ]  # fmt: skip
    target = make(Config(endpoint=influx.url, db=db), "influx")
    await target.open()
    answer = await target._post("\n".join(line(event, rules) for event in events).encode())
    await target.close()
    assert answer.status == 204, answer.body
    found = {series["name"]: series for series in influx.query("SELECT * FROM /.*/", db)}
    for event in events:
        (values,) = found[kept(event.name)]["values"]
        row = dict(zip(found[kept(event.name)]["columns"], values, strict=True))
        (host, (key, number), whole) = event.context["host"], next(iter(event.fields.items())), event.fields["whole"]
        assert (row["event"], row["host"], row[kept(key)]) == (event.text, host, number)
        assert row["whole"] == min(max(whole, -(2**63)), 2**63 - 1)


async def test_retention_consistency_and_precision_are_sent(
    opened: Make, influx: Any, db: str, batch: Callable[..., Batch]
) -> None:
    influx.query(f'CREATE RETENTION POLICY "two weeks" ON "{db}" DURATION INF REPLICATION 1')
    target = await opened(db=db, retention="two weeks", consistency="One", precision="s")
    assert "consistency=one" in target.status()["endpoint"]
    await target.send([batch({"event": "x", "name": "n", "timestamp": NOW})])
    assert influx.rows('SELECT value FROM "two weeks".n', db) == [{"time": NOW, "value": 1}]
    assert influx.rows("SELECT value FROM autogen.n", db) == []


async def test_of_a_type_conflict_only_the_bad_lines_are_rejected(
    opened: Make, influx: Any, db: str, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    target = await opened(db=db)
    await target.send([batch({"name": "n", "event": "a", "timestamp": NOW, "fields": {"size": "large"}})])
    mixed = [
        batch({"name": "n", "event": 'k="size=1i"', "timestamp": NOW + 1, "fields": {"size": "small"}}),
        batch(
            {"name": "n", "event": "b", "timestamp": NOW + 2, "fields": {"size": True}},
            {"name": "other", "event": "c", "timestamp": NOW + 3, "fields": {"size": True}},
            {"name": "n", "event": "d", "timestamp": NOW + 4, "fields": {"size": False}},
            {"name": "n", "event": "e", "timestamp": NOW + 5},
        ),
    ]
    outcome = await target.send(mixed)
    assert split_outcome(outcome) == ([], [(1, 0), (1, 2)])
    assert 'field type conflict: input field "size"' in outcome.rejected[0].reason
    assert [row["event"] for row in influx.rows("SELECT event FROM n", db)] == ["a", 'k="size=1i"', "e"]
    assert len(influx.rows("SELECT * FROM other", db)) == 1


async def test_two_conflicts_in_one_send_are_found_by_halves(
    opened: Make, influx: Any, db: str, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    target = await opened(db=db)
    await target.send([batch({"name": "n", "event": "x", "timestamp": NOW, "fields": {"a": "t", "b": "t"}})])
    events = [{"name": "n", "event": str(number), "timestamp": NOW + 1 + number} for number in range(40)]
    events[7]["fields"] = {"a": True}
    events[31]["fields"] = {"b": True}
    assert split_outcome(await target.send([batch(*events)])) == ([], [(0, 7), (0, 31)])
    assert len(influx.rows("SELECT event FROM n", db)) == 39


async def test_points_older_than_the_retention_are_rejected_the_others_written(
    opened: Make, influx: Any, db: str, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    influx.query(f"CREATE RETENTION POLICY short ON {db} DURATION 1h REPLICATION 1 DEFAULT")
    target = await opened(db=db)
    one = batch({"name": "n", "event": "new"}, {"name": "n", "event": "old", "timestamp": NOW}, {"event": "new"})
    outcome = await target.send([one])
    assert split_outcome(outcome) == ([], [(0, 1)])
    assert "retention policy" in outcome.rejected[0].reason
    assert [row["event"] for row in influx.rows("SELECT event FROM n", db)] == ["new"]


async def test_a_line_that_cannot_be_parsed_is_told_from_the_others(
    opened: Make, influx: Any, db: str, batch: Callable[..., Batch], split_outcome: Any
) -> None:
    target = await opened(db=db)
    long = "k" * 70_000  # a series key has 64 KiB
    good, bad = {"event": "x", "name": "n", "timestamp": NOW}, {"event": "x", "name": long, "timestamp": NOW}
    outcome = await target.send([batch(good, bad), batch(bad, {**good, "timestamp": NOW + 1})])
    assert split_outcome(outcome) == ([], [(0, 1), (1, 0)])
    assert len(outcome.rejected[0].reason) < 400
    assert len(influx.rows("SELECT * FROM n", db)) == 2
    assert split_outcome(await target.send([batch(bad, bad)])) == ([], [(0, 0), (0, 1)])


async def test_a_missing_database_is_created(opened: Make, influx: Any, batch: Callable[..., Batch]) -> None:
    name = f'new "quoted" {next(_names)}'
    target = await opened(db=name)
    assert await target.send([batch({"event": "x", "name": "n", "timestamp": NOW})]) == DELIVERED
    assert len(influx.rows("SELECT * FROM n", name)) == 1


@pytest.mark.parametrize("setting", [{"createDb": False}, {"disableCreateDB": True}])
async def test_a_missing_database_is_said_when_it_must_not_be_created(
    opened: Make, influx: Any, batch: Callable[..., Batch], setting: dict[str, bool]
) -> None:
    target = await opened(db="never", **setting)
    with pytest.raises(Retry, match=r"database 'never' does not exist .* create it, or set createDb"):
        await target.send([batch({"event": "x"})])
    (shown,) = influx.query("SHOW DATABASES")
    assert ["never"] not in shown["values"]


async def test_a_missing_retention_policy_is_tried_again(opened: Make, db: str, batch: Callable[..., Batch]) -> None:
    target = await opened(db=db, retention="none")
    with pytest.raises(Retry, match="retention policy not found"):
        await target.send([batch({"event": "x"})])


async def test_gzip_is_read_by_the_real_server(opened: Make, influx: Any, db: str, batch: Callable[..., Batch]) -> None:
    target = await opened(db=db, compression="Gzip")
    await target.send([batch({"event": "x", "name": "n"})])
    assert len(influx.rows("SELECT * FROM n", db)) == 1


async def test_a_server_that_is_not_there_is_tried_again(batch: Callable[..., Batch], unused_tcp_port: int) -> None:
    target = make(Config(endpoint=f"http://127.0.0.1:{unused_tcp_port}"), "influx")
    await target.open()
    with pytest.raises(Retry, match="cannot be reached"):
        await target.send([batch({"event": "x"})])
    await target.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"endpoint": "h:8086"}, "is not an address"),
        ({"endpoint": "http://h", "org": "o"}, "org and bucket go together"),
        ({"endpoint": "http://h", "token": "t"}, "token goes with org and bucket"),
        ({"endpoint": "http://h", "username": "u"}, "username and password go together"),
        ({"endpoint": "http://h", "compression": "Zstd"}, "gzip only"),
        ({"endpoint": "http://h", "batchSize": 0}, "batchSize"),
        ({"endpoint": "http://h", "precision": "m"}, "is not one of"),
        ({"db": "x"}, "endpoint: is required"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_reason(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        conversion.convert(given, Config)
