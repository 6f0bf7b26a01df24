"""What scenarios do to a cluster, and how they wait for it. Writes are kubectl's, as a user's are."""

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from harness.api import Api, Object
from harness.shell import run, until

HEALTH_PORT = 9114


class Kubectl:
    """One cluster, seen from one namespace."""

    def __init__(self, kubeconfig: str, api: Api, namespace: str = "default") -> None:
        """``api`` belongs to the caller."""
        self.kubeconfig = kubeconfig
        self.api = api
        self.namespace = namespace

    def within(self, namespace: str) -> "Kubectl":
        """Return the same cluster seen from another namespace."""
        return Kubectl(self.kubeconfig, self.api, namespace)

    def __call__(self, *words: str, text: str | None = None, timeout: float = 120) -> str:
        """Run kubectl in the namespace; returns what it printed."""
        return run("kubectl", "--kubeconfig", self.kubeconfig, "-n", self.namespace, *words, text=text, timeout=timeout)

    # -- writing ------------------------------------------------------------------------------------------------

    def apply(self, *what: Object | Path | str, words: Iterable[str] = ()) -> str:
        """Apply objects, files, or YAML text."""
        text = "\n---\n".join(_text(one) for one in what)
        return self("apply", *words, "-f", "-", text=text)

    def delete(self, kind: str, name: str, *words: str) -> str:
        """Delete an object; waits until it is gone unless told otherwise."""
        return self("delete", kind, name, *words)

    def patch(self, kind: str, name: str, patch: Object | list[Object], form: str = "merge", *words: str) -> str:
        """Patch an object."""
        return self("patch", kind, name, "--type", form, "-p", json.dumps(patch), *words)

    def secret(self, name: str, **values: str) -> None:
        """Make or change a Secret."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})

    # -- reading ------------------------------------------------------------------------------------------------

    def find(self, kind: str, name: str) -> Object | None:
        """Return an object, or None."""
        return self.api.find(kind, name, self._place(kind))

    def get(self, kind: str, name: str) -> Object:
        """Return an object that is there."""
        found = self.find(kind, name)
        assert found is not None, f"{kind} {self.namespace}/{name} does not exist"
        return found

    def items(self, kind: str, labels: Mapping[str, str] | None = None, query: str = "") -> list[Object]:
        """Return the objects of a kind with these labels."""
        if labels:
            query = "labelSelector=" + quote(",".join(f"{key}={value}" for key, value in labels.items()))
        return self.api.items(kind, self._place(kind), query)

    def _place(self, kind: str) -> str | None:
        return None if kind in ("Namespace", "Node", "CustomResourceDefinition") else self.namespace

    def pods(self, resource: str, kind: str = "RuttaRouter") -> list[Object]:
        """Return the data plane's pods of a resource that are not going away."""
        labels = {
            "app.kubernetes.io/component": kind.removeprefix("Rutta").lower(),
            "rutta.logary.tech/instance": resource,
        }
        return [pod for pod in self.items("Pod", labels) if "deletionTimestamp" not in pod["metadata"]]

    def page(self, pod: str, path: str = "status", port: int = HEALTH_PORT) -> str:
        """Return a page of a pod, by way of the API server."""
        return self.api.text(f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy/{path}")

    def status_page(self, pod: str) -> Object:
        """Return ``/status`` of a pod of the data plane."""
        found: Object = json.loads(self.page(pod))
        return found

    def config(self, resource: str, kind: str = "RuttaRouter") -> Object:
        """Return the data plane's config that the newest ConfigMap of a resource holds."""
        labels = {
            "app.kubernetes.io/component": kind.removeprefix("Rutta").lower(),
            "rutta.logary.tech/instance": resource,
        }
        found = sorted(self.items("ConfigMap", labels), key=lambda one: one["metadata"]["creationTimestamp"])
        assert found, f"{kind} {resource} has no ConfigMap"
        config: Object = json.loads(found[-1]["data"]["config.json"])
        return config

    # -- waiting ------------------------------------------------------------------------------------------------

    def condition(self, kind: str, name: str, type_: str) -> Object:
        """Return a condition of an object, {} if it has none of that type."""
        conditions = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((one for one in conditions if one["type"] == type_), {})

    def until_condition(
        self, kind: str, name: str, type_: str, status: str = "True", *, reason: str = "", seconds: float = 90
    ) -> Object:
        """Wait until a condition is so, and speaks of the spec as it is; returns the condition."""

        def there() -> Object | None:
            found = self.get(kind, name)
            state = found.get("status", {})
            of = {one["type"]: one for one in state.get("conditions", [])}
            one = of.get(type_, {"status": "False"} if status == "False" and not reason else {})
            seen = one.get("observedGeneration", state.get("observedGeneration"))
            current = seen == found["metadata"]["generation"]
            assert current, f"observedGeneration {seen} of {found['metadata']['generation']}; {_short(of)}"
            assert one.get("status") == status, _short(of)
            assert not reason or one.get("reason") == reason, _short(of)
            return one

        return until(there, seconds, f"{kind} {self.namespace}/{name} {type_}={status} {reason}")

    def until_ready(self, kind: str, *names: str, seconds: float = 120) -> None:
        """Wait until resources are Ready, and nothing of them is under way."""
        for name in names:
            self.until_condition(kind, name, "Ready", seconds=seconds)
            self.until_condition(kind, name, "Reconciling", "False", seconds=seconds)

    def until_rolled(self, kind: str, name: str, seconds: float = 120) -> None:
        """Wait until all pods of a workload are of its newest template, and available."""

        def rolled() -> bool:
            one = self.get(kind, name)
            status = one.get("status", {})
            assert status.get("observedGeneration") == one["metadata"]["generation"], status
            if kind == "DaemonSet":
                wanted = status["desiredNumberScheduled"]
                counts = [status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0)]
            else:
                wanted = one["spec"].get("replicas", 1)
                counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
            assert set(counts) == {wanted}, status
            return True

        until(rolled, seconds, f"{kind} {self.namespace}/{name} is rolled out")

    def until_gone(self, kind: str, name: str, seconds: float = 60) -> None:
        """Wait until an object is no more."""
        until(lambda: self.find(kind, name) is None, seconds, f"{kind} {self.namespace}/{name} is gone")


def _text(one: Object | Path | str) -> str:
    if isinstance(one, Path):
        return one.read_text(encoding="utf-8")
    return one if isinstance(one, str) else yaml.safe_dump(one, sort_keys=False)


def _short(conditions: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{key}={one['status']} {one.get('reason', '')}: {one.get('message', '')}" for key, one in conditions.items()
    )
