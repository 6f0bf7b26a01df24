"""A few resources and all that they become, to be read by people.

RUTTA_GOLDEN=write pytest tests/operator/render/test_golden.py     writes the expected files anew
"""

import os
from pathlib import Path

import pytest
import yaml

from rutta_operator.ctl.rendering import as_yaml
from rutta_operator.render import Owner

GOLDEN = Path(__file__).parent / "golden"


# What only one of the files shows, for the others would only repeat it.
CONTEXTS = {
    "router": {"owner": Owner("rutta.logary.tech/v1alpha1", "RuttaRouter", "main", "6f1c"), "monitoring": True},
    "shipper": {"image_pull_secrets": ("registry",)},
    "proxy": {},
    "logs": {},
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_resource_becomes_the_objects_that_are_written_down(name, render):
    found = render((GOLDEN / f"{name}.in.yaml").read_text(), image="logary/rutta:1.2.3", **CONTEXTS[name])
    expected = GOLDEN / f"{name}.yaml"
    if os.environ.get("RUTTA_GOLDEN") == "write":
        expected.write_text("---\n".join(map(as_yaml, found.values())))
    assert list(found.values()) == list(yaml.safe_load_all(expected.read_text()))
