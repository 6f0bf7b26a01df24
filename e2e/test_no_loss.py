"""Scenario 4: all that is planned happens to a topology under a steady stream of events, and none is lost.

Three senders: over tcp through shipper, proxy and router; by http to the router's Service; over tcp to it. All delivery
is AtMostOnce, the default, where nothing would be sent again to make up for a loss.
"""

import time
from collections.abc import Callable

import pytest

from harness.documents import http_target, proxy, router, shipper, to
from harness.kubectl import Kubectl
from harness.shell import until
from harness.traffic import Receiver, Sender

# suite: (events per second of each sender, events in all)
SIZES = {"ci": (1_500, 100_000), "all": (35_000, 10_000_000)}


class Topology:
    """shipper → proxy → router → receiver, and what is done to it."""

    def __init__(self, kubectl: Kubectl, node: str, delivery: str) -> None:
        self.kubectl = kubectl
        self.workload = "Deployment"
        self.receiver = Receiver(kubectl, node=node)
        link = {"delivery": delivery}
        targets, listeners = [http_target(self.receiver.url)], self._listeners()
        kubectl.apply(
            router(targets=targets, listeners=listeners, replicas=1, link=link),
            proxy("edge", to("Router", "main"), link=link),
            shipper("node", to("Proxy", "edge")),
        )
        self.until_quiet()

    @staticmethod
    def _listeners(**of_tcp: object) -> list[object]:
        return [
            {"name": "web", "http": {"port": 8080, "codec": "json"}},
            {"name": "lines", "tcp": {"port": 10001, "codec": "json", **of_tcp}},
        ]

    def until_quiet(self) -> None:
        """Wait until all is as it should be, and those that had to go are gone."""
        self.kubectl.until_ready("RuttaRouter", "main", seconds=240)
        self.kubectl.until_ready("RuttaProxy", "edge", seconds=240)
        self.kubectl.until_ready("RuttaShipper", "node", seconds=240)
        self.kubectl.until_rolled(self.workload, "main-router")
        self.kubectl.until_rolled("Deployment", "edge-proxy")
        until(lambda: not self._leaving(), 120, "the pods that are leaving are gone")

    def _leaving(self) -> list[str]:
        pods = self.kubectl.items("Pod")
        return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" in pod["metadata"]]

    def scale(self, replicas: int) -> None:
        self.kubectl("scale", "rtr", "main", f"--replicas={replicas}")
        until(lambda: len(self.kubectl.pods("main")) == replicas, 60, f"there are {replicas} pods of the router")

    def roll(self) -> None:
        """Change what needs new pods, a listener's setting: none of the old ones may be left."""
        before = self._uids()
        self.kubectl.patch("RuttaRouter", "main", {"spec": {"listeners": self._listeners(maxConnections=500)}})
        until(lambda: not before & self._uids(), 240, "all pods of the router are new")

    def reload(self) -> None:
        """Change what is taken without a restart: the pods stay, and take it."""
        before = self._uids()
        self.kubectl.patch("RuttaRouter", "main", {"spec": {"routes": [{"targets": ["receiver"]}]}})

        def taken() -> bool:
            for pod in self.kubectl.pods("main"):
                assert self.kubectl.status_page(pod["metadata"]["name"])["reload"]["count"] >= 1, "not yet"
            return True

        until(lambda: "routes" in self.kubectl.config("main"), 30, "the ConfigMap has the route")
        until(taken, 150, "the router's pods have taken the route")
        assert before == self._uids(), "a change of routes must not make new pods"

    def become(self, workload: str, replicas: int | None = None) -> None:
        """Let a workload of another kind take the place of the one that is there."""
        old, self.workload = self.workload, workload
        self.kubectl.patch("RuttaRouter", "main", {"spec": {"workload": workload, "replicas": replicas}})
        until(lambda: not self.kubectl.items(old, {"rutta.logary.tech/instance": "main"}), 240, f"no {old} is left")

    def drain_node(self) -> None:
        """Drain the node that a pod of the router is on."""
        node = self.kubectl.pods("main")[0]["spec"]["nodeName"]
        try:
            self.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s", timeout=200)
        finally:
            self.kubectl("uncordon", node)

    def delete_proxy(self) -> None:
        pod = self.kubectl.pods("edge", "RuttaProxy")[0]["metadata"]["name"]
        self.kubectl.delete("Pod", pod)

    def _uids(self) -> set[str]:
        return {pod["metadata"]["uid"] for pod in self.kubectl.pods("main")}


def _deliveries() -> list[object]:
    return ["AtMostOnce", pytest.param("AtLeastOnce", marks=pytest.mark.all)]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("delivery", _deliveries())
def test_nothing_is_lost_while_pods_come_and_go(
    kubectl: Kubectl, nodes: list[str], suite: str, say: Callable[[str], None], delivery: str
) -> None:
    rate, total = SIZES[suite]
    topology = Topology(kubectl, nodes[0], delivery)
    urls = {
        "through-tiers": f"tcp://node-shipper.{kubectl.namespace}.svc:10001",
        "by-http": f"http://main-router.{kubectl.namespace}.svc:8080/",
        "by-tcp": f"tcp://main-router.{kubectl.namespace}.svc:10001",
    }
    senders = [Sender(kubectl, name, url, rate, node=nodes[0]) for name, url in urls.items()]
    for sender in senders:
        sender.until_sent(rate)

    steps: dict[str, Callable[[], None]] = {
        "scaled 1 → 5": lambda: topology.scale(5),
        "scaled 5 → 1": lambda: topology.scale(1),
        "rolled by a config change": topology.roll,
        "reloaded by a config change": topology.reload,
        "scaled 1 → 3": lambda: topology.scale(3),
        "node drained": topology.drain_node,
        "proxy pod deleted": topology.delete_proxy,
        "Deployment → DaemonSet": lambda: topology.become("DaemonSet"),
        "DaemonSet → Deployment": lambda: topology.become("Deployment", 2),
    }
    for what, step in steps.items():
        began = time.monotonic()
        step()
        topology.until_quiet()
        say(f"  {what}: {time.monotonic() - began:.1f} s")

    for sender in senders:
        sender.until_sent(total // len(senders) + 1, seconds=600)
    lost = 0
    for sender in senders:
        sent = sender.stop()
        report = sender.report()
        found = topology.receiver.until_all(sender.name, sent, seconds=180)
        seconds = report["ended"] - report["started"]
        lost += sent - found.distinct
        say(
            f"  {sender.name}: {sent} events in {seconds:.0f} s ({sent / seconds:.0f}/s), "
            f"{sent - found.distinct} lost, {found.duplicates} twice; "
            f"{report['connections']} connections, {report['again']} requests again"
        )
        assert found.distinct == sent
        assert found.duplicates == 0 or report["again"], "an event came twice that nobody sent twice"
    counted = topology.receiver.report()
    assert counted["events"] >= total
    say(f"  {counted['events']} events through {delivery} links, {lost} lost")
