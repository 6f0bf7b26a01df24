"""The logs of every pod of a cluster, from the files of its nodes to a target: all of them, with whose they are.

``examples/cluster-logs.yaml`` as it is, its router's target changed to one that counts. Links are AtLeastOnce. What has
to arrive is what is on the nodes' disks: every number that a container has written is looked for.
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from harness.api import Object
from harness.clusters import Cluster
from harness.documents import http_target
from harness.kubectl import Kubectl
from harness.shell import ROOT, run, until
from harness.traffic import Receiver, pod_spec, prepare

EXAMPLE = ROOT / "examples" / "cluster-logs.yaml"
NAMESPACE = "rutta-logs"
FORMS = ("json", "plain", "trace")


class Size(NamedTuple):
    """How much of everything."""

    rate: int  # lines per second of each quiet pod
    loud: int  # of the loud one
    seconds: float  # between two things that happen
    away: float  # how long the router is away


SIZES = {"ci": Size(50, 5_000, 3, 10), "all": Size(200, 20_000, 15, 120)}


@pytest.fixture
def logs(operator: object, whole_cluster: Kubectl) -> Iterator[Kubectl]:
    """The example as a user applies it; returns its namespace, which goes afterwards."""
    text = EXAMPLE.read_text(encoding="utf-8")
    place = whole_cluster.within(NAMESPACE)
    place.apply(text)
    place.until_ready("RuttaRouter", "logs", seconds=240)
    place.until_ready("RuttaShipper", "node", seconds=240)
    yield place
    for one in yaml.safe_load_all(text):
        place.delete(one["kind"], one["metadata"]["name"], "--ignore-not-found", "--wait=false")
    whole_cluster.until_gone("Namespace", NAMESPACE, seconds=180)


class Writers:
    """Pods that write numbered lines, and what of it is on the nodes' disks."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        self.nodes: dict[str, str] = {}
        prepare(kubectl)

    def start(self, name: str, form: str, rate: int, node: str, count: int = 0, **metadata: Any) -> None:
        """Have a pod that writes on a node; ``count`` 0: until it is deleted."""
        spec = pod_spec("writer.py", name, form, str(rate), str(count))
        spec["containers"][0].pop("readinessProbe")
        labels = {"app": "writer", "form": form}
        meta = {"name": name, "labels": labels, **metadata}
        self.kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**spec, "nodeName": node}})
        self.nodes[name] = node

    def until_running(self, *names: str) -> None:
        """Wait until these pods run."""
        for name in names:
            until(lambda name=name: self._runs(name), 90, f"pod {name} runs")

    def _runs(self, name: str) -> bool:
        (status,) = self.kubectl.get("Pod", name).get("status", {}).get("containerStatuses") or [{}]
        return "running" in status.get("state", {})

    def on_disk(self, name: str) -> dict[str, int]:
        """Return how many lines each process of a pod has on its node's disk, rotated files as well.

        Numbers grow, and no file is of two processes: the last line of each file tells.
        """
        files = f"/var/log/pods/{self.kubectl.namespace}_{name}_*/script/*.log*"
        text = "case $f in *.gz) zcat $f | tail -c 4096;; *) tail -c 4096 $f;; esac 2>/dev/null"
        loop = f"for f in {files}; do {text} | grep -aoE '{_NUMBERED}' | tail -n 1; done"
        found: dict[str, int] = {}
        for line in run("docker", "exec", self.nodes[name], "sh", "-c", loop, timeout=300).splitlines():
            maker, number = re.sub(r'^("s":"|s=)|"|,', "", line.replace('"n":', " n=")).split(" n=")
            found[maker] = max(int(number) + 1, found.get(maker, 0))
        return found

    def all_on_disk(self) -> dict[str, int]:
        """Return the same of all pods that are there."""
        found: dict[str, int] = {}
        for name in self.nodes:
            if self.kubectl.find("Pod", name):
                found |= self.on_disk(name)
        return found

    def stop(self) -> None:
        """Have no pod write any more; their logs stay, since the pods do."""
        for name in self.nodes:
            if self.kubectl.find("Pod", name):
                self.kubectl("exec", name, "--", "/venv/bin/python", "-c", _STOP)


_NUMBERED = r"""("s":"|s=)[^" ]+(","n":| n=)[0-9]+"""
_STOP = "import os, signal; os.kill(1, signal.SIGUSR1)"


