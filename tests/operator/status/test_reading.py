"""``reading``: what a pod's ``/status`` means, whatever it is made of."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutta_operator.state.reading import Unreadable, carried_on, read, worth_telling
from rutta_operator.state.seen import Report, TargetReport
from rutta_operator.wiring.graph import Key

MAIN = Key("RuttaRouter", "logs", "main")


def page(*targets, **other):
    document = {"name": "logs/main", "role": "Router", "configHash": "abc", "reload": {"ok": True, "error": None}}
    return json.dumps({**document, "targets": list(targets), **other}).encode()


def target(state="Healthy", *, delivered=0, rejected=0, **other):
    return {
        "name": "db", "component": "influxdb", "state": state, "delivered": delivered,
        "dropped": {"rejected": rejected} if rejected else {}, "trouble": "", "lastError": None, **other,
    }  # fmt: skip


def only(*pages):
    """Read pages of one process in turn; return the last look and its one target."""
    last = None
    for one in pages:
        last = read(page(one), MAIN, last)
    return last, last.report.targets[0]


def test_a_target_is_what_its_numbers_and_its_circuit_say():
    assert only(target(delivered=3))[1].state == "Healthy"
    assert only(target())[1].state == "Idle"
    assert only(target("Starting"))[1].state == "Idle"
    look, failing = only(target("CircuitOpen", trouble="http://db answered 401 Unauthorized", lastError="tried again"))
    assert failing == TargetReport("db", "Failing", "http://db answered 401 Unauthorized")
    assert look.is_firm
    assert look.knows


def test_a_first_failure_may_pass_and_is_not_firm():
    look, failing = only(target("Retrying", trouble="timeout"))
    assert (failing.state, look.is_firm) == ("Failing", False)


def test_a_target_that_refuses_everything_is_told_until_it_takes_something():
    refused = target(rejected=2, lastError="rejected: 400 Bad Request")
    assert only(refused)[1] == TargetReport("db", "Rejecting", "400 Bad Request")
    quiet = target(delivered=5, rejected=2)
    assert only(quiet, quiet)[1].state == "Healthy"
    more = target(delivered=5, rejected=9)
    assert only(quiet, more)[1].state == "Rejecting"
    assert only(quiet, more, more)[1].state == "Rejecting"
    assert only(quiet, more, target(delivered=6, rejected=9))[1].state == "Healthy"


def test_a_link_without_a_receiver_is_not_connected_and_says_why():
    link = target(component="link", connected=0, discovery="main-router-link.logs.svc: no such name", delivered=9)
    look, found = only(link)
    assert found == TargetReport("db", "NotConnected", "main-router-link.logs.svc: no such name")
    assert not look.is_firm
    assert only({**link, "connected": 2})[1].state == "Healthy"
    assert only({**link, "discovery": ""})[1].reason == "no receiver answers"


def test_a_refused_reload_is_read_and_an_old_one_is_not():
    assert (
        read(page(reload={"ok": False, "error": "no\nsuch\x00file"}), MAIN, None).report.reload_error == "no such file"
    )
    assert read(page(reload={"ok": True, "error": "old"}), MAIN, None).report.reload_error == ""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no /status"),
        (b'{"targets": 3}', "no /status"),
        (page(name="logs/other"), "another resource's"),
        (page(role="Shipper"), "another resource's"),
    ],
)
def test_what_is_no_status_of_the_resource_is_said_to_be_none(what, said):
    with pytest.raises(Unreadable, match=said):
        read(what, MAIN, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["name", "state", "component", "delivered", "dropped", "trouble", "lastError", "connected", "discovery"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON, max_size=3), JSON, JSON)
def test_no_shape_of_a_page_is_too_odd(targets, reload, digest):
    odd = page(*targets, reload=reload, configHash=digest)
    last = read(odd, MAIN, None)
    assert read(odd, MAIN, last).report.targets == last.report.targets


def test_words_alone_are_no_news_and_all_else_is():
    def report(*targets, config="a", error=""):
        return Report(config, error, tuple(TargetReport(*one) for one in targets))

    base = report(("db", "Failing", "timeout"))
    assert worth_telling(None, base)
    assert not worth_telling(base, report(("db", "Failing", "refused")))
    assert worth_telling(base, report(("db", "Healthy", "")))
    assert worth_telling(base, report(("db", "Failing", "timeout"), config="b"))
    assert worth_telling(base, report(("db", "Failing", "timeout"), error="no"))
    assert worth_telling(base, report())


def test_a_new_pod_that_has_sent_nothing_leaves_what_was_well_and_forgets_what_was_ill():
    told = Report("a", "", (TargetReport("well", "Healthy"), TargetReport("ill", "Failing", "x")))
    new = Report("b", "", (TargetReport("well", "Idle"), TargetReport("ill", "Idle"), TargetReport("new", "Idle")))
    assert [one.state for one in carried_on(told, new).targets] == ["Healthy", "Idle", "Idle"]
    assert carried_on(None, new) == new


def test_an_operator_that_begins_takes_up_what_was_well_by_the_status():
    new = Report("b", "", (TargetReport("well", "Idle"), TargetReport("ill", "Failing", "x")))
    assert [one.state for one in carried_on(None, new, ["well", "ill"]).targets] == ["Healthy", "Failing"]
    told = Report("a", "", (TargetReport("well", "Failing", "x"), TargetReport("ill", "Idle")))
    assert carried_on(told, new, ["well"]).targets[0].state == "Idle", "what was told since counts"
