"""Target ``elasticsearch`` against a stand-in of ``_bulk`` and against a real OpenSearch, the same tests for both.

``RUTTA_TEST_OPENSEARCH=1`` starts a node from jars of Maven Central (``tests/servers/opensearch/start``; they must be
in the local repository); an address names another one, any other text a command that gets a free port and a folder.
"""

import asyncio
import base64
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from aiohttp import web

from rutta import components, conversion
from rutta.config import parse
from rutta.errors import ConfigError, Retry
from rutta.targets import elasticsearch
from rutta.uris import entry_of_uri

START = Path(__file__).parents[2] / "servers/opensearch/start"
ID = "0123456789abcdef0123456789abcdef"
DOCUMENT_ID = "ASNFZ4mrze8BI0VniavN7w"
TEMPLATE = {"index_patterns": ["logs-*"], "data_stream": {}, "template": {"settings": {"number_of_replicas": 0}}}


class Bulk:
    """A cluster as its documentation has it, checked against a real OpenSearch 2.19 by the tests below.

    https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk: actions and documents on lines of their
    own, the last one ended, 200 whatever becomes of them; …/reference/elasticsearch/configuration-reference/
    networking-settings: 100 MB at most (10 here, as on small nodes of Amazon's service); …/manage-data/data-store/
    data-streams: only ``create``, with ``@timestamp``; …/mapping/dynamic-field-mapping: the first value gives a field
    its type; …/index-modules/index-modules-blocks and …/operation-bulk for errors of single documents.
    """

    def __init__(self):
        self.indices = {}
        self.types = {}
        self.blocked = set()
        self.auto_create = True
        self.passing = {}

    async def __call__(self, request, body):
        if request.method == "PUT":
            return self.settings(request.path, json.loads(body))
        if request.path.endswith("/_search"):
            return self.search(request.path.split("/")[1].rstrip("*"))
        if request.path.endswith("_bulk"):
            return self.bulk(request, body)
        return web.json_response({})

    def settings(self, path, wanted):
        if path.endswith("/_settings"):
            (self.blocked.add if wanted["index.blocks.write"] else self.blocked.discard)(path.split("/")[1])
        elif path == "/_cluster/settings":
            self.auto_create = wanted["persistent"]["action.auto_create_index"] != "false"
        return web.json_response({"acknowledged": True})

    def search(self, start):
        found = [
            {"_index": index, "_id": id_, "_source": document}
            for index, documents in self.indices.items()
            if index.startswith(start)
            for id_, document in documents.items()
        ]
        return web.json_response({"hits": {"hits": found}})

    def bulk(self, request, body):
        if request.content_type not in ("application/x-ndjson", "application/json"):
            return web.json_response({"error": f"Content-Type [{request.content_type}] is not supported"}, status=406)
        if len(body) > 10 * 2**20:
            return web.Response(status=413)
        if not body.endswith(b"\n"):
            return self.refused("The bulk request must be terminated by a newline [\\n]")
        lines = body[:-1].split(b"\n")
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            ((word, meta),) = json.loads(action).items()
            if len(meta["_id"]) > 512:
                return self.refused("id is too long, must be no longer than 512 bytes")
            index = meta.get("_index") or request.path.split("/")[1]
            items.append({word: self.put(word, index, meta["_id"], source)})
        assert request.query["filter_path"].startswith("errors,items.*.status,")
        return web.json_response({"errors": any("error" in one for item in items for one in item.values()),
                                  "items": items})  # fmt: skip

    def refused(self, reason):
        return web.json_response({"error": {"type": "illegal_argument_exception", "reason": reason}}, status=400)

    def put(self, word, index, id_, source):
        def no(status, kind, reason):
            return {"status": status, "error": {"type": kind, "reason": reason}}

        if index in self.blocked:
            return no(403, "cluster_block_exception", f"index [{index}] blocked by: [FORBIDDEN/8/index write (api)];")
        if index not in self.indices and not self.auto_create:
            return no(404, "index_not_found_exception", f"no such index [{index}]")
        if index.startswith("logs-") and word != "create":
            return no(400, "illegal_argument_exception",
                      "only write ops with an op_type of create are allowed in data streams")  # fmt: skip
        pairs = json.loads(source, object_pairs_hook=list)
        document = json.loads(source)
        if len({key for key, _ in pairs}) < len(pairs):
            return no(400, "mapper_parsing_exception", "failed to parse: Duplicate field")
        if index.startswith("logs-") and not isinstance(document.get("@timestamp"), str):
            return no(400, "mapper_parsing_exception", "documents must contain a single-valued timestamp field")
        if passing := self.passing.pop(document.get("event"), None):
            return no(
                passing, "opensearch_rejected_execution_exception", "rejected execution of coordinating operation"
            )
        if bad := self.unfit(index, document):
            return no(400, "mapper_parsing_exception", f"failed to parse field [{bad}] of type [long]")
        documents = self.indices.setdefault(index, {})
        if word == "create" and id_ in documents:
            return no(409, "version_conflict_engine_exception", f"[{id_}]: version conflict, document already exists")
        status = 200 if id_ in documents else 201
        documents[id_] = document
        return {"status": status}

    def unfit(self, index, document):
        types = self.types.setdefault(index, {})
        for key, value in document.get("fields", {}).items():
            kind = types.setdefault(key, type(value))
            if kind is int and not isinstance(value, int):
                return f"fields.{key}"
        return None


