"""Argo CD's health check of our resources: recorded objects as upstream tests them, and shapes nobody recorded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from rutta_operator.spec.models import GROUP, KINDS

ARGO = Path(__file__).parent.parent.parent / "examples" / "argocd"
FOLDER = ARGO / "health"
RECORDED = yaml.safe_load((FOLDER / "health_test.yaml").read_text())["tests"]
SETTINGS = yaml.safe_load((ARGO / "argocd-cm.yaml").read_text())["data"]

Check = Callable[[dict[str, Any]], dict[str, str]]


@pytest.fixture
def check() -> Check:
    return _checked((FOLDER / "health.lua").read_text())


def _checked(script: str) -> Check:
    """Run a script as Argo CD does: its Lua has the base library and ``table``, and the object as a global."""
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    for library in ("string", "math", "io", "os", "debug", "coroutine", "package", "require", "python"):
        lua.globals()[library] = None

    def run(obj: dict[str, Any]) -> dict[str, str]:
        lua.globals().obj = lua.table_from(obj, recursive=True)
        return dict(lua.execute(script))

    return run


def resource(*conditions: dict[str, str], observed: int | None = 3) -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": list(conditions)}
    if observed is not None:
        status["observedGeneration"] = observed
    return {"kind": "RuttaRouter", "metadata": {"name": "main", "generation": 3}, "spec": {}, "status": status}


def condition(kind: str, status: str, reason: str = "Why", message: str = "What is so.") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


READY, NOT_READY = condition("Ready", "True", "Available"), condition("Ready", "False", "RolloutInProgress")


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["inputPath"])
def test_a_recorded_object_has_the_health_that_its_test_says(check, case):
    recorded = yaml.safe_load((FOLDER / case["inputPath"]).read_text())
    assert check(recorded) == case["healthStatus"]


def test_every_recorded_object_is_tested_and_every_kind_and_health_is_among_them():
    names = {case["inputPath"] for case in RECORDED}
    assert names == {f"testdata/{path.name}" for path in (FOLDER / "testdata").iterdir()}
    assert {yaml.safe_load((FOLDER / name).read_text())["kind"] for name in names} == set(KINDS)
    assert {case["healthStatus"]["status"] for case in RECORDED} == {"Healthy", "Progressing", "Degraded"}


@pytest.mark.parametrize(
    "document",
    [
        {"metadata": {"generation": 1}},
        {"metadata": {"generation": 1}, "status": {}},
        {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}},
        {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, "conditions": "Ready"}},
        {"metadata": {"generation": 1}, "status": "Ready"},
        {"metadata": {}, "status": {"conditions": [READY]}},
        resource(),
        resource(READY, observed=2),
        resource(READY, observed=None),
        resource(condition("Ready", "Unknown")),
        resource({"type": "Ready"}),
        resource({"status": "True"}),
        resource(condition("Accepted", "True")),
    ],
)
def test_what_the_operator_has_not_judged_is_progressing(check, document):
    assert check(document)["status"] == "Progressing"
    assert check(document)["message"]


def test_a_status_of_an_older_generation_counts_for_nothing(check):
    stalled = condition("Stalled", "True", "CycleDetected")
    assert check(resource(stalled, observed=2))["message"] == "Waiting for rutta-operator to see the newest change"


def test_ready_is_healthy_with_its_message(check):
    assert check(resource(READY)) == {"status": "Healthy", "message": "What is so."}


def test_not_ready_is_progressing_with_reason_and_message(check):
    expected = {"status": "Progressing", "message": "RolloutInProgress: What is so."}
    assert check(resource(NOT_READY)) == expected


def test_a_rollout_of_something_that_still_serves_is_progressing(check):
    working = condition("Reconciling", "True", "WorkloadChanging")
    assert check(resource(READY, working)) == {"status": "Progressing", "message": "WorkloadChanging: What is so."}


def _orders(*conditions: dict[str, str]) -> Iterator[tuple[dict[str, str], ...]]:
    yield conditions
    yield tuple(reversed(conditions))


def test_stalled_wins_in_whatever_order_conditions_stand(check):
    stalled, working = condition("Stalled", "True", "CycleDetected"), condition("Reconciling", "True")
    for order in _orders(stalled, working, NOT_READY):
        assert check(resource(*order)) == {"status": "Degraded", "message": "CycleDetected: What is so."}


def test_stalled_and_reconciling_that_are_false_say_nothing(check):
    assert check(resource(condition("Stalled", "False"), condition("Reconciling", "False"), READY))["status"] == (
        "Healthy"
    )


def test_a_resource_that_is_not_accepted_is_degraded(check):
    assert check(resource(condition("Accepted", "False", "Invalid"), NOT_READY)) == {
        "status": "Degraded",
        "message": "Invalid: What is so.",
    }


def test_a_failing_target_is_told_and_leaves_the_resource_healthy(check):
    failing = condition("TargetsHealthy", "False", "TargetFailing", "influx: connection refused.")
    assert check(resource(READY, failing)) == {
        "status": "Healthy",
        "message": "What is so. (TargetFailing: influx: connection refused.)",
    }


def test_a_condition_with_its_type_and_status_alone_is_enough(check):
    assert check(resource({"type": "Stalled", "status": "True"})) == {"status": "Degraded", "message": "Stalled"}
    assert check(resource({"type": "Ready", "status": "True"})) == {"status": "Healthy", "message": ""}


@pytest.mark.parametrize("kind", KINDS)
def test_argo_cds_settings_have_this_script_for_each_kind(kind):
    assert SETTINGS[f"resource.customizations.health.{GROUP}_{kind}"] == (FOLDER / "health.lua").read_text()
    assert f"resource.customizations.ignoreResourceUpdates.{GROUP}_{kind}" in SETTINGS
    assert f"resource.customizations.knownTypeFields.{GROUP}_{kind}" in SETTINGS


def test_an_application_in_an_application_has_the_health_it_says():
    script = _checked(SETTINGS["resource.customizations.health.argoproj.io_Application"])
    assert script({})["status"] == script({"status": {"sync": {"status": "Synced"}}})["status"] == "Progressing"
    degraded = {"status": {"health": {"status": "Degraded", "message": "logs: a cycle"}}}
    assert script(degraded) == {"status": "Degraded", "message": "logs: a cycle"}
