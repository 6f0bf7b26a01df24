"""Target ``otlp`` against stand-ins of an OTLP server, by HTTP and gRPC, that read requests with the official classes.

https://opentelemetry.io/docs/specs/otlp/ (1.7): paths, content types, partial success, which failures are worth another
try, ``Retry-After`` and ``RetryInfo``; and, where the binary is found, against the OpenTelemetry collector itself.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.net import protobuf
from rutta.targets import otlp

TYPES = {
    "logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse, "rejected_log_records"),
    "metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse, "rejected_data_points"),
    "traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse, "rejected_spans"),
}
GAUGE = {"type": "gauge", "name": "load", "gauge": {"type": "gauge", "value": 1, "unit": "scalar"}}
SPAN = {"type": "span", "label": "s", "started": 1_700_000_000, "finished": 1_700_000_001}
RIDER = {"event": "rider", "gauges": {"took": {"type": "gauge", "value": 2, "unit": "seconds"}}}


def status(message, *, after=None):
    """A google.rpc.Status with a RetryInfo (that message is not among the installed ones, so it is put together)."""
    detail = b""
    if after is not None:
        seconds, nanos = divmod(round(after * 1e9), 10**9)
        info = protobuf.field(protobuf.tag_of(1), Duration(seconds=seconds, nanos=nanos).SerializeToString())
        packed = Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info)
        detail = protobuf.field(protobuf.tag_of(3), packed.SerializeToString())
    return b"\x08\x08" + protobuf.field(protobuf.tag_of(2), message.encode()) + detail


class Store:
    """What a server took; ``bad`` bodies or names make it refuse the whole request, ``partial`` some records of it."""

    def __init__(self):
        self.records = {"logs": [], "metrics": [], "traces": []}
        self.requests = {"logs": 0, "metrics": 0, "traces": 0}
        self.bad = set()
        self.partial = {}

    def take(self, signal, body):
        request, response, rejected = TYPES[signal]
        found = list(self.names(signal, request.FromString(body)))
        self.requests[signal] += 1
        if self.bad & set(found):
            return None
        count, message = self.partial.get(signal, (0, ""))
        self.records[signal] += found[: len(found) - count]
        answer = response()
        if message:
            setattr(answer.partial_success, rejected, count)
            answer.partial_success.error_message = message
        return answer.SerializeToString()

    def names(self, signal, request):
        for resource in getattr(request, "resource_spans" if signal == "traces" else f"resource_{signal}"):
            for scope in getattr(resource, "scope_spans" if signal == "traces" else f"scope_{signal}"):
                if signal == "logs":
                    yield from (record.body.string_value for record in scope.log_records)
                elif signal == "traces":
                    for span in scope.spans:
                        assert (len(span.trace_id), len(span.span_id)) == (16, 8)
                        assert span.end_time_unix_nano >= span.start_time_unix_nano
                        yield span.name
                else:
                    for metric in scope.metrics:
                        assert metric.name
                        yield from [metric.name] * len(metric.gauge.data_points or metric.histogram.data_points)


class Api(Store):
    """OTLP/HTTP."""

    async def __call__(self, request, body):
        signal = request.path.removeprefix("/v1/")
        if request.method != "POST" or signal not in TYPES:
            return web.Response(status=404, text="404 page not found")
        if request.headers.get("Content-Type") != "application/x-protobuf":
            return web.Response(status=415)
        answer = self.take(signal, body)
        if answer is None:
            return web.Response(status=400, body=status("one is bad"), content_type="application/x-protobuf")
        return web.Response(body=answer, content_type="application/x-protobuf")


@pytest.fixture
def api(server):
    server.usual = Api()
    return server.usual


def build(url, **given):
    return otlp.make(conversion.convert({"endpoint": url, "timeout": "5s", **given}, otlp.Config), "t")


@pytest.fixture
async def target(server, api):
    made = build(server.url)
    await made.open()
    yield made
    await made.close()


class Service(Store):
    """OTLP/gRPC; ``answers`` (a code, its Status) come first."""

    def __init__(self):
        super().__init__()
        self.answers = []
        self.metadata = {}
        self.released = asyncio.Event()
        self.url = ""

    def handler(self, signal):
        async def export(body, context):
            self.metadata = dict(context.invocation_metadata())
            if self.answers:
                code, detail = self.answers.pop(0)
                if code is None:
                    await self.released.wait()
                    return b""
                if detail:
                    context.set_trailing_metadata((("grpc-status-details-bin", detail),))
                await context.abort(code, f"told so to {self.metadata.get('authorization')}")
            answer = self.take(signal, body)
            if answer is None:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "one is bad")
            return answer

        return grpc.unary_unary_rpc_method_handler(export)


@pytest_asyncio.fixture
async def service():
    made = Service()
    running = grpc.aio.server()
    for signal in TYPES:
        word = {"traces": "trace"}.get(signal, signal)
        name = f"opentelemetry.proto.collector.{word}.v1.{word.capitalize()}Service"
        running.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(name, {"Export": made.handler(signal)}),)
        )
    made.url = f"http://127.0.0.1:{running.add_insecure_port('127.0.0.1:0')}"
    await running.start()
    yield made
    made.released.set()
    await running.stop(None)


@pytest_asyncio.fixture
async def by_grpc(service):
    made = build(service.url, protocol="Grpc")
    await made.open()
    yield made
    await made.close()


# --- both ------------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(params=["Http", "Grpc"])
async def pair(request, server, service):
    """A target and the server that it talks to, by each protocol."""
    store = service if request.param == "Grpc" else Api()
    server.usual = store
    made = build(service.url if request.param == "Grpc" else server.url, protocol=request.param)
    await made.open()
    yield made, store
    await made.close()


async def test_each_kind_goes_by_its_signal(pair, batch, split_outcome):
    target, store = pair
    outcome = await target.send([batch({"event": "a"}, SPAN), batch(GAUGE, RIDER, context={"host": "h"})])
    assert split_outcome(outcome) == ([], [])
    assert store.records == {"logs": ["a", "rider"], "metrics": ["load", "took"], "traces": ["s"]}
    assert store.requests == {"logs": 1, "metrics": 1, "traces": 1}


async def test_what_is_refused_in_part_is_counted_and_never_sent_again(pair, batch, split_outcome):
    target, store = pair
    store.partial = {"logs": (2, "too old"), "traces": (1, "no luck")}
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}), batch({"event": "c"}, SPAN, RIDER)])
    assert split_outcome(outcome) == ([], [(1, 1), (1, 0), (1, 2)])
    assert {one.reason for one in outcome.rejected} == {
        "The server refused 2 log records of a request, it does not say which: too old",
        "The server refused 1 spans of a request, it does not say which: no luck",
    }
    assert store.requests == {"logs": 1, "metrics": 1, "traces": 1}
    assert target.status()["failures"]["rejected"] == 3


async def test_a_warning_with_success_is_shown(pair, batch, split_outcome):
    target, store = pair
    store.partial = {"logs": (0, "slow down, please")}
    assert split_outcome(await target.send([batch({"event": "a"})])) == ([], [])
    assert target.status()["warning"] == "slow down, please"
    assert store.records["logs"] == ["a"]


async def test_a_request_refused_for_one_event_is_halved_until_that_is_alone(pair, batch, split_outcome):
    target, store = pair
    store.bad = {"bad"}
    outcome = await target.send([batch(*({"event": "bad" if number == 5 else f"e{number}"} for number in range(8)))])
    assert split_outcome(outcome) == ([], [(0, 5)])
    assert "one is bad" in outcome.rejected[0].reason
    assert sorted(store.records["logs"]) == [f"e{number}" for number in range(8) if number != 5], "each once"


async def test_the_search_for_refused_events_ends(pair, batch, split_outcome):
    target, store = pair
    store.bad = {"bad"}
    outcome = await target.send([batch(*({"event": "bad"} for _ in range(1000)))])
    assert len(outcome.rejected) == 1000
    assert store.requests["logs"] < 250


async def test_the_metrics_of_a_rider_that_are_refused_do_not_take_its_log_record(pair, batch, split_outcome):
    target, store = pair
    store.bad = {"took"}
    outcome = await target.send([batch(RIDER, {"event": "a"}, GAUGE)])
    assert split_outcome(outcome) == ([], [])
    assert store.records == {"logs": ["rider", "a"], "metrics": ["load"], "traces": []}


async def test_signals_that_are_not_sent_are_rejected_and_said(server, api, batch, split_outcome):
    made = build(server.url, signals=["Traces"])
    await made.open()
    outcome = await made.send([batch({"event": "a"}, SPAN, GAUGE, {**SPAN, "gauges": RIDER["gauges"]})])
    await made.close()
    assert split_outcome(outcome) == ([], [(0, 0), (0, 2)])
    assert "Logs, which is not among signals" in outcome.rejected[0].reason
    assert api.records == {"logs": [], "metrics": [], "traces": ["s", "s"]}


# --- HTTP ------------------------------------------------------------------------------------------------------------


async def test_paths_and_headers_are_as_set(server, batch, tmp_path):
    secret = tmp_path / "key"
    secret.write_text("first\n")
    made = build(
        f"{server.url}/otel/",
        logsPath="/logs",
        headers={"X-Key": {"file": str(secret)}},
        bearer="b3arer",
        compression="None",
    )
    await made.open()
    await made.send([batch({"event": "a"})])
    secret.write_text("second\n")
    await made.send([batch(GAUGE)])
    await made.close()
    assert [(one.path, one.headers["X-Key"]) for one in server.seen] == [
        ("/otel/logs", "first"), ("/otel/v1/metrics", "second"),
    ]  # fmt: skip
    assert server.seen[0].headers["Authorization"] == "Bearer b3arer"
    assert "Content-Encoding" not in server.seen[0].headers


async def test_requests_are_compressed_unless_told_otherwise(target, api, server, batch):
    await target.send([batch(*({"event": "the same again"} for _ in range(100)))])
    assert server.seen[0].headers["Content-Encoding"] == "gzip"
    assert len(api.records["logs"]) == 100


@pytest.mark.parametrize("code", [429, 502, 503, 504])
async def test_what_may_pass_is_a_retry_after_the_time_that_is_asked_for(target, api, server, batch, code):
    server.answers = [
        web.Response(status=code, headers={"Retry-After": "7"}, body=status("busy")),
        web.Response(status=code, body=status("busy", after=2.5)),
    ]
    events = [batch({"event": "a"})]
    for after in (7, 2.5):
        outcome = await target.send(events)
        assert [one.row for one in outcome.retry] == [0]
        assert outcome.after == after
        assert f"answered {code}" in outcome.retry[0].reason
        assert "busy" in outcome.retry[0].reason
    await target.send(events)
    assert api.records["logs"] == ["a"]
    assert target.status()["failures"] == {str(code): 2}


@pytest.mark.parametrize("code", [400, 422, 500, 501])
async def test_what_must_not_be_sent_again_is_rejected(target, server, batch, split_outcome, code):
    async def refuse(request, body):
        return web.Response(status=code, text="no")

    server.usual = refuse
    outcome = await target.send([batch({"event": "a"})])
    assert split_outcome(outcome) == ([], [(0, 0)])
    assert f"answered {code}" in outcome.rejected[0].reason


@pytest.mark.parametrize("code", [401, 403, 404, 307])
async def test_what_can_be_mended_is_a_retry(target, api, server, batch, code):
    server.answers = [web.Response(status=code)]
    outcome = await target.send([batch({"event": "a"})])
    assert [one.row for one in outcome.retry] == [0]
    assert ("leave this out of signals" in outcome.retry[0].reason) == (code == 404)
    await target.send([batch({"event": "a"})])
    assert api.records["logs"] == ["a"]


async def test_a_request_that_is_too_large_is_halved(target, api, server, batch, split_outcome):
    async def small(request, body):
        return await api(request, body) if len(body) < 5000 else web.Response(status=413)

    server.usual = small
    events = batch(
        *({"event": f"e{number}", "fields": {"x": "y" * 200}} for number in range(50)), {"event": "z" * 6000}
    )
    outcome = await target.send([events])
    assert split_outcome(outcome) == ([], [(0, 50)])
    assert sorted(api.records["logs"]) == sorted(f"e{number}" for number in range(50))


async def test_one_signal_that_fails_does_not_hold_the_others_back(target, api, server, batch, split_outcome):
    async def no_traces(request, body):
        return web.Response(status=503) if "traces" in request.path else await api(request, body)

    server.usual = no_traces
    outcome = await target.send([batch({"event": "a"}, SPAN), batch(GAUGE)])
    assert split_outcome(outcome) == ([(0, 1)], [])
    assert api.records == {"logs": ["a"], "metrics": ["load"], "traces": []}


async def test_no_log_record_goes_twice_because_its_gauge_did_not_go(target, api, server, batch, split_outcome):
    async def no_metrics(request, body):
        return web.Response(status=503) if "metrics" in request.path else await api(request, body)

    server.usual = no_metrics
    events = batch(RIDER, {"event": "a"})
    outcome = await target.send([events])
    assert split_outcome(outcome) == ([(0, 0)], [])
    assert api.records["logs"] == ["a"]
    server.usual = api
    await target.send([events.take([0])])
    assert api.records == {"logs": ["a", "rider"], "metrics": ["took"], "traces": []}


@pytest.mark.parametrize("fault", ["reset", "half", "silence"])
async def test_no_answer_is_a_retry(server, batch, split_outcome, fault):
    server.usual = getattr(server, fault)
    made = build(server.url, timeout="300ms")
    await made.open()
    assert split_outcome(await made.send([batch({"event": "a"})])) == ([(0, 0)], [])
    await made.close()


async def test_an_answer_that_breaks_off_is_a_success_for_its_status_says_so(target, server, batch, split_outcome):
    server.usual = server.half_body
    assert split_outcome(await target.send([batch({"event": "a"})])) == ([], [])
    assert len(server.seen) == 1


# --- gRPC ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]
)
async def test_codes_that_may_pass_are_a_retry(by_grpc, service, batch, code):
    service.answers = [(grpc.StatusCode[code], None)]
    outcome = await by_grpc.send([batch({"event": "a"})])
    assert [one.row for one in outcome.retry] == [0]
    assert code in outcome.retry[0].reason
    await by_grpc.send([batch({"event": "a"})])
    assert service.records["logs"] == ["a"]
    assert by_grpc.status()["failures"] == {code: 1}


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
async def test_a_retry_info_says_how_long_to_wait(by_grpc, service, batch, code):
    service.answers = [(grpc.StatusCode[code], status("slow down", after=7.5))]
    outcome = await by_grpc.send([batch({"event": "a"})])
    assert [one.row for one in outcome.retry] == [0]
    assert outcome.after == 7.5


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL", "UNKNOWN", "RESOURCE_EXHAUSTED", "NOT_FOUND"])
async def test_other_codes_must_not_be_sent_again(by_grpc, service, batch, split_outcome, code):
    service.answers = [(grpc.StatusCode[code], None)]
    outcome = await by_grpc.send([batch({"event": "a"})])
    assert split_outcome(outcome) == ([], [(0, 0)])
    assert code in outcome.rejected[0].reason


async def test_a_message_larger_than_the_server_takes_is_halved(by_grpc, service, batch, split_outcome):
    """4 MiB is what gRPC takes unless told otherwise."""
    texts = [str(number) + "x" * 1_000_000 for number in range(6)]
    outcome = await by_grpc.send([batch(*({"event": text} for text in texts), {"event": "y" * 4_500_000})])
    assert split_outcome(outcome) == ([], [(0, 6)])
    assert sorted(service.records["logs"]) == texts


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"])
async def test_codes_that_can_be_mended_are_a_retry(service, batch, code, tmp_path):
    secret = tmp_path / "token"
    secret.write_text("first-token")
    made = build(service.url, protocol="Grpc", bearer={"file": str(secret)}, headers={"X-Scope": "s"})
    await made.open()
    service.answers = [(grpc.StatusCode[code], None)]
    outcome = await made.send([batch({"event": "a"})])
    assert [one.row for one in outcome.retry] == [0]
    assert "first-token" not in outcome.retry[0].reason, "the server said it back"
    secret.write_text("second-token")
    await made.send([batch({"event": "a"})])
    await made.close()
    assert (service.metadata["authorization"], service.metadata["x-scope"]) == ("Bearer second-token", "s")


async def test_no_answer_in_time_or_at_all_is_a_retry(service, batch, split_outcome):
    service.answers = [(None, None)]
    for url, code in ((service.url, "DEADLINE_EXCEEDED"), ("http://127.0.0.1:1", "UNAVAILABLE")):
        made = build(url, protocol="Grpc", timeout="300ms" if url == service.url else "5s")
        await made.open()
        outcome = await made.send([batch({"event": "a"})])
        assert split_outcome(outcome) == ([(0, 0)], [])
        assert code in outcome.retry[0].reason
        await made.close()


def server_credentials(cert, key):
    return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(cert).read_bytes())])


async def test_grpc_by_tls_trusts_whom_it_is_told_to(certificate, batch, split_outcome):
    made, running = Service(), grpc.aio.server()
    name = "opentelemetry.proto.collector.logs.v1.LogsService"
    running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": made.handler("logs")}),))
    port = running.add_secure_port("127.0.0.1:0", server_credentials(*certificate))
    await running.start()
    target = build(f"https://localhost:{port}", protocol="Grpc", tls={"caFile": certificate[0]})
    await target.open()
    assert split_outcome(await target.send([batch({"event": "a"})])) == ([], [])
    await target.close()
    assert made.records["logs"] == ["a"]
    target = build(f"https://localhost:{port}", protocol="Grpc", tls={"caFile": "/nowhere/ca.pem"})
    with pytest.raises(Retry, match="TLS files"):
        await target.open()
    await running.stop(None)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"endpoint": "collector:4317"}, {"protocol": "grpc"}, {"signals": []}, {"signals": ["Profiles"]},
        {"logsPath": "v1/logs"}, {"username": "u"}, {"bearer": "b", "username": "u", "password": "p"},
        {"protocol": "Grpc", "tls": {"insecureSkipVerify": True}}, {"compression": "Zstd"},
        {"protocol": "Grpc", "endpoint": "http://h:4317/v1/logs"}, {"gaugeAttributes": ["id"]},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, otlp.Config)


@pytest.mark.parametrize(
    ("given", "address"), [({}, "http://localhost:4318"), ({"protocol": "Grpc"}, "http://localhost:4317")]
)
def test_the_endpoint_is_the_protocols_own_unless_told_otherwise(given, address):
    assert conversion.convert(given, otlp.Config).address == address


# --- the OpenTelemetry collector -------------------------------------------------------------------------------------


class Collector:
    """otelcol with the OTLP receiver and the debug exporter, which writes what it got to its log."""

    def __init__(self, folder):
        ports = []
        for _ in range(3):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        self.grpc, self.http = (f"http://127.0.0.1:{port}" for port in ports[:2])
        self.log = folder / "log"
        pipeline = {"receivers": ["otlp"], "exporters": ["debug"]}
        config = {
            "receivers": {"otlp": {"protocols": {
                "grpc": {"endpoint": self.grpc[7:]}, "http": {"endpoint": self.http[7:]},
            }}},
            "exporters": {"debug": {"verbosity": "detailed", "use_internal_logger": False}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"logs": pipeline, "metrics": pipeline, "traces": pipeline},
            },
        }  # fmt: skip
        (folder / "config.yaml").write_text(json.dumps(config))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["otelcol", "--config", str(folder / "config.yaml")], stdout=log, stderr=log
            )

    def wait(self, text, count=1):
        deadline = time.monotonic() + 30
        while self.log.read_text().count(text) < count:
            assert time.monotonic() < deadline, f"no {text!r} in: {self.log.read_text()[-3000:]}"
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.05)


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    if shutil.which("otelcol") is None:
        pytest.skip("otelcol is not on PATH: the test against the OpenTelemetry collector is out")
    running = Collector(tmp_path_factory.mktemp("otelcol"))
    try:
        running.wait("Everything is ready")
        yield running
    finally:
        running.process.terminate()
        running.process.wait(10)


@pytest.mark.parametrize("protocol", ["Http", "Grpc"])
async def test_the_collector_takes_what_we_send(collector, batch, split_outcome, protocol):
    made = build(collector.http if protocol == "Http" else collector.grpc, protocol=protocol)
    await made.open()
    word = f"by-{protocol}-{os.getpid()}"
    histogram = {"type": "histogram", "name": f"h-{word}", "labels": {}, "sum": 4, "buckets": {"1": 2, "Infinity": 1}}
    span = {**SPAN, "label": f"s-{word}", "links": [{"type": "followsFromTrace", "predecessor": "7", "attrs": {}}],
            "events": [{"type": "event", "event": "e"}], "status": {"code": 1}}  # fmt: skip
    outcome = await made.send([
        batch({"event": f"l-{word}", "level": "warn", "name": "shop", "fields": {"a": [1, {"b": None}]}}, RIDER),
        batch({**GAUGE, "name": f"g-{word}"}, histogram, span, context={"service": "shop", "pod": "p"}),
    ])  # fmt: skip
    assert split_outcome(outcome) == ([], [])
    await made.close()
    for text in (f"Body: Str(l-{word})", f"Name: g-{word}", f"Name: h-{word}", f": s-{word}"):
        await asyncio.to_thread(collector.wait, text)
    log = collector.log.read_text()
    for text in (
        "SeverityNumber: Warn(13)",
        "service.name: Str(shop)",
        "k8s.pod.name: Str(p)",
        "Status code    : Error",
    ):
        assert text in log, text
