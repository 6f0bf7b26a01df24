"""The NetworkPolicy: who may reach the pods.

- The link: pods of the resources that are wired to this one or keep their last wiring, by namespace and labels, and
  nobody else.
- Listeners: everybody, also from outside of the cluster; that is what they are for.
- Health pages: every pod of the cluster. Prometheus and the operator read them there, and where those run is not ours
  to know; the pages hold names and counters. Probes come from the node, and a policy never keeps a node from its pods.

What pods send is not restricted: targets may be anywhere.
"""

from collections.abc import Iterable
from typing import Any, Final

from rutta_operator.render import Context, Object
from rutta_operator.render.identity import named
from rutta_operator.render.pods import HEALTH
from rutta_operator.spec.models import Resource
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Plan, Port

_NAMESPACE: Final = "kubernetes.io/metadata.name"  # every API server labels each namespace with its name
_CLUSTER: Final = {"namespaceSelector": {"matchExpressions": [{"key": _NAMESPACE, "operator": "Exists"}]}}


def network_policies(plan: Plan, resource: Resource, context: Context) -> list[Object]:
    """Return the policy, if the resource asks for one. Ports are meant by name, as pods name them."""
    if not resource.spec.network_policy.enabled:
        return []
    ingress: list[dict[str, Any]] = [{"from": [_CLUSTER], "ports": [{"port": HEALTH, "protocol": "TCP"}]}]
    if plan.ports:
        ingress.append({"ports": [_port(port) for port in plan.ports]})
    if plan.link is not None and context.senders:
        ingress.append({"from": _pods(context.senders), "ports": [_port(plan.link)]})
    spec = {
        "podSelector": {"matchLabels": dict(names.selector(plan.key))},
        "policyTypes": ["Ingress"],
        "ingress": ingress,
    }
    policy = named("networking.k8s.io/v1", "NetworkPolicy", names.workload(plan.key), plan.key, context)
    return [policy | {"spec": spec}]


def _port(port: Port) -> dict[str, Any]:
    return {"port": port.name, "protocol": port.protocol}


def _pods(senders: Iterable[Key]) -> list[dict[str, Any]]:
    return [
        {
            "namespaceSelector": {"matchLabels": {_NAMESPACE: key.namespace}},
            "podSelector": {"matchLabels": dict(names.selector(key))},
        }
        for key in sorted(senders)
    ]
