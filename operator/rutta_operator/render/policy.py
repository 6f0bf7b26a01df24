"""The PodDisruptionBudget: how many pods may be away when nodes are drained."""

from rutta_operator.render import Context, Object, pods
from rutta_operator.render.identity import named
from rutta_operator.spec.models import Resource, RuttaShipper
from rutta_operator.wiring import names
from rutta_operator.wiring.plan import Plan


def disruption_budgets(plan: Plan, resource: Resource, context: Context) -> list[Object]:
    """Return the budget, if there can be more than one pod and nodes are not drained without them anyway (DaemonSet).

    Pods that are not ready may always go: a rollout that is stuck must not hold up who drains a node.
    """
    if plan.workload == "DaemonSet" or _most(plan, resource) < 2:
        return []
    budget = named("policy/v1", "PodDisruptionBudget", names.workload(plan.key), plan.key, context)
    spec = {
        "selector": {"matchLabels": dict(pods.labels(plan))},
        "maxUnavailable": resource.spec.pod_disruption_budget.max_unavailable,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return [budget | {"spec": spec}]


def _most(plan: Plan, resource: Resource) -> int:
    scaling = None if isinstance(resource, RuttaShipper) else resource.spec.autoscaling
    return plan.replicas if scaling is None else scaling.max_replicas
