"""Medians, ratios and verdicts, and the three forms of the report."""

import argparse
import io
import json

import msgspec
import pytest
from rich.console import Console
from rutta_bench import report, results
from rutta_bench.marks import place
from rutta_bench.model import Job, Load, Sample
from rutta_bench.results import Line, Outcome
from rutta_bench.rows import BY_KEY, ROWS, Entry, Row


def _sample(per_cpu=1_000_000, **given):
    fields = {
        "sent": per_cpu,
        "delivered": per_cpu,
        "cpu": 1.0,
        "wall": 2.0,
        "rss_peak": 50 << 20,
        "rss_after": 40 << 20,
        "sender_busy": 0.2,
        "others": 0.0,
    }
    return Sample(**{**fields, **given})


def _row(**given):
    entries = (Entry("Rutta", Job()), Entry("rsyslog", Job()))
    return Row(**{"key": "row", "title": "a row", "load": Load(), "entries": entries, **given})


def _line(*rates, label="Rutta", **given):
    return Line(label=label, rounds=tuple(map(_sample, rates)), commands=("run it",), **given)


def test_the_median_and_the_spread_are_of_the_rounds():
    line = _line(1_000_000, 1_500_000, 1_100_000)
    assert results.median(_row(), line) == 1_100_000
    assert results.spread(_row(), line) == pytest.approx(45.45, abs=0.01)


def test_a_promise_of_speed_is_kept_or_missed_by_the_median():
    outcome = Outcome(row=_row(at_least=1e6), lines=(_line(900_000, 1_000_000, 1_200_000),))
    assert results.verdicts(outcome) == ["1.00 M events/CPU-s, promised ≥ 1.00 M: kept"]
    outcome = Outcome(row=_row(at_least=1.1e6), lines=outcome.lines)
    assert results.verdicts(outcome)[0].endswith("MISSED")


def test_the_promised_ratio_is_to_the_best_peer_that_does_the_same_work():
    slow, fast = _line(50_000, label="slow"), _line(80_000, label="fast")
    less = _line(900_000, label="less", does_less=True)
    outcome = Outcome(row=_row(times=10), lines=(_line(1_000_000), slow, fast, less))
    assert results.verdicts(outcome) == ["12.5 × the best peer (fast), promised ≥ 10 ×: kept"]


def test_without_a_peer_no_ratio_is_claimed():
    outcome = Outcome(row=_row(times=10), lines=(_line(1_000_000), Line(label="rsyslog", note="not found")))
    assert results.verdicts(outcome) == []


def test_at_a_given_rate_less_cpu_is_better_and_a_slower_peer_gains_nothing():
    row = _row(measure="share", at_least=6, memory=64)
    ours = Line(label="Rutta", rounds=(_sample(20_000, cpu=0.1),))
    keeps_up = Line(label="a", rounds=(_sample(20_000, cpu=0.2),))
    too_slow = Line(label="b", rounds=(_sample(1_000, cpu=0.1),))
    assert results.ratio(row, ours, keeps_up) == pytest.approx(2)
    assert results.ratio(row, ours, too_slow) == pytest.approx(20)
    said = results.verdicts(Outcome(row=row, lines=(ours,)))
    assert said == ["5.0 % of a core, promised ≤ 6 %: kept", "memory 50 MiB, promised ≤ 64 MiB: kept"]


def test_a_row_beside_another_compares_cost_and_memory():
    one = Outcome(row=_row(key="one"), lines=(_line(1_000_000),))
    many = Line(label="Rutta", rounds=(_sample(1_000_000, cpu=1.2, rss_peak=100 << 20),))
    outcome = Outcome(row=_row(key="many", beside="one"), lines=(many,))
    assert results.verdicts(outcome, [one, outcome]) == [
        "1.20 × the cost per event and 2.00 × the memory of one, promised ≤ 1.5 ×: MISSED"
    ]


def test_events_that_did_not_arrive_or_came_twice_are_said():
    assert results.losses(_line(1000)) == ""
    lost = Line(label="a", rounds=(_sample(1000, delivered=900),))
    assert results.losses(lost) == "of 1000 sent 900 were delivered (-10.0 %)"
    twice = Line(label="a", rounds=(_sample(1000, delivered=1500),))
    assert results.losses(twice) == "of 1000 sent 1500 were delivered (+50.0 %)"


def test_a_sender_at_its_limit_is_said_unless_the_receiver_was_busy_too():
    limited = Line(label="a", rounds=(_sample(1000, sender_busy=0.99, cpu=0.5, wall=1.0),))
    assert "more may be possible" in " ".join(report.remarks(limited))
    both = Line(label="a", rounds=(_sample(1000, sender_busy=0.99, cpu=1.0, wall=1.0),))
    assert report.remarks(both) == []


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7.25, "7.2"), (800, "800"), (12_340, "12.3 k"), (2_460_000, "2.46 M"), (123_400_000, "123 M")],
)
def test_numbers_are_written_with_three_digits(number, text):
    assert results.short(number) == text


@pytest.fixture
def run():
    outcome = Outcome(
        row=_row(at_least=2e6),
        lines=(
            _line(1_000_000),
            _line(500_000, label="rsyslog"),
            Line(label="syslog-ng", note="not found; install it"),
        ),
    )
    return report.Run(
        command="bench/run.py --rows row",
        date="2026-01-01",
        machine={"processor": "X", "cores": "2"},
        versions={"Rutta": "1"},
        load_average=0.1,
        seconds=2,
        rounds=1,
        outcomes=(outcome,),
    )


def test_markdown_holds_the_command_the_ratio_the_verdict_and_what_is_missing(run):
    text = report.markdown(run)
    for part in (
        "bench/run.py --rows row",
        "| Rutta | 1.00 M |",
        "2.0 ×",
        "MISSED",
        "not found; install it",
        "`run it`",
    ):
        assert part in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1


def test_results_replace_what_stood_between_the_marks_of_a_document(tmp_path):
    document = tmp_path / "page.md"
    document.write_text("# Title\n<!-- a: begin -->\nold\n<!-- a: end -->\nrest\n<!-- b: begin --><!-- b: end -->\n")
    place(str(document), "a").put("new\n")
    place(f"{document}#b", "a").put("other\n")
    assert document.read_text() == (
        "# Title\n<!-- a: begin -->\nnew\n<!-- a: end -->\nrest\n<!-- b: begin -->\nother\n<!-- b: end -->\n"
    )
    with pytest.raises(argparse.ArgumentTypeError, match="c: begin"):
        place(f"{document}#c", "a")
    with pytest.raises(argparse.ArgumentTypeError, match="is no document"):
        place(str(tmp_path / "none.md"), "a")


def test_the_terminal_shows_the_same(run):
    out = io.StringIO()
    report.terminal(run, Console(file=out, width=200))
    for part in ("a row", "1.00 M", "2.0 ×", "MISSED", "not found; install it", "made by: bench/run.py --rows row"):
        assert part in out.getvalue()


def test_json_holds_every_round_and_reads_back(run):
    text = report.json(run)
    assert msgspec.json.decode(text, type=report.Run) == run
    made = json.loads(text)["outcomes"][0]
    assert made["verdicts"] == ["1.00 M events/CPU-s, promised ≥ 2.00 M: MISSED"]
    assert made["lines"][0]["summary"]["events/CPU-s"] == "1.00 M"


def test_every_row_begins_with_rutta_and_what_it_is_compared_with_exists():
    assert len(BY_KEY) == len(ROWS)
    for row in ROWS:
        assert row.entries[0].peer == "Rutta"
        assert not row.entries[0].less
        assert not row.beside or row.beside in BY_KEY