class Place:
    """A cluster, stood in for or real, asked over HTTP."""

    def __init__(self, url, name):
        self.url, self.name = url, name

    async def ask(self, method, path, body=None):
        return await asyncio.to_thread(self._ask, method, path, body)

    def _ask(self, method, path, body):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    async def documents(self, index):
        """Return what is in an index by its id; each with its index."""
        await self.ask("POST", f"/{index}/_refresh")
        hits = (await self.ask("GET", f"/{index}/_search?size=1000"))["hits"]["hits"]
        return {one["_id"]: {"_index": one["_index"], **one["_source"]} for one in hits}


@pytest.fixture(scope="module")
def opensearch(tmp_path_factory):
    """The address of a real one: RUTTA_TEST_OPENSEARCH is it, or a program that starts one, or 1 for our own."""
    how = os.environ.get("RUTTA_TEST_OPENSEARCH", "")
    if not how:
        pytest.skip("RUTTA_TEST_OPENSEARCH is not set: the tests against a real OpenSearch are out")
    how = "" if how == "1" else how
    if how.startswith("http"):
        yield how.rstrip("/")
        return
    if not how and not (shutil.which("java") and shutil.which("mvn")):
        pytest.skip("java and mvn are not installed: the tests against a real OpenSearch are out")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder, url = tmp_path_factory.mktemp("opensearch"), f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        command = [*shlex.split(how or str(START)), str(port), str(folder)]
        environment = {**os.environ, "OFFLINE": "1"}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        deadline = time.monotonic() + 150
        while not answers(url):
            if process.poll() == 3:
                pytest.skip(
                    "OpenSearch's jars are not in the local Maven repository (mvn -f tests/servers/opensearch/pom.xml "
                    "dependency:resolve): the tests against a real one are out"
                )
            said = (folder / "log").read_text()[-2000:]
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def answers(url):
    try:
        with urllib.request.urlopen(f"{url}/_cluster/health?wait_for_status=yellow&timeout=1s", timeout=3):
            return True
    except (urllib.error.URLError, OSError):
        return False


REAL = pytest.param("OpenSearch", marks=pytest.mark.timeout(240))


@pytest.fixture(params=["stand-in", REAL])
async def place(request, server):
    """The stand-in, then the real one; a template makes ``logs-*`` data streams."""
    if request.param == "stand-in":
        server.usual = Bulk()
        yield Place(server.url, request.param)
        return
    found = Place(request.getfixturevalue("opensearch"), request.param)
    await found.ask("DELETE", "/_data_stream/*")
    await found.ask("DELETE", "/*?expand_wildcards=all")
    await found.ask("PUT", "/_index_template/logs", TEMPLATE)
    yield found


@pytest.fixture
def api(server):
    server.usual = Bulk()
    return server.usual


def build(url, **given):
    given = {"endpoint": url, "timeout": "20s", **given}
    return elasticsearch.make(conversion.convert(given, elasticsearch.Config), "t")


@pytest.fixture
async def open_one():
    """``await open_one(url, dataStream=…)``; closed at the end."""
    opened = []

    async def make(url, **given):
        opened.append(build(url, **given))
        await opened[-1].open()
        return opened[-1]

    yield make
    for one in opened:
        await one.close()


