"""Everything that tells why a scenario failed, in a folder: objects, events, logs, the pods' own pages."""

import contextlib
import time
from pathlib import Path

from harness.api import Object
from harness.kubectl import HEALTH_PORT, Kubectl
from harness.shell import Failed, run

_KINDS = (
    "ruttarouters,ruttashippers,ruttaproxies,deployments,daemonsets,replicasets,pods,services,endpointslices,"
    "configmaps,serviceaccounts,poddisruptionbudgets,horizontalpodautoscalers,networkpolicies,leases"
)
_SYSTEM = ("kube-", "local-path-storage")
_PAGES = {HEALTH_PORT: ("status", "metrics", "readyz"), 8080: ("report", "metrics")}
_PATIENCE = 180.0  # seconds for all namespaces: a cluster that was kept may have many


def collect(kubectl: Kubectl, folder: Path, namespaces: list[str]) -> Path:
    """Write all that can be learned of some namespaces, the first ones first; what cannot is said in its file."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "nodes.txt", kubectl, "describe", "nodes")
    end = time.monotonic() + _PATIENCE
    for number, name in enumerate(namespaces):
        if time.monotonic() > end:
            (folder / "left-out.txt").write_text("\n".join(namespaces[number:]), encoding="utf-8")
            break
        _of_namespace(kubectl.within(name), folder / name, end)
    return folder


def others(kubectl: Kubectl, namespaces: list[str]) -> list[str]:
    """Return the other namespaces but those of Kubernetes: the operator's, Argo CD's, what an example brings."""
    names = [one["metadata"]["name"] for one in kubectl.items("Namespace")]
    return [name for name in names if name not in namespaces and not name.startswith(_SYSTEM)]


def _of_namespace(kubectl: Kubectl, folder: Path, end: float) -> None:
    folder.mkdir(exist_ok=True)
    _write(folder / "objects.txt", kubectl, "get", _KINDS, "-o", "wide")
    _write(folder / "objects.yaml", kubectl, "get", _KINDS, "-o", "yaml", "--show-managed-fields")
    _write(
        folder / "describe.txt",
        kubectl,
        "describe",
        "pods,deployments,daemonsets,ruttarouters,ruttashippers,ruttaproxies",
    )
    _write(folder / "events.txt", kubectl, "events")
    for pod in kubectl.items("Pod"):
        if time.monotonic() < end:
            _of_pod(kubectl, folder, pod)


def _of_pod(kubectl: Kubectl, folder: Path, pod: Object) -> None:
    name = pod["metadata"]["name"]
    _write(folder / f"{name}.log", kubectl, "logs", name, "--all-containers", "--prefix", "--timestamps")
    _write(folder / f"{name}.previous.log", kubectl, "logs", name, "--all-containers", "--previous")
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    ports = {one["containerPort"] for container in containers for one in container.get("ports", [])}
    for port in _PAGES.keys() & ports:
        # where one page does not come, the pod does not run, or nobody reaches it: the others would be waited for, too
        with contextlib.suppress(AssertionError):
            for page in _PAGES[port]:
                (folder / f"{name}.{page}.txt").write_text(kubectl.page(name, page, port), encoding="utf-8")


def _write(file: Path, kubectl: Kubectl, *words: str) -> None:
    try:
        text = run("kubectl", "--kubeconfig", kubectl.kubeconfig, "-n", kubectl.namespace, *words, timeout=60)
    except Failed as exc:
        if "previous terminated container" in str(exc):
            return
        text = str(exc)
    file.write_text(text, encoding="utf-8")
