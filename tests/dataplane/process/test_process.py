"""The data plane as a process: what a user starts, asks, reloads and stops."""

import json
import signal
import socket

import yaml

EVENT = b'{"message":"hello","level":"info","user":"jo"}\n'


def router(start, tmp_path, *more):
    out = tmp_path / "out.log"
    rutta = start("router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", f"file://{out}", *more)
    return rutta, out


def test_an_event_goes_in_by_tcp_and_comes_out_of_the_file(start, tmp_path, wait_until):
    rutta, out = router(start, tmp_path)
    rutta.send("tcp", EVENT)
    wait_until(lambda: out.exists() and out.read_bytes() == EVENT, rutta.tell)
    assert rutta.stop() == 0


def test_the_tutorials_line_prints_the_event_on_the_console(start):
    rutta = start("router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", "console://./")
    rutta.send("tcp", EVENT)
    line = rutta.process.stdout.readline().decode()
    assert "hello" in line
    assert "lvl=info" in line
    assert rutta.stop(signal.SIGINT) == 0


def test_pages_tell_health_readiness_metrics_and_status(start, tmp_path, wait_until):
    rutta, _ = router(start, tmp_path)
    rutta.send("tcp", EVENT + b"no json\n")
    wait_until(lambda: rutta.status()["targets"][0]["delivered"] == 1, rutta.tell)
    assert rutta.get("/healthz") == (200, "ok\n")
    assert rutta.get("/readyz") == (200, "ready\n")
    assert rutta.get("/nothing")[0] == 404
    status = rutta.status()
    assert status["listeners"][0]["errors"] == {"malformed": 1}
    assert status["listeners"][0]["lastError"]
    assert (status["role"], status["ready"], len(status["configHash"])) == ("Router", True, 12)
    metrics = rutta.get("/metrics")[1]
    for line in (
        'rutta_events_received_total{listener="tcp"} 1.0',
        'rutta_decode_errors_total{listener="tcp",reason="malformed"} 1.0',
        'rutta_events_delivered_total{target="file"} 1.0',
        'rutta_events_held{component="target/file"} 0.0',
        'rutta_target_state{state="Healthy",target="file"} 1.0',
        'rutta_send_seconds_count{target="file"} 1.0',
        "rutta_ready 1.0",
        "rutta_config_reload_success 1.0",
        "process_resident_memory_bytes",
        'rutta_build_info{python="',
    ):
        assert line in metrics, line


def test_what_a_sender_writes_is_never_a_name_or_a_label(start, tmp_path, wait_until):
    rutta, _ = router(start, tmp_path)
    rutta.send(
        "tcp", b'{"type":"gauge","name":"EVIL","gauge":{"type":"gauge","value":1,"unit":"x"},"labels":{"EVIL":"1"}}\n'
    )
    rutta.send("tcp", b'{"name":"","message":"EVIL","gauges":{"EVIL":{}}}\n')
    wait_until(lambda: rutta.status()["targets"][0]["delivered"] == 2, rutta.tell)
    assert "EVIL" not in rutta.get("/metrics")[1]


def test_a_stop_delivers_what_is_held_and_says_what_became_of_all(start, tmp_path):
    rutta, out = router(start, tmp_path)
    lines = b"".join(b'{"n":%d}\n' % number for number in range(50_000))
    rutta.send("tcp", lines)
    assert rutta.stop() == 0
    stopped = rutta.event("stopped")
    assert out.read_bytes() == lines
    assert (stopped["received"], stopped["delivered"], stopped["dropped"], stopped["held"]) == (50_000, 50_000, 0, 0)


def test_a_stop_waits_no_longer_than_the_shutdown_timeout_and_counts_the_rest(start, tmp_path, wait_until):
    with socket.create_server(("127.0.0.1", 0)) as hole:  # takes connections and never answers
        address = f"127.0.0.1:{hole.getsockname()[1]}"
        rutta = start(
            "router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", f"http://{address}/",
            "--shutdown-timeout", "300ms",
        )  # fmt: skip
        rutta.send("tcp", EVENT * 3)
        wait_until(lambda: rutta.status()["targets"][0]["received"] == 3, rutta.tell)
        assert rutta.stop() == 0
    stopped = rutta.event("stopped")
    assert (stopped["received"], stopped["delivered"], stopped["dropped"]) == (3, 0, 3)
    assert stopped["targets"]["http"]["dropped"] == {"shutdown": 3}
    assert rutta.event("left_behind")["level"] == "error"


def test_a_second_signal_exits_at_once(start, tmp_path, wait_until):
    with socket.create_server(("127.0.0.1", 0)) as hole:
        address = f"127.0.0.1:{hole.getsockname()[1]}"
        rutta = start("router", "--listener", "tcp", "127.0.0.1:0", "json", "--target", f"http://{address}/")
        rutta.send("tcp", EVENT)
        wait_until(lambda: rutta.status()["targets"][0]["received"] == 1, rutta.tell)
        rutta.process.send_signal(signal.SIGTERM)
        rutta.event("stopping")
        assert rutta.stop(signal.SIGINT) == 130