async def test_a_data_stream_gets_events_as_they_came_with_their_time_in_front(place, open_one, batch):
    target = await open_one(place.url, dataStream="logs-a-b")
    came = {
        "event": "Hi {x}", "id": ID, "level": "warn", "name": "shop", "timestamp": 1_700_000_000_123_456_789,
        "fields": {"x": [1], "große": "ü😀"}, "error": {"message": "no"}, "mine": {"deep": {"er": 1.5}},
        "gauges": {"g": {"type": "gauge", "value": 2, "unit": "seconds"}},
    }  # fmt: skip
    outcome = await target.send([batch(came, context={"host": "h"})])
    assert not outcome.retry
    assert not outcome.rejected
    found = (await place.documents("logs-a-b"))[DOCUMENT_ID]
    assert found.pop("_index").endswith("logs-a-b-000001" if place.name == "OpenSearch" else "logs-a-b")
    assert found == {"@timestamp": "2023-11-14T22:13:20.123456789Z", "type": "event", **came, "context": {"host": "h"}}


async def test_what_is_sent_again_is_there_once(place, open_one, batch):
    target = await open_one(place.url, dataStream="logs-a-b")
    events = batch({"event": "a"}, {"event": "b", "id": ID})
    for _ in range(3):
        outcome = await target.send([events])
        assert not outcome.retry
        assert not outcome.rejected
    assert len(await place.documents("logs-a-b")) == 2


async def test_the_day_of_an_index_is_the_events_and_not_the_clocks(place, open_one, batch):
    target = await open_one(place.url, indexName="shop")
    old, new = 1_700_000_000 * 10**9, 1_700_100_000 * 10**9
    events = batch(
        {"event": "old", "timestamp": old}, {"event": "new", "timestamp": new}, {"event": "1969", "timestamp": -1}
    )
    outcome = await target.send([events])
    assert not outcome.rejected
    assert sorted((one["_index"], one["event"]) for one in (await place.documents("shop-*")).values()) == [
        ("shop-1969-12-31", "1969"), ("shop-2023-11-14", "old"), ("shop-2023-11-16", "new"),
    ]  # fmt: skip
    if place.name == "OpenSearch":  # without any template
        mapping = await place.ask("GET", "/shop-2023-11-14/_mapping")
        assert mapping["shop-2023-11-14"]["mappings"]["properties"]["@timestamp"] == {"type": "date"}


async def test_one_bad_document_is_rejected_alone_with_the_clusters_words(place, open_one, batch, split_outcome):
    target = await open_one(place.url, dataStream="logs-a-b")
    await target.send([batch({"event": "first", "fields": {"n": 1}})])
    outcome = await target.send(
        [batch({"event": "a"}, {"event": "unfit", "fields": {"n": "two"}}), batch({"event": "c", "fields": {"n": 3}})]
    )
    assert split_outcome(outcome) == ([], [(0, 1)])
    assert "mapper_parsing_exception: failed to parse field [fields.n] of type [long]" in outcome.rejected[0].reason
    texts = sorted(one["event"] for one in (await place.documents("logs-a-b")).values())
    assert texts == ["a", "c", "first"]


@pytest.mark.parametrize("own", ["2024-01-02T03:04:05Z", 1704164645, "rubbish"])
async def test_a_timestamp_of_ones_own_does_not_stand_there_twice(place, open_one, batch, own):
    target = await open_one(place.url, dataStream="logs-a-b")
    outcome = await target.send(
        [batch({"type": None, "message": "v5", "@timestamp": own}, {"event": "z @timestamp z"})]
    )
    assert not outcome.rejected
    one, other = sorted((await place.documents("logs-a-b")).values(), key=lambda one: "event" in one)
    assert other["event"] == "z @timestamp z"
    if own == "rubbish":
        assert one["@timestamp_"] == own
    else:
        assert one["@timestamp"] == "2024-01-02T03:04:05.000000000Z"
        assert "@timestamp_" not in one


async def test_index_writes_what_is_there_again(place, open_one, batch):
    target = await open_one(place.url, index="plain", action="Index")
    for text in ("first", "second"):
        assert not (await target.send([batch({"event": text, "id": ID})])).rejected
    assert (await place.documents("plain"))[DOCUMENT_ID]["event"] == "second"


