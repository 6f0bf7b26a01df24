"""The kinds of objects that the operator reads and makes: where the API server has them. Pure data."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from rutta_operator.spec.models import GROUP
from rutta_operator.wiring import names

MONITORING: Final = "monitoring.coreos.com"


class Api(NamedTuple):
    """Where objects of a kind are."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return what objects have as ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of an object, or of all objects of a namespace, or of all that there are."""
        path = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if namespace is not None and self.namespaced:
            path += f"/namespaces/{namespace}"
        return f"{path}/{self.plural}" + (f"/{name}" if name is not None else "")


def _by_kind(*apis: Api) -> Mapping[str, Api]:
    return {api.kind: api for api in apis}


RESOURCES: Final = _by_kind(
    Api("RuttaRouter", GROUP, "v1alpha1", "ruttarouters"),
    Api("RuttaShipper", GROUP, "v1alpha1", "ruttashippers"),
    Api("RuttaProxy", GROUP, "v1alpha1", "ruttaproxies"),
)
WORKLOADS: Final = _by_kind(
    Api("Deployment", "apps", "v1", "deployments"), Api("DaemonSet", "apps", "v1", "daemonsets")
)
CHILDREN: Final = {
    **WORKLOADS,
    **_by_kind(
        Api("Service", "", "v1", "services"),
        Api("ConfigMap", "", "v1", "configmaps"),
        Api("ServiceAccount", "", "v1", "serviceaccounts"),
        Api("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
        Api("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
        Api("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    ),
}
OPTIONAL: Final = _by_kind(
    Api("PodMonitor", MONITORING, "v1", "podmonitors"), Api("PrometheusRule", MONITORING, "v1", "prometheusrules")
)
NAMESPACE: Final = Api("Namespace", "", "v1", "namespaces", namespaced=False)
LEASE: Final = Api("Lease", "coordination.k8s.io", "v1", "leases")
EVENT: Final = Api("Event", "events.k8s.io", "v1", "events")
REVIEW: Final = Api(
    "SelfSubjectAccessReview", "authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False
)

ALL: Final = {**RESOURCES, **CHILDREN, **OPTIONAL, **_by_kind(NAMESPACE, LEASE, EVENT, REVIEW)}
SELECTOR: Final = f"{names.MANAGED_BY}={names.MANAGER}"
"""the label selector of the objects that are ours"""
