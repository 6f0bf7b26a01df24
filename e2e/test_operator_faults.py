"""Scenario 6: the operator is killed, is away, hands over, is upgraded, and the topology does not notice."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from harness import images
from harness.api import Object
from harness.children import children
from harness.clusters import Cluster
from harness.documents import QUICK, http_target, router, shipper, to
from harness.kubectl import Kubectl
from harness.operator import Operator
from harness.shell import ROOT, run, until
from harness.traffic import Receiver, Sender

HANDOVER = 3.0  # seconds until another operator leads when one is stopped
DELETION = 60.0  # seconds until a namespace is gone that nobody watches over
EARLIER = "4b9ceeb"  # the commit to upgrade from: the last that changed what pods are made for


@pytest.fixture
def whole_again(operator: Operator) -> Iterator[Operator]:
    """The operator; whatever a test did to it, it has its two pods afterwards."""
    yield operator
    operator.scale(2)
    operator.until_led()


def kill(cluster: Cluster, kubectl: Kubectl, pod: str) -> None:
    """Kill -9 the process of a pod from its node."""
    one = kubectl.get("Pod", pod)
    container = one["status"]["containerStatuses"][0]["containerID"].partition("://")[2]
    search = f"grep -l {container} /proc/[0-9]*/cgroup | cut -d/ -f3 | xargs -r kill -9"
    run("docker", "exec", one["spec"]["nodeName"], "sh", "-c", search)


def test_an_operator_killed_in_the_middle_of_a_rollout_is_followed_by_one_that_ends_it(
    whole_again: Operator, cluster: Cluster, kubectl: Kubectl
) -> None:
    kubectl.apply(router(replicas=3, listeners=[{"name": "lines", "tcp": {"port": 10001}}], **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    leader = whole_again.until_led()
    restarts = whole_again.restarts()[leader]
    before = {pod["metadata"]["uid"] for pod in kubectl.pods("main")}

    kubectl.patch("RuttaRouter", "main", {"spec": {"listeners": [{"name": "lines", "tcp": {"port": 10002}}]}})
    until(lambda: {pod["metadata"]["uid"] for pod in kubectl.pods("main")} - before, 60, "the rollout has begun")
    kill(cluster, whole_again.kubectl, leader)

    kubectl.until_ready("RuttaRouter", "main", seconds=240)
    assert not before & {pod["metadata"]["uid"] for pod in kubectl.pods("main")}
    assert whole_again.restarts()[leader] == restarts + 1, "it was the leader that was killed"
    until(
        lambda: len(kubectl.items("ConfigMap", {"rutta.logary.tech/instance": "main"})) == 1, 60, "one ConfigMap left"
    )


def test_what_changes_while_there_is_no_operator_is_made_up_for(
    whole_again: Operator, kubectl: Kubectl, new_namespace: Callable[..., Kubectl], say: Callable[[str], None]
) -> None:
    doomed = new_namespace("doomed")
    kubectl.apply(router("kept", replicas=1), router("changed", replicas=0), router("gone", replicas=1))
    doomed.apply(router(replicas=1), shipper("node", to("Router", "main")))
    kubectl.until_ready("RuttaRouter", "kept", "changed", "gone")
    doomed.until_ready("RuttaShipper", "node")
    kept = {pod["metadata"]["uid"] for pod in kubectl.pods("kept")}

    whole_again.scale(0)
    kubectl.delete("RuttaRouter", "gone")
    kubectl.apply(router("new", replicas=1))
    kubectl.patch("RuttaRouter", "changed", {"spec": {"logLevel": "debug"}})
    kubectl.delete("Deployment", "kept-router", "--cascade=orphan")
    began = time.monotonic()
    doomed.delete("namespace", doomed.namespace, "--wait=false")
    doomed.until_gone("Namespace", doomed.namespace, seconds=DELETION)
    say(f"  a namespace with resources and no operator was gone after {time.monotonic() - began:.1f} s")
    until(lambda: not [key for key in children(kubectl) if "/gone-" in key], 60, "nothing is left of what was deleted")
    assert kubectl.find("Deployment", "new-router") is None

    whole_again.scale(2)
    kubectl.until_ready("RuttaRouter", "kept", "changed", "new")
    assert kubectl.config("changed")["logLevel"] == "debug"
    assert not [key for key in children(kubectl) if "/gone-" in key]
    assert {pod["metadata"]["uid"] for pod in kubectl.pods("kept")} == kept, "the pods that were there were taken back"


def test_a_leader_that_is_stopped_hands_over_at_once(
    whole_again: Operator, kubectl: Kubectl, say: Callable[[str], None]
) -> None:
    whole_again.scale(2)
    leader = whole_again.until_led()
    whole_again.kubectl.delete("Pod", leader, "--wait=false")
    began = time.monotonic()

    def another() -> str:
        holder = whole_again.leader()
        return holder if holder not in ("", leader) else ""

    heir = until(another, 30, "another operator leads", pause=0.02)
    took = time.monotonic() - began
    say(f"  leader handed over in {took:.2f} s")
    assert heir in whole_again.pods()
    assert took < HANDOVER
    kubectl.apply(router(replicas=0))
    kubectl.until_ready("RuttaRouter", "main")


@pytest.mark.all
@pytest.mark.timeout(900)
def test_a_rollout_that_kubernetes_has_lost_sight_of_goes_on(
    whole_again: Operator, kubectl: Kubectl, say: Callable[[str], None]
) -> None:
    """A template that changes again as the first new pod is ready: nobody sees the second become available."""
    ready = 30  # seconds that a new pod must be ready: longer than the next one needs to start
    drain = {"delay": f"{ready}s", "timeout": "1s"}
    kubectl.apply(router(replicas=1, **QUICK), shipper("node", to("Router", "main"), drain=drain))
    kubectl.until_ready("RuttaRouter", "main")
    kubectl.until_ready("RuttaShipper", "node", seconds=120)
    olds = {pod["spec"]["nodeName"]: pod["metadata"]["uid"] for pod in kubectl.pods("node", "RuttaShipper")}
    _change_pods(kubectl, "first", starts_after=0)
    until(lambda: _ready_on(kubectl, "first"), 120, "a pod of the first change is ready", pause=0.1)
    _change_pods(kubectl, "second", starts_after=8)  # when it is available, the first is gone, and nothing happens
    node = until(lambda: _ready_on(kubectl, "second"), 120, "a pod of the second change is ready")
    assert not _touched(kubectl), "it is given its time"
    began = time.monotonic()
    time.sleep(ready + 5)
    if olds[node] in _there(kubectl):
        until(lambda: _touched(kubectl), 120, "the DaemonSet is touched")
        say(f"  a rollout that stood still was touched {time.monotonic() - began:.0f} s after its pod was ready")
        until(lambda: olds[node] not in _there(kubectl), 15, "the old pod goes")
    else:
        say("  Kubernetes kept sight of the pod: there was nothing to heal")
    kubectl.until_ready("RuttaShipper", "node", seconds=360)
    assert {_change(pod) for pod in kubectl.pods("node", "RuttaShipper")} == {"second"}


def _uids(kubectl: Kubectl) -> set[str]:
    pods = [*kubectl.pods("main"), *kubectl.pods("node", "RuttaShipper")]
    return {pod["metadata"]["uid"] for pod in pods}


def _touched(kubectl: Kubectl) -> str:
    annotations = kubectl.get("DaemonSet", "node-shipper")["metadata"]["annotations"]
    return str(annotations.get("rutta.logary.tech/touched", ""))


def _there(kubectl: Kubectl) -> set[str]:
    return {pod["metadata"]["uid"] for pod in kubectl.pods("node", "RuttaShipper")}


def _change(pod: Object) -> str:
    return str(pod["metadata"].get("annotations", {}).get("example.com/change", ""))


def _change_pods(kubectl: Kubectl, change: str, starts_after: int) -> None:
    wait = {
        "name": "wait",
        "image": images.DATA_PLANE,
        "command": ["/venv/bin/python", "-c", f"import time; time.sleep({starts_after})"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    metadata = {"annotations": {"example.com/change": change}}
    template = {"metadata": metadata, "spec": {"initContainers": [wait]}}
    kubectl.patch("RuttaShipper", "node", {"spec": {"podTemplate": template}})


def _ready_on(kubectl: Kubectl, change: str) -> str:
    """Return the node on which a pod of a change is ready; empty if none is."""
    for pod in kubectl.pods("node", "RuttaShipper"):
        conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
        if _change(pod) == change and conditions.get("Ready") == "True":
            return str(pod["spec"]["nodeName"])
    return ""


@pytest.mark.all
@pytest.mark.timeout(1800)
def test_an_upgrade_from_an_earlier_commit_keeps_everything_running(
    whole_again: Operator,
    cluster: Cluster,
    kubectl: Kubectl,
    tmp_path_factory: pytest.TempPathFactory,
    say: Callable[[str], None],
) -> None:
    old = tmp_path_factory.mktemp("earlier")
    archive = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(old)], input=archive, check=True)
    operator_image, data_plane = "logary/rutta-operator:earlier", "logary/rutta:earlier"
    images.build(operator_image, str(old), "Dockerfile.operator")
    images.build(data_plane, str(old), "Dockerfile.dataplane")
    cluster.load(operator_image, data_plane)

    try:
        whole_again.install(chart=str(old / "charts" / "rutta"), image=operator_image, data_plane=data_plane)
        receiver = Receiver(kubectl)
        listeners = [{"name": "lines", "tcp": {"port": 10001}}]
        kubectl.apply(
            router(targets=[http_target(receiver.url)], replicas=2, listeners=listeners),
            shipper("node", to("Router", "main")),
        )
        kubectl.until_ready("RuttaRouter", "main")
        kubectl.until_ready("RuttaShipper", "node")
        sender = Sender(kubectl, "sender", f"tcp://node-shipper.{kubectl.namespace}.svc:10001", rate=500)
        sender.until_sent(1_000)
        before = _uids(kubectl)

        whole_again.install(data_plane=data_plane)
        until(lambda: whole_again.images() == {images.OPERATOR}, 120, "the earlier operator is gone")
        whole_again.until_led()
        for kind, name in (("RuttaRouter", "main"), ("RuttaShipper", "node")):
            kubectl.patch(kind, name, {"spec": {"logLevel": "debug"}})  # shows that it has worked on them
            until(
                lambda kind=kind, name=name: kubectl.config(name, kind)["logLevel"] == "debug", 60, f"{name} is known"
            )
            kubectl.until_ready(kind, name, seconds=240)
        assert _uids(kubectl) == before, "an operator alone makes no new pods"
    finally:
        whole_again.install()
    whole_again.until_led()
    image = images.DATA_PLANE

    def of_this_image() -> bool:
        pods = kubectl.pods("main")
        assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {image}
        return True

    until(of_this_image, 240, f"the router's pods run {image}")
    kubectl.until_ready("RuttaRouter", "main", seconds=240)
    kubectl.until_ready("RuttaShipper", "node", seconds=240)
    sent = sender.stop()
    found = receiver.until_all("sender", sent, seconds=120)
    say(f"  {sent} events sent meanwhile, {sent - found.distinct} lost, {found.duplicates} twice")
    assert (found.distinct, found.duplicates) == (sent, 0)
