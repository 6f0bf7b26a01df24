"""The Deployment or DaemonSet, and the ServiceAccount of its pods.

A rollout loses nothing: a new pod is there and found before an old one is told to leave (``drain``). Only pods that
take ports of their node must leave before the new one can come.
"""

from collections.abc import Mapping
from typing import Any, Final

from rutta_operator.render import Context, Object, node, pods
from rutta_operator.render.drain import drain
from rutta_operator.render.identity import named
from rutta_operator.render.overlay import laid_over
from rutta_operator.spec.models import Resource, RuttaShipper
from rutta_operator.wiring import names
from rutta_operator.wiring.plan import Plan

_HISTORY: Final = 2  # old revisions: their ConfigMaps are gone, so there is little to go back to


def service_account(plan: Plan, context: Context) -> Object:
    """Return the ServiceAccount, without a token; who reads pods by the API server has one of its user's."""
    account = named("v1", "ServiceAccount", names.workload(plan.key), plan.key, context)
    return account | {"automountServiceAccountToken": False}


def workload(plan: Plan, resource: Resource, context: Context, config: str, resources: Mapping[str, Any]) -> Object:
    """Return the workload; ``config`` is the name of its ConfigMap. With autoscaling it says no number of replicas."""
    over = resource.spec.pod_template.model_dump(by_alias=True, exclude_unset=True)
    template = laid_over(pods.template(plan, resource, context, config, resources), over)
    spec: dict[str, Any] = {
        "selector": {"matchLabels": dict(pods.labels(plan))},
        "minReadySeconds": drain(plan).ready,
        "revisionHistoryLimit": _HISTORY,
        "template": template,
    }
    if plan.workload == "Deployment":
        spec |= _deployment(plan, autoscaled=is_autoscaled(resource))
    else:
        spec |= {"updateStrategy": _rolling(surge=not (_takes_node_ports(template) or _only_reads_logs(plan)))}
    return named("apps/v1", plan.workload, names.workload(plan.key), plan.key, context) | {"spec": spec}


def is_autoscaled(resource: Resource) -> bool:
    """Tell whether somebody else decides the number of replicas."""
    return not isinstance(resource, RuttaShipper) and resource.spec.autoscaling is not None


def _deployment(plan: Plan, *, autoscaled: bool) -> dict[str, Any]:
    replicas = {} if autoscaled else {"replicas": plan.replicas}
    return {**replicas, "progressDeadlineSeconds": drain(plan).progress, "strategy": _rolling(surge=True)}


def _rolling(*, surge: bool) -> dict[str, Any]:
    amounts = {"maxSurge": 1, "maxUnavailable": 0} if surge else {"maxSurge": 0, "maxUnavailable": 1}
    return {"type": "RollingUpdate", "rollingUpdate": amounts}


def _only_reads_logs(plan: Plan) -> bool:
    """Tell whether nobody misses a pod between two: the node keeps its logs, and how far they are done, meanwhile."""
    return node.reads(plan) and not plan.ports


def _takes_node_ports(template: Any) -> bool:
    """Tell whether two pods of one node would get in each other's way; the template may be anything a user wrote."""
    spec = template["spec"] if isinstance(template.get("spec"), dict) else {}
    containers = spec.get("containers")
    ports = [
        port
        for container in (containers if isinstance(containers, list) else ())
        if isinstance(container, dict) and isinstance(container.get("ports"), list)
        for port in container["ports"]
    ]
    return bool(spec.get("hostNetwork")) or any(isinstance(port, dict) and port.get("hostPort") for port in ports)
