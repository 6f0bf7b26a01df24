"""``ruttactl up`` with a stand-in for the data plane: start, wiring, restarts, order of stopping."""

import contextlib
import json
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path

import pytest

HEAD = "apiVersion: rutta.logary.tech/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"


def router(name="main", spec=""):
    return HEAD.format(kind="RuttaRouter", name=name) + "  targets: [{name: out, console: {}}]\n" + spec


def shipper(name="node", to="[{kind: RuttaRouter, name: main}]", sources="[{name: demo, file: {paths: [x]}}]"):
    return HEAD.format(kind="RuttaShipper", name=name) + f"  sources: {sources}\n  to: {to}\n"


def proxy(name="edge", to="[{kind: RuttaRouter, name: main}]", spec=""):
    return HEAD.format(kind="RuttaProxy", name=name) + f"  to: {to}\n" + spec


def documents(*texts):
    return "---\n".join(texts)


def free_port():
    """A port that is free for TCP and UDP, outside the range from which the kernel takes ports by itself."""
    while True:
        port = random.randint(15000, 30000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


def config_of(running, label):
    """Return the config that a process got: the stand-in logs it."""
    line = running.until(f"{label} ")
    while "config=" not in line:
        line = running.until(f"{label} ")
    return json.loads(line.partition("config=")[2].rpartition(" mode=")[0]), line


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_process_is_one_line_of_json_and_all_else_goes_to_stderr(up):
    port = free_port()
    running = up(router(spec=f"  listeners: [{{name: web, http: {{port: {port}}}}}]\n"), "--output", "json")
    fact = running.fact()
    assert fact["resource"] == "RuttaRouter/default/main"
    assert fact["replica"] == 0
    assert exists(fact["pid"])
    assert fact["health"].startswith("http://127.0.0.1:")
    assert fact["listeners"] == {"web": f"127.0.0.1:{port}"}
    running.until("an event of main")
    running.until("curl")
    assert running.stop() == 0
    assert running.rest(running.out) == []


def test_links_are_wired_to_every_replica_on_loopback(up):
    text = documents(shipper(to="[{kind: RuttaProxy, name: edge}]"), proxy(spec="  replicas: 2\n"), router())
    running = up(text, "--output", "json")
    links = {}
    for _ in range(4):
        fact = running.fact()
        links.setdefault(fact["resource"], {})[fact["replica"]] = fact.get("link")
    config, _ = config_of(running, "shipper/node")
    edges = links["RuttaProxy/default/edge"]
    assert config["targets"] == [
        {"name": "edge", "link": {"addresses": [edges[0], edges[1]], "pattern": "Balance"}},
    ]
    assert len(set(edges.values())) == 2
    assert links["RuttaShipper/default/node"] == {0: None}


def test_replicas_share_the_ports_of_their_listeners(up):
    port = free_port()
    text = router(spec=f"  replicas: 2\n  listeners: [{{name: lines, tcp: {{port: {port}}}}}]\n")
    running = up(text, "--output", "json")
    facts = [running.fact(), running.fact()]
    assert {fact["replica"] for fact in facts} == {0, 1}
    assert {fact["listeners"]["lines"] for fact in facts} == {f"127.0.0.1:{port}"}
    config, _ = config_of(running, "router/main#0")
    assert config["listeners"][1] == {"name": "lines", "tcp": {"bind": f"127.0.0.1:{port}", "reusePort": True}}


def test_listeners_are_bound_on_another_address_when_asked_to_and_links_stay_on_loopback(up):
    port = free_port()
    text = router(spec=f"  listeners: [{{name: web, http: {{port: {port}}}}}]\n")
    running = up(text, "--output", "json", "--bind", "127.0.0.2")
    assert running.fact()["listeners"] == {"web": f"127.0.0.2:{port}"}
    config, _ = config_of(running, "router/main")
    assert [one.get("http", one.get("link"))["bind"].rpartition(":")[0] for one in config["listeners"]] == [
        "127.0.0.1", "127.0.0.2",
    ]  # fmt: skip


def test_a_port_of_another_resource_becomes_a_free_one(up):
    port = free_port()
    listeners = f"  listeners: [{{name: web, http: {{port: {port}}}}}]\n"
    running = up(documents(router("a", listeners), router("b", listeners)), "--output", "json")
    facts = {fact["resource"]: fact["listeners"]["web"] for fact in (running.fact(), running.fact())}
    assert facts["RuttaRouter/default/a"] == f"127.0.0.1:{port}"
    assert facts["RuttaRouter/default/b"] != f"127.0.0.1:{port}"
    line = running.until("RuttaRouter/default/b web is at")
    assert facts["RuttaRouter/default/b"] in line
    assert f"RuttaRouter/default/a web has port {port}" in line


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a port")
def test_a_port_of_a_foreign_program_is_an_error_that_names_it(up):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = up(router(spec=f"  listeners: [{{name: web, http: {{port: {port}}}}}]\n"))
        line = running.until("is in use")
        assert running.process.wait(timeout=15) == 100
    assert line.startswith("<stdin>:6: spec.listeners[0].http.port: ")
    assert f"TCP port {port} is in use by " in line
    assert f"(process {os.getpid()})" in line


def test_a_udp_port_in_use_is_an_error_and_the_same_tcp_port_is_none(up):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        port = free_port()
        taken.bind(("127.0.0.1", port))
        running = up(
            router(spec=f"  listeners: [{{name: u, udp: {{port: {port}}}}}, {{name: t, tcp: {{port: {port}}}}}]\n")
        )
        assert "listeners[0].udp.port" in running.until("is in use")
        assert running.process.wait(timeout=15) == 100
        assert running.rest(running.err) == []


PASSWORD = "{secretKeyRef: {name: influx, key: password}}"


def test_secrets_come_from_the_input_as_files_that_only_we_may_read(up, tmp_path):
    target = f"{{name: db, influxdb: {{endpoint: 'http://x', username: u, password: {PASSWORD}}}}}"
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: influx}\nstringData: {password: hunter2}\n"
    text = HEAD.format(kind="RuttaRouter", name="main") + f"  targets: [{target}]\n"
    running = up(documents(text, secret), "--output", "json")
    running.fact()
    config, line = config_of(running, "router/main")
    path = Path(config["targets"][0]["influxdb"]["password"]["file"])
    assert path.read_text() == "hunter2"
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.parent.parent.parent.stat().st_mode & 0o077 == 0
    assert "mode=0o600" in line
    assert running.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("", "there is no Secret default/influx in what was given; add it with -f"),
        (
            "---\napiVersion: v1\nkind: Secret\nmetadata: {name: influx}\nstringData: {passwort: x}\n",
            "the Secret default/influx has no key 'password'; did you mean 'passwort'?",
        ),
    ],
)
def test_a_missing_secret_is_an_error_that_names_it(up, secret, said):
    target = f"{{name: db, influxdb: {{endpoint: 'http://x', username: u, password: {PASSWORD}}}}}"
    running = up(HEAD.format(kind="RuttaRouter", name="main") + f"  targets: [{target}]\n" + secret)
    line = running.until("Secret default/influx")
    assert line == f"<stdin>:5: spec.targets[0].influxdb.password.secretKeyRef: {said}"
    assert running.process.wait(timeout=15) == 22


