"""Scenario 5: what is broken is told at the resource, in words that name what to mend, and mends without a restart."""

import json
from collections import Counter
from collections.abc import Callable

from harness.api import Object
from harness.ctl import kubectl_rutta, ruttactl
from harness.documents import QUICK, http_target, proxy, router, shipper, to
from harness.kubectl import Kubectl
from harness.operator import Operator
from harness.shell import until
from harness.traffic import Receiver, Sender

NOWHERE = {"replicas": 0}  # where it is about references, and not about pods


def pods_of(kubectl: Kubectl, name: str, kind: str) -> dict[str, int]:
    """Return uid and restarts of a resource's pods."""
    return {
        pod["metadata"]["uid"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))
        for pod in kubectl.pods(name, kind)
    }


def links(kubectl: Kubectl, name: str, kind: str) -> list[str]:
    """Return the names of the links in a resource's config; none if it has no config."""
    if not kubectl.items("ConfigMap", {"rutta.logary.tech/instance": name}):
        return []
    return [one["name"] for one in kubectl.config(name, kind)["targets"]]


def events(kubectl: Kubectl, name: str) -> Counter[tuple[str, str]]:
    """Return how many Events of which type and reason there are of a resource; a series counts once."""
    chosen = f"involvedObject.name={name},reportingComponent=rutta.logary.tech/rutta-operator"
    found = json.loads(kubectl("get", "events", "-o", "json", "--field-selector", chosen))["items"]
    return Counter((one["type"], one["reason"]) for one in found)


def told(condition: Object, *words: str) -> None:
    """Assert that a condition's message has all these words."""
    assert [word for word in words if word not in condition["message"]] == [], condition["message"]


