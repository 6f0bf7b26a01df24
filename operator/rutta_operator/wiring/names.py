"""What the objects of a resource are called, and the labels that tell whose they are.

Names carry the role, for a router and a proxy of one namespace may share a name. Labels are ours alone: well-known
ones such as ``app.kubernetes.io/instance`` are left to the tools that track by them (Argo CD).
"""

from collections.abc import Mapping
from typing import Final

from rutta_operator.spec.models import GROUP
from rutta_operator.wiring.graph import Key

MANAGER: Final = "rutta-operator"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
NAME: Final = "app.kubernetes.io/name"
COMPONENT: Final = "app.kubernetes.io/component"
INSTANCE: Final = f"{GROUP}/instance"  # the resource's name
WORKLOAD: Final = f"{GROUP}/workload"  # daemonset or deployment: while one follows the other their pods stay apart
APPLIED: Final = f"{GROUP}/applied"  # annotation: the digest of what was applied
TOUCHED: Final = f"{GROUP}/touched"  # annotation: when a DaemonSet was touched whose rollout stood still


def role(key: Key) -> str:
    """Return ``router``, ``shipper`` or ``proxy``."""
    return key.kind.removeprefix("Rutta").lower()


def workload(key: Key) -> str:
    """Return the name of its Deployment or DaemonSet, ServiceAccount and further objects, and of its Service."""
    return f"{key.name}-{role(key)}"


def link(key: Key) -> str:
    """Return the name of the headless Service of its link."""
    return f"{workload(key)}-link"


def health(key: Key) -> str:
    """Return the name of the headless Service of its health pages, which publishes not-ready pods."""
    return f"{workload(key)}-health"


def config(key: Key, digest: str) -> str:
    """Return the name of its ConfigMap; ``digest`` is of what a process reads at its start only."""
    return f"{workload(key)}-{digest[:8]}"


def dns(key: Key, service: str) -> str:
    """Return the name of one of its Services in the cluster's DNS, short enough for any cluster domain."""
    return f"{service}.{key.namespace}.svc"


def selector(key: Key) -> Mapping[str, str]:
    """Return the labels that all pods of a resource have, and no others."""
    return {NAME: "rutta", COMPONENT: role(key), INSTANCE: key.name}


def labels(key: Key, manager: str = MANAGER) -> Mapping[str, str]:
    """Return the labels of its objects."""
    return {**selector(key), MANAGED_BY: manager}
