"""One resource → what it needs to run: the data plane's config, ports, replicas, secret files. Pure.

A plan says nothing of where things are: ``Wiring`` supplies that. In a cluster peers are a Service's name, on one
machine they are addresses; ``local`` and the operator realise the same plan.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from rutta_operator.spec import components, models
from rutta_operator.spec.components import Section
from rutta_operator.spec.models import Entry, Reference, Resource, RuttaProxy, RuttaRouter, RuttaShipper, Target
from rutta_operator.spec.rules import protocol
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Graph, Key
from rutta_operator.wiring.topology import Placed, target_of

Role = Literal["Router", "Shipper", "Proxy"]
SECRETS: Final = "/etc/rutta/secrets"
HEALTH_PORT: Final = models.HEALTH_PORT


class Settings(NamedTuple):
    """What the place where plans are realised decides for all of them."""

    replicas: Mapping[str, int] = {"RuttaRouter": 3, "RuttaProxy": 2, "RuttaShipper": 2}
    """pods of a Deployment that says no number, by kind"""
    share_ports: bool = False
    """whether the replicas run on one machine and share the ports of their listeners"""
    log_format: str = "logfmt"
    drain_delay: str | None = None
    """how long listeners stay open after readiness is off, for resources that say nothing"""


class Port(NamedTuple):
    """A port that a listener of a resource is reached at."""

    name: str
    number: int
    protocol: str
    component: str


class SecretKey(NamedTuple):
    """A key of a Secret that must be there as a file."""

    name: str
    key: str


class Wiring(Protocol):
    """Where things are, for one process (in a cluster: for all pods of a resource)."""

    def bind(self, port: Port) -> str:
        """Return what to bind for a listener or the link: ``host:port``, or several with commas."""

    def health(self) -> str:
        """Return what to bind for the health page."""

    def peers(self, target: Key, port: int) -> Mapping[str, Any]:
        """Return how to reach the link of another resource: ``{dns, port}`` or ``{addresses}``."""

    def secret(self, secret: SecretKey) -> str:
        """Return the path of a secret's file."""


class Cluster:
    """The wiring of a cluster: a headless Service for each link."""

    def bind(self, port: Port) -> str:
        """Bind on all addresses of the pod."""
        return f"0.0.0.0:{port.number}"

    def health(self) -> str:
        """Bind on all addresses of the pod; kubelet and Prometheus come from outside."""
        return f"0.0.0.0:{HEALTH_PORT}"

    def peers(self, target: Key, port: int) -> Mapping[str, Any]:
        """Name the headless Service; its addresses are the pods."""
        return {"dns": names.dns(target, names.link(target)), "port": port}

    def secret(self, secret: SecretKey) -> str:
        """Return where the pod mounts a Secret."""
        return f"{SECRETS}/{secret.name}/{secret.key}"


class Plan(NamedTuple):
    """What a resource needs to run."""

    key: Key
    role: Role
    workload: Literal["Deployment", "DaemonSet"]
    replicas: int
    """pods of a Deployment; 1 of a DaemonSet, which has one on each node"""
    config: Mapping[str, Any]
    """the data plane's config file"""
    ports: Sequence[Port]
    """of its listeners"""
    link: Port | None
    """of its link, if it has one"""
    secrets: frozenset[SecretKey]
    idle: bool
    """nothing to run: it would send to nobody, since no reference could be wired"""


Links = Mapping[Key, Mapping[str, Any]]  # settings of the links to some resources, as they are in a config


def plan(
    placed: Placed,
    graph: Graph,
    targets: Mapping[Key, Placed],
    settings: Settings,
    wiring: Wiring,
    last: Links | None = None,
) -> Plan:
    """Plan one resource. ``targets`` holds at least the resources that it is wired to.

    ``last`` are the links that it has now: those whose reference is broken, though not forbidden, stay. They follow a
    target that is there, as all do, and else stay as they are.
    """
    key, resource = placed.key, placed.resource
    role = _ROLES[key.kind]
    maker = _Maker(settings, wiring, {} if last is None else last)
    config: dict[str, Any] = {"role": role, "name": key.short}
    if isinstance(resource, RuttaRouter):
        config |= maker.router(resource)
    elif isinstance(resource, RuttaShipper):
        config |= maker.shipper(resource, key, graph, targets)
    else:
        config |= maker.proxy(resource, key, graph, targets)
    config |= maker.rest(resource)
    return Plan(
        key,
        role,
        workload(resource),
        replicas(key, resource, settings),
        config,
        ports(resource),
        link_port(resource),
        frozenset(maker.secrets),
        not config["targets"],
    )


_ROLES: Final[Mapping[str, Role]] = {"RuttaRouter": "Router", "RuttaShipper": "Shipper", "RuttaProxy": "Proxy"}


def workload(resource: Resource) -> Literal["Deployment", "DaemonSet"]:
    """Return what a resource runs as."""
    return "Deployment" if isinstance(resource, RuttaProxy) else resource.spec.workload


def replicas(key: Key, resource: Resource, settings: Settings) -> int:
    """Return how many processes a resource has; 1 for a DaemonSet, which has one on each node."""
    if workload(resource) == "DaemonSet":
        return 1
    number = resource.spec.replicas
    return settings.replicas[key.kind] if number is None else number


def ports(resource: Resource) -> list[Port]:
    """Return the ports of a resource's listeners."""
    return [
        Port(entry.name, entry.extra()[component]["port"], protocol(component, entry.extra()[component]), component)
        for section, entry, component in _listening(resource)
        if components.binds(section, component)
    ]


def link_port(resource: Resource) -> Port | None:
    """Return the port of a resource's link, if it has one."""
    if isinstance(resource, RuttaShipper):
        return None
    return Port(components.LINK, resource.spec.link.port, "TCP", components.LINK)