def test_readiness_turns_off_while_listeners_stay_open_for_the_drain_delay(start, tmp_path, wait_until):
    out = tmp_path / "out.log"
    file = tmp_path / "router.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "listeners": [{"name": "tcp", "tcp": {"bind": "127.0.0.1:0"}}],
                "targets": [{"file": {"path": str(out)}}],
                "drain": {"delay": "1s"},
            }
        )
    )
    rutta = start("router", "--config", str(file))
    assert rutta.get("/readyz")[0] == 200
    rutta.process.send_signal(signal.SIGTERM)
    wait_until(lambda: rutta.get("/readyz")[0] == 503, rutta.tell)
    rutta.send("tcp", EVENT)
    assert rutta.process.wait(20) == 0
    assert out.read_bytes() == EVENT


def configuration(tmp_path, *outs, listeners=None):
    return {
        "listeners": listeners or [{"name": "tcp", "tcp": {"bind": "127.0.0.1:0"}}],
        "targets": [{"name": out, "file": {"path": str(tmp_path / out)}} for out in outs],
    }


def test_a_reload_takes_new_targets_and_routes_without_dropping_a_connection(start, tmp_path, wait_until):
    file = tmp_path / "router.json"
    file.write_text(json.dumps(configuration(tmp_path, "a")))
    rutta = start("router", "--config", str(file))
    with socket.create_connection(rutta.binding("tcp")) as peer:
        peer.sendall(b'{"n":1}\n')
        wait_until(lambda: (tmp_path / "a").exists() and (tmp_path / "a").read_bytes(), rutta.tell)
        changed = configuration(tmp_path, "a", "b") | {"routes": [{"match": {"minLevel": "error"}, "targets": ["b"]}]}
        changed["routes"].append({"targets": ["a"]})
        file.write_text(json.dumps(changed))
        rutta.process.send_signal(signal.SIGHUP)
        rutta.event("reloaded")
        peer.sendall(b'{"n":2,"level":"error"}\n{"n":3,"level":"info"}\n')
        wait_until(lambda: (tmp_path / "b").exists() and (tmp_path / "b").read_bytes(), rutta.tell)
        wait_until(lambda: (tmp_path / "a").read_bytes().count(b"\n") == 3, rutta.tell)
    assert (tmp_path / "b").read_bytes() == b'{"n":2,"level":"error"}\n'
    assert rutta.stop() == 0


def test_a_changed_file_is_taken_without_a_signal(start, tmp_path, monkeypatch, wait_until):
    file = tmp_path / "router.json"
    file.write_text(json.dumps(configuration(tmp_path, "a")))
    rutta = start("router", "--config", str(file))
    before = rutta.status()["configHash"]
    file.write_text(json.dumps(configuration(tmp_path, "a", "b")))
    wait_until(lambda: rutta.status()["configHash"] != before, rutta.tell)
    assert [target["name"] for target in rutta.status()["targets"]] == ["a", "b"]


def test_a_broken_new_configuration_keeps_the_old_one_and_says_so(start, tmp_path, wait_until):
    file = tmp_path / "router.json"
    file.write_text(json.dumps(configuration(tmp_path, "a")))
    rutta = start("router", "--config", str(file))
    rutta.send("tcp", b'{"n":1}\n')
    file.write_text(json.dumps(configuration(tmp_path, "a") | {"targets": [{"fil": {}}]}))
    rutta.process.send_signal(signal.SIGHUP)
    assert "did you mean 'file'?" in rutta.event("reload_failed")["message"]
    assert rutta.status()["reload"]["error"].startswith(f"{file}: targets[0].fil: ")
    assert "rutta_config_reload_success 0.0" in rutta.get("/metrics")[1]
    rutta.send("tcp", b'{"n":2}\n')
    wait_until(lambda: (tmp_path / "a").exists() and (tmp_path / "a").read_bytes().count(b"\n") == 2, rutta.tell)


def test_a_config_file_in_use_is_the_same_as_flags(start, tmp_path, wait_until):
    """``rutta proxy --link-bind`` and its config file make the same listeners and targets."""
    file = tmp_path / "proxy.yaml"
    file.write_text(
        "role: Proxy\nlisteners: [{name: link, link: {bind: '127.0.0.1:0'}}]\n"
        "targets: [{name: link, link: {addresses: ['127.0.0.1:1']}}]\n"
    )
    by_file = start("proxy", "--config", str(file)).status()
    by_flags = start("proxy", "--link-bind", "127.0.0.1:0", "--link-to", "127.0.0.1:1").status()
    for section in ("listeners", "targets"):
        assert [one["name"] for one in by_file[section]] == [one["name"] for one in by_flags[section]]


def test_a_reload_takes_the_logs_level(start, tmp_path, wait_until):
    file = tmp_path / "router.json"
    file.write_text(json.dumps(configuration(tmp_path, "a")))
    rutta = start("router", "--config", str(file))
    rutta.event("started")
    for number, level in enumerate(("error", "error"), 1):
        file.write_text(json.dumps(configuration(tmp_path, "a") | {"logLevel": level, "drain": {"timeout": number}}))
        rutta.process.send_signal(signal.SIGHUP)
        wait_until(lambda: rutta.status()["reload"]["count"] >= number, rutta.tell)  # noqa: B023
    assert [line["event"] for line in rutta.lines()].count("reloaded") == 1  # the second is below the level
