"""What is wrong with one resource: its shape, its components' settings, and the rules between its fields.

Everything is found at once. The rules read the document as it came and look only at parts of the right shape; what
is not is told by the models.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rutta_operator import components
from rutta_operator.checking import not_a, wrong_port
from rutta_operator.components import Section
from rutta_operator.models import API_VERSION, KINDS, LINK_PORT, Resource
from rutta_operator.problems import Path, Problem, choice, hint, unknown, written

_OWN: Final[Mapping[Section, tuple[str, ...]]] = {
    "listeners": ("name", "servicePort", "hostPort"),
    "sources": ("name", "servicePort", "hostPort"),
    "targets": ("name", "uri", "uriFrom"),
}
_NOT_A: Final = {
    "int_type": "a whole number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def examine(document: Mapping[str, Any]) -> tuple[Resource | None, list[Problem]]:
    """Read one document of a known kind; with problems there is no resource."""
    found = _version(document) + _shape(document)
    spec = document.get("spec")
    if isinstance(spec, dict):
        found += [*_components(spec), *_rules(document["kind"], spec)]
    if found:
        return None, _without_doubles(found)
    return KINDS[document["kind"]].model_validate(document), []


def _version(document: Mapping[str, Any]) -> list[Problem]:
    version = document.get("apiVersion")
    right = version == API_VERSION or "apiVersion" not in document
    return [] if right else [Problem(("apiVersion",), f"{written(version)} is not {API_VERSION}")]


def _shape(document: Mapping[str, Any]) -> list[Problem]:
    """Return what the models find."""
    model = KINDS[document["kind"]]
    try:
        model.model_validate(document)
    except ValidationError as exc:
        return [_translate(one, model) for one in exc.errors(include_url=False)]
    return []


def _translate(error: ErrorDetails, model: Any) -> Problem:
    """Say one of pydantic's errors in a user's words."""
    path, kind, context = tuple(error["loc"]), error["type"], error.get("ctx", {})
    value = error.get("input")
    text = error["msg"]
    if kind == "missing":
        text = "is required"
    elif kind == "extra_forbidden":
        text = unknown(str(path[-1]), _siblings(model, path))
    elif kind == "literal_error":
        text = choice(value, _words(context))
    elif kind == "value_error":
        text = str(context["error"])
    elif kind in _NOT_A:
        text = not_a(_NOT_A[kind], value)
    elif kind == "greater_than_equal":
        text = f"{value} is less than {context['ge']}"
    elif kind in ("too_short", "string_too_short"):
        text = "is empty"
    elif kind == "too_long":
        text = f"has {context['actual_length']} entries; {context['max_length']} are the most"
    elif kind in ("string_pattern_mismatch", "string_too_long"):
        text = f"{written(value)} is not a name: {_name_rule(path)}"
    return Problem(path, text)


def _words(context: Mapping[str, Any]) -> list[str]:
    """Take the words out of pydantic's ``'A', 'B' or 'C'``."""
    return str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")


def _name_rule(path: Path) -> str:
    most = 15 if path[1:2] in (("listeners",), ("sources",)) else 45 if path[:1] == ("metadata",) else 63
    return f"up to {most} of a–z, 0–9 and -, with neither end a -"


def _siblings(model: Any, path: Path) -> list[str]:
    """Return the keys that the mapping around ``path`` may have, by walking the models."""
    here = model
    for step in path[:-1]:
        if isinstance(step, str):
            field = next((one for one in here.model_fields.values() if one.alias == step), None)
            here = _model_in(field.annotation) if field is not None else _model_in(here.model_fields[step].annotation)
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """Return the model that an annotation is, or is a list or an optional of."""
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for one in getattr(annotation, "__args__", ()) if (found := _model_in(one)) is not None), None)


