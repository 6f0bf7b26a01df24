"""Argo CD brings definitions, operator and topologies from git, and nothing that the operator does fights it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import yaml

from harness import argocd
from harness.argocd import EXAMPLES, ArgoCD, Repository
from harness.images import DATA_PLANE, OPERATOR
from harness.kubectl import Kubectl
from harness.leaving import leave_out
from harness.operator import NAMESPACE, RELEASE, Operator, image_values
from harness.shell import run, until

pytestmark = [pytest.mark.all, pytest.mark.timeout(1800)]

LOGS = "examples/argocd/logs"
FLAPS_SECONDS = 300
STEADY = "Synced Healthy"


@pytest.fixture(scope="module")
def argo(request: pytest.FixtureRequest, installed: Operator) -> Iterator[ArgoCD]:
    """Argo CD, in place of Helm, brings the operator; afterwards it is as the suite had it."""
    if reason := argocd.missing():
        leave_out(request.config, reason)
    one = ArgoCD(installed.cluster, installed.kubectl)
    helm = ["helm", "--kubeconfig", installed.cluster.kubeconfig, "-n", NAMESPACE]
    run(*helm, "uninstall", RELEASE, "--wait", timeout=240)
    try:
        one.install()
        yield one
    finally:
        try:
            one.uninstall()
        finally:
            installed.install()


@pytest.fixture(scope="module")
def repository(argo: ArgoCD) -> Repository:
    """The examples, with the images that the suite built."""
    one = argo.serve()
    application = yaml.safe_load((EXAMPLES / "apps" / "operator.yaml").read_text(encoding="utf-8"))
    values = application["spec"]["source"]["helm"]["valuesObject"]
    for where, image in ((values, OPERATOR), (values.setdefault("dataplane", {}), DATA_PLANE)):
        where["image"] = dict(zip(("repository", "tag"), image_values(image), strict=True))
    application["spec"]["source"]["repoURL"] = argocd.URL
    one.commit({"examples/argocd/apps/operator.yaml": yaml.safe_dump(application)})
    return one


@pytest.fixture(scope="module")
def topology(argo: ArgoCD, repository: Repository, whole_cluster: Kubectl) -> Kubectl:
    """All of ``app-of-apps.yaml``, Synced and Healthy; returns kubectl in the namespace of its resources."""
    argo.apply("app-of-apps.yaml")
    for application in ("rutta-crds", "rutta-operator", "logs", "rutta"):
        argo.until(application, seconds=300)
    return whole_cluster.within("logging")


def test_an_app_of_apps_brings_everything_in_waves(argo, topology):
    made = {}
    for wave in ("rutta-crds", "rutta-operator", "logs"):
        made[wave] = argo.application(wave)["metadata"]["creationTimestamp"]
    assert made["rutta-crds"] < made["rutta-operator"] < made["logs"], made
    for kind, name in (("RuttaShipper", "node"), ("RuttaProxy", "edge"), ("RuttaRouter", "main")):
        topology.until_ready(kind, name)
        until(partial(_says_what_is_so, argo, topology, kind, name), 60, f"Argo CD says what the status of {name} does")


def _says_what_is_so(argo: ArgoCD, topology: Kubectl, kind: str, name: str) -> bool:
    """Tell whether Argo CD, a moment behind, has the message of Ready as it is."""
    found = argo.health("logs", kind, name)
    assert found == ("Healthy", topology.condition(kind, name, "Ready")["message"]), found
    return True


def test_the_chart_of_topologies_is_synced_and_healthy(argo, topology):
    argo.apply("topology-chart.yaml")
    argo.until("logs-from-chart")
    argo.kubectl("delete", "application", "logs-from-chart", "--timeout=120s", timeout=150)


def test_a_manual_change_of_a_resource_is_taken_back(argo, topology):
    topology.patch("ruttarouter", "main", {"spec": {"replicas": 5}})
    until(lambda: topology.get("RuttaRouter", "main")["spec"]["replicas"] == 2, 60, "replicas are as git says")
    argo.until("logs")
    topology.until_rolled("Deployment", "main-router")
    assert topology.get("Deployment", "main-router")["spec"]["replicas"] == 2


def test_what_means_the_same_as_in_git_is_left_alone(argo, repository, topology):
    """``podTemplate`` is compared as a PodSpec; a ``null`` in it arrives, since it is applied server-side."""
    overlay = {"containers": [{"name": "rutta", "resources": {"limits": {"cpu": "1000m"}}}], "dnsPolicy": None}
    revision = repository.commit({f"{LOGS}/router.yaml": _router(podTemplate={"spec": overlay})})
    argo.refresh("logs")
    argo.until("logs", revision=revision)
    assert topology.get("RuttaRouter", "main")["spec"]["podTemplate"]["spec"] == overlay
    same = {"spec": {"podTemplate": {"spec": {"containers": [{"name": "rutta", "resources": {"limits": {"cpu": 1}}}]}}}}
    topology.patch("ruttarouter", "main", same)
    argo.refresh("logs", "hard")
    time.sleep(10)  # nothing may happen, so there is nothing to wait for
    (container,) = topology.get("RuttaRouter", "main")["spec"]["podTemplate"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": 1}
    revision = repository.commit({f"{LOGS}/router.yaml": _router()})
    argo.refresh("logs")
    argo.until("logs", revision=revision)


def test_nothing_flaps_while_children_are_touched(argo, topology, say):
    """Every state that the Applications had is written down, while children are changed and deleted by hand."""
    for application in ("logs", "rutta-operator", "rutta-crds"):
        argo.until(application)
    with contextlib.ExitStack() as ends:
        names = ("logs", "rutta-operator", "rutta-crds")
        watches = {name: ends.enter_context(argo.watch(name, FLAPS_SECONDS)) for name in names}
        meddling = Meddling(argo, topology, lambda: all(watch.is_running() for watch in watches.values()))
        meddling.run()
        seen = {name: watch.states() for name, watch in watches.items()}
    say(f"{meddling.rounds} rounds of changes by hand in {FLAPS_SECONDS} s; states: {_counted(seen)}")
    assert meddling.rounds > 3
    assert all(set(states) == {STEADY} for states in seen.values()), seen


class Meddling:
    """Changes children by hand and has Argo CD compare, over and over, while ``goes_on``."""

    def __init__(self, argo: ArgoCD, kubectl: Kubectl, goes_on: Callable[[], bool]) -> None:
        self.argo, self.kubectl, self.goes_on = argo, kubectl, goes_on
        self.rounds = 0

    def run(self) -> None:
        """Return when it shall not go on."""
        pause = threading.Event()
        while self.goes_on():
            self.rounds += 1
            self._touch()
            self.argo.refresh("logs", "hard")
            pause.wait(15)

    def _touch(self) -> None:
        one = self.kubectl
        note = {"metadata": {"annotations": {"example.com/round": str(self.rounds)}}}
        one.patch("deployment", "main-router", note)
        one.patch("service", "main-router", {"spec": {"ports": [{"name": "web", "port": 9999}]}})
        one.delete("poddisruptionbudget", "main-router")
        until(lambda: one.find("PodDisruptionBudget", "main-router"), 30, "the budget is there again")
        ports = lambda: [port["port"] for port in one.get("Service", "main-router")["spec"]["ports"]]  # noqa: E731
        until(lambda: ports() == [8080], 30, "the Service's port is as the router says")
        assert one.get("Deployment", "main-router")["metadata"]["annotations"]["example.com/round"] == str(self.rounds)


def test_a_cycle_is_degraded_with_its_path_and_recovers(argo, repository, topology):
    far = {"kind": "RuttaProxy", "metadata": {"name": "far"}, "spec": {"to": [_to("RuttaProxy", "edge")]}}
    edge = {
        "kind": "RuttaProxy",
        "metadata": {"name": "edge"},
        "spec": {"replicas": 2, "to": [_to("RuttaProxy", "far")]},
    }
    before = (EXAMPLES / "logs" / "proxy.yaml").read_text(encoding="utf-8")
    revision = repository.commit({f"{LOGS}/proxy.yaml": _document(edge), f"{LOGS}/far.yaml": _document(far)})
    argo.refresh("logs")
    argo.until("logs", health="Degraded", revision=revision, seconds=90)
    for name in ("edge", "far"):
        message = until(lambda name=name: _degraded(argo, name), 60, f"{name} is Degraded", pause=1)
        assert message.startswith("CycleDetected: ")
        assert "logging/edge → logging/far" in message or "logging/far → logging/edge" in message
    revision = repository.commit({f"{LOGS}/proxy.yaml": before}, remove=(f"{LOGS}/far.yaml",))
    argo.refresh("logs")
    argo.until("logs", revision=revision)
    until(lambda: topology.find("RuttaProxy", "far") is None, 60, "what left git is pruned")


def test_what_a_rule_forbids_is_told_by_the_comparison(argo, repository, topology):
    before = topology.get("RuttaRouter", "main")["spec"]
    repository.commit({f"{LOGS}/router.yaml": _router(workload="DaemonSet")})
    argo.refresh("logs")

    def told() -> str:
        conditions = argo.application("logs")["status"].get("conditions", [])
        (error,) = (one["message"] for one in conditions if one["type"] == "ComparisonError")
        return str(error)

    assert "spec.replicas" in until(lambda: _or_none(told), 60, "the broken rule is told", pause=1)
    assert topology.get("RuttaRouter", "main")["spec"] == before
    revision = repository.commit({f"{LOGS}/router.yaml": _router()})
    argo.refresh("logs")
    argo.until("logs", revision=revision)


def _degraded(argo: ArgoCD, proxy: str) -> str:
    status, message = argo.health("logs", "RuttaProxy", proxy)
    assert status == "Degraded", (status, message)
    return message


def _or_none(told: Callable[[], str]) -> str | None:
    try:
        return told()
    except ValueError:
        return None


def _to(kind: str, name: str) -> dict[str, str]:
    return {"kind": kind, "name": name}


def _document(one: dict[str, object]) -> str:
    return yaml.safe_dump({"apiVersion": "rutta.logary.tech/v1alpha1", **one}, sort_keys=False)


def _router(**spec: object) -> str:
    router = yaml.safe_load((EXAMPLES / "logs" / "router.yaml").read_text(encoding="utf-8"))
    router["spec"].update(spec)
    return yaml.safe_dump(router, sort_keys=False)


def _counted(seen: dict[str, list[str]]) -> str:
    return ", ".join(f"{name} {len(states)} × {' / '.join(sorted(set(states)))}" for name, states in seen.items())
