"""Every rule of the CRDs has an example that is accepted and one that is refused; ``ruttactl`` judges them alike."""

import re
from pathlib import Path

import pytest
import yaml

from rutta_operator.definitions import cel, crds
from rutta_operator.definitions.structural import INT_OR_STRING
from rutta_operator.spec import rules

EXAMPLES = yaml.load(Path(__file__).with_name("examples.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
TO = [{"kind": "RuttaRouter", "name": "main"}]
SMALLEST = {
    "RuttaRouter": {"targets": [{"name": "out", "console": {}}]},
    "RuttaShipper": {"sources": [{"name": "files", "file": {"paths": ["/var/log/app.log"]}}], "to": TO},
    "RuttaProxy": {"to": TO},
}
CASES = [
    pytest.param(kind, one, id=f"{number}-{one.get('rule', 'schema')}-{kind}")
    for number, one in enumerate(EXAMPLES)
    for kind in one["kinds"]
]


def resource(kind, over):
    spec = {key: value for key, value in over.items() if key != "metadata"}
    return {
        "apiVersion": "rutta.logary.tech/v1alpha1",
        "kind": kind,
        "metadata": {"name": "example", **over.get("metadata", {})},
        "spec": {**SMALLEST[kind], **spec},
    }


@pytest.mark.parametrize(("kind", "example"), CASES)
def test_what_the_api_server_accepts_is_accepted_and_what_it_refuses_is_refused(kind, example):
    assert rules.examine(resource(kind, example["accepted"]))[1] == []
    assert rules.examine(resource(kind, example["refused"]))[1]


@pytest.mark.parametrize(("kind", "rule"), [(kind, rule.name) for rule in cel.rules() for kind in rule.kinds])
def test_every_rule_has_an_example_for_each_kind(kind, rule):
    assert any(one.get("rule") == rule and kind in one["kinds"] for one in EXAMPLES)


def test_names_of_rules_are_distinct_and_every_example_names_one_that_is():
    names = [rule.name for rule in cel.rules()]
    assert len(set(names)) == len(names)
    assert {one["rule"] for one in EXAMPLES if "rule" in one} == set(names)


@pytest.mark.parametrize("rule", list(cel.rules()), ids=lambda rule: rule.name)
def test_a_rule_reads_only_what_the_api_server_knows_the_type_of(rule):
    """Else it does not take the definition at all."""
    for kind in rule.kinds:
        here = crds.schema(kind)
        for step in rule.path:
            here = here["items"] if step == "[]" else here["properties"][step]
        for field in re.findall(r"\bself\.\??(\w+)\b(?!\()", rule.rule):
            one = here["properties"][field.removeprefix("__").removesuffix("__")]
            assert "type" in one or one.get(INT_OR_STRING), field


@pytest.mark.parametrize("rule", list(cel.rules()), ids=lambda rule: rule.name)
def test_a_message_says_what_to_do_in_one_short_line(rule):
    assert 10 < len(rule.message) < 400
    assert "\n" not in rule.message
