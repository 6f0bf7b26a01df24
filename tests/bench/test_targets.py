"""The row ``targets``: every target is in it, and its instant server says what the target takes for "delivered"."""

import asyncio
import gzip
import json

import pytest
import zstandard
from rutta_bench import client, instant, instants, report, results, rounds, samples, targets
from rutta_bench.model import Missing, Sample
from rutta_bench.results import Line, Outcome
from rutta_bench.rows import TARGETS

from rutta import components

NAMES = components.names("targets")
MEASURED = [name for name in NAMES if not instants.of(name).note]


def _sample(name="", *_given):
    return Sample(
        sent=1000, delivered=1000, cpu=0.002 if name == "noop" else 0.012, wall=1.0,
        rss_peak=50 << 20, rss_after=40 << 20, sender_busy=0.0, others=0.0,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_target_has_an_instant_server_or_says_where_else_it_is_measured(name):
    assert name in instants.INSTANTS, f"name {name} in bench/rutta_bench/instants.py: what its service says to success"


def test_a_target_that_nobody_thought_of_is_a_line_with_a_note(monkeypatch):
    monkeypatch.setattr(components, "names", lambda _kind: ("brandNew", "noop"))
    outcome = targets.run(targets.names(), rounds.Manner(0, 1, None, 0), _sample, lambda _text: None)
    noop, new = outcome.lines
    assert (noop.label, len(noop.rounds)) == ("noop", 1)
    assert "no instant server for it" in report.cells(outcome, new)[-1]


@pytest.fixture
async def serving():
    """``await serving(name)`` starts the target's server on a free port and returns that."""
    opened = []

    async def start(name):
        if instants.of(name).kind == "none":
            return 0
        if instants.of(name).kind == "grpc":
            pytest.importorskip("grpc")
            server, port = await instant.calls()
            opened.append(server.stop(None))
            return port
        server = await instant.streams(name)
        server_port = server.sockets[0].getsockname()[1]

        async def stop():
            server.close()
            await asyncio.sleep(0)

        opened.append(stop())
        return server_port

    yield start
    for stop in opened:
        await stop


@pytest.mark.parametrize("name", MEASURED)
async def test_every_event_is_delivered_to_the_instant_server(name, serving, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "READ_BUFFER", 150 * samples.SIZE)
    monkeypatch.setattr(client, "TOTAL", 600 * samples.SIZE)
    order = client.Order(name=name, port=await serving(name), seconds=0.001, report=str(tmp_path / "report"))
    made = await client.measure(order)
    assert made.trouble == ""
    assert made.sent == made.delivered >= 150
    assert made.cpu > 0
    assert made.rss_after > 0


async def test_what_a_target_is_refused_is_why_it_is_not_measured(serving, tmp_path, monkeypatch):
    refusing = instants.Instant("http", lambda _body: instants.Answer(400, b"no"))
    monkeypatch.setitem(instants.INSTANTS, "http", refusing)
    order = client.Order(name="http", port=await serving("http"), seconds=0.001, report=str(tmp_path / "report"))
    assert "answered 400" in (await client.measure(order)).trouble


def test_a_target_is_measured_in_a_process_of_its_own_and_its_server_in_another(tmp_path):
    made = targets.once("http", 0.1, tmp_path)
    assert made.sent == made.delivered > 0
    assert made.cpu > 0
    assert made.rss_peak > 10 << 20


def test_a_process_that_ends_is_a_note_with_its_last_words(tmp_path):
    with pytest.raises(Missing, match="there is no target 'nothing'"):
        targets.once("nothing", 0.1, tmp_path)


def test_targets_take_turns_and_a_failure_ends_only_its_own():
    asked = []

    def measure(name, *_given):
        asked.append(name)
        if name == "http":
            raise Missing("refused")
        return _sample(name)

    outcome = targets.run(("http", "file"), rounds.Manner(0, 2, None, 0), measure, lambda _text: None)
    assert asked == ["noop", "file", "http", "noop", "file"]
    assert [(line.label, len(line.rounds), line.note) for line in outcome.lines] == [
        ("noop", 2, ""), ("file", 2, ""), ("http", 0, "refused"),
    ]  # fmt: skip


def test_no_target_is_said_to_be_faster_than_another_but_what_each_costs_itself():
    lines = [Line(label=name, rounds=(_sample(name),)) for name in ("noop", "file", "http")]
    outcome = Outcome(row=TARGETS, lines=tuple(lines))
    assert [report.cells(outcome, line)[-1] for line in lines] == ["", "", ""]
    assert report.cells(outcome, lines[1])[1] == "83.3 k"
    said = "CPU µs an event above noop, for which events are only checked: file 10.0, http 10.0"
    assert results.verdicts(outcome) == [said]


def test_settings_are_the_examples_with_the_server_in_them_and_no_secret_of_the_environment():
    example = {"endpoint": "http://127.0.0.1:8086/write", "apiKey": {"env": "KEY"}, "db": "logs"}
    assert instants.settings("influxdb", example, 99) == {
        "endpoint": "http://127.0.0.1:99/write", "apiKey": "benchmark", "db": "logs",
    }  # fmt: skip
    assert instants.settings("rabbitmq", {"hostname": "127.0.0.1"}, 99)["port"] == 99


def test_answers_tell_of_as_many_events_as_came():
    assert json.loads(instants.of("applicationinsights").answer(b"{}\n{}").body)["itemsAccepted"] == 2
    bulk = json.loads(instants.of("elasticsearch").answer(b'{"create":{}}\n{}\n' * 3).body)
    assert bulk == {"errors": False, "items": [{"create": {"status": 201}}] * 3}
    assert len(json.loads(instants.of("elmahio").answer(b"[{},{}]").body)) == 2
    assert json.loads(instants.of("mixpanel").answer(b"[{},{}]").body)["num_records_imported"] == 2
    packed = {"gzip": gzip.compress(b"a"), "zstd": zstandard.compress(b"a"), "": b"a"}
    assert {instants.plain(body, encoding) for encoding, body in packed.items()} == {b"a"}