def _entries(spec: Mapping[str, Any], section: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the entries of a list that are mappings, each with its path."""
    entries = spec.get(section)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield ("spec", section, index), entry


def _components(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for section, own in _OWN.items():
        for path, entry in _entries(spec, section):
            yield from components.problems(section, entry, path, own)
    for path, entry in _entries(spec, "to"):
        known = ("kind", "name", "namespace", *components.common("targets"))
        yield from (Problem((*path, key), unknown(key, known)) for key in entry if key not in known)
        yield from components.common_problems("targets", entry, path)
    for path, route in _entries(spec, "routes"):
        yield from components.route_problems(route, path)


def _rules(kind: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    for section in _OWN:
        yield from _unique_names(spec, section)
    yield from _unique_ports(spec)
    yield from _references(spec)
    yield from _link(spec)
    yield from _workload(kind, spec)
    yield from _autoscaling(spec)
    yield from _consents(spec)
    yield from _routes(spec)
    yield from _uris(spec)


def _unique_names(spec: Mapping[str, Any], section: Section) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path, entry in _entries(spec, section):
        name = entry.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            yield Problem((*path, "name"), f"{name!r} is the name of {section}[{first[name][-1]}] already")
        first.setdefault(name, path)
        if name == components.LINK and section != "targets":
            yield Problem((*path, "name"), "'link' is the name of the link that is there by itself; take another")


def _unique_ports(spec: Mapping[str, Any]) -> Iterator[Problem]:
    link = spec.get("link")
    used: dict[tuple[str, int], str] = {}
    if "sources" not in spec:
        used["TCP", link.get("port", LINK_PORT) if isinstance(link, dict) else LINK_PORT] = "the link"
    sections: tuple[Section, ...] = ("listeners", "sources")
    for section in sections:
        for path, entry in _entries(spec, section):
            component = components.component(section, entry)
            settings = entry.get(component or "")
            port: Any = settings.get("port") if isinstance(settings, dict) else None
            if component is None or wrong_port(port) or not components.binds(section, component):
                continue
            use = protocol(component), port
            if use in used:
                yield Problem((*path, component, "port"), f"{port} is the port of {used[use]} already")
            used.setdefault(use, f"{section}[{path[-1]}]")


def protocol(component: str) -> str:
    """Return the transport of a listener, as Kubernetes writes it."""
    return "UDP" if component == "udp" else "TCP"


def _references(spec: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[tuple[Any, ...], Path] = {}
    for path, entry in _entries(spec, "to"):
        key = entry.get("kind"), entry.get("name"), entry.get("namespace")
        if key in first:
            yield Problem(path, f"is the same as to[{first[key][-1]}]; every event would arrive twice")
        first.setdefault(key, path)


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
    for section in ("listeners", "sources"):
        for path, entry in _entries(spec, section):
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


def _consents(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for path, consent in _entries(spec, "allowedFrom"):
        spaces = consent.get("namespaces")
        if not isinstance(spaces, dict):
            continue
        here, chosen = (*path, "namespaces"), spaces.get("from", "Same")
        if chosen == "Selector" and not spaces.get("selector"):
            yield Problem((*here, "selector"), "is required with from: Selector; all namespaces are from: All")
        if chosen in ("Same", "All") and "selector" in spaces:
            yield Problem((*here, "selector"), f"does nothing with from: {chosen}; use from: Selector")


def _routes(spec: Mapping[str, Any]) -> Iterator[Problem]:
    known = [entry["name"] for _, entry in _entries(spec, "targets") if isinstance(entry.get("name"), str)]
    for path, route in _entries(spec, "routes"):
        targets = route.get("targets")
        for index, name in enumerate(targets if isinstance(targets, list) else ()):
            if isinstance(name, str) and name not in known:
                yield Problem((*path, "targets", index), f"there is no target {name!r}; {hint(name, known)}")


def _uris(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for path, entry in _entries(spec, "targets"):
        uri = entry.get("uri")
        if isinstance(uri, str) and (text := components.uri_problem(uri)):
            yield Problem((*path, "uri"), text)


def _without_doubles(found: list[Problem]) -> list[Problem]:
    """Keep one problem for each place and text."""
    return list(dict.fromkeys(found))
