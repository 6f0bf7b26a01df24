"""The first minute: ``ruttactl up`` with the real data plane, from the line that is pasted to the last table."""

import contextlib
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


def free_port():
    """A port that is free for TCP and UDP, outside the range from which the kernel takes ports by itself."""
    while True:
        port = random.randint(15000, 30000)
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, contextlib.suppress(OSError):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


class Up:
    """A ``ruttactl up`` in a folder of its own."""

    def __init__(self, folder, topology, *words):
        self.out, self.err = folder / "out", folder / "err"
        (folder / "topology.yaml").write_text(topology)
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rutta_operator.ctl", "up", "-f", "topology.yaml", *words],
                cwd=folder, stdout=out, stderr=err,
            )  # fmt: skip

    def until(self, condition):
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < end, self.tell()
            assert self.process.poll() is None, self.tell()
            time.sleep(0.02)
        return found

    def tell(self):
        return f"stdout:\n{self.out.read_text()}\nstderr:\n{self.err.read_text()}"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def up(tmp_path):
    """Start topologies; what still runs at the end is stopped."""
    started = []

    def start(topology, *words):
        started.append(Up(tmp_path, topology, *words))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(PATIENCE)


def post(url, data, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read()


def test_the_quickstart_takes_a_file_tcp_udp_and_http_to_the_console_and_counts_at_the_end(up, tmp_path):
    text = re.sub(r" +- /var/log/.*\n", "", (ROOT / "examples" / "quickstart.yaml").read_text())  # others write there
    for port in ("10001", "10002", "8080"):
        text = text.replace(f"port: {port}", f"port: {free_port()}")
    (tmp_path / "var").mkdir()
    running = up(text)
    url = running.until(lambda: re.search(r"curl -d '\{.*\}' (\S+)", running.out.read_text()))[1]
    tcp, udp = (re.search(rf"nc {flags}-w1 127\.0\.0\.1 (\d+)", running.out.read_text())[1] for flags in ("", "-u "))
    for name in ("RuttaShipper/default/node", "RuttaProxy/default/edge", "RuttaRouter/default/main"):
        assert name in running.out.read_text()
    assert post(url, b'{"message":"by http","level":"info"}') == (201, b"true")
    with socket.create_connection(("127.0.0.1", int(tcp))) as peer:
        peer.sendall(b'{"message":"by tcp"}\n')
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.sendto(b'{"message":"by udp"}', ("127.0.0.1", int(udp)))
    (tmp_path / "var" / "demo.log").write_text("by file\n")
    for way in ("http", "tcp", "udp", "file"):
        running.until(lambda way=way: re.search(rf'^router/main .*evt="by {way}"', running.out.read_text(), re.M))
    assert running.stop() == 0
    rows = [line.split() for line in running.out.read_text().splitlines() if line.strip()][-4:]
    assert rows[0][:4] == ["resource", "received", "delivered", "dropped"]
    counts = {row[0]: row[1:4] for row in rows[1:]}
    assert counts["RuttaRouter/default/main"] == ["4", "8", "0"]  # two targets
    assert counts["RuttaShipper/default/node"] == counts["RuttaProxy/default/edge"] == ["4", "4", "0"]
    assert (tmp_path / "var" / "rutta" / "events.log").read_bytes().count(b"\n") == 4


ROUTER = """\
apiVersion: rutta.logary.tech/v1alpha1
kind: RuttaRouter
metadata: {name: main}
spec:
  replicas: 2
  listeners:
  - name: web
    http: {port: %d, auth: {bearer: [{secretKeyRef: {name: web, key: token}}]}}
  - {name: lines, tcp: {port: %d}}
  - {name: datagrams, udp: {port: %d}}
  targets: [{name: out, noop: {}}]
---
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData: {token: hunter2}
"""


def test_replicas_share_the_ports_of_all_listeners_and_secrets_come_from_the_input(up):
    ports = free_port(), free_port(), free_port()
    running = up(ROUTER % ports, "--output", "json")
    running.until(lambda: running.out.read_text().count("\n") == 2)
    facts = [json.loads(line) for line in running.out.read_text().splitlines()]
    assert sorted(fact["replica"] for fact in facts) == [0, 1]
    assert facts[0]["pid"] != facts[1]["pid"]
    for fact in facts:
        names = zip(("web", "lines", "datagrams"), ports, strict=True)
        assert fact["listeners"] == {name: f"127.0.0.1:{port}" for name, port in names}
        with urllib.request.urlopen(f"{fact['health']}/status", timeout=10) as answer:
            status = json.load(answer)
        assert (status["pid"], status["ready"]) == (fact["pid"], True)
    web = f"http://127.0.0.1:{ports[0]}/"
    assert post(web, b"{}")[0] == 401
    assert post(web, b"{}", Authorization="Bearer hunter2") == (201, b"true")
    assert "hunter2" not in running.tell()
    assert running.stop() == 0
