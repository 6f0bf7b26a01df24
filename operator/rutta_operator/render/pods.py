"""The pod template: what a pod is, before the resource's ``podTemplate`` is laid over it.

It satisfies Pod Security "restricted" (https://kubernetes.io/docs/concepts/security/pod-security-standards/), unless a
listener asks for a ``hostPort`` or a source reads the node's logs or measures the node (``node``).
"""

from collections.abc import Mapping
from typing import Any, Final

from rutta_operator.render import Context, Object, mounts, node
from rutta_operator.render.config import FILE
from rutta_operator.render.drain import drain
from rutta_operator.spec.models import Resource
from rutta_operator.wiring import names
from rutta_operator.wiring.plan import HEALTH_PORT, Plan

CONTAINER: Final = "rutta"
USER: Final = 65532
HEALTH: Final = "health"
_PRIVILEGED: Final = 1024  # ports below it
_ZONE: Final = "topology.kubernetes.io/zone"
_NODE: Final = "kubernetes.io/hostname"
_ALWAYS: Final = {"operator": "Exists"}


def labels(plan: Plan) -> Mapping[str, str]:
    """Return the labels of the pods, which are also the selector of their workload."""
    return {**names.selector(plan.key), names.WORKLOAD: plan.workload.lower()}


def template(
    plan: Plan, resource: Resource, context: Context, config: str, resources: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the pod template; ``config`` is the name of the ConfigMap."""
    spec = {
        "serviceAccountName": node.account(resource) or names.workload(plan.key),
        "automountServiceAccountToken": node.account(resource) is not None,
        "enableServiceLinks": False,  # variables named after Services could be taken for LOGARY_RUTTA_* settings
        "terminationGracePeriodSeconds": drain(plan).grace,
        "securityContext": _security(plan),
        **_placing(plan, resource),
        **_pull_secrets(resource, context),
        "containers": [_container(plan, resource, context, resources)],
        "volumes": mounts.volumes(plan, config),
    }
    return {"metadata": {"labels": dict(labels(plan))}, "spec": spec}


def _security(plan: Plan) -> dict[str, Any]:
    user = node.USER if node.reads(plan) else USER
    found: dict[str, Any] = {
        "runAsNonRoot": user != 0,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    numbers = [port.number for port in (*plan.ports, plan.link) if port is not None]
    if numbers and min(numbers) < _PRIVILEGED:  # one of the sysctls that count as safe, and restricted admits
        found["sysctls"] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": str(min(numbers))}]
    return found


def _placing(plan: Plan, resource: Resource) -> dict[str, Any]:
    """Return where pods may run. Those of DaemonSets go everywhere, those of Deployments apart if they can."""
    spec, found = resource.spec, dict[str, Any]()
    if spec.priority_class_name is not None:
        found["priorityClassName"] = spec.priority_class_name
    if spec.node_selector:
        found["nodeSelector"] = spec.node_selector
    tolerations = [one.model_dump(by_alias=True, exclude_none=True) for one in spec.tolerations or ()]
    if spec.tolerations is None and plan.workload == "DaemonSet":
        tolerations = [_ALWAYS]
    if tolerations:
        found["tolerations"] = tolerations
    if plan.workload == "Deployment":
        found["topologySpreadConstraints"] = [_spread(plan, key) for key in (_ZONE, _NODE)]
    return found


def _spread(plan: Plan, key: str) -> dict[str, Any]:
    """Spread the pods of one revision: those that leave in a rollout do not count."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(labels(plan))},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _pull_secrets(resource: Resource, context: Context) -> dict[str, Any]:
    own = [one.name for one in resource.spec.image_pull_secrets]
    found = [{"name": name} for name in dict.fromkeys([*context.image_pull_secrets, *own])]
    return {"imagePullSecrets": found} if found else {}


def _container(plan: Plan, resource: Resource, context: Context, resources: Mapping[str, Any]) -> Object:
    return {
        "name": CONTAINER,
        "image": resource.spec.image or context.image,
        "imagePullPolicy": "IfNotPresent",  # unsaid, a first :latest makes it Always, and so it stays for other tags
        "args": [names.role(plan.key), "--config", f"{mounts.CONFIG}/{FILE}"],
        **node.environment(plan),
        "ports": _ports(plan, resource),
        "resources": resources,
        "startupProbe": _probe("/healthz", period=1, failures=60),
        "readinessProbe": _probe("/readyz", period=5, failures=2),
        # /healthz is 503 as soon as the event loop is late by 5 s: three of these are a process that hangs
        "livenessProbe": _probe("/healthz", period=10, failures=3),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",  # what is wrong with a config shows in the pod's status
        "volumeMounts": mounts.mounts(plan),
    }


def _ports(plan: Plan, resource: Resource) -> list[dict[str, Any]]:
    """Return the container's ports; Services, probes and policies refer to them by name."""
    hosts = host_ports(resource)
    found = [{"name": HEALTH, "containerPort": HEALTH_PORT, "protocol": "TCP"}]
    for port in (plan.link, *plan.ports):
        if port is not None:
            one = {"name": port.name, "containerPort": port.number, "protocol": port.protocol}
            found.append(one | ({"hostPort": hosts[port.name]} if port.name in hosts else {}))
    return found


def host_ports(resource: Resource) -> dict[str, int]:
    """Return the ports of the node that listeners ask for, by the listener's name."""
    spec = resource.spec
    entries = [*getattr(spec, "listeners", ()), *getattr(spec, "sources", ())]
    return {one.name: one.host_port for one in entries if one.host_port is not None}


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": HEALTH},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }
