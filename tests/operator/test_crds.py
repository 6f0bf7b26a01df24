"""The CRDs as text and as schemas: small, and in step with models and components."""

import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from rutta_operator.definitions import crds
from rutta_operator.definitions.status_models import Status
from rutta_operator.definitions.structural import INT_OR_STRING, OPEN, structural
from rutta_operator.spec import components
from rutta_operator.spec.models import KINDS

FOLDER = Path(__file__).parents[2] / "crds"
DOCUMENTS = crds.documents()
TEXTS = {name: crds.text(one) for name, one in DOCUMENTS.items()}
SECTIONS = {"RuttaRouter": ("listeners", "targets"), "RuttaShipper": ("sources",), "RuttaProxy": ()}
COMPONENTS = [
    (section, name)
    for section in ("listeners", "sources", "targets")
    for name in components.names(section)
    if section != "sources" or name not in components.names("listeners")
]


def spec_of(kind):
    return crds.schema(kind)["properties"]["spec"]


def model_of(kind):
    return KINDS[kind].model_fields["spec"].annotation


def test_the_files_are_in_step_with_the_models():
    assert sorted(path.name for path in FOLDER.glob("*.yaml")) == sorted(DOCUMENTS)
    for name, one in DOCUMENTS.items():
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert text == TEXTS[name], f"crds/{name} is not as the models are; run make crds"
        assert yaml.load(text, yaml.CSafeLoader) == json.loads(json.dumps(one))


def test_make_writes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(crds, "text", lambda one: f"{one['metadata']['name']}\n")
    crds.main([str(tmp_path)])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        name: f"{name.removesuffix('.yaml')}.rutta.logary.tech\n" for name in DOCUMENTS
    }


def test_each_is_under_100_kb_and_all_are_under_200_kb_as_yaml_and_as_json():
    for sizes in (
        [len(one.encode()) for one in TEXTS.values()],
        [len(json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode()) for one in DOCUMENTS.values()],
    ):
        assert max(sizes) < 100_000
        assert sum(sizes) < 200_000


def keys_of(model, known):
    """Every path that a model's fields make, with those below lists and maps."""
    for name, field in model.model_fields.items():
        path = (*known, field.alias or name)
        yield path
        inner = inner_model(field.annotation)
        if inner is not None:
            yield from keys_of(inner, path)


def inner_model(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in getattr(annotation, "__args__", ()) if (found := inner_model(one))), None)


def paths_of(schema, known=()):
    for key, one in schema.get("properties", {}).items():
        yield (*known, key)
        yield from paths_of(one.get("items", one) if one.get("type") == "array" else one, (*known, key))


def of_data_plane(path):
    """Tell whether a path is of a component, of what all targets share, or of a route."""
    own = {"name", "servicePort", "hostPort", "uri", "uriFrom", "kind", "namespace"}
    lists = {"listeners", "sources", "targets", "to"}
    return path[0] == "routes" or (path[0] in lists and len(path) > 1 and path[1] not in own)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_the_models_is_in_the_crd_and_no_other(kind):
    wanted = set(keys_of(model_of(kind), ()))
    found = {path for path in paths_of(spec_of(kind)) if not of_data_plane(path) or path == ("routes",)}
    assert found == wanted
    status = crds.schema(kind)["properties"]["status"]
    assert set(paths_of(status)) == set(keys_of(Status, ()))


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_and_setting_is_in_the_crd(kind):
    for section in SECTIONS[kind]:
        entry = spec_of(kind)["properties"][section]["items"]["properties"]
        for name in components.names(section):
            wanted = components.shape(section, name)
            assert set(entry[name].get("properties", ())) == set(wanted.get("properties", ()))
            assert entry[name].get("required", []) == list(wanted.get("required", []))
        assert set(components.common(section)) <= set(entry)


def defaults_of(schema):
    return {key: one["default"] for key, one in schema.get("properties", {}).items() if "default" in one}


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_those_of_the_models(kind):
    minimal = {
        "RuttaRouter": {"targets": [{"name": "a", "console": {}}]},
        "RuttaShipper": {"sources": [{"name": "a", "tcp": {"port": 1}}], "to": [{"kind": "RuttaRouter", "name": "m"}]},
        "RuttaProxy": {"to": [{"kind": "RuttaRouter", "name": "m"}]},
    }[kind]
    model = model_of(kind)
    filled = model.model_validate({**minimal, **defaults_of(spec_of(kind))})
    assert filled == model.model_validate(minimal)
    assert "replicas" not in defaults_of(spec_of(kind))  # it would forbid autoscaling


def test_components_have_their_defaults_in_the_data_plane_only():
    for section, name in COMPONENTS:
        assert "default" not in json.dumps([*keywords(structural(components.shape(section, name), tell=True))])


def keywords(schema):
    """Every keyword of a schema, but not the names of properties."""
    for key, one in schema.items():
        yield key
        if key == "properties":
            for inner in one.values():
                yield from keywords(inner)
        elif key in ("items", "additionalProperties"):
            yield from keywords(one)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_is_in_a_schema_that_the_api_server_does_not_take(name):
    found = set(keywords(DOCUMENTS[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
    assert found <= {
        "type", "description", "properties", "required", "items", "additionalProperties", "enum", "pattern", "default",
        "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "maxProperties", "nullable", "oneOf",
        OPEN, INT_OR_STRING, "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    }  # fmt: skip


def test_every_field_has_a_description():
    def bare(schema, path):
        for key, one in schema.get("properties", {}).items():
            if not one.get("description"):
                yield (*path, key)
            yield from bare(one.get("items", one) if one.get("type") == "array" else one, (*path, key))

    without = {path for kind in KINDS for path in bare(crds.schema(kind), ())}
    # the API server describes these itself; a reference to a key of a Secret is described around it
    known = {("apiVersion",), ("kind",), ("metadata",), ("metadata", "name")}
    assert {path for path in without if path[-1] != "secretKeyRef"} == known


@pytest.mark.parametrize("kind", KINDS)
def test_subresources_short_names_and_category(kind):
    one = crds.document(kind)["spec"]
    assert one["names"]["categories"] == ["rutta"]
    assert one["names"]["shortNames"] == [{"RuttaRouter": "rtr", "RuttaShipper": "rts", "RuttaProxy": "rtp"}[kind]]
    version = one["versions"][0]
    assert version["subresources"]["scale"]["labelSelectorPath"] == ".status.selector"
    columns = version["additionalPrinterColumns"]
    assert [column["name"] for column in columns][:2] == ["Ready", "Reason"]
    properties = version["schema"]["openAPIV3Schema"]["properties"] | {"metadata": METADATA}
    for path in [column["jsonPath"] for column in columns]:
        assert there(properties, path), f"{path} is nowhere in the schema, so its column would be empty"
    assert ("selectableFields" in version) == (kind != "RuttaProxy")


METADATA = {"properties": {"creationTimestamp": {}}}


def there(properties, path):
    """Whether the schema has what a column's path reads."""
    for step in re.sub(r"\[.*?\]", "", path).removeprefix(".").split("."):
        if step not in properties:
            return False
        found = properties[step]
        properties = found.get("items", found).get("properties", {})
    return True
