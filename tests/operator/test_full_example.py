"""``examples/full.yaml`` shows every field, but what only container logs need."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from rutta_operator.spec.models import KINDS, ProxySpec, RouterSpec, ShipperSpec

EXAMPLES = Path(__file__).parents[2] / "examples"
FULL = [EXAMPLES / "full.yaml", EXAMPLES / "cluster-logs.yaml"]
SPECS = [RouterSpec, ShipperSpec, ProxySpec]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that a field's type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def missing(model: type[BaseModel], shown: list[Any]) -> list[str]:
    """Return the fields that none of the values at one place has."""
    found = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        values = [value[key] for value in shown if isinstance(value, dict) and key in value]
        values = [one for value in values for one in (value if isinstance(value, list) else [value])]
        if not values:
            found.append(key)
            continue
        for inner in models_in(field.annotation):
            found += [f"{key}.{one}" for one in missing(inner, values)]
    return found


@pytest.mark.parametrize("spec", SPECS, ids=lambda one: one.__name__)
def test_the_full_example_shows_every_field_of_a_spec(spec: type[BaseModel]) -> None:
    documents = [one for file in FULL for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    assert missing(spec, [one["spec"] for one in documents if one["kind"] in KINDS]) == []
