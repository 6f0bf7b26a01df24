"""The HorizontalPodAutoscaler, which decides the number of pods in place of ``replicas``."""

from typing import Any

from rutta_operator.render import Context, Object
from rutta_operator.render.identity import named
from rutta_operator.render.overlay import written
from rutta_operator.spec.models import Resource, RuttaShipper
from rutta_operator.wiring import names
from rutta_operator.wiring.plan import Plan


def autoscalers(plan: Plan, resource: Resource, context: Context) -> list[Object]:
    """Return the autoscaler, if the resource asks for one."""
    scaling = None if isinstance(resource, RuttaShipper) else resource.spec.autoscaling
    if scaling is None:
        return []
    target = {"type": "Utilization", "averageUtilization": scaling.target_cpu_percent}
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": plan.workload, "name": names.workload(plan.key)},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    if scaling.behavior:
        spec["behavior"] = written(scaling.behavior)
    name = names.workload(plan.key)
    return [named("autoscaling/v2", "HorizontalPodAutoscaler", name, plan.key, context) | {"spec": spec}]
