"""The three resources as pydantic models: RuttaRouter, RuttaShipper, RuttaProxy (``rutta.logary.tech/v1alpha1``).

The models hold what is ours; the settings of listeners, sources and targets come from the data plane's schema
(``components``) and are the one extra key of an entry. A field stands here only together with what it does. Rules
between fields are in ``rules``, since each needs the place of what breaks it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from rutta_operator.spec.checking import SECRET_KEY, SECRET_NAME, wrong_duration, wrong_port
from rutta_operator.spec.pod_settings import Autoscaling, DisruptionBudget, Model, ObjectName, PodSettings, Service

GROUP: Final = "rutta.logary.tech"
API_VERSION: Final = f"{GROUP}/v1alpha1"
LINK_PORT: Final = 5555
HEALTH_PORT: Final = 9114
RESERVED_NAMES: Final = ("link", "health")  # of ports that every pod may have by itself
MOST: Final = 64  # of listeners, targets, routes: the API server must know how much its rules can cost

Kind = Literal["RuttaRouter", "RuttaShipper", "RuttaProxy"]
Receiver = Literal["RuttaRouter", "RuttaProxy"]
Sender = Literal["RuttaShipper", "RuttaProxy"]
Pattern = Literal["Balance", "Broadcast"]
Delivery = Literal["AtMostOnce", "AtLeastOnce"]


def _port(value: object) -> object:
    if text := wrong_port(value):
        raise ValueError(text)
    return value


def _duration(value: object) -> object:
    if text := wrong_duration(value):
        raise ValueError(text)
    return value


# What names look like, and how that is said; the API server has them as patterns.
_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
Port = Annotated[int, BeforeValidator(_port), Field(ge=1, le=65535, json_schema_extra={"format": "port"})]
Duration = Annotated[str, BeforeValidator(_duration), Field(json_schema_extra={"format": "duration"})]
NAME: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"  # Services' names begin with a letter (RFC 1035)
# RFC 6335 §5.1, which Kubernetes asks of the names of a container's ports: a letter, and no two - in a row
_PORT_NAME: Final = r"^([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$"
SHAPES: Final[Mapping[str, str]] = {
    _LABEL: "up to 63 of a–z, 0–9 and -, with neither end a -",
    NAME: "up to 45 of a–z, 0–9 and -; it begins with a letter and does not end with -",
    _PORT_NAME: "up to 15 of a–z, 0–9 and -, with neither end a -, no two - in a row, and at least one letter",
    SECRET_NAME: "a–z, 0–9, - and ., with a letter or digit at both ends",
    SECRET_KEY: "letters, digits, -, _ and .",
}
PortName = Annotated[str, StringConstraints(pattern=_PORT_NAME, max_length=15)]
Label = Annotated[str, StringConstraints(pattern=_LABEL, min_length=1, max_length=63)]


class KeyOf(Model):
    """A key of a Secret in the resource's namespace."""

    name: Annotated[str, StringConstraints(pattern=SECRET_NAME)]
    """the Secret"""
    key: Annotated[str, StringConstraints(pattern=SECRET_KEY)]
    """its key"""


class SecretSource(Model):
    """Where a secret value is."""

    secret_key_ref: KeyOf
    """a key of a Secret"""


class Entry(BaseModel):
    """A listener, source or target: a name, and one key that says what it is and holds its settings."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, alias_generator=to_camel, use_attribute_docstrings=True
    )

    name: str

    def extra(self) -> Mapping[str, Any]:
        """Return the keys that the model itself does not know: the component, and what all of its kind have."""
        return self.model_extra or {}


class Listener(Entry):
    """Takes events from the network, or (sources) from files."""

    name: PortName
    """its name in statuses and metrics, and of its port in the Service"""
    service_port: Port | None = None
    """its port in the Service, if it is another"""
    host_port: Port | None = None
    """its port on every node, with workload DaemonSet"""


class Target(Entry):
    """Takes events somewhere: exactly one of a target's own key, ``uri`` or ``uriFrom``."""

    name: Label
    """its name in routes, statuses and metrics"""
    uri: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """the target as a URI of the original, without credentials: console://."""
    uri_from: SecretSource | None = None
    """the Secret that holds the target's URI"""


class Reference(Entry):
    """A router or proxy that gets every event; its pods share them. Takes a target's buffer, batch and retry."""

    kind: Receiver
    """what it is"""
    name: Label
    """its name"""
    namespace: Label | None = None
    """its namespace, if it is another one; its ``allowedFrom`` must let us"""


class Link(Model):
    """How a router or proxy is reached by those that refer to it; there by itself."""

    port: Port = LINK_PORT
    """the port of the link"""
    pattern: Pattern = "Balance"
    """Balance: each block of events goes to one pod; Broadcast: to every pod, lossy by nature"""
    delivery: Delivery = "AtMostOnce"
    """AtLeastOnce: a sender keeps what it sent until it is delivered, and sends it again if not"""


