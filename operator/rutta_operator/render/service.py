"""Services: of the listeners, of the link, of the health pages."""

from typing import Any

from rutta_operator.render import Context, Object
from rutta_operator.render.identity import named
from rutta_operator.render.pods import HEALTH
from rutta_operator.spec.models import Resource, RuttaProxy
from rutta_operator.wiring import names
from rutta_operator.wiring.plan import HEALTH_PORT, Plan, Port


def services(plan: Plan, resource: Resource, context: Context) -> list[Object]:
    """Return all of a resource's Services."""
    found = [_health(plan, context)]
    if plan.link is not None:
        found.insert(0, _link(plan, plan.link, context))
    if plan.ports and not isinstance(resource, RuttaProxy):
        found.insert(0, _listeners(plan, resource, context))
    return found


def _service(plan: Plan, name: str, context: Context, spec: dict[str, Any]) -> Object:
    service = named("v1", "Service", name, plan.key, context)
    return service | {"spec": {**spec, "selector": dict(names.selector(plan.key))}}


def _listeners(plan: Plan, resource: Any, context: Context) -> Object:
    """Return the Service of the listeners. That of a DaemonSet that is there leads to the pod of the sender's own node.

    Ports of pods are meant by name, so that in a rollout each pod is reached at the port that it listens on.
    """
    settings = resource.spec.service
    entries = [*getattr(resource.spec, "listeners", ()), *getattr(resource.spec, "sources", ())]
    numbers = {entry.name: entry.service_port for entry in entries if entry.service_port is not None}
    spec = {
        "type": settings.type,
        "ports": [_port(port, numbers.get(port.name, port.number)) for port in plan.ports],
        **({"internalTrafficPolicy": "Local"} if plan.workload == "DaemonSet" and context.is_local else {}),
    }
    service = _service(plan, names.workload(plan.key), context, spec)
    if settings.annotations:
        service["metadata"]["annotations"] = dict(settings.annotations)
    return service


def _link(plan: Plan, link: Port, context: Context) -> Object:
    """Return the headless Service that senders of the link find the ready pods by."""
    return _service(plan, names.link(plan.key), context, {"clusterIP": "None", "ports": [_port(link, link.number)]})


def _health(plan: Plan, context: Context) -> Object:
    """Return the headless Service of the health pages; who is not ready has the most to say there."""
    health = Port(HEALTH, HEALTH_PORT, "TCP", HEALTH)
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "ports": [_port(health, health.number)]}
    return _service(plan, names.health(plan.key), context, spec)


def _port(port: Port, number: int) -> dict[str, Any]:
    return {"name": port.name, "port": number, "protocol": port.protocol, "targetPort": port.name}