def test_a_process_that_died_is_started_again_and_that_is_said(up):
    running = up(router(), "--output", "json")
    first = running.fact()
    os.kill(first["pid"], signal.SIGKILL)
    assert "router/main died (signal SIGKILL); starting it again in 0.01 s." in running.until("died")
    second = running.fact()
    assert second["pid"] != first["pid"]
    assert second["health"] == first["health"]
    os.kill(second["pid"], signal.SIGKILL)
    assert "again in 0.02 s" in running.until("died")  # the pause doubles
    running.fact()
    assert running.stop() == 0


def test_ctrl_c_stops_shippers_then_proxies_along_the_way_then_routers_and_counts(up):
    text = documents(
        router(), proxy("second"), proxy("first", to="[{kind: RuttaProxy, name: second}]"),
        shipper(to="[{kind: RuttaProxy, name: first}]"),
    )  # fmt: skip
    running = up(text, "--output", "json")
    pids = [running.fact()["pid"] for _ in range(4)]
    assert running.stop() == 0
    said = running.rest(running.err)
    order = {line.split()[0]: int(line.partition("at=")[2].split()[0]) for line in said if "Stopped." in line}
    assert sorted(order, key=order.get) == ["shipper/node", "proxy/first", "proxy/second", "router/main"]
    assert not any(map(exists, pids))
    head, *rows = [line.split() for line in said if "│" not in line and line.strip()][-5:]
    assert head == ["resource", "received", "delivered", "dropped", "held", "errors"]
    assert ["RuttaRouter/default/main", "5", "3", "2", "0", "6"] in rows
    assert len(rows) == 4


