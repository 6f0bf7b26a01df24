"""Reads the API server over one kept connection: ``kubectl proxy`` does the login.

Waiting means looking often, and a process for each look would cost more than what is looked at.
"""

import http.client
import json
import subprocess
from typing import Any

Object = dict[str, Any]

# kind: (path of its API, plural), of all kinds that the suite looks at
PATHS = {
    "Namespace": ("api/v1", "namespaces"),
    "Node": ("api/v1", "nodes"),
    "Pod": ("api/v1", "pods"),
    "Service": ("api/v1", "services"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Secret": ("api/v1", "secrets"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Event": ("apis/events.k8s.io/v1", "events"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "PodMonitor": ("apis/monitoring.coreos.com/v1", "podmonitors"),
    "PrometheusRule": ("apis/monitoring.coreos.com/v1", "prometheusrules"),
    "RuttaRouter": ("apis/rutta.logary.tech/v1alpha1", "ruttarouters"),
    "RuttaShipper": ("apis/rutta.logary.tech/v1alpha1", "ruttashippers"),
    "RuttaProxy": ("apis/rutta.logary.tech/v1alpha1", "ruttaproxies"),
}


def path_of(kind: str, namespace: str | None, name: str = "") -> str:
    """Return the path of an object, or of all of its kind."""
    api, plural = PATHS[kind]
    place = f"namespaces/{namespace}/" if namespace else ""
    return f"/{api}/{place}{plural}" + (f"/{name}" if name else "")


class Api:
    """Owns a ``kubectl proxy`` from its making to ``close``."""

    def __init__(self, kubeconfig: str) -> None:
        """Start the proxy; it says its port when it serves."""
        words = ["kubectl", "--kubeconfig", kubeconfig, "proxy", "--port=0"]
        self._proxy = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._proxy.stdout is not None
        said = self._proxy.stdout.readline()
        assert ":" in said, f"kubectl proxy did not start: {said!r}"
        self.port = int(said.rpartition(":")[2])
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """End the proxy."""
        if self._connection is not None:
            self._connection.close()
        self._proxy.terminate()
        self._proxy.communicate(timeout=10)

    def ask(self, path: str, method: str = "GET", timeout: float = 30) -> tuple[int, bytes]:
        """Return status and body of one request; a connection that was closed meanwhile is opened again."""
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            try:
                self._connection.request(method, path)
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as exc:
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise AssertionError(f"{method} {path}: {exc}") from exc
        raise AssertionError(path)

    def text(self, path: str) -> str:
        """Return a page. Raises AssertionError with the status if it is not 200."""
        status, body = self.ask(path)
        assert status == 200, f"GET {path}: {status} {body[:300]!r}"
        return body.decode()

    def json(self, path: str) -> Any:
        """Return a JSON page."""
        return json.loads(self.text(path))

    def find(self, kind: str, name: str, namespace: str | None) -> Object | None:
        """Return an object, or None if there is none of that name."""
        path = path_of(kind, namespace, name)
        status, body = self.ask(path)
        if status == 404:
            return None
        assert status == 200, f"GET {path}: {status} {body[:300]!r}"
        found: Object = json.loads(body)
        return found

    def items(self, kind: str, namespace: str | None, query: str = "") -> list[Object]:
        """Return all objects of a kind; ``query`` as in ``labelSelector=a%3Db``. None if the kind is not known."""
        status, body = self.ask(path_of(kind, namespace) + (f"?{query}" if query else ""))
        if status == 404:
            return []
        assert status == 200, f"GET {kind}: {status} {body[:300]!r}"
        return [{"kind": kind, **one} for one in json.loads(body)["items"]]
