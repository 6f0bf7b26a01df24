"""Scenario 10: every example is applied and works, and the README's quickstart is done word for word."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from harness.api import Object
from harness.images import DATA_PLANE
from harness.kubectl import Kubectl
from harness.operator import NAMESPACE, RELEASE, Operator
from harness.shell import ROOT, run, until
from harness.traffic import Sender

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
KINDS = ("RuttaRouter", "RuttaShipper", "RuttaProxy")
# what examples name → what the suite has: nothing is pulled
IMAGES = {"logary/rutta:0.1.0": DATA_PLANE, "busybox:1.37": DATA_PLANE}


@pytest.fixture
def applied(kubectl: Kubectl, whole_cluster: Kubectl) -> Iterator[Callable[[Path], list[Object]]]:
    """Apply an example, in the test's namespace where it names none; returns what is in it. Goes with the test."""
    files: list[str] = []

    def apply(file: Path) -> list[Object]:
        text = file.read_text(encoding="utf-8")
        for image, ours in IMAGES.items():
            text = text.replace(image, ours)
        files.append(text)
        documents = [one for one in yaml.safe_load_all(text) if one]
        for one in documents:
            kubectl.within(_namespace_of(one, kubectl)).apply(one)
        return documents

    yield apply
    for one in [one for text in files for one in yaml.safe_load_all(text) if one]:
        kubectl.within(_namespace_of(one, kubectl)).delete(
            one["kind"], one["metadata"]["name"], "--wait=false", "--ignore-not-found"
        )
    for namespace in [one for text in files for one in _namespaces(text)]:
        whole_cluster.until_gone("Namespace", namespace, seconds=180)


def _namespace_of(document: Object, kubectl: Kubectl) -> str:
    return str(document["metadata"].get("namespace", kubectl.namespace))


def _namespaces(text: str) -> list[str]:
    documents = [one for one in yaml.safe_load_all(text) if one]
    return [one["metadata"]["name"] for one in documents if one["kind"] == "Namespace"]


def until_all_ready(kubectl: Kubectl, documents: list[Object]) -> Mapping[str, Kubectl]:
    """Wait until all resources of an example are Ready; returns their namespaces, by the resource's name."""
    places = {}
    for one in [one for one in documents if one["kind"] in KINDS]:
        name, place = one["metadata"]["name"], kubectl.within(_namespace_of(one, kubectl))
        place.until_ready(one["kind"], name, seconds=240)
        places[name] = place
    return places


@pytest.mark.all
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_every_example_is_applied_and_becomes_ready(
    kubectl: Kubectl, applied: Callable[[Path], list[Object]], file: Path
) -> None:
    documents = applied(file)
    assert until_all_ready(kubectl, documents)


def printed(kubectl: Kubectl, router: str, text: str, count: int) -> None:
    """Wait until the pods of a router have printed a text so many times."""

    def there() -> bool:
        logs = "".join(kubectl("logs", pod["metadata"]["name"]) for pod in kubectl.pods(router))
        assert logs.count(text) >= count, f"{logs.count(text)} of {count}"
        return True

    until(there, 60, f"router {router} has printed {text!r} {count} times")


@pytest.mark.all
def test_the_sidecar_ships_what_the_app_beside_it_writes(
    kubectl: Kubectl, applied: Callable[[Path], list[Object]]
) -> None:
    until_all_ready(kubectl, applied(ROOT / "examples" / "sidecar.yaml"))
    kubectl.until_rolled("Deployment", "app-with-sidecar")
    printed(kubectl, "sidecar-demo", "of the app", 5)
    kubectl("delete", "pods", "-l", "app=app-with-sidecar")
    printed(kubectl, "sidecar-demo", "the last line of the app", 1)


@pytest.mark.all
def test_two_teams_send_to_a_router_of_another_namespace(
    kubectl: Kubectl, applied: Callable[[Path], list[Object]]
) -> None:
    places = until_all_ready(kubectl, applied(ROOT / "examples" / "multi-namespace.yaml"))
    for name, url in {
        "apps": "http://apps-shipper.shop.svc:8080/",
        "invoices": "tcp://invoices-shipper.billing.svc:10001",
    }.items():
        assert Sender(places[name], f"of-{name}", url, count=50).until_done() == 50
    printed(places["main"], "main", "a numbered event", 100)


def quickstart() -> str:
    """Return the commands of the README's section for clusters."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## On a cluster")[2].partition("\n## ")[0]
    found = re.search(r"^```sh\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    assert found, "the README has no quickstart for clusters"
    return found[1]


def test_the_readmes_quickstart_has_five_commands() -> None:
    assert len(quickstart().replace("\\\n", "").strip().splitlines()) == 5


@pytest.mark.all
@pytest.mark.timeout(1800)
def test_the_readmes_quickstart_works_word_for_word(operator: Operator, whole_cluster: Kubectl) -> None:
    """In a cluster without our operator; the suite's comes back afterwards."""
    cluster = operator.cluster
    helm = ["helm", "--kubeconfig", cluster.kubeconfig, "-n", NAMESPACE]
    environment = {**os.environ, "KUBECONFIG": cluster.kubeconfig, "KIND_CLUSTER_NAME": cluster.name}
    run(*helm, "uninstall", RELEASE, "--wait", timeout=180)
    try:
        done = subprocess.run(
            ["bash", "-euxc", quickstart()],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "condition met" in done.stdout
        whole_cluster.until_condition("RuttaRouter", "main", "Ready")
    finally:
        whole_cluster("delete", "--ignore-not-found", "-f", str(ROOT / "examples" / "router.yaml"))
        operator.install()
