"""Target ``loki`` against a stand-in of its push API that reads requests by Google's protobuf, and a real Loki.

https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs, …/configure/#limits_config (limits), and
pkg/validation/validate.go, pkg/ingester/stream.go and pkg/push/push.proto of Loki 3.7 for the words of its refusals.
"""

import asyncio
import base64
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime

import cramjam
import pytest
from aiohttp import web
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from rutta import conversion
from rutta.codecs import plain
from rutta.errors import ConfigError, Retry
from rutta.loki import refusals
from rutta.loki.requests import Entry
from rutta.loki.streams import Stream
from rutta.message import EVERYTHING, Block
from rutta.targets import loki

NOW = 1_900_000_000 * 10**9
SECOND, HOUR = 10**9, 3600 * 10**9
TRACE, SPAN = "0123456789abcdef0123456789abcdef", "0123456789abcdef"


def push_request():
    """The message of pkg/push/push.proto, described by hand."""
    kinds = descriptor_pb2.FieldDescriptorProto
    text, whole, inner, many = kinds.TYPE_STRING, kinds.TYPE_UINT64, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(name="push.proto", package="logproto", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, fields in {
        "PushRequest": [("streams", 1, inner, ".logproto.StreamAdapter", many)],
        "StreamAdapter": [
            ("labels", 1, text, "", 1), ("entries", 2, inner, ".logproto.EntryAdapter", many),
            ("hash", 3, whole, "", 1),
        ],
        "LabelPairAdapter": [("name", 1, text, "", 1), ("value", 2, text, "", 1)],
        "EntryAdapter": [
            ("timestamp", 1, inner, ".google.protobuf.Timestamp", 1), ("line", 2, text, "", 1),
            ("structuredMetadata", 3, inner, ".logproto.LabelPairAdapter", many),
        ],
    }.items():  # fmt: skip
        message = file.message_type.add(name=name)
        for field, number, kind, of, label in fields:
            message.field.add(name=field, number=number, type=kind, type_name=of or None, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("logproto.PushRequest"))


PushRequest = push_request()
LABELS = re.compile(r'\{([a-zA-Z_]\w*="(?:[^"\\]|\\.)*"(?:, [a-zA-Z_]\w*="(?:[^"\\]|\\.)*")*)\}')
PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')


def rfc3339(nanoseconds):
    return datetime.fromtimestamp(nanoseconds // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def go_time(nanoseconds):
    fraction = f".{nanoseconds % SECOND:09}".rstrip("0").rstrip(".")
    return datetime.fromtimestamp(nanoseconds // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S") + fraction + " +0000 UTC"


class Loki:
    """``/loki/api/v1/push`` with its default limits; ``limited`` lines come too fast, ``full`` takes no new stream."""

    def __init__(self):
        self.entries = {}
        self.pushed = []
        self.highest = {}
        self.limited = set()
        self.blocked = self.full = False
        self.tenant = self.authorization = None
        self.gzip = []

    async def __call__(self, request, body):
        if request.path != "/loki/api/v1/push" or request.method != "POST":
            return web.Response(status=404, text="404 page not found\n")
        if request.headers.get("Authorization") != self.authorization:
            return web.Response(status=401, text="unauthorized")
        if self.tenant is not None and request.headers.get("X-Scope-OrgID") != self.tenant:
            return web.Response(status=401, text="no org id\n")
        if len(body) > 6 * 10**6:
            return web.Response(status=500, text="rpc error: grpc: received message larger than max (7 vs. 4194304)\n")
        self.gzip.append(request.headers.get("Content-Encoding"))
        streams = self.read(request.content_type, body)
        if self.blocked:
            return web.Response(status=260, text="ingestion blocked for user 'fake' until '…' with status code '260'\n")
        bad, answer = [], None
        for labels, entries in streams:
            good = [one for one in entries if not (wrong := self.wrong(labels, *one)) or bad.append(wrong)]
            answer = self.store(labels, good) if good else answer  # of the last stream only, as Loki's ingester does
        if answer is None and bad:
            groups = "; ".join(f"{bad.count(one)} errors like: {one}" for one in dict.fromkeys(bad))
            answer = web.Response(status=400, text=(groups if len(bad) > 1 else bad[0]) + "\n")
        return answer or web.Response(status=204)

    def read(self, kind, body):
        if kind == "application/json":
            for stream in json.loads(body)["streams"]:
                entries = [(int(at), line, *more) for at, line, *more in stream["values"]]
                yield stream["stream"], [(at, line, more[0] if more else {}) for at, line, *more in entries]
            return
        assert kind == "application/x-protobuf"
        for stream in PushRequest.FromString(bytes(cramjam.snappy.decompress_raw(body))).streams:
            assert LABELS.fullmatch(stream.labels), stream.labels
            labels = {name: json.loads(value) for name, value in PAIR.findall(stream.labels)}
            yield (
                labels,
                [
                    (
                        one.timestamp.seconds * SECOND + one.timestamp.nanos,
                        one.line,
                        {pair.name: pair.value for pair in one.structuredMetadata},
                    )
                    for one in stream.entries
                ],
            )

    def wrong(self, labels, at, line, metadata):
        name = self.text(labels)
        size = sum(len(key) + len(value.encode()) for key, value in metadata.items())
        assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", key) and key.strip("_") for key in metadata)
        if at < NOW - 7 * 24 * HOUR:
            oldest = rfc3339(NOW - 7 * 24 * HOUR)
            old = f"entry for stream '{name}' has timestamp too old: {rfc3339(at)}"
            return f"{old}, oldest acceptable timestamp is: {oldest}"
        if at > NOW + HOUR // 6:
            return f"entry for stream '{name}' has timestamp too new: {rfc3339(at)}"
        if len(line.encode()) > 262144:
            long = len(line.encode())
            exceeded = f"max entry size '262144' bytes exceeded for stream '{name}'"
            return f"{exceeded} while adding an entry with length '{long}' bytes"
        see = (
            ". Please see `limits_config.max_structured_metadata_{}` or contact your Loki administrator to increase it"
        )
        if size > 65536:
            return (
                f"stream '{name}' has structured metadata too large: '{size}' bytes, limit: '65536' bytes"
                + see.format("size")
            )
        if len(metadata) > 128:
            many = see.format("entries_count")
            return f"stream '{name}' has too many structured metadata labels: '{len(metadata)}', limit: '128'" + many
        long = next((value for value in labels.values() if len(value.encode()) > 2048), None)
        return f"stream '{name}' has label value too long: '{long}'" if long else ""

    def store(self, labels, entries):
        name = self.text(labels)
        assert "service_name" in labels
        assert [one[0] for one in entries] == sorted(one[0] for one in entries)
        if self.full and name not in self.entries:
            return web.Response(
                status=429, text=f"maximum active stream limit exceeded when trying to create stream {name}"
            )
        ignored = []
        for one in entries:
            cutoff = self.highest.get(name, one[0]) - HOUR
            if one[0] < cutoff:
                acceptable = f"oldest acceptable timestamp is: {rfc3339(cutoff)}"
                reason = f"entry too far behind, entry timestamp is: {rfc3339(one[0])}, {acceptable}"
                ignored.append((one[0], reason, 400))
            elif one[1] in self.limited:
                ignored.append((one[0], f"Per stream rate limit exceeded (limit: 3MB/sec) for stream '{name}'", 429))
            else:
                self.pushed.append(one)
                self.entries.setdefault(name, {})[one[0], one[1]] = one[2]
                self.highest[name] = max(self.highest.get(name, one[0]), one[0])
        if not ignored:
            return None
        text = "".join(f"entry with timestamp {go_time(at)} ignored, reason: '{why}',\n" for at, why, _ in ignored[:10])
        text += f"user 'fake', total ignored: {len(ignored)} out of {len(entries)} for stream: {name}\n"
        return web.Response(status=ignored[-1][2], text=text, headers={"Retry-After": "7"})

    @staticmethod
    def text(labels):
        return (
            "{"
            + ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(labels.items()))
            + "}"
        )

    @property
    def lines(self):
        return sorted(line for stream in self.entries.values() for _, line in stream)

    @property
    def metadata(self):
        """Structured metadata by the events' texts; of spans by their kind."""
        whole = [(json.loads(line), found) for stream in self.entries.values() for (_, line), found in stream.items()]
        return {line.get("event", line["type"]): found for line, found in whole}

    @property
    def names(self):
        return sorted(json.loads(line)["event"] for line in self.lines)


@pytest.fixture
def api(server):
    server.usual = Loki()
    return server.usual


def build(url, **given):
    return loki.make(conversion.convert({"endpoint": url, "timeout": "1s", **given}, loki.Config), "t")


@pytest.fixture
async def opened(server, api):
    made = []

    async def of(url=server.url, **given):
        target = build(url, **given)
        await target.open()
        made.append(target)
        return target

    yield of
    for target in made:
        await target.close()


def at(name, nanoseconds=NOW, /, **more):
    return {"event": name, "level": "info", "timestamp": nanoseconds, **more}


# --- what is sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["Protobuf", "Json"])
async def test_an_event_is_a_line_as_it_came_with_labels_and_metadata(opened, api, batch, encoding):
    one = at(
        "a 'näme' \"q\"", name="shop.cart", fields={"traceId": TRACE, "spanId": SPAN, "n": 1},
        context={"service": "shop \"1\"\\", "namespace": "prod", "container": "web", "pod": "web-1"},
    )  # fmt: skip
    target = await opened(encoding=encoding)
    outcome = await target.send([batch(one)])
    assert not outcome.retry
    assert not outcome.rejected
    ((name, stream),) = api.entries.items()
    assert name == r'{container="web", level="info", namespace="prod", service_name="shop \"1\"\\"}'
    (((when, line), metadata),) = stream.items()
    assert (when, json.loads(line)) == (NOW, {"type": "event", **one})
    assert metadata == {"trace_id": TRACE, "span_id": SPAN, "logger": "shop.cart", "pod": "web-1"}
    assert api.gzip == [None if encoding == "Protobuf" else "gzip"]


async def test_a_request_is_these_bytes(opened, server, batch):
    target = await opened(labels=[], structuredMetadata=["name"], codec="plain")
    await target.send([batch(at("hello", 1_700_000_000_000_000_001, name="x"))])
    body = bytes(cramjam.snappy.decompress_raw(server.seen[0].body))
    assert body == (
        b'\x0a\x38\x0a\x16{service_name="rutta"}'
        b"\x12\x1e\x0a\x08\x08\x80\xe2\xcf\xaa\x06\x10\x01\x12\x05hello\x1a\x0b\x0a\x06logger\x12\x01x"
    )
    assert server.seen[0].headers["Content-Type"] == "application/x-protobuf"


@pytest.mark.parametrize("codec", ["ndjson", "json", "logfmt", "plain"])
async def test_the_line_is_what_the_codec_makes_of_it(opened, api, batch, codec):
    target = await opened(codec=codec)
    await target.send([batch(at("hi", error={"message": "boom"}))])
    (line,) = api.lines
    assert line.startswith(
        {"ndjson": '{"type": "event"', "json": '{"type":"event","id":', "logfmt": "lvl=info", "plain": "hi"}[codec]
    )
    assert codec == "plain" or "boom" in line


async def test_everything_of_an_event_is_in_its_metadata_if_asked_for(opened, api, batch):
    one = at(
        "e", name="n", fields={"a.b": [1], "0": "zero"},
        gauges={"took": {"type": "gauge", "value": 2, "unit": "seconds"}},
        monetaryValue={"type": "money", "amount": 3, "currency": "SEK"}, error={"message": "boom"},
    )  # fmt: skip
    target = await opened(structuredMetadata=["*"])
    ids = {"traceId": TRACE, "spanId": SPAN}
    span = {"type": "span", "label": "s", "timestamp": NOW, "started": NOW, "finished": NOW, "spanContext": ids}
    await target.send([batch(one), batch(span)])
    found = api.metadata
    assert found["e"].items() >= {
        "logger": "n", "kind": "event", "level": "info", "a_b": "[1]", "_0": "zero", "took": "2",
        "took_unit": "seconds", "monetaryValue": "3", "error_message": "boom",
    }.items()  # fmt: skip
    assert found["span"].items() >= {"kind": "span", "trace_id": TRACE, "span_id": SPAN}.items()


async def test_metadata_is_cut_to_what_loki_takes(opened, api, batch):
    target = await opened(structuredMetadata=["*"])
    outcome = await target.send([
        batch(at("many", fields={f"k{number}": "v" for number in range(300)})),
        batch(at("large", fields={f"k{number}": "v" * 10_000 for number in range(20)})),
    ])  # fmt: skip
    assert not outcome.rejected
    assert api.names == ["large", "many"]


async def test_ids_of_spans_are_found_wherever_they_are(opened, api, batch):
    target = await opened()
    await target.send([
        batch(at("field", fields={"trace_id": TRACE.upper()}), at("context", context={"traceID": TRACE}),
              at("none", fields={"traceId": "no id"}), at("parent", parentSpanId=SPAN)),
        batch(at("plain one", fields={"trace_id": TRACE})),
    ])  # fmt: skip
    found = api.metadata
    assert found == {
        "field": {"trace_id": TRACE}, "context": {"trace_id": TRACE}, "none": {}, "parent": {"span_id": SPAN},
        "plain one": {"trace_id": TRACE},
    }  # fmt: skip


async def test_labels_are_those_asked_for_by_names_that_loki_takes(opened, api, batch):
    target = await opened(labels=["context.a.b-c", "fields.0"], fixedLabels={"cluster": "eu"}, serviceName="mine")
    await target.send([batch(at("e", context={"a.b-c": {"x": 1}}, fields={"0": "y" * 5000, "level": "no"}), at("f"))])
    assert sorted(api.entries) == [
        f'{{_0="{"y" * 1024}", a_b_c="{{\\"x\\":1}}", cluster="eu", service_name="mine"}}',
        '{cluster="eu", service_name="mine"}',
    ]


async def test_each_stream_is_a_request_in_order_of_time(opened, api, server, batch):
    target = await opened()
    await target.send([
        batch(at("b", NOW + 2), at("x", level="error"), at("a", NOW + 1)),
        batch(at("c", NOW + 3), context={"pod": "p"}),
    ])  # fmt: skip
    assert len(server.seen) == 2
    assert [json.loads(line)["event"] for _, line, _ in api.pushed if '"info"' in line] == ["a", "b", "c"]


async def test_several_streams_are_one_request_if_asked_for(opened, api, server, batch):
    target = await opened(streamsPerRequest=10)
    await target.send([batch(at("a"), at("x", level="error"), at("b", NOW + 1))])
    assert len(server.seen) == 1
    assert api.names == ["a", "b", "x"]


async def test_lines_without_a_time_that_are_alike_stay_apart(opened, api):
    target = await opened(codec="plain")
    lines = plain.make(False).decode(Block(b"same\nsame\n\xff\n", received=NOW), EVERYTHING)
    await target.send([lines])
    (stream,) = api.entries.values()
    assert list(stream) == [(NOW, "same"), (NOW + 1, "same"), (NOW + 2, "\ufffd")]


async def test_large_sends_are_several_requests(opened, api, server, batch):
    target = await opened()
    await target.send([batch(*(at(f"e{number}", fields={"x": "y" * 100_000}) for number in range(50)))])
    assert len(server.seen) == 3
    assert len(api.lines) == 50


# --- what loki does not take ------------------------------------------------------------------------------------


async def test_what_is_too_old_new_or_long_is_rejected_alone_and_nothing_is_sent_twice(
    opened, api, server, batch, split_outcome
):
    target = await opened()
    bad = [
        at("old", NOW - 300 * HOUR), at("old", NOW - 300 * HOUR + 1), at("new", NOW + HOUR),
        at("long", fields={"x": "y" * 300_000}), at("deep", name="z" * 70_000),
    ]  # fmt: skip
    outcome = await target.send([batch(at("a"), *bad), batch(at("b"))])
    assert split_outcome(outcome)[0] == []
    assert sorted(split_outcome(outcome)[1]) == [(0, row) for row in range(1, 6)]
    assert {re.search(r"too \w+|max entry size", one.reason)[0] for one in outcome.rejected} == {
        "too old", "too new", "max entry size", "too large",
    }  # fmt: skip
    assert (api.names, len(server.seen)) == (["a", "b"], 1)


async def test_one_bad_entry_is_not_counted_by_loki_but_found(opened, api, batch, split_outcome):
    target = await opened()
    outcome = await target.send([batch(at("a"), at("old", NOW - 300 * HOUR))])
    assert split_outcome(outcome) == ([], [(0, 1)])


async def test_what_is_too_far_behind_is_rejected_by_the_count(opened, api, server, batch, split_outcome):
    target = await opened()
    await target.send([batch(at("first"))])
    events = [at(f"late{number}", NOW - 2 * HOUR - number) for number in range(25)]
    outcome = await target.send([batch(*events, at("good", NOW - HOUR // 2)), batch(at("other", level="warn"))])
    assert sorted(split_outcome(outcome)[1]) == [(0, row) for row in range(25)]
    assert "too far behind" in outcome.rejected[0].reason
    assert api.names == ["first", "good", "other"]
    assert len(api.pushed) == 3
    assert target.status()["failures"] == {"400": 1}


@pytest.mark.parametrize("count", [1, 25])
async def test_what_the_distributor_kept_back_is_found_behind_what_the_ingester_says(
    opened, api, batch, split_outcome, count
):
    target = await opened()
    await target.send([batch(at("first"))])
    late = [at(f"late{number}", NOW - 2 * HOUR - number * SECOND) for number in range(count)]
    long = at("long", NOW + 3, fields={"x": "y" * 300_000})
    events = batch(*late, at("old", NOW - 400 * HOUR), long, at("good", NOW + 1))
    outcome = await target.send([events])
    retry, rejected = split_outcome(outcome)
    assert sorted(rejected) == [(0, row) for row in range(count + 1)]
    assert sorted(retry) == [(0, count + 1), (0, count + 2)]
    retry, rejected = split_outcome(await target.send([events.take([row for _, row in sorted(retry)])]))
    assert (retry, rejected) == ([], [(0, 0)])
    assert api.names == ["first", "good"]


@pytest.mark.parametrize("key", ["é", "-", "_", "日本", "__"])
async def test_a_key_without_any_letter_that_loki_knows_has_a_name_all_the_same(opened, api, batch, key):
    target = await opened(structuredMetadata=["*"], labels=["level", f"context.{key}"])
    await target.send([batch(at("a", fields={key: "v"}, context={key: "w"}))])
    ((labels, found),) = api.entries.items()
    (metadata,) = found.values()
    assert metadata[f"key_{key.encode().hex()}"] == "v"
    assert f'key_{key.encode().hex()}="w"' in labels


async def test_what_is_over_a_streams_rate_alone_is_tried_again(opened, api, batch, split_outcome):
    target = await opened(codec="plain")
    api.limited = {"fast"}
    outcome = await target.send([batch(at("a"), at("fast", NOW + 5)), batch(at("b", level="warn"))])
    assert split_outcome(outcome) == ([(0, 1)], [])
    assert outcome.after == 7
    assert sorted(line for _, line, _ in api.pushed) == ["a", "b"]


async def test_late_and_fast_ones_are_told_apart(opened, api, batch, split_outcome):
    target = await opened(codec="plain")
    await target.send([batch(at("first"))])
    api.limited = {"fast"}
    rows = [at("late", NOW - 2 * HOUR), at("good", NOW + 1), at("fast", NOW + 5)]
    outcome = await target.send([batch(*rows)])
    assert (0, 1) not in split_outcome(outcome)[0] + split_outcome(outcome)[1]
    assert split_outcome(outcome) == ([(0, 2)], [(0, 0)])


async def test_a_tenants_limit_of_streams_holds_only_new_ones_back(opened, api, batch, split_outcome):
    target = await opened()
    await target.send([batch(at("a"))])
    api.full = True
    outcome = await target.send([batch(at("n", level="fatal"), at("b", NOW + 1))])
    assert split_outcome(outcome) == ([(0, 0)], [])
    assert api.names == ["a", "b"]


async def test_a_blocked_tenant_is_no_success(opened, api, batch):
    target = await opened()
    api.blocked = True
    with pytest.raises(Retry, match="ingestion blocked"):
        await target.send([batch(at("a"))])


async def test_metadata_that_is_not_allowed_is_for_the_operator_to_mend(opened, server, batch):
    words = "stream '{}' includes structured metadata, but this feature is disallowed. Please see …"
    server.answers = [web.Response(status=400, text=words)]
    target = await opened()
    with pytest.raises(Retry, match="structuredMetadata"):
        await target.send([batch(at("a"))])


@pytest.mark.parametrize(
    ("status", "text"), [(413, "request body too large"), (500, "message larger than max (5 vs. 4)")]
)
async def test_a_request_that_is_too_large_is_halved(opened, api, server, batch, status, text):
    server.answers = [web.Response(status=status, text=text)]
    target = await opened()
    outcome = await target.send([batch(*(at(f"e{number}") for number in range(10)))])
    assert not outcome.rejected
    assert (len(server.seen), len(api.pushed)) == (3, 10)


async def test_what_is_refused_without_a_name_is_found_by_halves(opened, api, server, batch, split_outcome):
    usual = api

    async def picky(request, body):
        if b"bad" in bytes(cramjam.snappy.decompress_raw(body)):
            return web.Response(status=400, text="couldn't parse push request")
        return await usual(request, body)

    server.usual = picky
    target = await opened()
    outcome = await target.send([batch(*(at("bad" if number == 5 else f"e{number}") for number in range(8)))])
    assert split_outcome(outcome) == ([], [(0, 5)])
    assert len(api.pushed) == 7
    outcome = await target.send([batch(at("bad"))])
    assert "couldn't parse" in outcome.rejected[0].reason


def entries(*times, line=b"x"):
    stream = Stream({"service_name": "s"})
    return [Entry(stream, time, line, (), b"") for time in times]


def test_words_that_are_new_are_counted_and_shown():
    several = entries(NOW, NOW + 1, NOW + HOUR)
    text = (
        f"1 errors like: entry for stream '{{}}' has timestamp too new: {rfc3339(NOW + HOUR)}; 2 errors like: a riddle"
    )
    assert [(one.places, one.again) for one in refusals.read(text, several)] == [([2], False), ([1, 0], False)]
    assert "a riddle" in refusals.read(text, several)[1].reason


def test_a_shard_of_a_stream_is_that_stream():
    several = [*entries(NOW, NOW - 3 * HOUR), Entry(Stream({"service_name": "t"}), NOW - 9 * HOUR, b"", (), b"")]
    text = (
        f"entry with timestamp {go_time(NOW - 3 * HOUR)} ignored, reason: 'entry too far behind, …',\n"
        """user 'u', total ignored: 1 out of 1 for stream: {__stream_shard__="3", service_name="s"}"""
    )
    assert [one.places for one in refusals.read(text, several)] == [[1]]


@pytest.mark.parametrize("text", ["", "total ignored", "no org id", "couldn't parse labels: 1:2"])
def test_other_answers_are_not_about_entries(text):
    assert refusals.read(text, entries(NOW)) is None


# --- faults and credentials -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_tried_again(opened, server, batch, fault):
    target = await opened()
    server.usual = getattr(server, fault)
    with pytest.raises(Retry):
        await target.send([batch(at("a"), at("b", level="warn"))])


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_what_passes_or_can_be_mended_is_tried_again(opened, server, batch, status):
    server.answers = [web.Response(status=status, text="no", headers={"Retry-After": "9"})]
    target = await opened()
    with pytest.raises(Retry) as caught:
        await target.send([batch(at("a"))])
    assert caught.value.after == (9 if status in (429, 500, 503) else None)


async def test_when_loki_is_away_the_other_streams_are_not_tried(opened, server, batch):
    async def away(request, body):
        return web.Response(status=503)

    server.usual = away
    target = await opened(labels=["fields.n"])
    with pytest.raises(Retry, match="503"):
        await target.send([batch(*(at("a", fields={"n": number}) for number in range(50)))])
    assert len(server.seen) <= 4


async def test_a_refusal_that_broke_off_is_tried_again(opened, server, batch):
    async def broken(request, body):
        request.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 1000\r\n\r\n2 errors like: entry for")
        request.transport.close()
        return web.Response()

    server.usual = broken
    target = await opened()
    with pytest.raises(Retry, match="broke off"):
        await target.send([batch(at("a"))])


async def test_credentials_and_tenant_are_sent_read_anew_and_never_shown(opened, api, batch, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("old-s3cret\n")
    api.tenant, api.authorization = "team-a", "Basic " + base64.b64encode(b"me:new-s3cret").decode()
    target = await opened(tenant="team-a", username="me", password={"file": str(secret)})
    with pytest.raises(Retry, match="check the credentials") as caught:
        await target.send([batch(at("a"))])
    assert "s3cret" not in f"{caught.value} {target.status()} {target._config!r}"
    secret.write_text("new-s3cret\n")
    await target.send([batch(at("a"))])
    assert api.names == ["a"]


async def test_a_bearer_token_and_headers_are_sent(opened, api, server, batch, monkeypatch):
    monkeypatch.setenv("LOKI_TOKEN", "t0ken")
    api.authorization = "Bearer t0ken"
    target = await opened(bearer={"env": "LOKI_TOKEN"}, headers={"X-Extra": "1"})
    await target.send([batch(at("a"))])
    assert server.seen[0].headers["X-Extra"] == "1"


@pytest.mark.parametrize("endpoint", ["", "/", "/loki/api/v1/push"])
async def test_the_path_is_put_behind_the_endpoint(server, api, batch, endpoint):
    made = build(server.url + endpoint)
    await made.open()
    await made.send([batch(at("a"))])
    await made.close()
    assert server.seen[0].path == "/loki/api/v1/push"


@pytest.mark.parametrize(
    "given",
    [
        {"tenant": "a|b"}, {"username": "u"}, {"bearer": "t", "username": "u", "password": "p"},
        {"compression": "Zstd"}, {"fixedLabels": {"a-b": "c"}}, {"streamsPerRequest": 0},
        {"labels": ["context.a-b", "fields.a_b"]}, {"labels": ["context.service_name"]}, {"labels": ["text"]},
        {"labels": [f"fields.k{number}" for number in range(16)]},
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_errors(given):
    with pytest.raises(ConfigError):
        conversion.convert({"endpoint": "http://h:3100", **given}, loki.Config)


# --- the real one -----------------------------------------------------------------------------------------------


class Running:
    """Loki in one process, its data in a folder."""

    def __init__(self, folder):
        ports = []
        for _ in range(2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.log = folder / "log"
        index = {"prefix": "index_", "period": "24h"}
        schema = {"from": "2024-01-01", "store": "tsdb", "object_store": "filesystem", "schema": "v13", "index": index}
        disk = {"chunks_directory": str(folder / "chunks"), "rules_directory": str(folder / "rules")}
        config = {
            "auth_enabled": False,
            "analytics": {"reporting_enabled": False},
            "server": {
                "http_listen_address": "127.0.0.1", "http_listen_port": ports[0],
                "grpc_listen_address": "127.0.0.1", "grpc_listen_port": ports[1], "log_level": "warn",
            },
            "common": {
                "path_prefix": str(folder / "data"), "replication_factor": 1, "storage": {"filesystem": disk},
                "instance_addr": "127.0.0.1",
                "ring": {"kvstore": {"store": "inmemory"}, "instance_addr": "127.0.0.1"},
            },
            "schema_config": {"configs": [schema]},
        }  # fmt: skip
        (folder / "loki.yaml").write_text(json.dumps(config))
        with self.log.open("wb") as log:
            words = ["loki", f"-config.file={folder / 'loki.yaml'}"]
            self.process = subprocess.Popen(words, stdout=log, stderr=log)

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return answer.read()

    def until_ready(self):
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            try:
                self.get("/ready")
                return
            except OSError:
                time.sleep(0.2)

    def streams(self, query):
        """Labels (metadata among them) and lines of what a query finds."""
        now = time.time_ns()
        found = self.get("/loki/api/v1/query_range", query=query, limit=5000, start=now - 6 * HOUR, end=now + HOUR)
        return [(one["stream"], [line for _, line, *_ in one["values"]]) for one in json.loads(found)["data"]["result"]]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    if shutil.which("loki") is None:
        pytest.skip("loki is not on PATH: the tests against the real Loki are out")
    started = Running(tmp_path_factory.mktemp("loki"))
    try:
        started.until_ready()
        yield started
    finally:
        started.process.terminate()
        started.process.wait(20)


@pytest.mark.parametrize("encoding", ["Protobuf", "Json"])
async def test_the_real_loki_takes_what_we_send(running, opened, batch, split_outcome, encoding):
    target = await opened(running.url, encoding=encoding, timeout="10s")
    service, now = f"by-{encoding}", time.time_ns()
    context = {"service": service, "namespace": 'a "b"\\\nc', "pod": "p"}
    fields = [{"n": number, "traceId": TRACE} for number in range(500)]
    outcome = await target.send([batch(
        *(at(f"e{one['n']}", now + one["n"], fields=one, context=context) for one in fields),
        at("old", now - 400 * HOUR, context=context), at("long", now, fields={"x": "y" * 300_000}, context=context),
    )])  # fmt: skip
    assert (split_outcome(outcome)[0], sorted(split_outcome(outcome)[1])) == ([], [(0, 500), (0, 501)])
    found = await asyncio.to_thread(running.streams, f'{{service_name="{service}"}}')
    assert {labels["namespace"] for labels, _ in found} == {'a "b"\\\nc'}
    assert {labels["trace_id"] for labels, _ in found} == {TRACE}
    assert sorted(json.loads(line)["fields"]["n"] for _, lines in found for line in lines) == list(range(500))


async def test_the_real_loki_takes_any_key_and_hides_what_its_distributor_kept_back(
    running, opened, batch, split_outcome
):
    target = await opened(running.url, structuredMetadata=["*"], timeout="10s")
    context, now = {"service": "doubt"}, time.time_ns()
    keys = dict.fromkeys(("é", "-", "_", "日本", "a.b", "1"), "v")
    assert split_outcome(await target.send([batch(at("first", now, context=context, fields=keys))])) == ([], [])
    events = batch(
        at("late", now - 4 * HOUR, context=context), at("old", now - 400 * HOUR, context=context),
        at("long", now + 2, context=context, fields={"x": "y" * 300_000}), at("good", now + 1, context=context),
    )  # fmt: skip
    retry, rejected = split_outcome(await target.send([events]))
    assert (sorted(retry), sorted(rejected)) == ([(0, 2), (0, 3)], [(0, 0), (0, 1)])
    assert split_outcome(await target.send([events.take([2, 3])])) == ([], [(0, 0)])
    found = await asyncio.to_thread(running.streams, '{service_name="doubt"}')
    assert sorted(json.loads(line)["event"] for _, lines in found for line in lines) == ["first", "good"]


async def test_the_real_loki_ignores_what_is_too_far_behind_and_we_know_which(running, opened, batch, split_outcome):
    target = await opened(running.url, timeout="10s")
    context, now = {"service": "behind"}, time.time_ns()
    await target.send([batch(at("first", now, context=context))])
    late = [at(f"late{number}", now - 4 * HOUR + number * SECOND, context=context) for number in range(15)]
    good = [at("good", now - HOUR // 10, context=context), at("other", now, level="warn", context=context)]
    outcome = await target.send([batch(*late, *good)])
    assert sorted(split_outcome(outcome)[1]) == [(0, row) for row in range(15)]
    found = await asyncio.to_thread(running.streams, '{service_name="behind"}')
    assert sorted(json.loads(line)["event"] for _, lines in found for line in lines) == ["first", "good", "other"]
    again = await target.send([batch(*good)])
    assert split_outcome(again) == ([], [])
    found = await asyncio.to_thread(running.streams, '{service_name="behind"}')
    assert sum(len(lines) for _, lines in found) == 3, "what is sent again is one entry"


async def test_the_real_loki_is_silent_about_all_but_the_last_stream_of_a_request(
    running, opened, batch, split_outcome
):
    target = await opened(running.url, timeout="10s", streamsPerRequest=2)
    context, now = {"service": "silent"}, time.time_ns()
    await target.send([batch(at("first", now, context=context))])
    late = at("late", now - 4 * HOUR, context=context)
    outcome = await target.send([batch(late, at("other", now, level="warn", context=context))])
    assert split_outcome(outcome) == ([], []), "Loki tells of it by now: streamsPerRequest can be more than one"
    found = await asyncio.to_thread(running.streams, '{service_name="silent"}')
    assert sorted(json.loads(line)["event"] for _, lines in found for line in lines) == ["first", "other"]
