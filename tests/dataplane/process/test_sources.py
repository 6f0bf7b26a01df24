"""What a shipper reads, as whole processes: files, pipes, syslog, the machine; one line each, into a router."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def router(start, tmp_path):
    """A router that takes links and writes a file."""
    return start("router", "--listener", "link", "127.0.0.1:0", "--target", f"file://{tmp_path}/out?codec=json")


@pytest.fixture
def link(router):
    """The words that lead to the router."""
    return ["--link-to", "{}:{}".format(*router.binding("link"))]


@pytest.fixture
def events(tmp_path, wait_until):
    """Wait for so many events in the router's file."""

    def read(count):
        out = tmp_path / "out"
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") >= count)
        return [json.loads(line) for line in out.read_bytes().splitlines()]

    return read


def test_files_are_tailed_from_now_on_by_name_and_by_glob(start, link, events, tmp_path):
    (tmp_path / "one.log").write_text("before\n")
    shipper = start("shipper", "--tail", str(tmp_path / "one.log"), "--tail", f"{tmp_path}/sub-*.log", *link)
    assert shipper.event("listening")
    with (tmp_path / "one.log").open("a") as file:
        file.write('{"message":"after","level":"warn"}\n')
    (tmp_path / "sub-2.log").write_text("new\n")
    found = {one["event"]: one for one in events(2)}
    assert found.keys() == {"after", "new"}
    assert found["after"]["level"] == "warn"
    assert found["new"]["context"] == {"file": str(tmp_path / "sub-2.log")}
    assert shipper.stop() == 0


def test_a_pipe_is_shipped_to_its_end_and_then_the_shipper_stops_by_itself(start, link, events):
    shipper = start("shipper", "--stdin", *link, stdin=subprocess.PIPE)
    data = b"".join(b'{"message":"%d"}\n' % number for number in range(50_000)) + b"a last line"
    shipper.process.stdin.write(data)
    shipper.process.stdin.close()
    assert shipper.process.wait(60) == 0
    found = [one["event"] for one in events(50_001)]  # all are there, for all was acknowledged before it stopped
    assert found == [*map(str, range(50_000)), "a last line"]
    stopped = shipper.event("stopped")
    assert (stopped["received"], stopped["delivered"], stopped["held"]) == (50_001, 50_001, 0)


@pytest.mark.parametrize("what", ["file", "nothing"])
def test_what_cannot_be_waited_for_is_read_too(what, start, link, events, tmp_path):
    lines = tmp_path / "lines"
    lines.write_text("x\n" * 100_000)
    with lines.open("rb") if what == "file" else Path(os.devnull).open("rb") as file:
        shipper = start("shipper", "--stdin", *link, stdin=file)
        assert shipper.process.wait(60) == 0
    count = 100_000 if what == "file" else 0
    assert len(events(count)) if count else shipper.event("stopped")["received"] == count


def test_lines_of_a_pipe_go_on_while_it_is_open_and_a_signal_stops_it_in_order(start, link, events):
    shipper = start("shipper", "--stdin", *link, stdin=subprocess.PIPE)
    for number in range(3):
        shipper.process.stdin.write(b"%d\n" % number)
        shipper.process.stdin.flush()
        assert events(number + 1)[number]["event"] == str(number)
    shipper.process.stdin.write(b"half a li")
    shipper.process.stdin.flush()
    assert shipper.stop() == 0
    assert len(events(3)) == 3
    assert shipper.event("stopped")["delivered"] == 3


def test_the_end_of_a_pipe_waits_for_a_router_that_is_away(start, tmp_path, events, wait_until):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    shipper = start("shipper", "--stdin", "--link-to", f"127.0.0.1:{port}", "--shutdown-timeout", "1s",
                    stdin=subprocess.PIPE)  # fmt: skip
    shipper.process.stdin.write(b"patient\n")
    shipper.process.stdin.close()
    wait_until(lambda: shipper.status()["listeners"][0]["atEnd"])
    assert shipper.process.poll() is None
    start("router", "--listener", "link", f"127.0.0.1:{port}", "--target", f"file://{tmp_path}/out?codec=json")
    assert [one["event"] for one in events(1)] == ["patient"]
    assert shipper.process.wait(20) == 0


