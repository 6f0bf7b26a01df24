"""The command line, row by row as the original's users know it, mended where it was broken."""

import argparse
import json

import pytest

from rutta import VERSION, arguments, cli
from rutta.__main__ import main
from rutta.config import parse
from rutta.errors import ConfigError


def options(*words):
    return cli.parse(cli.parser(), words)


def document(*words, env=()):
    return arguments.document_of(cli.with_environment(options(*words), dict(env)), dict(env))


def problems(*words):
    with pytest.raises(ConfigError) as caught:
        parse(document(*words))
    return str(caught.value)


ROUTER = ("router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", "noop://.")


# --- shape and exit codes (reference §1.1, §1.4)


def test_no_subcommand_is_exit_code_10_with_usage_on_stderr(capsys):
    assert main([]) == 10
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: rutta" in err
    assert "a subcommand is missing" in err


def test_an_unknown_subcommand_is_exit_code_11_with_the_message_on_stdout(capsys):
    assert main(["routr"]) == 11
    assert "routr" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["router", "--no-such-flag"],
        ["router", "--listener", "tcp", "127.0.0.1:0", "json"],
        ["router", "--target", "noop://."],
        ["router", "--listener", "carrier", "1:1", "json", "--target", "noop://."],
        ["router", "--listener", "tcp", "0.0.0.0:99999", "json", "--target", "noop://."],
        ["router", "--listener", "tcp", "0.0.0.0:1", "xml", "--target", "noop://."],
        ["router", "--listener", "http", "json", "--target", "noop://."],
        ["router", "--listener", "tcp", "0.0.0.0:1", "extra", "json", "--target", "noop://."],
        ["router", "--listener", "tcp", "0.0.0.0:1", "json", "--target", "nope://."],
        ["router", "--listener", "tcp", "0.0.0.0:1", "json", "--target", "noop://.?a=b"],
        ["router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", "noop://.", "--health", "nonsense"],
        ["proxy"],
        ["proxy", "--xsub-bind", "tcp://127.0.0.1:0"],
        ["shipper"],
        ["shipper", "--tail", "/tmp/x"],
    ],
)
def test_a_subcommand_that_cannot_be_read_is_exit_code_22_on_stderr(words, capsys):
    assert main(words) == 22
    out, err = capsys.readouterr()
    assert out == ""
    assert err


def test_every_wrong_listener_and_target_is_reported_at_once(capsys):
    assert (
        main(["router", "--listener", "carrier", "x", "json", "--listener", "udp", "json", "--target", "noop://."])
        == 22
    )
    err = capsys.readouterr().err
    assert "there is no mode 'carrier'; there are tcp, udp, http, syslog, link, pull, sub" in err
    assert "--listener udp json: needs its bindings" in err


def test_a_start_that_fails_is_exit_code_100_with_one_sentence(capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["router", "--listener", "tcp", address, "json", "--target", "noop://."]) == 100
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert address in err


def test_a_leading_bare_dash_dash_is_skipped(capsys):
    assert main(["--", "version"]) == 0
    assert VERSION in capsys.readouterr().out