def test_a_missing_reference_is_told_and_wired_as_soon_as_it_is_there(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(router(replicas=1), shipper("node", to("Router", "main"), to("Router", "audit")))
    found = kubectl.until_condition("RuttaShipper", "node", "ResolvedRefs", "False", reason="TargetNotFound")
    told(found, "spec.to[1]", "audit")
    kubectl.until_condition("RuttaShipper", "node", "Ready", "False", reason="TargetNotFound")
    kubectl.until_condition("RuttaShipper", "node", "Reconciling", "True")
    kubectl.until_rolled("DaemonSet", "node-shipper")
    assert links(kubectl, "node", "RuttaShipper") == ["main"]
    before = pods_of(kubectl, "node", "RuttaShipper")

    kubectl.apply(router("audit", replicas=1))
    kubectl.until_ready("RuttaShipper", "node")
    assert links(kubectl, "node", "RuttaShipper") == ["main", "audit"]
    assert pods_of(kubectl, "node", "RuttaShipper") == before, "a reference that is wired later needs no new pods"

    kubectl.delete("RuttaRouter", "audit")
    found = kubectl.until_condition("RuttaShipper", "node", "ResolvedRefs", "False", reason="TargetNotFound")
    assert links(kubectl, "node", "RuttaShipper") == ["main", "audit"], "what was wired stays"
    until(lambda: _told_of(kubectl) == (2, 1), 30, "there is an Event for each transition")

    operator.restart()
    kubectl.patch("RuttaShipper", "node", {"spec": {"logLevel": "debug"}})
    until(
        lambda: kubectl.config("node", "RuttaShipper")["logLevel"] == "debug", 60, "the operator that is new has worked"
    )
    assert links(kubectl, "node", "RuttaShipper") == ["main", "audit"], "what was wired stays, whoever leads"
    told(kubectl.condition("RuttaShipper", "node", "ResolvedRefs"), "spec.to[1]", "its last wiring stays")


def _told_of(kubectl: Kubectl) -> tuple[int, int]:
    found = events(kubectl, "node")
    return found["Warning", "TargetNotFound"], found["Normal", "Resolved"]


def test_an_unfit_reference_is_told_keeps_what_was_wired_and_is_mended_at_the_other_end(kubectl: Kubectl) -> None:
    kubectl.apply(router(**NOWHERE), proxy("a", to("Router", "main"), **NOWHERE))
    kubectl.until_ready("RuttaProxy", "a")
    kubectl.patch("RuttaProxy", "a", {"spec": {"link": {"delivery": "AtLeastOnce"}}})
    found = kubectl.until_condition("RuttaProxy", "a", "ResolvedRefs", "False", reason="TransportMismatch")
    told(found, "spec.to[0]", "AtLeastOnce", "AtMostOnce", f"{kubectl.namespace}/main")
    kubectl.until_condition("RuttaProxy", "a", "Stalled", "True", reason="TransportMismatch")
    assert links(kubectl, "a", "RuttaProxy") == ["main"], "what was wired stays"

    kubectl.patch("RuttaRouter", "main", {"spec": {"link": {"delivery": "AtLeastOnce"}}})
    kubectl.until_ready("RuttaProxy", "a")
    assert links(kubectl, "a", "RuttaProxy") == ["main"]


def test_consent_that_is_revoked_cuts_the_link_at_once_and_given_again_mends_it(
    operator: Operator, new_namespace: Callable[..., Kubectl]
) -> None:
    team, center = new_namespace("team", labels={"logs": "central"}), new_namespace("center")
    receiver = Receiver(center)
    selector = {"from": "Selector", "selector": {"matchLabels": {"logs": "central"}}}
    targets = [http_target(receiver.url)]
    center.apply(router(targets=targets, replicas=1, allowedFrom=[{"namespaces": selector}]))
    team.apply(
        router("own", replicas=1), shipper("node", to("Router", "own"), to("Router", "main", center.namespace), **QUICK)
    )
    team.until_ready("RuttaShipper", "node")
    center.until_ready("RuttaRouter", "main")
    before = pods_of(team, "node", "RuttaShipper")
    link = f"main.{center.namespace}"
    assert links(team, "node", "RuttaShipper") == ["own", link]
    url = f"tcp://node-shipper.{team.namespace}.svc:10001"
    assert receiver.until_all("first", Sender(team, "first", url, count=100).until_done()).missing == 0

    center("label", "namespace", team.namespace, "logs-")
    found = team.until_condition("RuttaShipper", "node", "ResolvedRefs", "False", reason="RefNotPermitted")
    told(found, "spec.to[1]", "allowedFrom", center.namespace)
    team.until_condition("RuttaShipper", "node", "Stalled", "True", reason="RefNotPermitted")
    assert links(team, "node", "RuttaShipper") == ["own"]
    _until_in_force(team, "node", "RuttaShipper", ["own"])
    Sender(team, "second", url, count=100).until_done()
    until(lambda: _printed(team, "own") >= 200, 30, "the other router got all")
    assert receiver.of("second").received == 0, "who revoked consent gets nothing more"

    center("label", "namespace", team.namespace, "logs=central")
    team.until_ready("RuttaShipper", "node")
    _until_in_force(team, "node", "RuttaShipper", ["own", link])
    assert receiver.until_all("third", Sender(team, "third", url, count=100).until_done()).missing == 0
    assert pods_of(team, "node", "RuttaShipper") == before, "neither needs new pods"


def _until_in_force(kubectl: Kubectl, name: str, kind: str, targets: list[str]) -> None:
    """Wait until every pod of a resource has just these targets: kubelet brings the file, the process takes it."""

    def in_force() -> bool:
        for pod in kubectl.pods(name, kind):
            page = kubectl.status_page(pod["metadata"]["name"])
            assert [one["name"] for one in page["targets"]] == targets, page["targets"]
        return True

    until(in_force, 150, f"the pods of {kind} {name} send to {targets}")


def _printed(kubectl: Kubectl, name: str) -> int:
    return sum(kubectl("logs", pod["metadata"]["name"]).count("a numbered event") for pod in kubectl.pods(name))


def test_a_cycle_is_told_with_its_path_keeps_what_was_wired_and_ends_with_one_reference_less(
    operator: Operator, kubectl: Kubectl
) -> None:
    kubectl.apply(
        router(**NOWHERE),
        proxy("a", to("Router", "main"), **NOWHERE),
        proxy("b", to("Proxy", "a"), **NOWHERE),
    )
    kubectl.until_ready("RuttaProxy", "a", "b")
    ns = kubectl.namespace
    code, text = ruttactl(kubectl, "status", "-n", ns)
    assert (code, "✗" in text) == (0, False), text
    assert ruttactl(kubectl, "check", "--cluster", "-n", ns)[0] == 0
    kubectl.patch("RuttaProxy", "a", {"spec": {"to": [to("Router", "main"), to("Proxy", "b")]}})
    for name in ("a", "b"):
        found = kubectl.until_condition("RuttaProxy", name, "ResolvedRefs", "False", reason="CycleDetected")
        told(found, f"{ns}/a → {ns}/b", "spec.to[")
        kubectl.until_condition("RuttaProxy", name, "Stalled", "True", reason="CycleDetected")
    for program in (ruttactl, kubectl_rutta):
        code, text = program(kubectl, "status", "-n", ns)
        assert code == 1
        assert "CycleDetected" in text
        code, text = program(kubectl, "check", "--cluster", "-n", ns)
        assert code == 22
        assert f"{ns}/a → {ns}/b" in text
    assert links(kubectl, "a", "RuttaProxy") == ["main"], "no edge of a cycle is wired anew"
    assert links(kubectl, "b", "RuttaProxy") == ["a"], "what was wired stays"

    operator.restart()
    for name in ("a", "b"):
        kubectl.patch("RuttaProxy", name, {"spec": {"logLevel": "debug"}})
    until(lambda: _level(kubectl, "a") == _level(kubectl, "b") == "debug", 60, "the operator that is new has worked")
    assert (links(kubectl, "a", "RuttaProxy"), links(kubectl, "b", "RuttaProxy")) == (["main"], ["a"])

    kubectl.patch("RuttaProxy", "a", {"spec": {"to": [to("Router", "main")]}})
    kubectl.until_ready("RuttaProxy", "a", "b")
    kubectl.until_condition("RuttaProxy", "b", "Stalled", "False")


def _level(kubectl: Kubectl, name: str) -> str:
    return str(kubectl.config(name, "RuttaProxy").get("logLevel"))


def test_a_wrong_password_of_a_target_is_told_and_mended_by_its_secret_alone(kubectl: Kubectl) -> None:
    receiver = Receiver(kubectl, token="right")
    kubectl.secret("receiver", token="wrong")
    target = http_target(receiver.url, bearer={"secretKeyRef": {"name": "receiver", "key": "token"}})
    target["retry"] = {"initial": "200ms", "max": "2s"}
    listeners = [{"name": "lines", "tcp": {"port": 10001}}]
    kubectl.apply(router(targets=[target], listeners=listeners, replicas=1, **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    before = pods_of(kubectl, "main", "RuttaRouter")
    sent = Sender(kubectl, "sender", f"tcp://main-router.{kubectl.namespace}.svc:10001", count=1_000).until_done()

    found = kubectl.until_condition(
        "RuttaRouter", "main", "TargetsHealthy", "False", reason="TargetFailing", seconds=30
    )
    told(found, "receiver", "401")
    assert kubectl.condition("RuttaRouter", "main", "Ready")["status"] == "True", (
        "a target never makes a router unready"
    )
    states = {one["name"]: one["state"] for one in kubectl.get("RuttaRouter", "main")["status"]["targets"]}
    assert states == {"receiver": "Failing"}

    kubectl.secret("receiver", token="right")
    report = receiver.until_all("sender", sent, seconds=150)
    assert (report.distinct, report.duplicates) == (sent, 0)
    kubectl.until_condition("RuttaRouter", "main", "TargetsHealthy", "True", reason="Healthy", seconds=60)
    assert pods_of(kubectl, "main", "RuttaRouter") == before


def test_a_bad_pod_template_is_refused_with_its_field_and_leaves_the_pods_alone(kubectl: Kubectl) -> None:
    kubectl.apply(router(replicas=1, **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    before = pods_of(kubectl, "main", "RuttaRouter")
    containers = [{"name": "rutta", "volumeMounts": [{"name": "nowhere", "mountPath": "/data"}]}]
    kubectl.patch("RuttaRouter", "main", {"spec": {"podTemplate": {"spec": {"containers": containers}}}})
    found = kubectl.until_condition("RuttaRouter", "main", "Accepted", "False", reason="InvalidPodTemplate")
    told(found, "spec.podTemplate", "volumeMounts", "nowhere")
    kubectl.until_condition("RuttaRouter", "main", "Stalled", "True", reason="InvalidPodTemplate")
    assert pods_of(kubectl, "main", "RuttaRouter") == before

    unknown = {
        "spec": {"podTemplate": {"spec": {"containers": [{"name": "rutta", "volumeMunts": [{"name": "config"}]}]}}}
    }
    kubectl.patch("RuttaRouter", "main", unknown)
    told(until(lambda: _about(kubectl, "volumeMunts"), 60, "the misspelt field is named"), "spec.podTemplate")
    assert pods_of(kubectl, "main", "RuttaRouter") == before, "a misspelt field is not applied without itself"

    kubectl.patch("RuttaRouter", "main", {"spec": {"podTemplate": None}})
    kubectl.until_ready("RuttaRouter", "main")
    assert pods_of(kubectl, "main", "RuttaRouter") == before


def _about(kubectl: Kubectl, word: str) -> Object | None:
    found = kubectl.condition("RuttaRouter", "main", "Accepted")
    assert word in found.get("message", ""), found
    return found
