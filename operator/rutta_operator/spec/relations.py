"""The rules between fields of one resource, each with the place of what breaks it. Pure.

``cel`` has the same rules as the API server checks them. A rule reads the document as it came and looks only at parts
of the right shape; what is not is told by the models.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rutta_operator.spec import components
from rutta_operator.spec.checking import amount, wrong_port, wrong_quantity
from rutta_operator.spec.components import Section
from rutta_operator.spec.constraints import constraints
from rutta_operator.spec.models import HEALTH_PORT, LINK_PORT, RESERVED_NAMES
from rutta_operator.spec.problems import Path, Problem, hint

_LISTENING: Final[tuple[Section, ...]] = ("listeners", "sources")
_SECTIONS: Final[tuple[Section, ...]] = (*_LISTENING, "targets")
_NAMED: Final = ("listeners", "sources", "targets", "imagePullSecrets")
_BY_ITSELF: Final = {"link": "the link", "health": "the health page"}


def problems(document: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield every broken rule of a document of a known kind."""
    kind = document["kind"]
    for section in _NAMED:
        yield from _unique_names(spec, section)
    yield from _ports(spec)
    yield from _references(spec)
    yield from _itself(document, spec)
    yield from _link(spec)
    yield from _workload(kind, spec)
    yield from _autoscaling(spec)
    yield from _datagrams(spec)
    yield from _account(spec)
    yield from _consents(spec)
    yield from _routes(spec)
    yield from _uris(spec)
    yield from _settings(spec)
    yield from _tolerations(spec)
    yield from _resources(spec)