class Logs:
    """The shippers and the router, and what is done to them."""

    def __init__(self, kubectl: Kubectl, cluster: Cluster) -> None:
        self.kubectl, self.cluster = kubectl, cluster

    def until_routers_send_to(self, target: str) -> None:
        """Wait until every router has taken a changed target up: the kubelet hands it to them in its own time."""
        self.kubectl.until_ready("RuttaRouter", "logs", seconds=240)

        def all_do() -> bool:
            found = {one["metadata"]["name"]: self._targets(one) for one in self.kubectl.pods("logs")}
            assert all(targets == [target] for targets in found.values()), found
            return len(found) > 0

        until(all_do, 180, f"every router sends to {target}", pause=1)

    def _targets(self, pod: Object) -> list[str]:
        return [one["name"] for one in self.kubectl.status_page(pod["metadata"]["name"])["targets"]]

    def roll_shippers(self) -> None:
        """Start every shipper anew."""
        self.kubectl("rollout", "restart", "daemonset/node-shipper")
        self.kubectl.until_rolled("DaemonSet", "node-shipper", seconds=300)

    def kill_shipper(self, node: str) -> None:
        """Kill -9 the shipper of a node."""
        before = self._containers(node)
        run("docker", "exec", node, "pkill", "-9", "-f", "rutta shipper")
        until(lambda: self._differ(node, before), 60, f"the shipper of node {node} is another process")

    def _differ(self, node: str, before: dict[str, str]) -> bool:
        now = self._containers(node)
        return now.keys() == before.keys() and now != before

    def router_away(self, seconds: float) -> None:
        """Have no router for a while."""
        self._scale(0)
        until(lambda: not self.kubectl.pods("logs"), 90, "the router is away")
        time.sleep(seconds)
        self._scale(2)
        self.kubectl.until_ready("RuttaRouter", "logs", seconds=240)

    def _scale(self, replicas: int) -> None:
        self.kubectl("scale", "rtr", "logs", f"--replicas={replicas}")

    def reboot(self, node: str) -> None:
        """Restart the container that a node is; returns when all its containers are started anew."""
        before = self._containers(node)
        run("docker", "restart", "-t", "5", node, timeout=120)

        def anew() -> bool:
            now = self._containers(node)
            assert now.keys() == before.keys(), "not all run"
            assert all(now[pod] != before[pod] for pod in before), "not all are new"
            return True

        until(anew, 300, f"all containers of node {node} are started anew", pause=1)

    def _containers(self, node: str) -> dict[str, str]:
        """Return the running containers of a node's shippers and writers, by pod."""
        found = {}
        for pod in self.kubectl.api.items("Pod", None, f"fieldSelector=spec.nodeName%3D{node}"):
            labels = pod["metadata"].get("labels", {})
            if labels.get("app") == "writer" or labels.get("app.kubernetes.io/component") == "shipper":
                for one in pod["status"].get("containerStatuses", []):
                    if "running" in one["state"] and "deletionTimestamp" not in pod["metadata"]:
                        found[pod["metadata"]["name"]] = one["containerID"]
        return found


@pytest.mark.timeout(1800)
def test_every_line_of_every_pod_arrives_whatever_happens(
    logs: Kubectl,
    cluster: Cluster,
    new_namespace: Callable[..., Kubectl],
    nodes: list[str],
    suite: str,
    say: Callable[[str], None],
) -> None:
    size, apps = SIZES[suite], new_namespace("apps")
    receiver = Receiver(apps, node=nodes[0])
    logs.patch("RuttaRouter", "logs", {"spec": {"replicas": 2, "targets": [http_target(receiver.url)]}})
    topology, writers = Logs(logs, cluster), Writers(apps)
    topology.until_routers_send_to("receiver")
    for number, form in enumerate(FORMS):
        for at, node in enumerate(nodes):
            writers.start(f"{form}-{at}", form, size.rate, node, annotations=_annotations(number))
    writers.start("loud", "json", size.loud, nodes[-1])
    writers.until_running(*writers.nodes)

    steps: dict[str, Callable[[], None]] = {
        "shippers rolled": topology.roll_shippers,
        "a shipper killed": lambda: topology.kill_shipper(nodes[-1]),
        f"router away for {size.away:.0f} s": lambda: topology.router_away(size.away),
    }
    if suite == "all":
        steps["node rebooted"] = lambda: topology.reboot(nodes[-1])
    kills = [steps[what] for what in steps if what in ("a shipper killed", "node rebooted")]
    account = Account(receiver, writers)
    for what, step in steps.items():
        account.begin()
        time.sleep(size.seconds)
        account.settle()  # what was away is made good before the next thing happens
        began = time.monotonic()
        step()
        account.happened(kills=step in kills)
        say(f"  {what}: {time.monotonic() - began:.1f} s; {_twice(receiver)} lines twice so far")
    account.kept |= _come_and_go(apps, writers, nodes[1])
    time.sleep(size.seconds)
    writers.until_running(*(name for name in writers.nodes if apps.find("Pod", name)))
    writers.stop()
    account.settle()

    for maker in account.kept:
        assert receiver.of(maker).missing == 0, maker
        _assert_metadata(receiver.first(maker), maker, writers)
    twice, torn = _twice(receiver), receiver.report()["torn"]
    lines, makers = sum(account.kept.values()), len(account.kept)
    say(f"  {lines} lines of {makers} containers, 0 lost, {twice} twice, {torn} traces torn")
    assert makers >= len(writers.nodes)
    assert torn == 0


