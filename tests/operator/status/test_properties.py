"""Whatever is seen: a status that the CRD's schema takes, conditions that agree, and no change without a cause."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rutta_operator.spec.problems import Problem
from rutta_operator.state.judgement import condition
from rutta_operator.state.reasons import REASONS
from rutta_operator.state.seen import Refusal, Report, Silence, TargetReport
from rutta_operator.state.status import changed, judge, status, transitions
from rutta_operator.wiring.graph import REASONS as BROKEN
from rutta_operator.wiring.graph import Fault, Key

CRDS = Path(__file__).parents[3] / "crds"
KEYS = st.builds(Key, st.sampled_from(["RuttaRouter", "RuttaProxy"]), st.sampled_from("ab"), st.sampled_from("xyz"))
SENDERS = st.builds(
    Key, st.sampled_from(["RuttaShipper", "RuttaProxy"]), st.sampled_from("ab"), st.text("xyz", max_size=3)
)
NUMBERS = st.integers(0, 4)
PROBLEMS = st.lists(st.builds(Problem, st.just(("spec", "targets", 0)), st.text(max_size=50)), max_size=3)
FAULTS = st.lists(
    st.builds(Fault, st.just(Key("RuttaShipper", "logs", "node")), st.integers(0, 3), KEYS,
              st.sampled_from(sorted(BROKEN)), st.text(max_size=30)), max_size=4,
)  # fmt: skip
REFUSALS = st.lists(
    st.builds(Refusal, st.sampled_from(["Deployment", "Service"]), st.just("n"), st.sampled_from([400, 403, 409, 422]),
              st.text(max_size=30)), max_size=2,
)  # fmt: skip
STATES = st.sampled_from(["Idle", "Healthy", "Failing", "Rejecting", "NotConnected"])
TARGETS = st.builds(TargetReport, st.sampled_from(["db", "out", "main", "x"]), STATES, st.text(max_size=400))
REPORTS = st.one_of(
    st.none(), st.builds(Silence, st.text(max_size=20)),
    st.builds(Report, st.just("d"), st.sampled_from(["", "no"]),
              st.lists(TARGETS, max_size=4, unique_by=lambda one: one.name).map(tuple)),
)  # fmt: skip
PROGRESS = st.sampled_from([None, "NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded"])


@st.composite
def deployments(draw, made):
    conditions = [{"type": "Progressing", "status": "True", "reason": reason, "message": "m"}
                  for reason in [draw(PROGRESS)] if reason]  # fmt: skip
    if draw(st.booleans()):
        conditions.append({"type": "ReplicaFailure", "status": "True", "message": "quota"})
    return made.deployment(
        wanted=draw(NUMBERS), observedGeneration=draw(st.integers(2, 3)), replicas=draw(NUMBERS),
        updatedReplicas=draw(NUMBERS), readyReplicas=draw(NUMBERS), availableReplicas=draw(NUMBERS),
        conditions=conditions,
    )  # fmt: skip


@st.composite
def daemon_sets(draw, made):
    return made.daemon_set(
        observedGeneration=draw(st.integers(2, 3)), desiredNumberScheduled=draw(NUMBERS), numberReady=draw(NUMBERS),
        currentNumberScheduled=draw(NUMBERS), updatedNumberScheduled=draw(NUMBERS), numberAvailable=draw(NUMBERS),
    )  # fmt: skip


@st.composite
def seens(draw, made):
    make = draw(st.sampled_from([made.router, made.shipper, made.lonely]))
    live = draw(st.one_of(st.none(), deployments(made), daemon_sets(made)))
    seen = make(
        workload=live, old=draw(st.one_of(st.none(), daemon_sets(made))), faults=draw(FAULTS),
        kept=frozenset(draw(st.lists(KEYS, max_size=2))), refusals=draw(REFUSALS),
        trouble=draw(st.sampled_from(["", "503"])), senders=draw(st.lists(SENDERS, max_size=40)),
        report=draw(REPORTS), generation=draw(st.integers(1, 3)), unsupported=draw(PROBLEMS),
    )  # fmt: skip
    problems = draw(PROBLEMS)
    return seen._replace(resource=None, plan=None, problems=problems) if problems else seen


def closed(schema):
    """The API server prunes what a schema does not name: here that is an error."""
    if "properties" in schema:
        schema["additionalProperties"] = False
        for one in schema["properties"].values():
            closed(one)
    if "items" in schema:
        closed(schema["items"])
    return schema


@pytest.fixture(scope="session")
def judges():
    found = {}
    for file in CRDS.glob("*.yaml"):
        document = yaml.safe_load(file.read_text())
        schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
        found[document["spec"]["names"]["kind"]] = jsonschema.Draft202012Validator(closed(schema))
    assert len(found) == 3
    return found


FREE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FREE
@given(st.data())
def test_any_mix_over_time_gives_statuses_that_agree_and_that_the_api_server_takes(made_once, judges, data):
    previous, now = {}, made_once.now
    for _ in range(data.draw(st.integers(1, 4), label="passes")):
        now += data.draw(st.sampled_from([0, 30, 700, 5_000]), label="seconds")
        seen = data.draw(seens(made_once))._replace(previous=previous, now=now)
        found = status(seen)
        judges[seen.key.kind].validate(found)
        agrees(found)
        again = status(seen._replace(previous=found))
        assert json.dumps(again) == json.dumps(found)
        assert not changed(found, again)
        assert (wait := judge(seen).again) is None or 0 < wait <= 600 + 4 * 60
        for one in transitions(previous, found):
            assert one.reason in REASONS
            assert len(one.message.encode()) <= 1_024
        moved(previous, found, made_once.at(now - made_once.now))
        previous = found


def agrees(found):
    """The rules of kstatus: Ready, or Reconciling, or Stalled; never two of them."""
    words = [one["type"] for one in found["conditions"]]
    assert len(words) == len(set(words))
    ready = condition(found, "Ready")
    others = {"Reconciling", "Stalled"} & set(words)
    assert len(others) == (ready["status"] == "False")
    for other in others:
        assert condition(found, other)["status"] == "True"
        assert condition(found, other)["reason"] == ready["reason"]
    if condition(found, "Accepted")["status"] == "False" or condition(found, "ResolvedRefs")["status"] == "False":
        assert ready["status"] == "False"
    for one in found["conditions"]:
        assert one["reason"] in REASONS
        assert one["message"]


def moved(before, after, now):
    """A time moves with its condition's status, and only then."""
    for one in after["conditions"]:
        was = condition(before, one["type"])
        expected = was["lastTransitionTime"] if was.get("status") == one["status"] else now
        assert one["lastTransitionTime"] == expected, one


def test_a_status_without_a_required_key_or_with_a_foreign_one_would_be_found(made, judges):
    found = status(made.router())
    judges["RuttaRouter"].validate(found)
    with pytest.raises(jsonschema.ValidationError):
        judges["RuttaRouter"].validate({**found, "summary": "3/3"})
    with pytest.raises(jsonschema.ValidationError):
        judges["RuttaRouter"].validate({**found, "conditions": [{"type": "Ready"}]})