async def test_what_an_operator_can_mend_is_tried_again(place, open_one, batch, split_outcome):
    target = await open_one(place.url, index="logs-x-y", action="Index")
    outcome = await target.send([batch({"event": "a"})])
    assert split_outcome(outcome) == ([(0, 0)], [])
    assert "only write ops with an op_type of create" in outcome.retry[0].reason
    target = await open_one(place.url, index="plain")
    await target.send([batch({"event": "a"})])
    await place.ask("PUT", "/plain/_settings", {"index.blocks.write": True})
    outcome = await target.send([batch({"event": "b"}, {"event": "c"})])
    assert split_outcome(outcome) == ([(0, 0), (0, 1)], [])
    assert "cluster_block_exception" in outcome.retry[0].reason
    assert target.status()["failures"] == {"403": 2}
    await place.ask("PUT", "/plain/_settings", {"index.blocks.write": False})
    await place.ask("PUT", "/_cluster/settings", {"persistent": {"action.auto_create_index": "false"}})
    target = await open_one(place.url, index="other")
    outcome = await target.send([batch({"event": "d"})])
    await place.ask("PUT", "/_cluster/settings", {"persistent": {"action.auto_create_index": "true"}})
    assert split_outcome(outcome) == ([(0, 0)], [])
    assert "no such index [other]" in outcome.retry[0].reason


async def test_a_request_that_is_too_large_is_halved(place, open_one, batch):
    target = await open_one(place.url, dataStream="logs-a-b")
    text = "x " * 2_000_000
    outcome = await target.send([batch(*({"event": text, "id": f"{number:032x}"} for number in range(1, 4)))])
    assert not outcome.rejected
    assert not outcome.retry
    assert len(await place.documents("logs-a-b")) == 3


async def test_every_kind_of_event_arrives_whole_as_ecs(place, open_one, batch):
    target = await open_one(place.url, dataStream="logs-e-c", codec="ecs")
    trace, spans = base64.b64encode(bytes(range(16))).decode(), base64.b64encode(bytes(range(8))).decode()
    outcome = await target.send([
        batch(
            {"event": "Hi {x}", "id": ID, "level": "warn", "name": "shop", "timestamp": 1_700_000_000_123_456_789,
             "received": 1_700_000_001_000_000_000, "fields": {"x": 1},
             "monetaryValue": {"amount": 2, "currency": "SEK"},
             "gauges": {"g": {"type": "gauge", "value": 2, "unit": "seconds"}},
             "error": {"message": "no", "errorType": "Oops", "stackTrace": {"frames": [{"site": "s"}]},
                       "inner": {"message": "why"}}},
            {"type": "span", "label": "s", "spanContext": {"traceId": trace, "spanId": spans}, "started": 10**18,
             "finished": 10**18 + 5, "status": {"type": "spanStatus", "code": 1, "description": "d"}},
            {"type": "histogram", "buckets": {"0.5": 3, "1": 4}, "sum": 7, "labels": {"le": "x"}},
            {"type": "gauge", "gauge": {"type": "gauge", "value": 3, "unit": "bytes"}},
            {"type": "identifyUser", "prevUserId": "anon", "newUserId": "ann"},
            context={"host": "h", "service": "web", "pod": "p", "namespace": "n", "uid": "u", "node": "k",
                     "image": "i:1", "container": "c", "stream": "stdout", "owner": {"kind": "Job", "name": "j"},
                     "labels": {"app": "a", "app.kubernetes.io/name": "b"}},
        )
    ])  # fmt: skip
    assert not outcome.rejected, outcome
    found = await place.documents("logs-e-c")
    one = found[DOCUMENT_ID]
    assert one["@timestamp"] == "2023-11-14T22:13:20.123456789Z"
    assert one["message"] == "Hi 1"
    assert one["log"] == {"level": "warn", "logger": "shop"}
    assert one["event"] == {"id": DOCUMENT_ID, "kind": "event", "created": "2023-11-14T22:13:21.000000000Z"}
    assert one["error"] == {"message": "no", "type": "Oops", "stack_trace": "at s"}
    assert (one["host"], one["service"], one["ecs"]) == ({"name": "h"}, {"name": "web"}, {"version": "8.11.0"})
    assert one["kubernetes"] == {
        "pod": {"name": "p", "uid": "u"}, "namespace": "n", "node": {"name": "k"},
        "labels": {"app": "a", "app_kubernetes_io/name": "b"},
    }  # fmt: skip
    assert one["container"] == {"name": "c", "image": {"name": "i:1"}}
    assert one["labels"] == {"stream": "stdout", "owner": '{"kind":"Job","name":"j"}'}
    rest = one["rutta"]
    assert (rest["event"], rest["fields"], rest["gauges"]["g"]["value"]) == ("Hi {x}", {"x": 1}, 2)
    assert rest["error"]["inner"] == {"message": "why"}
    assert rest["monetaryValue"] == {"type": "money", "amount": 2, "currency": "SEK"}
    kinds = {one["rutta"]["type"]: one for one in found.values()}
    assert len(kinds) == 5
    span = kinds["span"]
    assert (span["trace"]["id"], span["span"]["id"]) == (bytes(range(16)).hex(), bytes(range(8)).hex())
    assert (span["event"]["outcome"], span["event"]["duration"]) == ("failure", 5)
    assert span["rutta"]["status"]["description"] == "d"
    assert kinds["histogram"]["rutta"]["sum"] == 7
    assert kinds["gauge"]["event"]["kind"] == "metric"
    assert kinds["identifyUser"]["user"] == {"id": "ann"}