def _listening(resource: Resource) -> list[tuple[Section, Entry, str]]:
    section: Section = "sources" if isinstance(resource, RuttaShipper) else "listeners"
    entries: Sequence[Entry] = getattr(resource.spec, section, ())
    return [(section, entry, _component(section, entry)) for entry in entries]


def _component(section: Section, entry: Entry) -> str:
    """Return what an entry is; the rules have seen to it that it is one thing."""
    found = components.component(section, entry.extra())
    assert found is not None, entry  # noqa: S101
    return found


class _Maker:
    """Makes the parts of a config file, and notes which secrets they need."""

    def __init__(self, settings: Settings, wiring: Wiring, last: Links) -> None:
        self.secrets: set[SecretKey] = set()
        self._settings, self._wiring, self._last = settings, wiring, last

    def router(self, resource: RuttaRouter) -> dict[str, Any]:
        spec = resource.spec
        config: dict[str, Any] = {
            "listeners": [self._link(resource), *self._listeners(resource)],
            "targets": [self._target(entry) for entry in spec.targets],
        }
        return config | ({"routes": spec.routes} if spec.routes else {})

    def shipper(self, resource: RuttaShipper, key: Key, graph: Graph, targets: Mapping[Key, Placed]) -> dict[str, Any]:
        return {"sources": self._listeners(resource), "targets": self._links(resource.spec.to, key, graph, targets)}

    def proxy(self, resource: RuttaProxy, key: Key, graph: Graph, targets: Mapping[Key, Placed]) -> dict[str, Any]:
        return {"listeners": [self._link(resource)], "targets": self._links(resource.spec.to, key, graph, targets)}

    def rest(self, resource: Resource) -> dict[str, Any]:
        """Return what every role has."""
        spec, found = resource.spec, {"health": {"bind": self._wiring.health()}}
        drain = {"delay": spec.drain.delay or self._settings.drain_delay, "timeout": spec.drain.timeout}
        drain = {key: value for key, value in drain.items() if value is not None}
        level = {"logLevel": spec.log_level} if spec.log_level else {}
        return found | ({"drain": drain} if drain else {}) | level | {"logFormat": self._settings.log_format}

    def _secret(self, name: str, key: str) -> str:
        secret = SecretKey(name, key)
        self.secrets.add(secret)
        return self._wiring.secret(secret)

    def _link(self, resource: RuttaRouter | RuttaProxy) -> dict[str, Any]:
        link, port = resource.spec.link, link_port(resource)
        assert port is not None  # noqa: S101
        settings = {"bind": self._wiring.bind(port), "pattern": link.pattern, "delivery": link.delivery}
        return {"name": components.LINK, components.LINK: settings}

    def _listeners(self, resource: Resource) -> list[dict[str, Any]]:
        by_name = {port.name: port for port in ports(resource)}
        return [
            {"name": entry.name, component: self._listener(section, component, entry, by_name.get(entry.name))}
            for section, entry, component in _listening(resource)
        ]

    def _listener(self, section: Section, component: str, entry: Entry, port: Port | None) -> dict[str, Any]:
        schema = components.definition(section, component)
        value = {key: one for key, one in (entry.extra()[component] or {}).items() if port is None or key != "port"}
        found: dict[str, Any] = {} if port is None else {"bind": self._wiring.bind(port)}
        found |= components.settings(schema, value, self._secret)
        if port is not None and self._settings.share_ports and components.shares_port(section, component):
            found["reusePort"] = True
        return found

    def _target(self, entry: Target) -> dict[str, Any]:
        found: dict[str, Any] = {"name": entry.name}
        if entry.uri is not None:
            found["uri"] = entry.uri
        elif entry.uri_from is not None:
            ref = entry.uri_from.secret_key_ref
            found["uri"] = {"file": self._secret(ref.name, ref.key)}
        else:
            name = _component("targets", entry)
            found[name] = components.settings(
                components.definition("targets", name), entry.extra()[name] or {}, self._secret
            )
        return found | self._common(entry)

    def _common(self, entry: Entry) -> dict[str, Any]:
        """Return the settings that every target has: buffer, batch, retry."""
        return {
            key: components.settings(schema, entry.extra()[key], self._secret)
            for key, schema in components.common("targets").items()
            if key in entry.extra()
        }

    def _links(
        self, references: Sequence[Reference], key: Key, graph: Graph, targets: Mapping[Key, Placed]
    ) -> list[dict[str, Any]]:
        wired = set(graph.targets(key))
        cut = {fault.target for fault in graph.faults_of(key) if fault.reason == "RefNotPermitted"}
        found = []
        for reference in references:
            target = target_of(key, reference)
            link = self._last.get(target) if target not in cut else None
            if target in wired or (link is not None and target in targets):
                link = self._peer(target, targets[target].resource)
            if link is not None:
                name = link_name(reference, references)
                found.append({"name": name, components.LINK: link, **self._common(reference)})
        return found

    def _peer(self, target: Key, resource: Resource) -> dict[str, Any]:
        assert not isinstance(resource, RuttaShipper)  # noqa: S101
        link = resource.spec.link
        return {**self._wiring.peers(target, link.port), "pattern": link.pattern}


def link_name(reference: Reference, references: Sequence[Reference]) -> str:
    """Return the name of a link in statuses and metrics: what it leads to, as short as it is clear.

    It depends on others only where two have one name, so adding a reference does not rename the rest.
    """
    name = reference.name if reference.namespace is None else f"{reference.name}.{reference.namespace}"
    same = [one for one in references if (one.name, one.namespace) == (reference.name, reference.namespace)]
    return name if len(same) == 1 else f"{name}-{reference.kind.removeprefix('Rutta').lower()}"
