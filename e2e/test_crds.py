"""The CustomResourceDefinitions on a real API server: what they accept and refuse, and what kubectl makes of them.

They need no operator and no nodes. RUTTA_E2E_KUBECONFIG names another cluster than the suite's, for work on the CRDs.
"""

import http.client
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.api import Api, Object, path_of
from harness.kubectl import Kubectl
from harness.operator import Operator
from harness.shell import ROOT, Failed, run, until
from rutta_operator.definitions import cel
from rutta_operator.definitions.crds import documents

EXAMPLES = yaml.safe_load((ROOT / "tests" / "operator" / "examples.yaml").read_text(encoding="utf-8"))
RULES = {rule.name: rule for rule in cel.rules()}
KINDS = ("RuttaRouter", "RuttaShipper", "RuttaProxy")
TO = [{"kind": "RuttaRouter", "name": "main"}]
SMALLEST: dict[str, Object] = {
    "RuttaRouter": {"targets": [{"name": "out", "console": {}}]},
    "RuttaShipper": {"sources": [{"name": "files", "file": {"paths": ["/var/log/app.log"]}}], "to": TO},
    "RuttaProxy": {"to": TO},
}
CASES = [
    pytest.param(kind, one, id=f"{number}-{one.get('rule', 'schema')}-{kind}")
    for number, one in enumerate(EXAMPLES)
    for kind in one["kinds"]
]
FILES = sorted(path for path in (ROOT / "examples").glob("*.yaml") if "rutta.logary.tech" in path.read_text("utf-8"))


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl for a cluster that has the CRDs, applied as a user applies them."""
    own = os.environ.get("RUTTA_E2E_KUBECONFIG")
    kubectl = Kubectl(own, Api(own)) if own else request.getfixturevalue("whole_cluster")
    operator: Operator | None = None if own else request.getfixturevalue("installed")
    if operator is not None:
        operator.scale(0)  # statuses are written by hand here
    kubectl("apply", "-f", str(ROOT / "crds"))
    kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(ROOT / "crds"))
    yield kubectl
    if operator is not None:
        operator.scale(2)
        operator.until_led()
    if own:
        kubectl.api.close()


@pytest.fixture(scope="module")
def here(server: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a namespace of this module's own, where no operator needs to be."""
    server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "crds"}})
    yield server.within("crds")
    server.delete("namespace", "crds", "--wait=false")


