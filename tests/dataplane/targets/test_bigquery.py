"""Target ``bigquery`` against a stand-in of the REST interface.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll, …/datasets/insert, …/tables/insert,
https://cloud.google.com/bigquery/quotas#streaming_inserts and …/docs/error-messages.
"""

import datetime
import json
import re

import pytest
from aiohttp import web

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.googlecloud.credentials import _Token
from rutta.googlecloud.rows import numeric
from rutta.targets import bigquery

ID = "0123456789abcdef0123456789abcdef"
ROOT = "/bigquery/v2/projects/p/datasets"


def error(status, reason, message):
    found = {"code": status, "message": message, "errors": [{"reason": reason, "domain": "global", "message": message}]}
    return web.json_response({"error": found}, status=status)


class Api:
    """Datasets, tables, and rows that are checked against the table's schema; best-effort dropping by insertId."""

    def __init__(self):
        self.datasets = {}
        self.rows = {}
        self.passing = set()

    async def __call__(self, request, body):
        if request.path == ROOT:
            return self.dataset(json.loads(body))
        if match := re.fullmatch(rf"{ROOT}/(\w+)/tables", request.path):
            return self.table(match[1], json.loads(body))
        if match := re.fullmatch(rf"{ROOT}/(\w+)/tables/(\w+)/insertAll", request.path):
            return self.insert(match[1], match[2], body)
        return error(404, "notFound", "Not Found")

    def dataset(self, wanted):
        reference = wanted["datasetReference"]
        assert reference["projectId"] == "p"
        if reference["datasetId"] in self.datasets:
            return error(409, "duplicate", "Already Exists: Dataset")
        self.datasets[reference["datasetId"]] = {}
        return web.json_response(wanted)

    def table(self, dataset, wanted):
        reference, fields = wanted["tableReference"], wanted["schema"]["fields"]
        assert reference["projectId"] == "p"
        assert reference["datasetId"] == dataset
        if dataset not in self.datasets:
            return error(404, "notFound", f"Not found: Dataset p:{dataset}")
        types = {"STRING", "INT64", "NUMERIC", "TIMESTAMP"}
        assert all(one["type"] in types and one.get("mode", "NULLABLE") in ("NULLABLE", "REQUIRED") for one in fields)
        assert wanted["timePartitioning"]["field"] in [one["name"] for one in fields if one["type"] == "TIMESTAMP"]
        if reference["tableId"] in self.datasets[dataset]:
            return error(409, "duplicate", "Already Exists: Table")
        self.datasets[dataset][reference["tableId"]] = fields
        return web.json_response(wanted)

    def insert(self, dataset, table, body):
        fields = self.datasets.get(dataset, {}).get(table)
        if fields is None:
            return error(404, "notFound", f"Not found: Table p:{dataset}.{table}")
        if len(body) > 10_000_000:
            return error(413, "uploadTooLarge", "Request payload size exceeds the limit: 10485760 bytes.")
        wanted = json.loads(body)
        if not wanted["rows"] or len(wanted["rows"]) > 50_000:
            return error(400, "invalid", "No rows present in the request.")
        bad = []
        for index, row in enumerate(wanted["rows"]):
            assert 0 < len(row["insertId"]) <= 128
            trouble = self.trouble(fields, row["json"], wanted.get("ignoreUnknownValues", False))
            if trouble:
                bad.append({"index": index, "errors": [trouble]})
            elif wanted.get("skipInvalidRows"):
                self.rows[row["insertId"]] = row["json"]
        return web.json_response(
            {"kind": "bigquery#tableDataInsertAllResponse", **({"insertErrors": bad} if bad else {})}
        )

    def trouble(self, fields, row, may_be_unknown):
        if row.get("event") in self.passing:
            return {"reason": "backendError", "location": "", "debugInfo": "", "message": "try again"}
        known = {one["name"]: one for one in fields}
        for name, value in row.items():
            if name not in known and not may_be_unknown:
                return {"reason": "invalid", "location": name, "debugInfo": "", "message": f"no such field: {name}."}
            if name in known and value is not None and not fits(known[name]["type"], value):
                return {"reason": "invalid", "location": name, "debugInfo": "", "message": "Cannot convert value"}
        for one in fields:
            if one.get("mode") == "REQUIRED" and row.get(one["name"]) is None:
                message = f"Missing required field: {one['name']}."
                return {"reason": "invalid", "location": one["name"], "debugInfo": "", "message": message}
        return None


