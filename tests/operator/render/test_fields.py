"""Every field of every spec, changed once: its objects change, and nothing else does (``fields.yaml`` is the table)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from pydantic import BaseModel

from rutta_operator.spec.models import ProxySpec, RouterSpec, ShipperSpec

TABLE = yaml.safe_load(Path(__file__).with_name("fields.yaml").read_text())
PARTS = {
    "router": ("common", "link", "replicas", "autoscaling", "listening", "router"),
    "shipper": ("common", "replicas", "listening", "shipper", "sender"),
    "proxy": ("common", "link", "replicas", "autoscaling", "sender"),
}
MODELS = {"router": RouterSpec, "shipper": ShipperSpec, "proxy": ProxySpec}
LISTENERS = {"router": "listeners", "shipper": "sources", "proxy": ""}
PLACES = {
    "POD ": "{workload} spec.template.spec.",
    "RUTTA ": "{workload} spec.template.spec.containers.rutta.",
    "CONFIG ": "ConfigMap data.",
    "WORKLOAD ": "{workload} ",
}


class Case(NamedTuple):
    """A row of the table, for one kind."""

    kind: str
    field: str
    base: dict[str, Any]
    change: dict[str, Any]
    changed: list[str]


def cases() -> Iterator[Case]:
    for kind, parts in PARTS.items():
        for part in parts:
            # replicas are a Deployment's, and a shipper is none by itself
            base = {"workload": "Deployment"} if (kind, part) == ("shipper", "replicas") else {}
            text = json.dumps(TABLE[part]).replace("LISTENERS", LISTENERS[kind])
            for row in json.loads(text):
                yield Case(kind, row["field"], base | row.get("base", {}), row["change"], row["changed"])


CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=[f"{case.kind}-{case.field}" for case in CASES])
def test_a_field_changes_the_objects_that_it_is_for_and_nothing_else(case, request, render):
    write = request.getfixturevalue(case.kind)
    before = render(write(**case.base), monitoring=True)
    after = render(write(**case.base | case.change), monitoring=True)
    workload = next(one["kind"] for one in before.values() if one["kind"] in ("Deployment", "DaemonSet"))
    wanted = set(places(case.changed, workload))
    found = set(changes(before, after))
    assert {place for place in wanted if not any(_under(one, place) for one in found)} == set()
    assert {one for one in found if not any(_under(one, place) for place in wanted)} == set()


@pytest.mark.parametrize("kind", MODELS)
def test_the_table_has_every_field_of_the_model(kind):
    assert set(fields(MODELS[kind])) - {case.field for case in CASES if case.kind == kind} == set()


def places(changed: list[str], workload: str) -> Iterator[str]:
    """Write the table's places out."""
    for place in changed:
        if place == "NEW PODS":
            yield from ("ConfigMap metadata.name", f"{workload} spec.template.spec.volumes.config.configMap.name")
        elif place == "PROGRESS":
            yield from (f"{workload} spec.progressDeadlineSeconds",) if workload == "Deployment" else ()
        else:
            word = next((one for one in PLACES if place.startswith(one)), "")
            yield PLACES.get(word, "").format(workload=workload) + place.removeprefix(word)


def _under(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}.")


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the fields of a model, and those of the models in it; what is in lists is not followed."""
    for field in model.model_fields.values():
        inner = [one for one in (field.annotation, *getattr(field.annotation, "__args__", ())) if _is_model(one)]
        path = f"{prefix}{field.alias}"
        if inner and not str(field.annotation).startswith("list"):
            yield from fields(inner[0], f"{path}.")
        else:
            yield path


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Yield ``+Kind`` and ``-Kind`` of what came and went, and ``Kind path`` of each leaf that differs."""
    one, other = _by_role(before), _by_role(after)
    yield from (f"-{role}" for role in one.keys() - other.keys())
    yield from (f"+{role}" for role in other.keys() - one.keys())
    for role in one.keys() & other.keys():
        left, right = dict(_leaves(one[role])), dict(_leaves(other[role]))
        for path in left.keys() | right.keys():
            if left.get(path) != right.get(path):
                yield f"{role} {path.removeprefix('.')}"


def _by_role(objects: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for one in objects.values():
        name = one["metadata"]["name"]
        suffix = next((word for word in ("-link", "-health") if name.endswith(word)), "")
        if one["kind"] == "ConfigMap":
            one = {**one, "data": json.loads(one["data"]["config.json"])}
        found[one["kind"] + suffix] = one
    return found


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from _leaves(one, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, one in enumerate(value):
            name = one.get("name", index) if isinstance(one, dict) else index
            yield from _leaves(one, f"{path}.{name}")
    else:
        yield path, value
