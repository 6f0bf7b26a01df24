"""Rows of the original's command line that need a test of their own: aliases, old variables, ports in use."""

import socket

import pytest

from rutta import arguments, cli
from rutta.__main__ import main
from rutta.config import parse

ROUTER = ("router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", "noop://.")


def options(*words, env=()):
    return cli.with_environment(cli.parse(cli.parser(), words), dict(env))


@pytest.mark.parametrize("flag", ["--app-id", "-a"])
def test_the_app_id_is_taken_with_a_warning(flag):
    assert cli.warnings_of(options(*ROUTER, flag, "x")) == ["--app-id is taken and has no meaning any more"]


@pytest.mark.parametrize("flag", ["--tls-trust-cert", "-t"])
def test_certificates_to_trust_are_taken_any_number_of_times_with_one_warning(flag):
    (said,) = cli.warnings_of(options(flag, "AB", *ROUTER, flag, "CD"))
    assert said.startswith("--tls-trust-cert is taken and has no meaning any more")


def test_a_certificate_to_trust_may_come_from_the_environment():
    (said,) = cli.warnings_of(options(*ROUTER, env={"LOGARY_RUTTA_TLS_TRUST_CERT": "AB"}))
    assert said.startswith("--tls-trust-cert is taken")


@pytest.mark.parametrize("words", [("-v",), ("--verbose",), ("-L", "verbose"), ("--log-level", "VERBOSE")])
def test_everything_is_logged_when_asked_for(words):
    assert arguments.process_of(options(*words, *ROUTER)) == {"logLevel": "verbose"}


def test_the_variable_of_the_originals_manifests_does_nothing():
    assert options(*ROUTER, env={"LOGARY_RUTTA_ANALYTICS_ID": "open-source"}) == options(*ROUTER)


def test_neither_a_subcommand_nor_its_flags_come_from_the_environment_when_the_command_line_has_them():
    env = {"LOGARY_RUTTA_LISTENER": "udp 127.0.0.1:0 json", "LOGARY_RUTTA_TARGET": "console://."}
    config = parse(arguments.document_of(options(*ROUTER, env=env), env))
    assert ([one.component for one in config.listeners], [one.component for one in config.targets]) == (
        ["tcp"], ["noop"],
    )  # fmt: skip
    assert options(env={"LOGARY_RUTTA_SUBCOMMAND": "router"})["subcommand"] is None


@pytest.mark.parametrize("codec", ["json", "plain", "log4jxml", "binary", "auto"])
def test_sub_goes_with_every_codec(codec):
    words = ("router", "--listener", "sub", "127.0.0.1:1", codec, "--target", "noop://.")
    assert parse(arguments.document_of(options(*words), {})).listeners[0].settings.codec == codec


@pytest.mark.parametrize(
    "words",
    [
        ("shipper", "--listener", "tcp", "127.0.0.1:0", "json"),  # was exit code 100
        ("router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", "shipper://."),
    ],
)
def test_nowhere_to_send_to_is_a_mistake_of_the_command_line(words, capsys):
    assert main(words) == cli.BAD_SUBCOMMAND
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["tcp", "udp", "http", "pull", "link"])
def test_a_port_that_is_taken_ends_the_start_with_one_sentence(mode, capsys):
    kind = socket.SOCK_DGRAM if mode == "udp" else socket.SOCK_STREAM
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if mode != "udp":
            taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        codec = () if mode == "link" else ("json",)
        assert main(["router", "--listener", mode, address, *codec, "--target", "noop://."]) == cli.START_FAILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"rutta: the listener {mode} cannot bind {address}: ")


def test_a_proxy_of_the_original_that_cannot_bind_is_one_sentence_too(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        words = ["proxy", "--xsub-bind", address, "--xpub-bind", "tcp://127.0.0.1:0", "-L", "error"]
        assert main(words) == cli.START_FAILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert address.removeprefix("tcp://") in said


def test_a_health_page_whose_port_is_taken_ends_the_start(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main([*ROUTER, "--health", address, "-L", "error"]) == cli.START_FAILED
    assert address in capsys.readouterr().err