def fits(kind, value):
    if kind == "TIMESTAMP":
        datetime.datetime.fromisoformat(value)
        return len(value) <= len("2023-11-14T22:13:20.123456Z")
    if kind == "NUMERIC":
        return bool(re.fullmatch(r"-?\d{1,29}(\.\d{1,9})?", value))
    return isinstance(value, int if kind == "INT64" else str)


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


def build(url, **given):
    given = {"endpoint": url, "projectId": "p", "timeout": "2s", **given}
    return bigquery.make(conversion.convert(given, bigquery.Config), "t")


@pytest.fixture
async def target(server, api):
    made = build(server.url)
    await made.open()
    yield made
    await made.close()


async def test_an_event_has_the_columns_of_the_original_and_the_whole_of_it_as_json(target, api, batch):
    one = {
        "event": "Bought", "id": ID, "level": "warn", "name": "shop", "timestamp": 1_700_000_000_123_456_789,
        "fields": {"x": [1]}, "monetaryValue": {"amount": 12.5, "currency": "SEK"},
        "error": {"message": "no", "stackTrace": {"frames": [{"site": "s"}]}},
    }  # fmt: skip
    outcome = await target.send([batch(one, context={"host": "h"})])
    assert not outcome.retry
    assert not outcome.rejected
    row = api.rows[ID]
    whole = json.loads(row.pop("json"))
    assert row == {
        "level": 4, "event": "Bought", "name": "shop", "timestamp": "2023-11-14T22:13:20.123456Z",
        "money_amount": "12.5", "money_currency": "SEK",
    }  # fmt: skip
    assert (whole["fields"], whole["context"]["host"], whole["event"]) == ({"x": [1]}, "h", "Bought")
    assert whole["error"]["message"] == "no"


async def test_spans_and_gauges_arrive_too(target, api, batch):
    span = {"type": "span", "label": "s", "started": 5, "finished": 1_000_000_005}
    gauge = {"type": "gauge", "gauge": {"type": "gauge", "value": 3, "unit": "scalar"}}
    await target.send([batch(span, gauge)])
    assert sorted(json.loads(row["json"])["type"] for row in api.rows.values()) == ["gauge", "span"]
    assert any(row["event"].startswith("s ") for row in api.rows.values())


async def test_dataset_and_table_are_created_once(target, api, server, batch):
    await target.send([batch({"event": "a"})])
    assert list(api.datasets["logs"]) == ["all"]
    assert [one.path.rpartition("/")[2] for one in server.seen] == ["insertAll", "datasets", "tables", "insertAll"]
    await target.send([batch({"event": "b"})])
    assert len(server.seen) == 5
    assert server.seen[0].headers["Content-Encoding"] == "gzip"


async def test_a_table_that_is_missing_is_a_retry_when_it_may_not_be_created(server, api, batch):
    made = build(server.url, tryCreate=False)
    await made.open()
    with pytest.raises(Retry, match=r"404.*Not found: Table"):
        await made.send([batch({"event": "a"})])
    await made.close()


async def test_a_table_that_is_not_seen_yet_is_waited_for(target, api, server, batch):
    first, last = (error(404, "notFound", "Not found: Table p:logs.all") for _ in range(2))
    server.answers = [first, web.json_response({}), web.json_response({}), last]
    with pytest.raises(Retry, match="not there yet"):
        await target.send([batch({"event": "a"})])


async def test_invalid_rows_are_rejected_and_passing_troubles_tried_again_each_alone(
    target, api, server, batch, split_outcome
):
    await target.send([batch({"event": "first"})])
    api.datasets["logs"]["all"] = [
        *api.datasets["logs"]["all"][:3], {"name": "money_currency", "type": "INT64"}, *api.datasets["logs"]["all"][4:]
    ]  # fmt: skip
    api.passing = {"later"}
    money = {"event": "unfit", "monetaryValue": {"amount": 1, "currency": "SEK"}}
    requests = len(server.seen)
    outcome = await target.send([batch({"event": "a"}, money), batch({"event": "later"}, {"event": "d"})])
    assert split_outcome(outcome) == ([(1, 0)], [(0, 1)])
    assert "money_currency: Cannot convert value" in outcome.rejected[0].reason
    assert sorted(row["event"] for row in api.rows.values()) == ["a", "d", "first"]
    assert len(server.seen) == requests + 1, "good rows are not sent again"


