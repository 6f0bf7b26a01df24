"""What the three resources say of their pods and the objects around them; ``ruttactl up`` has no use for any of it.

These are models, as in ``models``; they stand apart because no other part of a resource refers to them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from rutta_operator.spec.checking import SECRET_NAME, wrong_quantity, wrong_share


def _quantity(value: object) -> object:
    if text := wrong_quantity(value):
        raise ValueError(text)
    return value


def _share(value: object) -> object:
    if text := wrong_share(value):
        raise ValueError(text)
    return value


# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
Quantity = Annotated[str | int, BeforeValidator(_quantity), Field(json_schema_extra={"format": "quantity"})]
Amounts = Annotated[dict[str, Quantity], Field(max_length=6)]  # the rule that compares two is too dear for 1.30 at 8
Share = Annotated[str | int, BeforeValidator(_share), Field(json_schema_extra={"format": "share", "minimum": 1})]
ObjectName = Annotated[str, StringConstraints(pattern=SECRET_NAME, min_length=1, max_length=253)]


class Model(BaseModel):
    """What all models share: camelCase keys, nothing unknown, never changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, use_attribute_docstrings=True
    )


class NamedObject(Model):
    """An object of the same namespace."""

    name: ObjectName
    """its name"""


class Resources(Model):
    """What a container may use."""

    requests: Amounts | None = None
    """what the scheduler keeps for it: cpu, memory"""
    limits: Amounts | None = None
    """what it may not exceed: cpu, memory"""


class Toleration(Model):
    """A taint of nodes that pods do not mind."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=317)] | None = None
    """the taint's key; none with operator Exists: every taint"""
    operator: Literal["Exists", "Equal"] | None = None
    """Equal: the value too"""
    value: Annotated[str, StringConstraints(max_length=63)] | None = None
    """the taint's value"""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """the taint's effect; none: every effect"""
    toleration_seconds: int | None = None
    """with NoExecute: how long"""


class PodTemplate(Model):
    """What is not typed here, laid over the pod template that we make: lists with names are joined by name.

    The container's name is ``rutta``. The API server checks the outcome before anything rolls.
    """

    metadata: dict[str, Any] = {}
    """labels and annotations of the pods"""
    spec: dict[str, Any] = {}
    """a PodSpec, or parts of one"""


class Service(Model):
    """The Service of a resource's listeners."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """ClusterIP, NodePort or LoadBalancer"""
    annotations: dict[str, str] = {}
    """its annotations, such as those that a cloud's load balancers read"""


class DisruptionBudget(Model):
    """How many pods may be away at once when nodes are drained."""

    max_unavailable: Share = 1
    """a number, or a percentage"""


class Autoscaling(Model):
    """A HorizontalPodAutoscaler in place of ``replicas``."""

    min_replicas: Annotated[int, Field(ge=1)] = 2
    """the least number of pods"""
    max_replicas: Annotated[int, Field(ge=1)]
    """the most"""
    target_cpu_percent: Annotated[int, Field(ge=1, le=100)] = 80
    """the share of the CPU request that pods should use on average"""
    behavior: dict[str, Any] | None = None
    """how fast it scales, as in autoscaling/v2"""


class NetworkPolicy(Model):
    """Who may reach the pods: whoever sends by reference, and what else they are for."""

    enabled: bool = False
    """whether there is one: it admits listeners' ports, senders of the link, probes, Prometheus and the operator"""


class Monitoring(Model):
    """What Prometheus' operator reads, if the cluster has it."""

    enabled: bool = True
    """whether there are a PodMonitor and a PrometheusRule"""
    labels: dict[str, str] = {}
    """their labels, for Prometheus to choose them by"""


class PodSettings(Model):
    """What all three resources may say of their pods."""

    image: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """the data plane's image; the operator's own choice"""
    image_pull_secrets: list[NamedObject] = []
    """Secrets to pull the image with"""
    resources: Resources | None = None
    """requests and limits of the container; they follow from the buffers"""
    priority_class_name: ObjectName | None = None
    """the pods' PriorityClass"""
    node_selector: dict[str, str] = {}
    """labels of the nodes that pods may run on"""
    tolerations: Annotated[list[Toleration], Field(max_length=64)] | None = None
    """taints that pods do not mind; pods of DaemonSets: all"""
    network_policy: NetworkPolicy = NetworkPolicy()
    """who may reach the pods; everybody"""
    monitoring: Monitoring = Monitoring()
    """what Prometheus' operator reads"""
    pod_template: PodTemplate = PodTemplate()
    """whatever else pods need"""
