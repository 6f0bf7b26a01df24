"""Models and the data plane's schema → the three CustomResourceDefinitions, as text. Pure, but for the writing.

    python -m rutta_operator.definitions.crds crds/        (make crds)

A CRD stays under 100 KB, and the three under 200 KB, so that ``kubectl apply`` works without ``--server-side``, which
leaves 262 144 bytes for what was applied. Settings of listeners, sources and targets have no ``default`` here: the data
plane has them, for a resource stored with today's defaults could not be read by yesterday's operator, nor its
config by the image that the resource asks for. The descriptions tell them.
"""

import argparse
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from rutta_operator.definitions import cel
from rutta_operator.definitions.status_models import Status
from rutta_operator.definitions.structural import Structural, structural
from rutta_operator.spec import components
from rutta_operator.spec.components import Section
from rutta_operator.spec.constraints import constraints
from rutta_operator.spec.models import GROUP, KINDS, MOST, Kind

VERSION: Final = "v1alpha1"
_SHORT: Final[Mapping[Kind, str]] = {"RuttaRouter": "rtr", "RuttaShipper": "rts", "RuttaProxy": "rtp"}
_ENTRIES: Final[Mapping[Kind, tuple[Section, ...]]] = {
    "RuttaRouter": ("listeners", "targets"),
    "RuttaShipper": ("sources",),
    "RuttaProxy": (),
}
_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_NAMED: Final[Mapping[str, list[str]]] = {  # lists that are merged by a key, wherever they are
    "listeners": ["name"], "sources": ["name"], "targets": ["name"], "imagePullSecrets": ["name"],
    "conditions": ["type"], "endpoints": ["listener"],
}  # fmt: skip
_WIDTH: Final = 160  # what fits on a line stands on one
_DEEP: Final = 13  # a component, however long: on a line of its own it is easy to compare, and small


def documents() -> dict[str, dict[str, Any]]:
    """Return the three CRDs, by the name of their file."""
    return {f"{_plural(kind)}.yaml": document(kind) for kind in _SHORT}


def document(kind: Kind) -> dict[str, Any]:
    """Return the CRD of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{_plural(kind)}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": f"{kind}List", "plural": _plural(kind), "singular": kind.lower(),
                "shortNames": [_SHORT[kind]], "categories": ["rutta"],
            },
            "versions": [_version(kind)],
        },
    }  # fmt: skip


def _plural(kind: Kind) -> str:
    return {"RuttaProxy": "ruttaproxies"}.get(kind, f"{kind.lower()}s")


def _version(kind: Kind) -> dict[str, Any]:
    made = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [*_columns(kind)],
    }
    if "workload" in KINDS[kind].model_fields["spec"].annotation.model_fields:  # type: ignore[union-attr]
        made["selectableFields"] = [{"jsonPath": ".spec.workload"}]
    return {**made, "schema": {"openAPIV3Schema": schema(kind)}}


def _columns(kind: Kind) -> Iterable[dict[str, Any]]:
    yield {"name": "Ready", "type": "string", "jsonPath": f"{_READY}.status"}
    yield {"name": "Reason", "type": "string", "jsonPath": f"{_READY}.reason"}
    yield {"name": "Pods", "type": "integer", "jsonPath": ".status.readyReplicas", "description": "pods that are ready"}
    if kind != "RuttaShipper":
        senders = "resources that send here"
        yield {"name": "Senders", "type": "integer", "jsonPath": ".status.upstreams.total", "description": senders}
    if kind == "RuttaRouter":
        path = '.status.conditions[?(@.type=="TargetsHealthy")].status'
        yield {"name": "Targets", "type": "string", "jsonPath": path, "description": "whether all targets do well"}
    else:
        yield {"name": "To", "type": "string", "jsonPath": ".spec.to[*].name"}
    if kind != "RuttaProxy":
        yield {"name": "Workload", "type": "string", "jsonPath": ".spec.workload", "priority": 1}
    yield {"name": "Wanted", "type": "integer", "jsonPath": ".status.replicas", "priority": 1}
    if kind != "RuttaShipper":
        yield {"name": "Delivery", "type": "string", "jsonPath": ".spec.link.delivery", "priority": 1}
    yield {"name": "Endpoints", "type": "string", "jsonPath": ".status.endpoints[*].address", "priority": 1}
    yield {"name": "Message", "type": "string", "jsonPath": f"{_READY}.message", "priority": 1}
    yield {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def schema(kind: Kind) -> Structural:
    """Return the structural schema of a kind, with its rules."""
    model = KINDS[kind]
    made = {
        "description": (model.__doc__ or "").strip(),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": _spec(kind),
            "status": _of_model(Status),
        },
    }
    _merge_by_key(made)
    for rule in cel.rules():
        if kind in rule.kinds:
            _at(made, rule.path).setdefault("x-kubernetes-validations", []).append(rule.written())
    return made


def _of_model(model: Any) -> Structural:
    found = model.model_json_schema(by_alias=True)
    return structural(found, found.get("$defs", {}))


def _spec(kind: Kind) -> Structural:
    made = _of_model(KINDS[kind].model_fields["spec"].annotation)
    properties = made["properties"]
    for section in _ENTRIES[kind]:
        properties[section]["items"]["properties"] |= _shared(section) | _components(section)
    if "to" in properties:
        properties["to"]["items"]["properties"] |= _shared("targets")
    if "routes" in properties:
        properties["routes"]["items"] = _route()
    return made


def _shared(section: Section) -> Structural:
    return {key: structural(one, tell=True) for key, one in components.common(section).items()}


def _components(section: Section) -> Structural:
    """Return the schemas of a section's components; ``console:`` with nothing after it means its defaults."""
    made = {name: structural(components.shape(section, name), tell=True) for name in components.names(section)}
    for name, inside, rule in constraints(section):
        if rule.one_of and not inside:
            made[name]["oneOf"] = [{"required": [field]} for field in rule.one_of]
    return {
        name: one if one.keys() & {"required", "oneOf"} else {**one, "nullable": True} for name, one in made.items()
    }