class Account:
    """Keep account of lines on disks: all must arrive, and only what a kill left undone may come twice.

    How much that is depends on the machine, so it is counted and not timed: what was written since ``begin``, which is
    longer ago than a checkpoint is behind. Who stops in order leaves nothing undone.
    """

    def __init__(self, receiver: Receiver, writers: Writers) -> None:
        self.kept: dict[str, int] = {}  # a container that is started twice loses its oldest log
        self._receiver, self._writers = receiver, writers
        self._base: dict[str, int] = {}
        self._undone = 0

    def begin(self) -> None:
        """Remember what is there, some time before something happens."""
        self._base = self._writers.all_on_disk()
        self.kept |= self._base

    def settle(self) -> None:
        """Wait until every line that is there has arrived; fail if more came twice than were undone."""
        self.kept |= self._writers.all_on_disk()
        for maker, lines in self.kept.items():
            until(lambda maker=maker, lines=lines: self._has(maker, lines), 300, f"all of {maker} has arrived")
        twice = _twice(self._receiver)
        assert twice <= self._undone, f"{twice} lines came twice, and {self._undone} were undone"

    def _has(self, maker: str, lines: int) -> bool:
        found = self._receiver.of(maker)
        assert found.highest >= lines - 1, (maker, lines, found)
        assert not [first for first, _ in found.ranges if first < lines], (maker, lines, found)
        return True

    def happened(self, *, kills: bool) -> None:
        """Say that something has happened, and whether it was a kill."""
        if kills:
            now = self._writers.all_on_disk()
            self._undone += sum(lines - self._base.get(maker, 0) for maker, lines in now.items())


def _twice(receiver: Receiver) -> int:
    return sum(one["duplicates"] for one in receiver.report()["senders"].values())


def _annotations(number: int) -> dict[str, str]:
    return {"example.com/number": str(number)}


def _come_and_go(apps: Kubectl, writers: Writers, node: str) -> dict[str, int]:
    """Have a pod that comes late and is deleted at once when it is through; returns what it wrote."""
    writers.start("late", "plain", 2_000, node, count=3_000)
    writers.until_running("late")
    wrote = until(lambda: _all_of(writers.on_disk("late"), 3_000), 60, "the late pod has written all")
    apps.delete("Pod", "late", "--grace-period=0", "--force")
    return wrote


def _all_of(found: dict[str, int], count: int) -> dict[str, int]:
    assert list(found.values()) == [count], found
    return found


def _assert_metadata(event: Object, maker: str, writers: Writers) -> None:
    """Whose a line is stands in its context."""
    name, context = maker.partition("@")[0], event["context"]
    form = name.partition("-")[0] if name.partition("-")[0] in FORMS else {"late": "plain", "loud": "json"}[name]
    expected = {
        "namespace": writers.kubectl.namespace,
        "pod": name,
        "container": "script",
        "node": writers.nodes[name],
        "stream": "stdout",
        "labels": {"app": "writer", "form": form},
    }
    assert {key: context.get(key) for key in expected} == expected, context
    assert re.fullmatch(r"[0-9a-f-]{36}", context["uid"])
    assert context["image"]


def test_a_shipper_of_logs_has_no_more_rights_than_it_says(logs: Kubectl) -> None:
    """Mounted read-only but for its state; user 0 without any capability; its account may only read pods."""
    for pod in logs.pods("node", "RuttaShipper"):
        (container,) = pod["spec"]["containers"]
        writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
        of_node = {one["name"]: one["hostPath"]["path"] for one in pod["spec"]["volumes"] if "hostPath" in one}
        assert set(of_node.values()) == {"/var/log/pods", f"/var/lib/rutta/{NAMESPACE}_node"}
        mounted = {one["mountPath"] for one in container["volumeMounts"] if one["name"] in of_node}
        assert mounted & writable == {"/var/lib/rutta"}
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert not context.get("privileged")
        assert not any(pod["spec"].get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    account = f"system:serviceaccount:{NAMESPACE}:rutta-logs"
    may = logs("auth", "can-i", "--list", "--as", account, "--no-headers")
    ours = [line.split() for line in may.splitlines() if not re.search(r"selfsubject|^\s+\[/|\[/", line)]
    assert [(line[0], line[-3:]) for line in ours] == [("pods", ["[get", "list", "watch]"])], may