class LabelRule(Model):
    """One requirement of a label selector."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=317)]
    """the label"""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """how its value is compared"""
    values: Annotated[list[Annotated[str, StringConstraints(max_length=63)]], Field(max_length=MOST)] = []
    """the values of In and NotIn"""


class LabelSelector(Model):
    """Chooses by labels, as everywhere in Kubernetes; every requirement must hold."""

    match_labels: Annotated[dict[str, str], Field(max_length=MOST)] = {}
    """labels and their values"""
    match_expressions: Annotated[list[LabelRule], Field(max_length=MOST)] = []
    """further requirements"""


class Namespaces(Model):
    """The namespaces that a consent is for."""

    from_: Annotated[Literal["Same", "All", "Selector"], Field(alias="from")] = "Same"
    """Same as the resource's own, All, or by Selector"""
    selector: LabelSelector | None = None
    """labels of the Namespace, with ``from: Selector``"""


class Consent(Model):
    """Who may refer to this resource."""

    kinds: list[Sender] = ["RuttaShipper", "RuttaProxy"]
    """the kinds that may"""
    namespaces: Namespaces = Namespaces()
    """where they may be"""


class Drain(Model):
    """How a process stops."""

    delay: Duration | None = None
    """how long listeners stay open after readiness is off, for load balancers to notice; in a cluster 5s"""
    timeout: Duration | None = None
    """how long it may take to deliver what is held; 30s"""


class Common(PodSettings):
    """What all three have."""

    drain: Drain = Drain()
    """how its processes stop"""
    log_level: Literal["verbose", "debug", "info", "warn", "error", "fatal"] | None = None
    """the least level of what it logs of itself; info"""


class RouterSpec(Common):
    """A router: links and listeners in, targets out."""

    workload: Literal["Deployment", "DaemonSet"] = "Deployment"
    """Deployment, or DaemonSet: one pod on each node"""
    replicas: Annotated[int, Field(ge=0)] | None = None
    """how many pods; 3 (on one machine: 1)"""
    autoscaling: Autoscaling | None = None
    """as many pods as are needed, in place of ``replicas``"""
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """how many pods may be away at once when nodes are drained"""
    service: Service = Service()
    """the Service of its listeners"""
    link: Link = Link()
    """how shippers and proxies reach it"""
    listeners: Annotated[list[Listener], Field(max_length=MOST)] = []
    """what else it listens on"""
    targets: Annotated[list[Target], Field(min_length=1, max_length=MOST)]
    """where events go"""
    routes: Annotated[list[dict[str, Any]], Field(max_length=MOST)] = []
    """which events go to which targets; none: all to all"""
    allowed_from: Annotated[list[Consent], Field(max_length=16)] = [Consent()]
    """who may send to it; shippers and proxies of its own namespace"""


class ShipperSpec(Common):
    """A shipper: sources in, links out."""

    workload: Literal["DaemonSet", "Deployment"] = "DaemonSet"
    """DaemonSet: one pod on each node; or Deployment"""
    replicas: Annotated[int, Field(ge=0)] | None = None
    """how many pods, with workload Deployment; 2 (on one machine: 1)"""
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """how many pods may be away at once when nodes are drained"""
    service: Service = Service()
    """the Service of those sources that listen"""
    service_account_name: ObjectName | None = None
    """whose token containerLogs reads labels and owners of the node's pods by; none: it knows what paths tell"""
    sources: Annotated[list[Listener], Field(min_length=1, max_length=MOST)]
    """what it reads: files, and every listener"""
    to: Annotated[list[Reference], Field(min_length=1, max_length=8)]
    """where events go: every entry gets every event"""


class ProxySpec(Common):
    """A proxy: links in, links out; it never looks inside what it passes on."""

    replicas: Annotated[int, Field(ge=0)] | None = None
    """how many pods; 2 (on one machine: 1)"""
    autoscaling: Autoscaling | None = None
    """as many pods as are needed, in place of ``replicas``"""
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """how many pods may be away at once when nodes are drained"""
    link: Link = Link()
    """how shippers and proxies reach it"""
    to: Annotated[list[Reference], Field(min_length=1, max_length=8)]
    """where events go: every entry gets every event"""
    allowed_from: Annotated[list[Consent], Field(max_length=16)] = [Consent()]
    """who may send to it; shippers and proxies of its own namespace"""


# The longest name that leaves room for ``-shipper-health`` and a hash in a DNS label of 63.
NAME_LENGTH: Final = 45
Name = Annotated[str, StringConstraints(pattern=NAME, min_length=1, max_length=NAME_LENGTH)]


class Metadata(BaseModel):
    """What a resource is called; Kubernetes' other keys are not ours to judge."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: Name
    namespace: Label | None = None


class RuttaRouter(Model):
    """Receives events from links and listeners and brings them to targets."""

    api_version: str
    kind: Literal["RuttaRouter"]
    metadata: Metadata
    spec: RouterSpec
    status: dict[str, Any] | None = None


class RuttaShipper(Model):
    """Reads events where they arise and sends them to routers or proxies."""

    api_version: str
    kind: Literal["RuttaShipper"]
    metadata: Metadata
    spec: ShipperSpec
    status: dict[str, Any] | None = None


class RuttaProxy(Model):
    """Passes events on between networks, unopened."""

    api_version: str
    kind: Literal["RuttaProxy"]
    metadata: Metadata
    spec: ProxySpec
    status: dict[str, Any] | None = None


Resource = RuttaRouter | RuttaShipper | RuttaProxy
KINDS: Final[Mapping[str, type[RuttaRouter] | type[RuttaShipper] | type[RuttaProxy]]] = {
    "RuttaRouter": RuttaRouter,
    "RuttaShipper": RuttaShipper,
    "RuttaProxy": RuttaProxy,
}
