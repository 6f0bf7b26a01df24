"""``ruttactl`` but for ``up``: check, render, graph, completion, version."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rutta_operator.ctl.__main__ import main

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
HEAD = "apiVersion: rutta.logary.tech/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
ROUTER = HEAD.format(kind="RuttaRouter", name="main") + (
    "  listeners: [{name: web, http: {port: 8080}}]\n"
    "  targets: [{name: db, influxdb: {endpoint: 'http://db:8086/write', username: jo, "
    "password: {secretKeyRef: {name: influx, key: p}}}}]\n"
)
SHIPPER = HEAD.format(kind="RuttaShipper", name="node") + (
    "  sources: [{name: f, file: {paths: [x]}}]\n"
    "  to: [{kind: RuttaRouter, name: main}, {kind: RuttaRouter, name: mian}]\n"
)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run ruttactl in a directory with ``router.yaml`` and ``shipper.yaml``; return code, stdout, stderr."""
    (tmp_path / "router.yaml").write_text(ROUTER)
    (tmp_path / "shipper.yaml").write_text(SHIPPER)
    monkeypatch.chdir(tmp_path)

    def ruttactl(*words):
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return ruttactl


@pytest.mark.parametrize(("words", "said"), [
    (["check", "router.yaml", "shipper.yaml"], "name files with -f: ruttactl check -f router.yaml -f shipper.yaml"),
    (["check", "--fiel", "nothing.yaml"], "unknown arguments: --fiel nothing.yaml; ruttactl check --help tells"),
])  # fmt: skip
def test_arguments_that_nobody_knows_are_told_with_what_was_meant(run, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_check_says_what_is_fine_and_what_the_cluster_must_have(run):
    assert run("check", "-f", "router.yaml") == (
        0,
        "1 resource, 0 links: fine.\n",
        "The Secret default/influx (key p) is not in these files; the cluster must have it.\n",
    )


def test_check_finds_what_cannot_be_wired_at_its_place(run):
    code, out, err = run("check", "-f", "router.yaml", "shipper.yaml")
    assert (code, out) == (22, "")
    assert err == (
        "shipper.yaml:6: spec.to[1]: TargetNotFound: RuttaRouter default/mian does not exist; did you mean 'main'?\n"
    )


def test_every_mistake_of_every_file_is_said_at_once(run, tmp_path):
    (tmp_path / "router.yaml").write_text(ROUTER.replace("8080", "99999"))
    code, _, err = run("check", "-f", "router.yaml", "-f", "shipper.yaml", "-f", "gone.yaml")
    assert code == 22
    assert err.splitlines() == [
        "gone.yaml: cannot be read: No such file or directory",
        "router.yaml:5: spec.listeners[0].http.port: 99999 is not a port (1–65535)",
        "shipper.yaml:6: spec.to[0]: TargetNotFound: RuttaRouter default/main does not exist",
        "shipper.yaml:6: spec.to[1]: TargetNotFound: RuttaRouter default/mian does not exist",
    ]


def test_files_may_come_from_standard_input_and_directories(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(ROUTER.replace("8080", "0")))
    code, _, err = run("check", "-f", "-")
    assert (code, err) == (22, "<stdin>:5: spec.listeners[0].http.port: 0 is not a port (1–65535)\n")
    code, _, err = run("check", "-f", ".")
    assert code == 22
    assert err.startswith("shipper.yaml:6: spec.to[1]: ")


def test_input_without_a_resource_is_an_error(run, tmp_path):
    (tmp_path / "other.yaml").write_text("apiVersion: v1\nkind: ConfigMap\n")
    assert run("check", "-f", "other.yaml") == (
        22,
        "",
        "other.yaml:1: a ConfigMap is no part of a topology; it is left out.\n"
        "other.yaml: has no RuttaRouter, RuttaShipper or RuttaProxy\n",
    )


def test_a_namespace_that_is_none_is_an_error(run):
    code, _, err = run("check", "-f", "router.yaml", "-n", "../x")
    assert (code, err) == (22, "--namespace: '../x' is not the name of a namespace\n")


def test_render_prints_the_config_of_each_resource(run):
    code, out, err = run("render", "-f", "router.yaml", "shipper.yaml")
    router, shipper = yaml.safe_load_all(out)
    assert code == 0
    assert "spec.to[1]: TargetNotFound" in err
    assert router["role"] == "Router"
    assert shipper["targets"][0]["link"]["dns"] == "main-router-link.default.svc"
    _, out, _ = run("render", "-f", "router.yaml", "shipper.yaml", "--output", "json")
    assert json.loads(out) == [
        {"resource": "RuttaRouter/default/main", "config": router},
        {"resource": "RuttaShipper/default/node", "config": shipper},
    ]


def test_graph_draws_a_tree_with_what_is_broken(run):
    assert run("graph", "-f", "shipper.yaml", "router.yaml") == (
        0,
        "RuttaShipper default/node  f file\n"
        "├── RuttaRouter default/main  web http:8080\n"
        "│   └── db → influxdb\n"
        "└── ✗ RuttaRouter default/mian: RuttaRouter default/mian does not exist; did you mean 'main'?\n",
        "",
    )


def test_graph_as_json_has_resources_edges_and_faults(run):
    _, out, _ = run("graph", "-f", ".", "-o", "json")
    got = json.loads(out)
    assert got["resources"][0] == {
        "resource": "RuttaRouter/default/main",
        "listeners": [{"name": "web", "component": "http", "port": 8080}],
        "targets": [{"name": "db", "component": "influxdb"}],
    }
    assert got["edges"] == [
        {
            "from": "RuttaShipper/default/node",
            "to": "RuttaRouter/default/main",
            "pattern": "Balance",
            "delivery": "AtMostOnce",
        }
    ]
    assert got["faults"][0]["reason"] == "TargetNotFound"
    assert got["faults"][0]["path"] == "spec.to[1]"


def test_graph_as_dot_and_mermaid_have_every_edge_and_mark_the_broken(run):
    _, out, _ = run("graph", "-f", ".", "-o", "dot")
    assert out.startswith("digraph rutta {\n")
    assert '"RuttaShipper/default/node" -> "RuttaRouter/default/main" [label="Balance, AtMostOnce"];' in out
    assert '"RuttaShipper/default/node" -> "RuttaRouter/default/mian" [style=dashed, color=red' in out
    _, out, _ = run("graph", "-f", ".", "-o", "mermaid")
    assert out.splitlines()[:2] == ["flowchart LR", '  r0["RuttaRouter default/main"]']
    assert "  r1 -->|Balance, AtMostOnce| r0" in out
    assert "  r1 -. TargetNotFound .-x r2" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_is_a_script_that_knows_the_commands(run, shell):
    code, out, _ = run("completion", shell)
    assert code == 0
    assert "render" in out


def test_version_is_said(run):
    assert run("version") == (0, "ruttactl 0.1.0\n", "")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_fine_and_draws_and_renders(run, path):
    code, _, err = run("check", "-f", str(path))
    complaints = [line for line in err.splitlines() if not line.endswith("it is left out.")]  # an app beside a shipper
    assert (code, complaints) == (0, [])
    assert run("graph", "-f", str(path))[0] == 0
    assert run("render", "-f", str(path))[0] == 0


def test_there_are_examples():
    assert {"quickstart.yaml", "router.yaml", "topology.yaml"} <= {path.name for path in EXAMPLES}


def test_check_loads_no_library_that_it_does_not_need():
    script = (
        "import sys; from rutta_operator.ctl.__main__ import main; main(['check', '-f', sys.argv[1]]);"
        "unneeded = {'asyncio', 'rich', 'shtab', 'kopf', 'kubernetes', 'rutta', 'http'};"
        "print(sorted(unneeded & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(EXAMPLES[0])], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
