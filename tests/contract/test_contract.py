"""Where the two halves meet: the config file. What one renders the other takes, and both know the same schema."""

import json
from pathlib import Path

import pytest
import yaml

from rutta import components, config, config_schema
from rutta_operator.ctl.rendering import render
from rutta_operator.spec.documents import Source
from rutta_operator.wiring.topology import load

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = [
    *sorted(path for path in (ROOT / "examples").glob("*.yaml") if "RuttaRouter" in path.read_text()),
    ROOT / "examples/argocd/logs",  # a folder is one topology
]


def configs(text):
    topology = load([Source("test.yaml", text)])
    assert [str(finding) for finding in topology.findings] == []
    return [one["config"] for one in json.loads(render(topology, "json"))]


def test_the_operators_schema_is_the_data_planes_own():
    """``make crds`` writes it anew."""
    assert json.loads((ROOT / "operator/rutta_operator/schema.json").read_text()) == config_schema.document()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_config_of_an_example_is_taken_by_the_data_plane(path, capsys):
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    found = configs("\n---\n".join(file.read_text() for file in files))
    assert found
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if not line.endswith("it is left out.")] == []  # everything is wired
    for document in found:
        for target in document["targets"]:
            if isinstance(target.get("uri"), dict):  # it is in a Secret, which nobody but the process reads
                target["uri"] = "noop://."
        parsed = config.parse(document)
        assert parsed.listeners
        assert parsed.targets


def resource(listener=None, target=None):
    return yaml.safe_dump(
        {
            "apiVersion": "rutta.logary.tech/v1alpha1",
            "kind": "RuttaRouter",
            "metadata": {"name": "r"},
            "spec": {
                "listeners": [{"name": "l", **(listener or {"tcp": {"port": 10001}})}],
                "targets": [{"name": "t", **(target or {"noop": {}})}],
            },
        }
    )


@pytest.mark.parametrize("name", [name for name in components.names("listeners") if name not in ("link", "sub")])
def test_every_listener_of_the_data_plane_can_be_written_in_a_resource(name):
    (document,) = configs(resource(listener={name: {"port": 10001}}))
    parsed = config.parse(document)
    assert name in [entry.component for entry in parsed.listeners]


def example_of(name):
    return dict(getattr(components.module("targets", name), "EXAMPLE", {}))


def in_a_cluster(value):
    """An example's secrets are in the environment; a resource's are in Secrets."""
    if isinstance(value, dict) and value.keys() == {"env"}:
        return {"secretKeyRef": {"name": "secret", "key": value["env"]}}
    return {key: in_a_cluster(one) for key, one in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("name", [name for name in components.names("targets") if name != "link"])
def test_every_target_of_the_data_plane_can_be_written_in_a_resource(name):
    (document,) = configs(resource(target={name: in_a_cluster(example_of(name))}))
    assert name in [entry.component for entry in config.parse(document).targets]


def test_what_every_target_has_means_the_same_in_both():
    common = {
        "buffer": {"maxBytes": "1Mi", "whenFull": "DropOldest"},
        "batch": {"maxEvents": 5, "maxBytes": "1Ki", "maxDelay": "3ms"},
        "retry": {"initial": "1s", "max": "5s", "budget": "1m"},
    }
    (document,) = configs(resource(target={"noop": {}, **common}))
    (entry,) = config.parse(document).targets
    assert entry.common.buffer.max_bytes == 2**20
    assert entry.gathering[:3] == (5, 1024, 0.003)
    assert entry.common.retry.budget == 60


def test_the_halves_agree_on_what_is_wrong():
    """What the data plane refuses, ``ruttactl check`` refuses before it."""
    for target in ({"file": {"path": ""}}, {"noop": {"x": 1}}, {"console": {}, "buffer": {"whenFull": "Drop"}}):
        topology = load([Source("test.yaml", resource(target=target))])
        assert topology.findings, target
        entry = {"name": "t", **target}
        with pytest.raises(config.ConfigError):
            config.parse({"listeners": [{"tcp": {}}], "targets": [entry]})