async def test_the_v6_form_is_there_for_all_that_is_no_json(place, open_one, batch):
    target = await open_one(place.url, dataStream="logs-a-b", codec="json")
    await target.send([batch({"event": "a", "id": ID, "timestamp": 1_700_000_000})])
    found = (await place.documents("logs-a-b"))[DOCUMENT_ID]
    assert (found["timestamp"], found["id"]) == (1_700_000_000 * 10**9, "ASNFZ4mrze8BI0VniavN7w==")


async def test_a_template_for_what_senders_choose_keeps_apart_what_would_collide(place, open_one, batch):
    """The one of docs/targets/elasticsearch.md."""
    page = (Path(__file__).parents[3] / "docs/targets/elasticsearch.md").read_text()
    template = json.loads(page.partition("```json\n")[2].partition("```")[0])
    if place.name == "OpenSearch":
        await place.ask("PUT", "/_index_template/logs", template)
    target = await open_one(place.url, dataStream="logs-rutta-default")
    labels = {"app": "a", "app.kubernetes.io/name": "b"}
    outcome = await target.send([batch({"event": "a", "id": ID}, context={"labels": labels})])
    assert not outcome.rejected
    outcome = await target.send([batch({"event": "b", "fields": {"n": {"deep": 1}, "a.b": 1, "a": 2}})])
    assert not outcome.rejected
    assert (await place.documents("logs-rutta-default"))[DOCUMENT_ID]["context"]["labels"] == labels


# --- answers that cannot be had from a healthy cluster --------------------------------------------------------------


async def test_documents_that_a_busy_cluster_refuses_are_tried_again_alone(server, api, open_one, batch, split_outcome):
    target = await open_one(server.url, dataStream="logs-a-b")
    api.passing = {"b": 429, "c": 503}
    events = batch({"event": "a"}, {"event": "b"}, {"event": "c"}, {"event": "d"})
    outcome = await target.send([events])
    assert split_outcome(outcome) == ([(0, 1), (0, 2)], [])
    assert target.status()["failures"] == {"429": 1, "503": 1}
    assert split_outcome(await target.send([events.take([1, 2])])) == ([], [])
    assert sorted(one["event"] for one in api.indices["logs-a-b"].values()) == ["a", "b", "c", "d"]
    assert len(server.seen) == 2


async def test_the_cluster_says_how_long_to_wait(server, open_one, batch):
    target = await open_one(server.url)
    server.answers = [web.Response(status=429, headers={"Retry-After": "7"})]
    with pytest.raises(Retry) as caught:
        await target.send([batch({"event": "a"})])
    assert caught.value.after == 7


@pytest.mark.parametrize("fault", ["reset", "half", "half_body", "silence"])
async def test_no_whole_answer_is_a_retry_and_nothing_is_there_twice(server, api, open_one, batch, fault):
    target = await open_one(server.url, dataStream="logs-a-b", timeout="300ms")
    events = batch({"event": "a"}, {"event": "b"})
    stored = []

    async def store_and_fail(request, body):
        stored.append(await api(request, body))
        return await getattr(server, fault)(request, body)

    server.answers = [store_and_fail]
    with pytest.raises(Retry):
        await target.send([events])
    server.released.set()
    outcome = await target.send([events])
    assert not outcome.retry
    assert not outcome.rejected
    assert len(api.indices["logs-a-b"]) == 2


@pytest.mark.parametrize("body", [b"<html>please log in</html>", b'{"errors":true,"items":[]}', b'{"errors":true,"it'])
async def test_what_is_not_an_answer_of_bulk_is_a_retry(server, open_one, batch, body):
    target = await open_one(server.url)
    server.answers = [web.Response(body=body)]
    if b"[]" in body:
        body = b'{"errors":true,"items":[{"create":{"status":201}}]}'
        server.answers = [web.Response(body=body)]
    with pytest.raises(Retry):
        await target.send([batch({"event": "a"}, {"event": "b"})])


