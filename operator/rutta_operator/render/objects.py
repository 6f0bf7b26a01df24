"""All objects of one resource."""

from rutta_operator.render import Context, Object, config, node, sizing
from rutta_operator.render.autoscaling import autoscalers
from rutta_operator.render.monitoring import monitors
from rutta_operator.render.network import network_policies
from rutta_operator.render.policy import disruption_budgets
from rutta_operator.render.service import services
from rutta_operator.render.workload import service_account, workload
from rutta_operator.spec.models import Resource
from rutta_operator.wiring.plan import Plan


def objects(plan: Plan, resource: Resource, context: Context) -> list[Object]:
    """Return a resource's objects in the order in which they are applied: what is needed comes before who needs it.

    A plan that is idle needs none. The objects' metadata are new, and the caller's to add to.
    """
    if plan.idle:
        return []
    resources = sizing.resources(resource)
    name = config.name(plan, resources)
    return [
        *([] if node.account(resource) else [service_account(plan, context)]),
        config.config_map(plan, context, name),
        *services(plan, resource, context),
        *network_policies(plan, resource, context),
        workload(plan, resource, context, name, resources),
        *disruption_budgets(plan, resource, context),
        *autoscalers(plan, resource, context),
        *monitors(plan, resource, context),
    ]