async def test_what_is_sent_again_is_dropped_by_its_id(target, api, server, batch):
    events = batch({"event": "a"}, {"event": "b"})
    await target.send([events])
    server.answers = [web.Response(status=503)]
    with pytest.raises(Retry):
        await target.send([events])
    await target.send([events])
    assert len(api.rows) == 2


async def test_more_than_five_hundred_are_several_requests_and_too_large_ones_are_halved(
    target, api, server, batch, split_outcome
):
    await target.send([batch(*({"event": f"e{number}"} for number in range(1100)))])
    assert len(api.rows) == 1100
    assert sum(one.path.endswith("insertAll") for one in server.seen) == 4, "one more: the table was missing"
    api.rows.clear()
    texts = ["x" * 1_500_000 for _ in range(5)] + ["y" * 5_500_000]
    outcome = await target.send([batch(*({"event": text} for text in texts))])
    assert split_outcome(outcome) == ([], [(0, 5)])
    assert len(api.rows) == 5


async def test_a_request_that_is_refused_for_one_row_is_halved(target, api, server, batch, split_outcome):
    async def answer(request, body):
        return error(400, "invalid", "bad bytes") if b"unfit" in body else await api(request, body)

    server.usual = answer
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}, {"event": "unfit"}, {"event": "d"})])
    assert split_outcome(outcome) == ([], [(0, 2)])
    assert sorted(row["event"] for row in api.rows.values()) == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "rateLimitExceeded"), (403, "quotaExceeded"), (403, "accessDenied"), (500, "x")]
)
async def test_what_may_pass_is_a_retry(target, server, batch, status, reason):
    server.answers = [error(status, reason, "told so")]
    with pytest.raises(Retry, match=str(status)) as caught:
        await target.send([batch({"event": "a"})])
    assert ("credentials" in str(caught.value)) == (reason == "accessDenied")


async def test_the_service_says_how_long_to_wait(target, server, batch):
    server.answers = [web.Response(status=429, headers={"Retry-After": "7"})]
    with pytest.raises(Retry) as caught:
        await target.send([batch({"event": "a"})])
    assert caught.value.after == 7


@pytest.mark.parametrize("fault", ["reset", "half", "half_body", "silence"])
async def test_no_whole_answer_is_a_retry(server, batch, fault):
    server.usual = getattr(server, fault)
    made = build(server.url, timeout="300ms")
    await made.open()
    with pytest.raises(Retry):
        await made.send([batch({"event": "a"})])
    await made.close()


async def test_a_login_goes_with_each_request_and_a_refused_one_is_renewed(server, api, batch, monkeypatch):
    made = build("https://bigquery.example")
    await made.open()
    original, tokens = made._client.request, iter(["first-token", "second-token"])

    async def plainly(method, url, body=b"", **more):
        return await original(method, url.replace("https://bigquery.example", server.url), body, **more)

    async def fetch(text):
        return _Token(next(tokens))

    async def refuse(request, body):
        return web.Response(status=401, text=f"not {request.headers['Authorization']}")

    monkeypatch.setattr(made._client, "request", plainly)
    monkeypatch.setattr(made._credentials, "_fetch", fetch)
    server.answers = [refuse]
    with pytest.raises(Retry, match="check the credentials") as caught:
        await made.send([batch({"event": "a"})])
    assert "first-token" not in str(caught.value), "the service said it back"
    await made.send([batch({"event": "a"})])
    await made.close()
    assert server.seen[-1].headers["Authorization"] == "Bearer second-token"


@pytest.mark.parametrize(
    ("value", "written"),
    [(45, "45"), (100, "100"), (12.5, "12.5"), (1e-12, "0"), (-0.1, "-0.1"), (10**30, None), (float("inf"), None),
     ({"type": "fraction"}, None), ("12.1234567891", "12.123456789"), (10**28 + 1, f"{10**28 + 1}")],
)  # fmt: skip
def test_money_is_written_as_numeric_takes_it(value, written):
    assert numeric(value) == written


@pytest.mark.parametrize("given", [{"dataset": "a-b"}, {"table": "a b"}, {"compression": "Zstd"}, {"batchSize": 50001}])
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, bigquery.Config)
