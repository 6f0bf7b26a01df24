"""``ruttactl check`` says what only the data plane knows, at its place in the resource: file, line and path."""

import pytest

from rutta_operator.ctl.__main__ import main

HEAD = "apiVersion: rutta.logary.tech/v1alpha1\nkind: RuttaRouter\nmetadata: {name: main}\nspec:\n"
GOOD = "  listeners:\n  - {name: web, http: {port: 8080}}\n  targets:\n  - {name: out, noop: {}}\n"


def check(tmp_path, capsys, text):
    file = tmp_path / "router.yaml"
    file.write_text(text)
    code = main(["check", "-f", str(file)])
    return code, [line.removeprefix(f"{file}:") for line in capsys.readouterr().err.splitlines()]


def test_what_is_fine_stays_fine(tmp_path, capsys):
    assert check(tmp_path, capsys, HEAD + GOOD) == (0, [])


def test_rules_that_no_schema_holds_are_found_all_at_once_with_their_lines(tmp_path, capsys):
    code, said = check(
        tmp_path,
        capsys,
        HEAD
        + "  listeners:\n"
        + "  - {name: web, http: {port: 8080}}\n"
        + "  - {name: lines, tcp: {port: 10001, codec: plain, strict: true}}\n"
        + "  targets:\n"
        + "  - name: rabbit\n"
        + "    rabbitmq: {topic: 'logs.{nonsense}'}\n"
        + "  - {name: old, uri: 'influxdb://./?endpont=http://x'}\n"
        + "  - {name: none, uri: 'pigeon://.'}\n",
    )
    assert code == 22
    assert len(said) == 4
    assert said[0].startswith("7: spec.listeners[1].tcp.strict: only json, auto, syslog have a form")
    assert said[1].startswith("10: spec.targets[0].rabbitmq: ")
    assert said[2] == "11: spec.targets[1].uri: endpont: unknown setting; did you mean 'endpoint'?"
    assert said[3].startswith("12: spec.targets[2].uri: there is no target 'pigeon'")


def test_a_secret_that_is_elsewhere_is_no_mistake(tmp_path, capsys):
    target = "  - {name: old, uriFrom: {secretKeyRef: {name: s, key: uri}}}\n"
    code, said = check(tmp_path, capsys, HEAD + GOOD + target)
    assert code == 0
    assert "The Secret default/s (key uri) is not in these files" in said[0]


def test_a_link_and_a_reference_are_found_by_their_names(tmp_path, capsys):
    shipper = (
        "---\napiVersion: rutta.logary.tech/v1alpha1\nkind: RuttaShipper\nmetadata: {name: node}\nspec:\n"
        "  sources:\n  - {name: files, file: {paths: [/var/log/x.log], codec: plain, strict: true}}\n"
        "  to:\n  - {kind: RuttaRouter, name: main}\n"
    )
    code, said = check(tmp_path, capsys, HEAD + GOOD + shipper)
    if code == 22:
        assert said[0].startswith("15: spec.sources[0].file.")
    else:
        pytest.fail("strict with codec plain was taken")
