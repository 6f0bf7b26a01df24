"""What ``.status`` of a resource holds, as pydantic models: the CRDs and the reference have it from here.

A status says states, never counts of events or times of day: it is written when its meaning changes, and only then.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from rutta_operator.spec.models import Kind, Sender
from rutta_operator.spec.pod_settings import Model


class Condition(Model):
    """One condition, as everywhere in Kubernetes."""

    type: Annotated[str, StringConstraints(max_length=316)]
    """what it tells of: Accepted, ResolvedRefs, Ready, Reconciling, Stalled, TargetsHealthy"""
    status: Literal["True", "False", "Unknown"]
    """whether it is so"""
    reason: Annotated[str, StringConstraints(max_length=1024)]
    """why, in one word of a closed list"""
    message: Annotated[str, StringConstraints(max_length=32768)]
    """why, in a sentence"""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """the generation of the resource that it tells of"""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """since when it has this status"""


class Endpoint(Model):
    """Where a listener is reached inside the cluster."""

    listener: str
    """the listener's name"""
    address: str
    """its address, such as http://main-router.logs.svc:8080"""
    protocol: str
    """what it speaks"""


class Upstream(Model):
    """A resource that sends here."""

    kind: Sender
    """its kind"""
    namespace: str
    """its namespace"""
    name: str
    """its name"""


class Downstream(Model):
    """A resource that this one sends to."""

    kind: Kind
    """its kind"""
    namespace: str
    """its namespace"""
    name: str
    """its name"""
    state: str | None = None
    """whether its pods are reached"""


class Upstreams(Model):
    """Who sends here."""

    total: int
    """how many resources"""
    items: Annotated[list[Upstream], Field(max_length=32)] = []
    """some of them"""


class Downstreams(Model):
    """Whom this resource sends to."""

    total: int
    """how many resources"""
    connected: int | None = None
    """how many of them are reached"""
    items: Annotated[list[Downstream], Field(max_length=32)] = []
    """some of them"""


class TargetState(Model):
    """How a target does, as one of the pods sees it."""

    name: str
    """the target's name"""
    state: str
    """whether it takes what it gets"""
    reason: str | None = None
    """why not"""


class Status(Model):
    """What the operator says of a resource."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """the generation of the resource that all of this tells of"""
    conditions: list[Condition] = []
    """what is so, and why"""
    replicas: int | None = None
    """pods that are there"""
    ready_replicas: int | None = None
    """pods that are ready"""
    updated_replicas: int | None = None
    """pods that are as the resource now says"""
    selector: str | None = None
    """labels of the pods, for kubectl scale and autoscalers"""
    endpoints: list[Endpoint] = []
    """where its listeners are reached"""
    upstreams: Upstreams | None = None
    """who sends here"""
    downstreams: Downstreams | None = None
    """whom it sends to"""
    targets: list[TargetState] = []
    """how its targets do"""