def test_sigterm_is_as_good_as_ctrl_c(up):
    running = up(router(), "--output", "json")
    running.fact()
    assert running.stop(signal.SIGTERM) == 0


def test_a_second_ctrl_c_kills_and_counts_what_was_known_before(up):
    running = up(router("stubborn"), "--output", "json")
    pid = running.fact()["pid"]
    running.process.send_signal(signal.SIGINT)
    running.until("Stopping; again kills.")
    running.until("Not yet.")
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(timeout=15) == 130
    assert not exists(pid)
    assert running.until("RuttaRouter/default/stubborn").split()[1:] == ["7", "4", "1", "2", "3", "killed"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_no_process_outlives_a_killed_ruttactl(up):
    running = up(router(), "--output", "json")
    handle = os.pidfd_open(running.fact()["pid"])
    try:
        running.process.kill()
        ended, _, _ = select.select([handle], [], [], 15)
        assert ended
    finally:
        os.close(handle)


def test_a_process_that_does_not_start_ends_the_run_and_shows_its_log(up):
    running = up(documents(router(), router("broken")))
    assert running.until("it broke").startswith("router/broken │")
    assert "router/broken ended before it was ready (exit code 3)." in running.until("ended before")
    assert running.process.wait(timeout=15) == 100


def test_a_process_that_never_becomes_ready_ends_the_run(up):
    running = up(router("never"), start_timeout=0.5)
    assert "router/never did not become ready in 0.5 s." in running.until("did not become")
    assert running.process.wait(timeout=15) == 100


def test_what_cannot_be_wired_is_said_and_does_not_stop_the_rest(up):
    both = "[{kind: RuttaRouter, name: main}, {kind: RuttaRouter, name: mian}]"
    running = up(
        documents(shipper(to=both), shipper("lost", to="[{kind: RuttaProxy, name: x}]"), router()), "-o", "json"
    )
    assert {running.fact()["resource"], running.fact()["resource"]} == {
        "RuttaRouter/default/main", "RuttaShipper/default/node",
    }  # fmt: skip
    assert "<stdin>:6: spec.to[1]: TargetNotFound: " in running.until("mian")
    running.until("RuttaShipper/default/lost is not started: it has nobody to send to.")


def test_without_json_the_table_and_the_events_are_on_stdout_and_uncoloured_in_a_pipe(up):
    port = free_port()
    running = up(router(spec=f"  listeners: [{{name: web, http: {{port: {port}, path: /i/logary}}}}]\n"))
    assert running.until("an event of main", running.out) == "router/main │ an event of main"
    running.until("RuttaRouter/default/main", running.out)
    line = running.until("curl", running.out)
    assert line.strip().startswith("curl -d '{")
    assert line.endswith(f" http://127.0.0.1:{port}/i/logary")
    assert running.stop() == 0
    said = running.seen + running.rest(running.err)
    assert not any("\x1b" in one for one in said)
    assert any(one.startswith("router/main │ 03:04:05 info  Rutta runs as \\x1b[31mfake.") for one in said)


def test_a_reader_that_goes_away_stops_everything_in_order(up):
    reader, writer = os.pipe()
    running = up(router(), "--output", "json", stdout=writer)
    os.close(writer)
    fact = json.loads(os.read(reader, 1 << 16))
    os.close(reader)
    os.kill(fact["pid"], signal.SIGKILL)  # the new one's line of JSON has no reader
    running.until("Stopped.")
    assert running.process.wait(timeout=15) == 0