def test_other_sources_go_on_when_the_pipe_ends(start, link, events, tmp_path):
    (tmp_path / "a.log").write_text("")
    shipper = start("shipper", "--stdin", "--tail", str(tmp_path / "a.log"), *link, stdin=subprocess.DEVNULL)
    assert shipper.event("source_ended")
    with (tmp_path / "a.log").open("a") as file:
        file.write("still here\n")
    assert events(1)[0]["event"] == "still here"
    assert shipper.stop() == 0


def test_a_pipe_is_read_no_faster_than_it_is_delivered(start, tmp_path, wait_until):
    """Without a router nothing is delivered: the queue fills, and the pipe holds its writer back."""
    file = tmp_path / "shipper.yaml"
    file.write_text(json.dumps({
        "role": "Shipper", "sources": [{"stdin": {}}],
        "targets": [{"link": {"addresses": ["127.0.0.1:1"]}, "buffer": {"maxBytes": "64Ki"}}],
    }))  # fmt: skip
    shipper = start("shipper", "--config", str(file), "--shutdown-timeout", "100ms", stdin=subprocess.PIPE)
    os.set_blocking(shipper.process.stdin.fileno(), False)
    sent = 0

    def is_held_back():
        nonlocal sent
        try:
            sent += os.write(shipper.process.stdin.fileno(), b"x" * 999 + b"\n")
        except BlockingIOError:
            return shipper.status()["targets"][0]["queue"]["full"]
        return False

    wait_until(is_held_back)
    assert sent < 2_000_000
    assert shipper.stop() == 0


def test_a_closed_standard_input_is_one_sentence(tmp_path):
    command = 'exec "$0" -m rutta shipper --stdin --link-to 127.0.0.1:1 <&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True, timeout=30)
    assert done.returncode == 100
    assert done.stderr.count("\n") == 1
    assert "the standard input is closed" in done.stderr


def test_the_machine_is_measured_in_gauges_with_units_and_the_hosts_name(start, link, events):
    shipper = start("shipper", "--host-metrics", "200ms", *link)
    wanted = {"host.cpu.busy", "host.load", "host.memory.total", "host.network.received", "host.uptime"}
    count = 1
    while not wanted <= {one["name"] for one in events(count)}:
        count = len(events(count)) + 1
    found = {one["name"]: one for one in events(count)}
    assert {one["type"] for one in found.values()} == {"gauge"}
    assert {one["context"]["host"] for one in found.values()} == {socket.gethostname()}
    assert found["host.memory.total"]["gauge"]["unit"] == "bytes"
    assert found["host.network.received"]["labels"].keys() == {"interface"}
    assert shipper.status()["listeners"][0]["gauges"] > 20
    assert shipper.stop(signal.SIGINT) == 0


def test_syslog_by_both_protocols_reaches_the_router_as_it_was_said(start, link, events):
    shipper = start("shipper", "--syslog", "127.0.0.1:0", *link)
    shipper.send("syslog", b'<165>1 2003-10-11T22:14:15.003Z web shop 7 ID47 [a@1 b="c"] by tcp\n')
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.sendto(b"<11>Oct 11 22:14:15 web shop[7]: by udp\nin two lines", shipper.binding("syslog-2"))
    found = {one["event"]: one for one in events(2)}
    first, second = found["by tcp"], found["by udp\nin two lines"]
    assert (first["level"], first["name"], first["timestamp"]) == ("info", "shop", 1_065_910_455_003_000_000)
    assert first["fields"] == {
        "facility": "local4", "severity": "notice", "host": "web", "app": "shop", "procId": "7", "msgId": "ID47",
        "structuredData": {"a@1": {"b": "c"}},
    }  # fmt: skip
    assert (second["level"], second["fields"]["severity"], second["fields"]["host"]) == ("error", "err", "web")


def test_the_originals_router_gets_what_a_shipper_pushes(start, tmp_path, events):
    router = start(
        "router", "--listener", "pull", "127.0.0.1:0", "json", "--target", f"file://{tmp_path}/out?codec=json"
    )
    port = router.binding("pull")[1]
    shipper = start("shipper", "--stdin", "--push-to", f"tcp://127.0.0.1:{port}", stdin=subprocess.PIPE)
    shipper.process.stdin.write(b'{"message":"pushed"}\nplain\n')
    shipper.process.stdin.close()
    assert [one["event"] for one in events(2)] == ["pushed", "plain"]
    assert shipper.process.wait(20) == 0
