"""The page on resources has every field and every reason."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rutta_operator import options
from rutta_operator.definitions.status_models import Status
from rutta_operator.metrics import Metrics
from rutta_operator.spec import models
from rutta_operator.store import Store
from rutta_operator.wiring.graph import REASONS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "resources.md").read_text(encoding="utf-8")
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


OPERATOR = (DOCS / "operator.md").read_text(encoding="utf-8")


def test_the_operators_page_has_every_flag_and_no_other():
    flags = {word for action in options.parser()._actions for word in action.option_strings if word.startswith("--")}
    assert set(re.findall(r"^\| `(--[\w-]+)` \|", OPERATOR, re.MULTILINE)) == flags - {"--help", "--version"}
    defaults, found = options.read([], {}), 0
    for flag, said in re.findall(
        r"^\| `--(workers|log-level|log-format|lease-name)` \| `([\w-]+)`", OPERATOR, re.MULTILINE
    ):
        assert str(getattr(defaults, flag.replace("-", "_"))) == said
        found += 1
    assert found == 4


def test_the_operators_page_has_every_metric_and_no_other():
    metrics = Metrics()
    metrics.show(Store(), lambda: 0.0, lambda: 0.0)
    names = {family.name + ("_total" if family.type == "counter" else "") for family in metrics.registry.collect()}
    assert set(re.findall(r"^\| `(rutta_\w+)` \|", OPERATOR, re.MULTILINE)) == names


def test_what_a_configuration_of_another_agent_becomes_is_valid(tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```", (DOCS / "migrating.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (ours,) = (block for block in blocks if block.startswith("apiVersion: rutta"))
    (tmp_path / "ours.yaml").write_text(ours, "utf-8")
    command = [sys.executable, "-m", "rutta_operator.ctl", "check", "-f", str(tmp_path / "ours.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
