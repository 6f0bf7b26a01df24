"""What the operator asks of the API server, once: the preflight and the Helm chart's rules are this list. Pure data.

It has no verb on Secrets (pods mount them), none on pods (health pages answer by a Service) and none on
CustomResourceDefinitions (lists and discovery tell whether our kinds are there); no wildcard. Single objects
are found by a list of their name, so ``get`` is for the Lease only: a right that is rarely used is one too many.
"""

from typing import Final, Literal, NamedTuple

from rutta_operator.spec.models import GROUP

Scope = Literal["Watched", "Cluster", "Lease"]
"""Watched: in each watched namespace, or in all of them. Cluster: of the whole cluster; an operator of single
namespaces goes without. Lease: in the namespace of its Lease."""


class Permission(NamedTuple):
    """The verbs that are needed on resources of one group; ``kind/status`` is a subresource."""

    scope: Scope
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]


_READ: Final = ("list", "watch")
# A server-side apply of what is not there yet needs create as well as patch.
_OWN: Final = ("create", "delete", "list", "patch", "watch")
_KINDS: Final = ("ruttaproxies", "ruttarouters", "ruttashippers")

PERMISSIONS: Final[tuple[Permission, ...]] = (
    Permission("Watched", "", ("configmaps", "serviceaccounts", "services"), _OWN),
    Permission("Watched", "apps", ("daemonsets", "deployments"), _OWN),
    Permission("Watched", "autoscaling", ("horizontalpodautoscalers",), _OWN),
    Permission("Watched", "events.k8s.io", ("events",), ("create", "patch")),
    Permission("Watched", "monitoring.coreos.com", ("podmonitors", "prometheusrules"), _OWN),
    Permission("Watched", "networking.k8s.io", ("networkpolicies",), _OWN),
    Permission("Watched", "policy", ("poddisruptionbudgets",), _OWN),
    Permission("Watched", GROUP, _KINDS, _READ),
    Permission("Watched", GROUP, tuple(f"{kind}/status" for kind in _KINDS), ("patch",)),
    Permission("Cluster", "", ("namespaces",), _READ),
    Permission("Lease", "coordination.k8s.io", ("leases",), ("create", "get", "update")),
)