# --- global flags, before and after the subcommand


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["router", "--version"], ["version"], ["router", "-V"]])
def test_version_prints_the_version(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(f"rutta {VERSION}")


@pytest.mark.parametrize("words", [["--help"], ["router", "--help"], ["proxy", "--help"], ["shipper", "--help"]])
def test_help_teaches_with_examples_on_stdout(words, capsys):
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert "--health NIC:PORT" in out


@pytest.mark.parametrize("place", ["before", "after"])
def test_global_flags_stand_anywhere(place):
    flags = ["--health", "127.0.0.1:9114", "-L", "warn", "--app-id", "x", "-t", "ABC"]
    words = [*flags, *ROUTER] if place == "before" else [*ROUTER, *flags]
    found = options(*words)
    assert arguments.process_of(found) == {"health": {"bind": "127.0.0.1:9114"}, "logLevel": "warn"}
    assert "--app-id is taken" in cli.warnings_of(found)[0]
    assert "--tls-trust-cert is taken" in cli.warnings_of(found)[1]


def test_another_scheme_of_a_target_says_what_it_is():
    (said,) = cli.warnings_of(options("router", "--listener", "tcp", "json", "--target", "jaeger://."))
    assert said.startswith("jaeger:// is the target otlp")


def test_h_is_health_and_not_help():
    assert arguments.process_of(options(*ROUTER, "-h", "0.0.0.0:1")) == {"health": {"bind": "0.0.0.0:1"}}


def test_verbose_wins_over_the_log_level():
    assert arguments.process_of(options(*ROUTER, "-v", "-L", "error")) == {"logLevel": "verbose"}


def test_an_unknown_log_level_is_info_and_said():
    found = options(*ROUTER, "-L", "loud")
    assert arguments.process_of(found) == {"logLevel": "info"}
    assert "the log level 'loud' is unknown" in cli.warnings_of(found)[0]


def test_the_log_level_is_info_when_nothing_is_said():
    assert parse(document(*ROUTER)).process.log_level == "info"


# --- listeners and targets (reference §1.1, §1.2)


@pytest.mark.parametrize("mode", ["tcp", "udp", "http", "pull"])
@pytest.mark.parametrize("codec", ["json", "plain", "log4jxml", "binary", "auto"])
def test_every_mode_goes_with_every_codec(mode, codec):
    entry = parse(document("router", "--listener", mode, "127.0.0.1:0", codec, "--target", "noop://.")).listeners[0]
    assert (entry.component, entry.settings.bind, entry.settings.codec) == (mode, "127.0.0.1:0", codec)


def test_sub_connects():
    entry = parse(document("router", "--listener", "sub", "h:1,i:2", "json", "--target", "noop://.")).listeners[0]
    assert list(entry.settings.connect) == ["h:1", "i:2"]


def test_tcp_without_bindings_is_the_tutorials_port():
    entry = parse(document("router", "--listener", "tcp", "json", "--target", "noop://.")).listeners[0]
    assert entry.settings.bind == "0.0.0.0:10001"


@pytest.mark.parametrize("words", [["link"], ["link", "0.0.0.0:7000"]])
def test_link_takes_no_codec(words):
    entry = parse(document("router", "--listener", *words, "--target", "noop://.")).listeners[0]
    assert entry.settings.bind == (words[1] if len(words) > 1 else "0.0.0.0:5555")


@pytest.mark.parametrize("bindings", ["127.0.0.1:0,127.0.0.2:0", "[::]:0", "localhost:0", "[::1]:0, 127.0.0.1:0"])
def test_bindings_are_comma_lists_of_ipv4_ipv6_and_host_names(bindings):
    parse(document("router", "--listener", "tcp", bindings, "json", "--target", "noop://."))


@pytest.mark.parametrize("bindings", ["127.0.0.1:70000", "127.0.0.1:x", "127.0.0.1"])
def test_a_binding_that_is_none_is_refused(bindings):
    assert "listeners[0].tcp" in problems("router", "--listener", "tcp", bindings, "json", "--target", "noop://.")


def test_several_listeners_and_targets_of_a_kind_are_all_there():
    config = parse(document(*ROUTER, "--listener", "tcp", "127.0.0.1:0", "plain", "--target", "noop://."))
    assert [one.name for one in config.listeners] == ["tcp", "tcp-2"]
    assert [one.name for one in config.targets] == ["noop", "noop-2"]


def test_disable_cors_turns_cors_off():
    words = ["router", "--listener", "http", "127.0.0.1:0", "json", "--target", "noop://."]
    assert parse(document(*words)).listeners[0].settings.cors.enabled
    assert not parse(document(*words, "--disable-cors")).listeners[0].settings.cors.enabled


def test_the_root_path_of_http_comes_from_its_old_variable():
    words = ["router", "--listener", "http", "127.0.0.1:0", "json", "--target", "noop://."]
    env = {"LOGARY_INGESTION_HTTP_ROOT_PATH": "/in"}
    assert parse(document(*words, env=env)).listeners[0].settings.path == "/in"


def test_the_shutdown_timeout_is_the_drain_timeout():
    assert parse(document(*ROUTER, "--shutdown-timeout", "5s")).process.drain.timeout == 5


# --- proxy and shipper (reference §1.1, §6)


def test_a_proxy_of_links():
    config = parse(document("proxy", "--link-bind", "127.0.0.1:0", "--link-to", "h:5555", "--link-to", "i:5555"))
    assert config.process.role == "Proxy"
    assert [one.component for one in config.listeners] == ["link"]
    assert [list(one.settings.addresses) for one in config.targets] == [["h:5555"], ["i:5555"]]


def test_the_old_name_of_xsub_bind_says_that_it_binds():
    found = options("proxy", "--xsub-connect-to", "tcp://0.0.0.0:1", "--xpub-bind", "tcp://0.0.0.0:2")
    assert "--xsub-connect-to binds, as it always did" in cli.warnings_of(found)[0]


@pytest.mark.parametrize(("flag", "key"), [("--push-to", "push_to"), ("--pub-to", "publish_to")])
def test_a_shipper_to_the_originals_peers(flag, key):
    config = parse(document("shipper", "--tail", "/var/log/*.log", flag, "tcp://h:1"))
    assert config.targets[0].component == "shipper"
    assert getattr(config.targets[0].settings, key)
    assert config.listeners[0].component == "file"


def test_a_shipper_to_a_link():
    config = parse(document("shipper", "--listener", "udp", "127.0.0.1:0", "json", "--link-to", "h:5555"))
    assert (config.process.role, config.targets[0].component) == ("Shipper", "link")


def test_a_shipper_of_everything_on_one_line():
    words = ["--tail", "a.log", "--tail", "/var/log/*.log", "--stdin", "--syslog", "127.0.0.1:0", "--host-metrics"]
    config = parse(document("shipper", *words, "--link-to", "h:5555"))
    assert [(one.name, one.component) for one in config.listeners] == [
        ("file", "file"), ("file-2", "file"), ("stdin", "stdin"), ("syslog", "syslog"), ("syslog-2", "syslog"),
        ("hostMetrics", "hostMetrics"),
    ]  # fmt: skip
    _, _, stdin, streams, datagrams, metrics = [one.settings for one in config.listeners]
    assert (stdin.codec, metrics.interval) == ("auto", 10)
    assert [(one.bind, one.protocol) for one in (streams, datagrams)] == [
        ("127.0.0.1:0", "Tcp"),
        ("127.0.0.1:0", "Udp"),
    ]


def test_what_a_shipper_reads_has_defaults_and_is_checked():
    config = parse(document("shipper", "--host-metrics", "1m", "--syslog", "--link-to", "h:5555"))
    assert {one.settings.bind for one in config.listeners[:2]} == {"0.0.0.0:514"}
    assert config.listeners[2].settings.interval == 60
    assert "is not a duration" in problems("shipper", "--host-metrics", "often", "--link-to", "h:5555")
    assert "interval is at least 100ms" in problems("shipper", "--host-metrics", "1ms", "--link-to", "h:5555")
    assert "is not a binding" in problems("shipper", "--syslog", "here", "--link-to", "h:5555")


@pytest.mark.parametrize("flag", ["--stdin", "--syslog", "--host-metrics", "--tail=x"])
def test_a_config_file_goes_with_no_source_beside_it(flag, tmp_path, capsys):
    file = tmp_path / "shipper.yaml"
    file.write_text("{}")
    assert main(["shipper", "--config", str(file), flag]) == 22
    assert f"{flag.partition('=')[0]} and --config exclude each other" in capsys.readouterr().err


def test_a_router_listens_to_syslog_by_both_protocols_without_a_codec():
    config = parse(document("router", "--listener", "syslog", "127.0.0.1:0", "--target", "noop://."))
    assert [(one.settings.protocol, one.settings.codec) for one in config.listeners] == [
        ("Tcp", "syslog"), ("Udp", "syslog"),
    ]  # fmt: skip
    assert parse(document("router", "--listener", "syslog", "--target", "noop://.")).listeners[0].settings.bind
    assert "has a word too many" in problems("router", "--listener", "syslog", "1:1", "json", "--target", "noop://.")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_what_a_shipper_reads(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(flag in script for flag in ("--tail", "--stdin", "--syslog", "--host-metrics", "--link-to"))
    assert {"bash": "tail_COMPGEN=_shtab_compgen_files", "zsh": ":FILE|GLOB:_files"}[shell] in script


# --- environment (reference §1.3)


def test_the_environment_fills_what_the_command_line_leaves_out():
    env = {"LOGARY_RUTTA_HEALTH": "0.0.0.0:1", "LOGARY_RUTTA_LOG_LEVEL": "warn", "LOGARY_RUTTA_APP_ID": "x"}
    found = cli.with_environment(options(*ROUTER), env)
    assert arguments.process_of(found) == {"health": {"bind": "0.0.0.0:1"}, "logLevel": "warn"}
    assert cli.warnings_of(found)
    assert arguments.process_of(cli.with_environment(options(*ROUTER, "-L", "error"), env))["logLevel"] == "error"


def test_listeners_and_targets_may_come_from_the_environment():
    env = {
        "LOGARY_RUTTA_LISTENER": "tcp 127.0.0.1:0 json\nudp 127.0.0.1:0 plain",
        "LOGARY_RUTTA_TARGET": "noop://. noop://.",
    }
    config = parse(document("router", env=env))
    assert [one.component for one in config.listeners] == ["tcp", "udp"]
    assert len(config.targets) == 2


@pytest.mark.parametrize("name", ["VERBOSE", "VERSION"])
def test_a_boolean_of_the_environment_that_is_none_is_exit_code_11(name, monkeypatch, capsys):
    monkeypatch.setenv(f"LOGARY_RUTTA_{name}", "maybe")
    assert main(["router"]) == 11
    assert f"LOGARY_RUTTA_{name}" in capsys.readouterr().out


def test_the_environments_version_and_verbose_work(monkeypatch, capsys):
    monkeypatch.setenv("LOGARY_RUTTA_VERSION", "true")
    assert main(["router"]) == 0
    assert VERSION in capsys.readouterr().out
    found = cli.with_environment(options(*ROUTER), {"LOGARY_RUTTA_VERBOSE": "1"})
    assert arguments.process_of(found) == {"logLevel": "verbose"}


# --- check, schema, completion


def test_check_reads_a_file_and_opens_nothing(tmp_path, capsys):
    file = tmp_path / "router.yaml"
    file.write_text("listeners: [{tcp: {bind: '127.0.0.1:0', codec: json}}]\ntargets: [{noop: {}}]\n")
    assert main(["check", "--config", str(file)]) == 0
    assert "fine (1 listeners, 1 targets)" in capsys.readouterr().out
    file.write_text("listeners: [{tcp: {bind: '1:99999'}}]\ntargets: [{nop: {}}]\nlogLevel: loud\n")
    assert main(["check", "--config", str(file)]) == 22
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{file}: ") for line in lines)


def test_schema_prints_json_with_every_component(capsys):
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"listeners.tcp", "sources.file", "targets.influxdb", "target", "route"} <= set(schema["$defs"])
    assert "$ref" not in json.dumps(schema["$defs"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_prints_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    assert ("router" if shell == "tcsh" else "--listener") in capsys.readouterr().out


def test_no_flag_is_a_prefix_trap():
    """Abbreviations are off: ``--list`` is an error today rather than another flag tomorrow."""
    with pytest.raises(SystemExit):
        options("router", "--list", "tcp", "json")
    assert isinstance(cli.parser(), argparse.ArgumentParser)