async def test_a_request_that_is_refused_for_one_document_is_halved(server, api, open_one, batch, split_outcome):
    target = await open_one(server.url, dataStream="logs-a-b")

    async def answer(request, body):
        return api.refused("cannot be told apart") if b"unfit" in body else await api(request, body)

    server.usual = answer
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}, {"event": "unfit"}, {"event": "d"})])
    assert split_outcome(outcome) == ([], [(0, 2)])
    assert sorted(one["event"] for one in api.indices["logs-a-b"].values()) == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"username": "u", "password": "p"}, "Basic " + base64.b64encode(b"u:p").decode()),
        ({"apiKey": "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g="}, "ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g="),
        ({"apiKey": "an-id:a-key"}, "ApiKey " + base64.b64encode(b"an-id:a-key").decode()),
        ({"bearer": "t"}, "Bearer t"),
    ],
)
async def test_each_way_to_log_in(server, api, open_one, batch, given, header):
    target = await open_one(server.url, **given)
    await target.send([batch({"event": "a"})])
    assert server.seen[0].headers["Authorization"] == header


async def test_a_refused_key_is_read_again_and_never_shown(server, api, open_one, batch, tmp_path):
    file = tmp_path / "key"
    file.write_text("old-id:old-secret")
    target = await open_one(server.url, apiKey={"file": str(file)})

    async def refuse(request, body):
        return web.Response(status=401, text=f"who is {request.headers['Authorization']} old-id:old-secret")

    server.answers = [refuse]
    with pytest.raises(Retry, match="check the credentials") as caught:
        await target.send([batch({"event": "a"})])
    assert "old-secret" not in str(caught.value)
    assert base64.b64encode(b"old-id:old-secret").decode() not in str(caught.value)
    file.write_text("new-id:new-secret")
    await target.send([batch({"event": "a"})])
    assert server.seen[-1].headers["Authorization"] == "ApiKey " + base64.b64encode(b"new-id:new-secret").decode()


async def test_bodies_are_compressed_and_pipeline_and_query_are_said(server, api, open_one, batch):
    target = await open_one(f"{server.url}/behind/?x=1", dataStream="logs-a-b", compression="Gzip", pipeline="p&q")
    await target.send([batch({"event": "a"})])
    seen = server.seen[0]
    assert (seen.headers["Content-Encoding"], seen.path) == ("gzip", "/behind/logs-a-b/_bulk")
    assert (seen.query["x"], seen.query["pipeline"]) == ("1", "p&q")


def test_the_originals_uri_works(caplog):
    entry = entry_of_uri("elasticsearch://./?publishTo=http://h:9200&indexName=logary&_type=logs")
    assert entry == {"elasticsearch": {"publishTo": "http://h:9200", "indexName": "logary"}}
    config = conversion.convert(entry["elasticsearch"], elasticsearch.Config)
    assert (config.address, config.pattern) == ("http://h:9200", "logary-%Y-%m-%d")
    assert "_type of a target elasticsearch is ignored: mapping types are gone" in caplog.text


def test_opensearch_is_another_name_of_the_same():
    entry = entry_of_uri("opensearch://search:9200/?dataStream=logs-a-b")
    assert entry == {"elasticsearch": {"endpoint": "http://search:9200", "dataStream": "logs-a-b"}}
    listeners = [{"tcp": {"bind": "127.0.0.1:0", "codec": "json"}}]
    with pytest.raises(ConfigError, match=r"targets\[0\].opensearch: is written elasticsearch here"):
        parse({"listeners": listeners, "targets": [{"opensearch": {}}]})
    with pytest.raises(ConfigError, match="is written elasticsearch"):
        components.module("targets", "opensearch")


@pytest.mark.parametrize(
    "given",
    [
        {"dataStream": "a", "index": "b"}, {"index": "Upper"}, {"indexName": "Upper"}, {"dataStream": "a b"},
        {"index": "x" * 256}, {"index": "_x"}, {"index": "x-%s"}, {"dataStream": "a", "action": "Index"},
        {"endpoint": "http://a", "publishTo": "http://b"}, {"apiKey": "k", "bearer": "t"}, {"username": "u"},
        {"compression": "Zstd"}, {"endpoint": "http://u:p@h"},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, elasticsearch.Config)
