"""``transitions``: what Events tell, once for each cause."""

import pytest

from rutta_operator.state.seen import Report, TargetReport
from rutta_operator.state.status import status, transitions

FAILS = Report("abc", "", (TargetReport("db", "Failing", "401"), TargetReport("out", "Healthy")))
REFUSES = Report("abc", "", (TargetReport("db", "Rejecting", "400"), TargetReport("out", "Healthy")))
STUCK = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "m"}


def told(before, after):
    return [(one.type, one.reason) for one in transitions(before, status(after))]


def test_nothing_is_told_when_nothing_changed(made):
    for seen in (made.router(), made.lonely(), made.router(report=FAILS)):
        assert told(status(seen), seen) == []


def test_a_new_resource_tells_that_it_is_made_and_then_that_it_is_ready(made):
    going = made.router(workload=None, report=None)
    assert told({}, going) == [("Normal", "RolloutInProgress")]
    assert told(status(going), made.router(previous=status(going))) == [("Normal", "Available")]


def test_one_cause_is_told_once_though_it_moves_three_conditions(made):
    assert told(status(made.shipper()), made.lonely("CycleDetected")) == [("Warning", "CycleDetected")]
    assert told(status(made.router()), made.router(workload=made.deployment(conditions=[STUCK]))) == [
        ("Warning", "ProgressDeadlineExceeded")
    ]


def test_what_is_mended_is_told_too(made):
    before = status(made.lonely("RefNotPermitted"))
    assert told(before, made.shipper(previous=before)) == [("Normal", "Resolved"), ("Normal", "Available")]


def test_a_second_cause_in_the_place_of_the_first_is_told(made):
    before = status(made.lonely("TargetNotFound"))
    assert told(before, made.lonely("RefNotPermitted", previous=before)) == [("Warning", "RefNotPermitted")]


def test_targets_are_told_when_they_fail_and_when_they_are_well_again_and_not_between(made):
    well, ill = status(made.router()), status(made.router(report=FAILS))
    assert told(well, made.router(report=FAILS)) == [("Warning", "TargetFailing")]
    assert told(ill, made.router(report=REFUSES)) == []
    assert told(ill, made.router()) == [("Normal", "Healthy")]


@pytest.mark.parametrize("letter", ["x", "…"])
def test_a_note_is_no_longer_than_an_event_may_be(made, letter):
    failing = Report("abc", "", tuple(TargetReport(name, "Failing", letter * 300) for name in ("db", "out")))
    spec = {"targets": [{"name": f"t{number}", "console": {}} for number in range(9)]}
    reports = tuple(TargetReport(f"t{number}", "Failing", letter * 300) for number in range(9))
    (one,) = transitions(status(made.router(spec)), status(made.router(spec, report=Report("abc", "", reports))))
    assert 1_000 < len(one.message.encode()) <= 1_024
    assert one.message.endswith("…")
    (short,) = transitions(status(made.router()), status(made.router(report=failing)))
    assert len(short.message.encode()) <= 1_024