@pytest.fixture(scope="module")
def refused(here: Kubectl) -> Iterator[Callable[[Object], str]]:
    """Ask the API server about a resource, as ``kubectl create --dry-run=server`` does; empty if it accepts it."""
    connection = http.client.HTTPConnection("127.0.0.1", here.api.port, timeout=30)

    def ask(one: Object) -> str:
        path = path_of(one["kind"], here.namespace) + "?dryRun=All&fieldValidation=Strict"
        connection.request("POST", path, json.dumps(one), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        return "" if answer.status == 201 else str(json.loads(body)["message"])

    yield ask
    connection.close()


def resource(kind: str, over: Object, name: str = "example") -> Object:
    spec = {key: value for key, value in over.items() if key != "metadata"}
    return {
        "apiVersion": "rutta.logary.tech/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, **over.get("metadata", {})},
        "spec": {**SMALLEST[kind], **spec},
    }


def refusal(kubectl: Kubectl, text: str, *words: str) -> str:
    try:
        kubectl("apply", "--dry-run=server", *words, "-f", "-", text=text)
    except Failed as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_every_example_is_accepted_or_refused_with_its_rules_message(
    refused: Callable[[Object], str], kind: str, example: Object
) -> None:
    assert refused(resource(kind, example["accepted"])) == ""
    said = refused(resource(kind, example["refused"]))
    assert said
    if "rule" in example:
        rule = RULES[example["rule"]]
        broken = {one.message for one in RULES.values() if kind in one.kinds and one.message in said}
        assert broken == {rule.message}, said
        place = ".".join(rule.path).replace(".[]", "[") + rule.field  # up to the first index
        assert place.lstrip(".").partition("[")[0] in said, said


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_example_of_the_project_is_accepted_and_comes_back_as_it_was(here: Kubectl, path: Path) -> None:
    wanted = [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one and one["kind"] in KINDS]
    for number, one in enumerate(wanted):
        one["metadata"] |= {"namespace": here.namespace, "name": f"{one['metadata']['name']}-{number}"}
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": wanted})
    for words in ((), ("--server-side", "--field-manager=e2e")):
        said = json.loads(here("apply", "--dry-run=server", "-o", "json", *words, "-f", "-", text=text))
        found = {one["metadata"]["name"]: one["spec"] for one in said.get("items", [said])}
        for one in wanted:
            assert missing(one["spec"], found[one["metadata"]["name"]]) == []


def missing(wanted: Any, found: Any, path: str = "spec") -> list[str]:
    """Return what of ``wanted`` is not in ``found``; defaults may come on top."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [said for key, one in wanted.items() for said in missing(one, found.get(key), f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [said for index, (one, other) in pairs for said in missing(one, other, f"{path}[{index}]")]
    return [] if wanted == found else [path]


def test_defaults_are_filled_in(here: Kubectl) -> None:
    text = json.dumps(resource("RuttaRouter", {}))
    found = json.loads(here("apply", "--dry-run=server", "-o", "json", "-f", "-", text=text))["spec"]
    assert found == {
        **SMALLEST["RuttaRouter"],
        "workload": "Deployment",
        "link": {"port": 5555, "pattern": "Balance", "delivery": "AtMostOnce"},
        "allowedFrom": [{"kinds": ["RuttaShipper", "RuttaProxy"], "namespaces": {"from": "Same"}}],
        "podDisruptionBudget": {"maxUnavailable": 1},
        "service": {"type": "ClusterIP"},
        "networkPolicy": {"enabled": False},
        "monitoring": {"enabled": True},
    }


def test_a_null_is_dropped_by_kubectl_and_refused_by_server_side_apply(here: Kubectl) -> None:
    text = json.dumps(resource("RuttaRouter", {"replicas": None, "logLevel": None}))
    found = json.loads(here("apply", "--dry-run=server", "-o", "json", "-f", "-", text=text))["spec"]
    assert not {"replicas", "logLevel"} & set(found)
    assert "spec.replicas in body must be of type integer" in refusal(here, text, "--server-side")


def test_what_nobody_knows_is_refused_by_its_place(here: Kubectl) -> None:
    text = json.dumps(resource("RuttaRouter", {"targets": [{"name": "out", "console": {"fromat": "json"}}]}))
    assert 'unknown field "spec.targets[0].console.fromat"' in refusal(here, text)


def test_applying_again_changes_nothing(here: Kubectl) -> None:
    text = (ROOT / "examples" / "router.yaml").read_text("utf-8")
    here("apply", "-f", "-", text=text)
    first = here.get("RuttaRouter", "main")["metadata"]["resourceVersion"]
    assert "unchanged" in here("apply", "-f", "-", text=text)
    assert here.get("RuttaRouter", "main")["metadata"]["resourceVersion"] == first
    here.delete("rtr", "main")


def test_scale_works_where_replicas_are_given_and_is_refused_where_they_mean_nothing(here: Kubectl) -> None:
    deployment = {"workload": "Deployment", "replicas": 1}
    for kind, over in (("RuttaRouter", deployment), ("RuttaShipper", deployment), ("RuttaProxy", {"replicas": 1})):
        here("create", "-f", "-", text=json.dumps(resource(kind, over, "scaled")))
        here("scale", kind.lower(), "scaled", "--replicas=5")
        assert here.get(kind, "scaled")["spec"]["replicas"] == 5
        here.delete(kind, "scaled")


def test_scale_needs_no_replicas_in_the_spec_and_keeps_to_the_rules(here: Kubectl) -> None:
    here("create", "-f", "-", text=json.dumps(resource("RuttaRouter", {}, "without")))
    here("scale", "rtr", "without", "--replicas=5")
    assert here.get("RuttaRouter", "without")["spec"]["replicas"] == 5
    here.delete("rtr", "without")
    for name, over in (("nodes", {"workload": "DaemonSet"}), ("scaled", {"autoscaling": {"maxReplicas": 3}})):
        here("create", "-f", "-", text=json.dumps(resource("RuttaRouter", over, name)))
        with pytest.raises(Failed, match=r"remove it, or use|remove one of the two"):
            here("scale", "rtr", name, "--replicas=5")
        here.delete("rtr", name)


def test_scale_counts_the_pods_of_the_status_and_has_their_labels(here: Kubectl) -> None:
    here("create", "-f", "-", text=json.dumps(resource("RuttaProxy", {"replicas": 2}, "counted")))
    status = {"replicas": 3, "selector": "a=b"}
    here.patch("rtp", "counted", {"status": status}, "merge", "--subresource=status")
    scale = json.loads(here("get", "rtp", "counted", "--subresource=scale", "-o", "json"))
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == status
    here.delete("rtp", "counted")


def test_a_status_with_all_its_fields_is_taken_whole_and_others_are_not(here: Kubectl) -> None:
    here("create", "-f", "-", text=json.dumps(resource("RuttaRouter", {}, "told")))
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "OK",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    peer = {"kind": "RuttaShipper", "namespace": "a", "name": "b"}
    status: Object = {
        "observedGeneration": 1,
        "conditions": [condition],
        "replicas": 3,
        "readyReplicas": 2,
        "updatedReplicas": 1,
        "selector": "a=b",
        "endpoints": [{"listener": "web", "address": "http://told-router.crds.svc:8080", "protocol": "http"}],
        "upstreams": {"total": 1, "items": [peer]},
        "downstreams": {"total": 1, "connected": 1, "items": [{**peer, "state": "Connected"}]},
        "targets": [{"name": "out", "state": "Failing", "reason": "refused"}],
    }
    here.patch("rtr", "told", {"status": status}, "merge", "--subresource=status")
    assert here.get("RuttaRouter", "told")["status"] == status
    lines = here("get", "rtr", "told", "-o", "wide").splitlines()
    assert re.split(r"\s{2,}", lines[0].strip())[:6] == ["NAME", "READY", "REASON", "PODS", "SENDERS", "TARGETS"]
    assert lines[1].split()[:5] == ["told", "True", "OK", "2", "1"]
    with pytest.raises(Failed, match=r"conditions\[0\]"):
        here.patch("rtr", "told", {"status": {"conditions": [{"type": "Ready"}]}}, "merge", "--subresource=status")
    here.delete("rtr", "told")


def selects(kubectl: Kubectl) -> bool:
    """Tell whether the API server knows selectable fields: since 1.31; an older one leaves them out of definitions."""
    version = json.loads(kubectl("get", "--raw", "/version"))
    return (int(version["major"]), int(re.sub(r"\D", "", version["minor"]))) >= (1, 31)


def test_resources_can_be_selected_by_workload_and_all_three_be_listed_at_once(here: Kubectl) -> None:
    here("delete", "rutta", "--all")
    for kind in KINDS:
        here("create", "-f", "-", text=json.dumps(resource(kind, {}, f"one-{kind.lower()}")))
    if selects(here):
        by = "--field-selector=spec.workload=Deployment"
        assert here("get", "rtr", by, "-o", "name").split() == ["ruttarouter.rutta.logary.tech/one-ruttarouter"]
        assert here("get", "rts", by, "-o", "name").split() == []
    assert len(here("get", "rutta", "-o", "name").split()) == len(KINDS)
    here("delete", "rutta", "--all")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("rtr", "Receives events from links and listeners"),
        ("rtr.spec.link.delivery", "AtLeastOnce: a sender keeps what it sent"),
        ("rtr.spec.targets.influxdb", "(default logary)"),
        ("rtr.spec.targets.http.password.secretKeyRef.key", "its key"),
        ("rts.spec.sources.file.paths", "files to follow"),
        ("rtp.spec.to.buffer.whenFull", "Block holds the senders back"),
        ("rtr.status.conditions.reason", "why, in one word"),
        ("rtp.spec.podTemplate.spec", "PodSpec"),
    ],
)
def test_kubectl_explains(server: Kubectl, place: str, words: str) -> None:
    def explained() -> bool:  # the API server publishes what it knows of a CRD some moments after it is there
        text = " ".join(run("kubectl", "--kubeconfig", server.kubeconfig, "explain", place).split())
        assert words in text, text
        return True

    until(explained, 30, f"kubectl explain {place} says {words!r}")


def test_the_crds_are_the_ones_of_the_models(server: Kubectl) -> None:
    for one in documents().values():
        live = server.get("CustomResourceDefinition", one["metadata"]["name"])
        left_out = [] if selects(server) else ["versions[0].selectableFields"]
        assert missing(one["spec"]["versions"], live["spec"]["versions"], "versions") == left_out
        by = {condition["type"]: condition["status"] for condition in live["status"]["conditions"]}
        assert by["Established"] == "True"
        assert "NonStructuralSchema" not in by
