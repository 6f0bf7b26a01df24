"""Flags, environment, and the lines of the log."""

import json
import logging

import pytest

from rutta_operator import __main__, log, options
from rutta_operator.spec.problems import Refused
from rutta_operator.wiring.graph import Key


def test_everything_has_a_default():
    found = options.read([], {})
    assert found.namespaces == ()
    assert found.bind == ("0.0.0.0", 8080)
    assert (found.sweep, found.poll, found.workers) == (300.0, 15.0, 16)
    assert found.lease_namespace == "default"
    assert found.identity


def test_flags_win_over_the_environment():
    environment = {"RUTTA_OPERATOR_NAMESPACE": "a,b", "RUTTA_OPERATOR_LOG_LEVEL": "warn", "RUTTA_OPERATOR_SWEEP": ""}
    found = options.read(["--log-level", "debug"], environment)
    assert (found.namespaces, found.log_level, found.sweep) == (("a", "b"), "debug", 300.0)


def test_names_may_be_repeated_or_given_with_commas():
    found = options.read(["--namespace", "a, b", "--namespace", "c", "--image-pull-secret", "x,y"], {})
    assert (found.namespaces, found.image_pull_secrets) == (("a", "b", "c"), ("x", "y"))


def test_everything_that_is_wrong_is_said_at_once(capsys):
    wrong = ["--namespace", "A_B", "--workers", "0", "--sweep", "often", "--poll", "10ms", "--bind", "here"]
    with pytest.raises(Refused) as found:
        options.read([*wrong, "--log-format", "xml"], {})
    flags = {finding.file for finding in found.value.findings}
    assert flags == {"--namespace", "--workers", "--sweep", "--poll", "--bind", "--log-format"}
    assert __main__.main(wrong) == 22
    assert "'A_B' is not the name of a namespace" in capsys.readouterr().err


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        options.read(["--help"], {})
    text = capsys.readouterr().out
    assert "exit codes" in text
    assert "RUTTA_OPERATOR_LOG_LEVEL" in text


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_a_line_has_the_key_of_its_resource(capsys, form):
    log.set_up("info", form)
    log.info("applied", 'Applied "x".', key=Key("RuttaRouter", "default", "main"), failures=3)
    log.debug("quiet", "Not to be read.")
    line = capsys.readouterr().err.strip()
    if form == "json":
        found = json.loads(line)
        assert (found["kind"], found["name"], found["failures"]) == ("RuttaRouter", "main", 3)
        assert (found["level"], found["event"], found["message"]) == ("info", "applied", 'Applied "x".')
    else:
        assert (
            'event=applied kind=RuttaRouter namespace=default name=main failures=3 message="Applied \\"x\\"."' in line
        )
    assert "\n" not in line


def test_what_kopf_tries_again_is_a_warning(capsys):
    log.set_up("info", "logfmt")
    logging.getLogger("kopf.clients").error("Request attempt #1 failed; will retry: GET x")
    logging.getLogger("kopf.clients").error("It is over.")
    first, second = capsys.readouterr().err.splitlines()
    assert "level=warn" in first
    assert "level=error" in second