def entries(spec: Mapping[str, Any], section: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the entries of a list that are mappings, each with its path."""
    return _mappings(spec.get(section), ("spec", section))


def _mappings(found: object, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for index, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, dict):
            yield (*path, index), entry


def _unique_names(spec: Mapping[str, Any], section: str) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path, entry in entries(spec, section):
        name = entry.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield Problem((*path, "name"), f"{name!r} is the name of {section}[{first[name][-1]}] already")
        first.setdefault(name, path)
        if name in RESERVED_NAMES and section in _LISTENING:
            text = f"{name!r} is the name of {_BY_ITSELF[name]} that is there by itself; take another"
            yield Problem((*path, "name"), text)


def _listening(spec: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Any], str | None]]:
    """Yield the listeners, each with what it is; those that bind no port, with None."""
    for section in _LISTENING:
        for path, entry in entries(spec, section):
            component = components.component(section, entry)
            if component is not None:
                yield path, entry, component if components.binds(section, component) else None


def _ports(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """A port of the pod, of the Service or of a node belongs to one listener; TCP and UDP are apart."""
    link = spec.get("link")
    number = link.get("port", LINK_PORT) if isinstance(link, dict) else LINK_PORT
    pod: dict[tuple[str, Any], str] = {("TCP", HEALTH_PORT): "the health page"}
    if "sources" not in spec:
        yield from _taken(pod, ("TCP", number), "the link", ("spec", "link", "port"))
    service: dict[tuple[str, Any], str] = {}
    node: dict[tuple[str, Any], str] = {}
    for path, entry, component in _listening(spec):
        if component is None:
            text = "is for what listens on a port; remove it"
            yield from (Problem((*path, key), text) for key in ("servicePort", "hostPort") if entry.get(key))
            continue
        settings = entry.get(component)
        port = settings.get("port") if isinstance(settings, dict) else None
        protocol, name = components.protocol(component, settings), f"{path[-2]}[{path[-1]}]"
        mine = entry.get("servicePort")
        yield from _taken(pod, (protocol, port), name, (*path, component, "port"))
        where = (*path, component, "port") if mine is None else (*path, "servicePort")
        yield from _taken(service, (protocol, port if mine is None else mine), name, where, "in the Service ")
        yield from _taken(node, (protocol, entry.get("hostPort")), name, (*path, "hostPort"), "on its node ")


def _taken(
    used: dict[tuple[str, Any], str], use: tuple[str, Any], by: str, path: Path, where: str = ""
) -> Iterator[Problem]:
    """Note who uses a port; yield a problem if it is taken."""
    if wrong_port(use[1]):
        return
    if use in used:
        yield Problem(path, f"{use[1]} is {where}the port of {used[use]} already")
    used.setdefault(use, by)


def _references(spec: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[tuple[Any, ...], Path] = {}
    for path, entry in entries(spec, "to"):
        key = entry.get("kind"), entry.get("name"), entry.get("namespace")
        if not all(isinstance(one, str | None) for one in key):
            continue
        if key in first:
            yield Problem(path, f"is the same as to[{first[key][-1]}]; every event would arrive twice")
        first.setdefault(key, path)


def _itself(document: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[Problem]:
    """A reference with a namespace is left to the graph, which knows in which one we are: it is a cycle."""
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    for path, entry in entries(spec, "to"):
        if (entry.get("kind"), entry.get("name")) == (document["kind"], name) and entry.get("namespace") is None:
            yield Problem(path, "is this proxy itself; send to a router, or to another proxy")


def _link(spec: Mapping[str, Any]) -> Iterator[Problem]:
    link = spec.get("link")
    if isinstance(link, dict) and link.get("pattern") == "Broadcast" and link.get("delivery") == "AtLeastOnce":
        text = "AtLeastOnce does not go with pattern Broadcast, which is lossy; use Balance, or AtMostOnce"
        yield Problem(("spec", "link", "delivery"), text)


def _workload(kind: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    standard = {"RuttaShipper": "DaemonSet"}.get(kind, "Deployment")
    on_each_node = spec.get("workload", standard) == "DaemonSet"
    for key in ("replicas", "autoscaling"):
        if spec.get(key) is not None and on_each_node:
            text = "a DaemonSet has one pod on each node; remove it, or use workload Deployment"
            yield Problem(("spec", key), text)
    for section in _LISTENING:
        for path, entry in entries(spec, section):
            if entry.get("hostPort") is not None and not on_each_node:
                yield Problem((*path, "hostPort"), "needs workload DaemonSet: two pods of one node cannot share it")


def _autoscaling(spec: Mapping[str, Any]) -> Iterator[Problem]:
    scaling = spec.get("autoscaling")
    if not isinstance(scaling, dict):
        return
    if spec.get("replicas") is not None:
        yield Problem(("spec", "replicas"), "goes not with autoscaling, which decides it; remove one of the two")
    least, most = scaling.get("minReplicas", 2), scaling.get("maxReplicas")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield Problem(("spec", "autoscaling", "maxReplicas"), f"{most} is less than minReplicas, {least}")


def _datagrams(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for path, entry, component in _listening(spec):
        settings = None if component is None else entry.get(component)
        if isinstance(settings, dict) and settings.get("protocol") == "Udp" and settings.get("tls") is not None:
            yield Problem((*path, component or "", "tls"), "is over protocol Tcp; remove it, or the protocol")


def _account(spec: Mapping[str, Any]) -> Iterator[Problem]:
    if spec.get("serviceAccountName") is None or any("containerLogs" in one for _, one in entries(spec, "sources")):
        return
    text = "does nothing without a source containerLogs, which reads labels and owners by it"
    yield Problem(("spec", "serviceAccountName"), text)


def _consents(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for path, consent in entries(spec, "allowedFrom"):
        spaces = consent.get("namespaces")
        if isinstance(spaces, dict):
            yield from _selector(spaces, (*path, "namespaces"))


def _selector(spaces: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    chosen, selector = spaces.get("from", "Same"), spaces.get("selector")
    if chosen in ("Same", "All") and "selector" in spaces:
        yield Problem((*path, "selector"), f"does nothing with from: {chosen}; use from: Selector")
    known = selector if isinstance(selector, dict) else {}
    if chosen == "Selector" and not (known.get("matchLabels") or known.get("matchExpressions")):
        text = "is required with from: Selector, and has a label; all namespaces are from: All"
        yield Problem((*path, "selector"), text)
    for here, one in _mappings(known.get("matchExpressions"), (*path, "selector", "matchExpressions")):
        operator = one.get("operator")
        if operator in ("In", "NotIn") and not one.get("values"):
            yield Problem((*here, "values"), f"{operator} needs values")
        if operator in ("Exists", "DoesNotExist") and one.get("values"):
            yield Problem((*here, "values"), f"{operator} has no values; remove them, or use In or NotIn")


def _routes(spec: Mapping[str, Any]) -> Iterator[Problem]:
    known = [entry["name"] for _, entry in entries(spec, "targets") if isinstance(entry.get("name"), str)]
    for path, route in entries(spec, "routes"):
        targets = route.get("targets")
        for index, name in enumerate(targets if isinstance(targets, list) else ()):
            if isinstance(name, str) and name not in known:
                yield Problem((*path, "targets", index), f"there is no target {name!r}; {hint(name, known)}")


def _uris(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for path, entry in entries(spec, "targets"):
        uri = entry.get("uri")
        if isinstance(uri, str) and (text := components.uri_problem(uri)):
            yield Problem((*path, "uri"), text)


def _settings(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """What settings of one component must be together, or cannot be."""
    for section in _SECTIONS:
        for component, inside, constraint in constraints(section):
            for path, entry in entries(spec, section):
                settings = entry.get(component)
                settings = settings.get(inside) if inside and isinstance(settings, dict) else settings
                if isinstance(settings, dict) and not constraint.holds(settings):
                    place = [one for one in (component, inside, constraint.field) if one]
                    yield Problem((*path, *place), constraint.message)


def _tolerations(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """What the API server asks of a pod's tolerations, told before it is asked."""
    for path, one in entries(spec, "tolerations"):
        if one.get("key") is None and one.get("operator") != "Exists":
            yield Problem((*path, "operator"), "without a key it must be Exists")
        if one.get("value") is not None and one.get("operator") == "Exists":
            yield Problem((*path, "value"), "does nothing with operator Exists; remove it, or use Equal")
        if one.get("tolerationSeconds") is not None and one.get("effect") != "NoExecute":
            yield Problem((*path, "tolerationSeconds"), "needs effect NoExecute")


def _resources(spec: Mapping[str, Any]) -> Iterator[Problem]:
    requests, limits = (_mapping(_mapping(spec.get("resources")).get(key)) for key in ("requests", "limits"))
    for name in _comparable(requests, limits):
        if amount(requests[name]) > amount(limits[name]):
            text = f"{requests[name]} is more than the limit, {limits[name]}"
            yield Problem(("spec", "resources", "requests", name), text)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _comparable(requests: Mapping[str, Any], limits: Mapping[str, Any]) -> Iterable[str]:
    return [name for name in requests if not any(wrong_quantity(one.get(name)) for one in (requests, limits))]
