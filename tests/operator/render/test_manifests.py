"""``ruttactl render --output manifests``: a topology for a cluster without the operator."""

from pathlib import Path

import pytest
import yaml

from rutta_operator.ctl.__main__ import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def manifests(capsys):
    def run(*files):
        code = main(["render", "--output", "manifests", "-f", *map(str, files)])
        out, err = capsys.readouterr()
        return code, [one for one in yaml.safe_load_all(out) if one], err, out

    return run


def test_namespaces_come_first_and_secrets_not_at_all(manifests):
    code, objects, err, out = manifests(ROOT / "examples" / "topology.yaml")
    assert (code, err) == (0, "")
    kinds = [one["kind"] for one in objects]
    spaces = kinds.count("Namespace")
    assert spaces >= 2
    assert kinds[:spaces] == ["Namespace"] * spaces
    assert {"name": "team-a", "labels": {"logs": "central"}} in [one["metadata"] for one in objects[:spaces]]
    assert "Secret" not in kinds
    assert "change-me" not in out
    assert {one["metadata"]["namespace"] for one in objects[spaces:]} == {"team-a", "team-b", "logging"}


def test_nobody_owns_them_and_their_labels_say_who_made_them(manifests):
    _, objects, _, _ = manifests(ROOT / "examples" / "router.yaml")
    assert objects
    for one in objects:
        assert "ownerReferences" not in one["metadata"]
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "ruttactl"


def test_every_reference_between_them_leads_somewhere(manifests):
    _, objects, _, _ = manifests(ROOT / "examples" / "topology.yaml")
    there = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects}
    workloads = [one for one in objects if one["kind"] in ("Deployment", "DaemonSet")]
    assert len(workloads) == 4
    for one in workloads:
        place, pod = one["metadata"]["namespace"], one["spec"]["template"]["spec"]
        assert ("ServiceAccount", place, pod["serviceAccountName"]) in there
        assert ("ConfigMap", place, pod["volumes"][0]["configMap"]["name"]) in there


def test_configs_read_as_texts_of_several_lines(manifests):
    _, _, _, out = manifests(ROOT / "examples" / "router.yaml")
    assert "  config.json: |\n    {\n" in out


def test_what_cannot_be_wired_is_said_and_nothing_runs_for_it(manifests, tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_text(
        "apiVersion: rutta.logary.tech/v1alpha1\nkind: RuttaShipper\nmetadata: {name: node}\nspec:\n"
        "  sources: [{name: f, file: {paths: [x]}}]\n  to: [{kind: RuttaRouter, name: gone}]\n"
    )
    code, objects, err, _ = manifests(file)
    assert (code, objects) == (0, [])
    assert "TargetNotFound" in err
    assert "RuttaShipper/default/node has nobody to send to, so nothing runs." in err
