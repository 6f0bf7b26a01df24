"""Numbered events into a topology, and who counts what comes out of it. Both run in pods of the data plane's image."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.api import Object
from harness.images import DATA_PLANE
from harness.kubectl import Kubectl
from harness.shell import until

PODS = Path(__file__).parent / "pods"
PORT = 8080
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def pod_spec(script: str, *arguments: str, env: dict[str, str] | None = None) -> Object:
    """Return the PodSpec of one of our scripts, fit for Pod Security restricted."""
    variables: list[Object] = [{"name": key, "value": value} for key, value in (env or {}).items()]
    variables.append({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "script",
                "image": DATA_PLANE,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/venv/bin/python", f"/scripts/{script}", *arguments],
                "env": variables,
                "ports": [{"containerPort": PORT}],
                "readinessProbe": {"httpGet": {"path": "/report", "port": PORT}, "periodSeconds": 1},
                "securityContext": _RESTRICTED,
                "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
            }
        ],
        "volumes": [{"name": "scripts", "configMap": {"name": "scripts"}}],
    }


def prepare(kubectl: Kubectl) -> None:
    """Bring the scripts of the pods to a namespace."""
    data = {path.name: path.read_text(encoding="utf-8") for path in sorted(PODS.glob("*.py"))}
    kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "scripts"}, "data": data})


def _until_ready(kubectl: Kubectl, pod: str) -> None:
    def ready() -> bool:
        status = kubectl.get("Pod", pod).get("status", {})
        conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
        assert conditions.get("Ready") == "True", status
        return True

    until(ready, 60, f"pod {kubectl.namespace}/{pod} is ready")


class Report(NamedTuple):
    """What a receiver has of one sender's events."""

    received: int
    distinct: int
    highest: int
    missing: int
    duplicates: int
    ranges: list[list[int]]


class Receiver:
    """A pod and a Service named ``name`` that count."""

    def __init__(
        self,
        kubectl: Kubectl,
        name: str = "receiver",
        node: str | None = None,
        token: str = "",
        script: str = "receiver.py",
        arguments: Sequence[str] = (),
    ) -> None:
        """Make both; returns when it counts. Another script counts what it gets elsewhere."""
        self.kubectl, self.name = kubectl, name
        prepare(kubectl)
        spec = pod_spec(script, *arguments, env={"RECEIVER_TOKEN": token} if token else None)
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {**spec, **({"nodeName": node} if node else {})},
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": {"app": name}, "ports": [{"port": PORT}]},
            },
        )
        _until_ready(kubectl, name)

    @property
    def url(self) -> str:
        """Where a router's http target sends to, from any namespace."""
        return f"http://{self.name}.{self.kubectl.namespace}.svc:{PORT}/"

    def report(self) -> dict[str, Any]:
        """Return all that it says."""
        found: dict[str, Any] = json.loads(self.kubectl.page(self.name, "report", PORT))
        return found

    def of(self, sender: str) -> Report:
        """Return what came of one sender's events."""
        found = self.report()["senders"].get(sender)
        return Report(**found) if found else Report(0, 0, -1, 0, 0, [])

    def last(self) -> Object:
        """Return the last event that came."""
        found: Object = json.loads(self.kubectl.page(self.name, "last", PORT))
        return found

    def first(self, sender: str) -> Object:
        """Return the first event of a sender that came."""
        found: Object = json.loads(self.kubectl.page(self.name, f"first/{sender}", PORT))
        return found

    def until_all(self, sender: str, sent: int, seconds: float = 60) -> Report:
        """Wait until every one of ``sent`` events has come; returns what there is then, or after ``seconds``."""

        def all_there() -> Report:
            one = self.of(sender)
            assert one.distinct >= sent, f"{one.distinct} of {sent} came, missing below the highest: {one.ranges}"
            return one

        return until(all_there, seconds, f"all events of {sender} came")


class Sender:
    """A pod that sends numbered events."""

    def __init__(
        self, kubectl: Kubectl, name: str, url: str, rate: int = 1000, count: int = 0, node: str | None = None
    ) -> None:
        """Make the pod; ``count`` 0 means until ``stop``. Does not wait."""
        self.kubectl, self.name = kubectl, name
        prepare(kubectl)
        spec = pod_spec("sender.py", name, url, str(rate), str(count))
        spec |= {"restartPolicy": "Never", **({"nodeName": node} if node else {})}
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})

    def report(self) -> dict[str, Any]:
        """Return what it says of itself."""
        found: dict[str, Any] = json.loads(self.kubectl.page(self.name, "report", PORT))
        return found

    def until_sent(self, count: int, seconds: float = 60) -> int:
        """Wait until it has sent so many events in all."""
        return until(lambda: self._sent(count), seconds, f"{self.name} has sent {count} events")

    def _sent(self, count: int) -> int:
        report = self.report()
        assert report["sent"] >= count, report
        return int(report["sent"])

    def stop(self, seconds: float = 60) -> int:
        """Have it send what it has begun, and return how many events it has sent."""
        self.kubectl.page(self.name, "stop", PORT)
        return self.until_done(seconds)

    def until_done(self, seconds: float = 120) -> int:
        """Wait until it is through, and return how many events it has sent."""

        def done() -> dict[str, Any]:
            report = self.report()
            assert report["done"], report
            return report

        return int(until(done, seconds, f"{self.name} is done")["sent"])
