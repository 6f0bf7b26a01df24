"""What the operator has made of resources, without what the API server adds: to be compared before and after."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from harness.api import Object
from harness.kubectl import Kubectl

KINDS = (
    "Deployment", "DaemonSet", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget",
    "HorizontalPodAutoscaler", "NetworkPolicy", "PodMonitor", "PrometheusRule",
)  # fmt: skip
_VOLATILE = ("resourceVersion", "managedFields", "generation", "creationTimestamp")
_ANNOTATIONS = (
    "rutta.logary.tech/applied", "deployment.kubernetes.io/revision", "deprecated.daemonset.template.generation",
)  # fmt: skip
_MANAGED = {"app.kubernetes.io/managed-by": "rutta-operator"}

Children = dict[str, Object]
"""Children by ``Kind/name``; the newest ConfigMap of a resource under ``ConfigMap/NAME-ROLE``, its config read."""


def children(kubectl: Kubectl) -> Children:
    """Return all children in the namespace."""
    found: Children = {}
    for kind in KINDS:
        for one in sorted(kubectl.items(kind, _MANAGED), key=lambda one: one["metadata"]["creationTimestamp"]):
            found[_key(kind, one)] = _plain(kind, one)
    return found


def _key(kind: str, one: Object) -> str:
    name = one["metadata"]["name"]
    return f"{kind}/{name.rpartition('-')[0] if kind == 'ConfigMap' else name}"


def _plain(kind: str, one: Object) -> Object:
    meta = {key: value for key, value in one["metadata"].items() if key not in _VOLATILE}
    meta["annotations"] = {k: v for k, v in meta.get("annotations", {}).items() if k not in _ANNOTATIONS}
    rest = {key: value for key, value in one.items() if key not in ("metadata", "status", "kind", "apiVersion")}
    if kind == "ConfigMap":
        meta = {key: meta[key] for key in ("labels", "annotations")}  # another name is another object
        rest["data"] = json.loads(one["data"]["config.json"])
    return {"metadata": meta, **rest}


def differences(before: Children, after: Children) -> dict[str, list[str]]:
    """Return the paths that differ, by child; ``["+"]`` is a child that came, ``["-"]`` one that went."""
    found = {key: ["-"] for key in before.keys() - after.keys()} | {key: ["+"] for key in after.keys() - before.keys()}
    for key in before.keys() & after.keys():
        if paths := sorted(_different(before[key], after[key], "")):
            found[key] = paths
    return dict(sorted(found.items()))


def _different(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in one.keys() | other.keys():
            yield from _different(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    elif isinstance(one, list) and isinstance(other, list) and _named(one) and _named(other):
        ours, theirs = ({item["name"]: item for item in items} for items in (one, other))
        for key in ours.keys() | theirs.keys():
            yield from _different(ours.get(key), theirs.get(key), f"{path}[{key}]")
    elif one != other:
        yield path


def _named(items: list[Any]) -> bool:
    return all(isinstance(item, Mapping) and "name" in item for item in items)
