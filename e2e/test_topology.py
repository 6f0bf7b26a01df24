"""Scenario 2: numbered events from every node, through tiers in three namespaces, arrive once each."""

from collections.abc import Callable

from harness.documents import QUICK, http_target, proxy, router, shipper, to
from harness.kubectl import Kubectl
from harness.operator import Operator
from harness.shell import until
from harness.traffic import Receiver, Sender

EVENTS = 5_000


def test_events_of_every_node_pass_three_namespaces_and_arrive_once_each(
    operator: Operator, new_namespace: Callable[..., Kubectl], nodes: list[str]
) -> None:
    apps = new_namespace("apps", labels={"logs": "central"})
    edge, center = new_namespace("edge"), new_namespace("center")
    receiver = Receiver(center)
    consent = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"logs": "central"}}}}
    center.apply(
        router(targets=[http_target(receiver.url)], replicas=2, allowedFrom=[{"namespaces": {"from": "All"}}], **QUICK)
    )
    edge.apply(proxy("edge", to("Router", "main", center.namespace), allowedFrom=[consent], **QUICK))
    apps.apply(shipper("node", to("Proxy", "edge", edge.namespace), **QUICK))
    apps.until_ready("RuttaShipper", "node")
    edge.until_ready("RuttaProxy", "edge")
    center.until_ready("RuttaRouter", "main")
    assert len(apps.pods("node", "RuttaShipper")) == len(nodes)

    url = f"tcp://node-shipper.{apps.namespace}.svc:10001"
    senders = {node: Sender(apps, f"from-{node}", url, rate=2_000, count=EVENTS, node=node) for node in nodes}
    for node, sender in senders.items():
        assert sender.until_done() == EVENTS
        found = receiver.until_all(sender.name, EVENTS)
        assert (found.distinct, found.missing, found.duplicates) == (EVENTS, 0, 0), (node, found)
    _counted_by_its_own_shipper(apps)

    assert center.get("RuttaRouter", "main")["status"]["upstreams"]["total"] == 1
    downstreams = edge.get("RuttaProxy", "edge")["status"]["downstreams"]
    assert downstreams["items"][0]["name"] == "main"

    def connected() -> bool:
        found = edge.get("RuttaProxy", "edge")["status"]["downstreams"]
        assert (found["total"], found["connected"], found["items"][0]["state"]) == (1, 1, "Connected"), found
        return True

    until(connected, 60, "a pod was asked who receives")


def _counted_by_its_own_shipper(apps: Kubectl) -> None:
    """The shipper's Service leads to the pod of the sender's own node: each of them got one node's events."""
    for pod in apps.pods("node", "RuttaShipper"):

        def delivered(name: str = pod["metadata"]["name"]) -> bool:
            lines = apps.page(name, "metrics").splitlines()
            samples = [line for line in lines if line.startswith("rutta_events_received_total{")]
            assert sum(float(line.rpartition(" ")[2]) for line in samples) == EVENTS, samples
            return True

        until(delivered, 15, f"{pod['metadata']['name']} has received the events of its node")
