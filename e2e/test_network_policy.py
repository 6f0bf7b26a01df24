"""A resource's NetworkPolicy, enforced: senders reach the link, everybody the listeners, pods the health page."""

from collections.abc import Callable, Iterator

import pytest

from harness import policing
from harness.clusters import Cluster
from harness.documents import QUICK, router, shipper, to
from harness.kubectl import HEALTH_PORT, Kubectl
from harness.leaving import leave_out
from harness.policing import Police, address, is_open
from harness.shell import until
from harness.traffic import Receiver, Sender

EVENTS = 500
LISTENER = 10001
SENDER = {  # what the pods of RuttaShipper node are known by
    "app.kubernetes.io/name": "rutta",
    "app.kubernetes.io/component": "shipper",
    "rutta.logary.tech/instance": "node",
}


@pytest.fixture
def enforced(request: pytest.FixtureRequest, cluster: Cluster, new_namespace: Callable[..., Kubectl]) -> Iterator[None]:
    """NetworkPolicies are enforced: by the cluster, or for as long as the test takes by the program on PATH."""
    there = new_namespace("policing")
    if policing.enforces(there):
        yield
        return
    if not policing.is_here():
        leave_out(request.config, f"the cluster enforces no NetworkPolicy, and {policing.PROGRAM} is not on PATH")
    police = Police(cluster, there)
    try:
        police.start()
        assert policing.enforces(there), police.log()
        yield
    finally:
        police.stop()


def _link(kubectl: Kubectl) -> int:
    (container,) = kubectl.pods("main")[0]["spec"]["containers"]
    return next(int(one["containerPort"]) for one in container["ports"] if one["name"] == "link")


@pytest.mark.all
@pytest.mark.usefixtures("operator", "enforced")
def test_a_network_policy_lets_in_who_may_come_and_nobody_else(
    new_namespace: Callable[..., Kubectl], say: Callable[[str], None]
) -> None:
    hub, edge, other = new_namespace("hub"), new_namespace("edge"), new_namespace("other")
    received = Receiver(hub, "receiver")
    hub.apply(
        router(
            replicas=1,
            listeners=[{"name": "lines", "tcp": {"port": LISTENER, "codec": "json"}}],
            allowedFrom=[{"namespaces": {"from": "All"}}],
            targets=[{"name": "out", "http": {"endpoint": received.url}}],
            networkPolicy={"enabled": True},
            **QUICK,
        )
    )
    edge.apply(shipper("node", to("Router", "main", hub.namespace), **QUICK))
    hub.until_ready("RuttaRouter", "main")
    edge.until_ready("RuttaShipper", "node")
    pod, link = address(hub, hub.pods("main")[0]["metadata"]["name"]), _link(hub)

    sent = Sender(edge, "sender", f"tcp://node-shipper.{edge.namespace}.svc:10001", count=EVENTS).until_done()
    assert received.until_all("sender", sent).distinct == EVENTS
    wired = edge.pods("node", "RuttaShipper")[0]["metadata"]["name"]
    assert is_open(edge, wired, pod, link)

    for kubectl, name, labels in ((other, "stranger", {}), (edge, "neighbour", {}), (other, "impostor", SENDER)):
        Receiver(kubectl, name)
        if labels:
            kubectl("label", "pod", name, *(f"{key}={value}" for key, value in labels.items()))
        assert not is_open(kubectl, name, pod, link), f"{name} reaches the link"
        assert is_open(kubectl, name, pod, LISTENER), f"{name} does not reach the listener"
        assert is_open(kubectl, name, pod, HEALTH_PORT), f"{name} does not reach the health page"
    # the operator reads the health page, too: it could not say this without
    hub.until_condition("RuttaRouter", "main", "TargetsHealthy")

    hub.patch("RuttaRouter", "main", {"spec": {"networkPolicy": {"enabled": False}}})
    until(lambda: is_open(other, "stranger", pod, link), 60, "without the policy a stranger reaches the link")
    say("  a wired sender reached the link; strangers the listener and the health page only")