def _route() -> Structural:
    made = structural(components.definitions()["route"], tell=True)
    made["properties"]["targets"] |= {"maxItems": MOST}
    made["properties"]["targets"]["items"] |= {"maxLength": 63}
    return made


def _at(made: Structural, path: Iterable[str]) -> Structural:
    for step in path:
        made = made["items"] if step == "[]" else made["properties"][step]
    return made


def _merge_by_key(made: Structural) -> None:
    for name, one in made.get("properties", {}).items():
        if name in _NAMED and one.get("type") == "array" and one["items"].get("type") == "object":
            one |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": _NAMED[name]}
        _merge_by_key(one.get("items", one))


def text(value: Mapping[str, Any]) -> str:
    """Write a document as YAML, on one line what fits on one."""
    dumper = yaml.SafeDumper(io.StringIO(), sort_keys=False)
    dumper.ignore_aliases = lambda data: True  # type: ignore[method-assign]
    node = dumper.represent_data(dict(value))
    _fold(node, 0)
    written: str = yaml.serialize(node, Dumper=yaml.SafeDumper, width=1 << 20, allow_unicode=True)
    return "# Made by `make crds` from rutta_operator.spec.models and the data plane's schema.\n" + written


def _fold(node: yaml.Node, depth: int) -> int:
    """Choose the style of a node and all inside it; return how long it is on one line."""
    if isinstance(node, yaml.ScalarNode):
        return len(node.value) + 2
    inner = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
    length = 2 + sum(_fold(one, depth + 1) + 2 for one in inner)
    assert isinstance(node, yaml.CollectionNode)  # noqa: S101
    node.flow_style = depth > 2 and (length <= _WIDTH or depth >= _DEEP)
    return length


def main(arguments: list[str] | None = None) -> None:
    """Write the CRDs into a folder."""
    parser = argparse.ArgumentParser(description="Write the CustomResourceDefinitions of Rutta into a folder.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    for name, one in documents().items():
        folder.joinpath(name).write_text(text(one), encoding="utf-8")


if __name__ == "__main__":
    main()
