"""The page on resources has every field and every reason."""

import re
from pathlib import Path

import pytest

from rutta_operator.definitions.status_models import Status
from rutta_operator.spec import models
from rutta_operator.wiring.graph import REASONS

PAGE = (Path(__file__).parents[2] / "docs" / "resources.md").read_text(encoding="utf-8")
SPECS = [models.RouterSpec, models.ShipperSpec, models.ProxySpec, models.Link, models.Drain, models.Consent,
         models.Namespaces, models.LabelSelector, models.LabelRule, models.Reference, models.Target,
         Status]  # fmt: skip


@pytest.mark.parametrize("model", SPECS, ids=lambda model: model.__name__)
def test_every_field_is_on_the_page_and_has_a_description(model):
    for name, field in model.model_fields.items():
        assert re.search(rf"[`.]{field.alias or name}[`.\[]", PAGE), name
        assert field.description, name


def test_every_reason_is_on_the_page():
    assert all(f"| `{reason}` |" in PAGE for reason in REASONS)
