"""The operator's rules between settings of a component are the data plane's own: neither has one that is not both's."""

import copy
import importlib
from pathlib import Path

import pytest
import yaml

from rutta import config
from rutta.errors import ConfigError
from rutta_operator.spec import components, rules
from rutta_operator.spec.constraints import constraints
from rutta_operator.spec.models import API_VERSION

EXAMPLES = yaml.load(
    (Path(__file__).parent.parent / "operator/examples.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
)
SECRET = "secret"
SAID = {  # what is said of a setting that alone may be right or wrong
    "username": "a", "password": SECRET, "bearer": SECRET, "apiKey": SECRET, "token": SECRET, "org": "o", "bucket": "b",
    "projectId": "1", "region": "cn-hangzhou", "publishTo": "http://b",
}  # fmt: skip


def plain(value):
    """Return settings of a resource as those of a config: a secret by its text, a port as a binding."""
    if isinstance(value, dict):
        if "secretKeyRef" in value:
            return SECRET
        found = {key: plain(one) for key, one in value.items()}
        if found.pop("secretName", None):
            found |= {"certFile": "tls.crt", "keyFile": "tls.key"}
        return found | {"bind": f"127.0.0.1:{found.pop('port')}"} if "port" in found else found
    return [plain(one) for one in value] if isinstance(value, list) else value


def takes(section, component, settings):
    """Whether the data plane takes these settings."""
    if section == "sources":
        document = {"role": "Shipper", "targets": [{"name": "main", "link": {"addresses": ["tcp://127.0.0.1:1"]}}]}
    else:
        document = {
            "role": "Router",
            "listeners": [{"name": "in", "tcp": {}}],
            "targets": [{"name": "out", "console": {}}],
        }
    document |= {section: [{"name": "a", component: plain(settings)}]}
    try:
        config.parse(document)
    except ConfigError as exc:
        print(settings, exc)
        return False
    return True


def holds(section, component, settings):
    """Whether the operator's rules let these settings pass."""
    rules = [one for name, inside, one in constraints(section) if name == component and not inside]
    return all(rule.holds(settings) for rule in rules)


def of_rules():
    """Yield section, component, settings and whether they are right, of every example of such a rule."""
    names = {
        "-".join(filter(None, (section, component, inside, one.name))): (section, component)
        for section in ("listeners", "sources", "targets")
        for component, inside, one in constraints(section)
    }
    for one in EXAMPLES:
        if one.get("rule") in names:
            section, component = names[one["rule"]]
            for is_right in (True, False):
                for number, entry in enumerate(one["accepted" if is_right else "refused"][section]):
                    case = f"{one['rule']}-{is_right}-{number}"
                    yield pytest.param(section, component, entry[component], is_right, id=case)


@pytest.mark.parametrize(("section", "component", "settings", "is_right"), list(of_rules()))
def test_the_data_plane_has_every_rule_too(section, component, settings, is_right):
    assert takes(section, component, settings) == is_right


@pytest.mark.parametrize(("said", "is_right"), [(["pushTo"], True), (["publishTo"], True), ([], False),
                                               (["pushTo", "publishTo"], False)])  # fmt: skip
def test_the_rule_that_no_cel_can_read_is_in_both_halves(said, is_right):
    settings = {key: ["tcp://a:1"] for key in said}
    assert takes("targets", "shipper", settings) == holds("targets", "shipper", settings) == is_right


def examples():
    """Yield each target with the settings that its module calls an example."""
    for name in components.names("targets"):
        yield pytest.param(name, dict(importlib.import_module(f"rutta.targets.{name}").EXAMPLE), id=name)


@pytest.mark.parametrize(("component", "settings"), list(examples()))
def test_no_setting_is_refused_by_the_data_plane_alone(component, settings):
    """Each word that the schema lists, and each name, password and token, said or not: both judge alike."""
    shape = components.shape("targets", component)
    properties, required = shape["properties"], shape.get("required", ())
    for key, schema in properties.items():
        values = [*schema.get("enum", ()), *([True, False] if schema.get("type") == "boolean" else [])]
        values += [SAID[key]] if key in SAID else []
        for value in values:
            changed = copy.deepcopy(settings) | {key: value}
            assert takes("targets", component, changed) == holds("targets", component, changed), changed
        if key in SAID and key in settings and key not in required:
            changed = {name: one for name, one in settings.items() if name != key}
            assert takes("targets", component, changed) == holds("targets", component, changed), changed


SMALLEST = {"port": 1, "connect": ["a:1"], "paths": ["a.log"]}
TLS = {"secretName": "s"}
INPUTS = [(section, name) for section in ("listeners", "sources") for name in components.names(section)]


@pytest.mark.parametrize(("section", "component"), INPUTS)
def test_no_word_of_an_input_is_refused_by_one_half_alone(section, component):
    """Each word and switch that the schema has, with TLS where it has that, and without."""
    shape = components.shape(section, component)
    smallest = {key: SMALLEST[key] for key in shape.get("required", ())}
    bases = [smallest, *([smallest | {"tls": TLS}] if "tls" in shape["properties"] else [])]
    for base in bases:
        for key, schema in shape["properties"].items():
            for value in [*schema.get("enum", ()), *([True, False] if schema.get("type") == "boolean" else [])]:
                settings = base | {key: value}
                assert takes(section, component, settings) == is_fine(section, component, settings), settings


def is_fine(section, component, settings):
    """Whether the operator takes a resource with this one input."""
    kind = "RuttaRouter" if section == "listeners" else "RuttaShipper"
    rest = (
        {"targets": [{"name": "a", "noop": {}}]}
        if section == "listeners"
        else {"to": [{"kind": "RuttaRouter", "name": "a"}]}
    )
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "a"}}
    return not rules.examine(document | {"spec": {section: [{"name": "a", component: settings}], **rest}})[1]


@pytest.mark.parametrize("junk", [5, 0.5, "x", True, [], [5], {}, {"a": [5]}], ids=repr)
def test_a_rule_never_breaks_on_settings_of_another_shape(junk):
    for section in ("listeners", "sources", "targets"):
        for component, inside, rule in constraints(section):
            fields = (
                ("bearer", "basic", "start", "traces") if inside else components.shape(section, component)["properties"]
            )
            for some in (fields, [rule.field], []):
                assert rule.holds(dict.fromkeys(filter(None, some), junk)) in (True, False)
