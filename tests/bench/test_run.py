"""The command line, and one small run of the real thing."""

import importlib.util
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest
from rutta_bench import sender
from rutta_bench.model import Load
from rutta_bench.rows import ROWS

RUN = Path(__file__).parents[2] / "bench" / "run.py"


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("bench_run", RUN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_help_names_every_row(run, capsys):
    with pytest.raises(SystemExit) as left:
        run.main(["--help"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert all(row.key in said for row in ROWS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "jsn"], "no row 'jsn'; there are json"),
        (["--peers", "vector"], "no peer 'vector'; there are all, none, rsyslog"),
        (["--seconds", "0"], "must be 0.1 to 600"),
        (["--rounds", "0"], "must be 1 to 99"),
        (["--folder", "/does/not/exist"], "/does/not/exist is no folder"),
    ],
)
def test_a_wrong_argument_is_said_and_is_exit_code_2(run, capsys, arguments, said):
    with pytest.raises(SystemExit) as left:
        run.main(arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_peers_are_taken_in_any_case(run):
    assert run._peers("RSYSLOG,logprep") == ("rsyslog", "Logprep")
    assert run._peers("none") == ()
    assert run._peers("all") == ("rsyslog", "syslog-ng", "Logprep", "otelcol")


@pytest.mark.parametrize("row", ["json", "logs"])
def test_one_row_is_measured_and_every_event_that_was_sent_is_delivered(tmp_path, row):
    arguments = ["--rows", row, "--peers", "none", "--seconds", "0.2", "--rounds", "1", "--patience", "0"]
    done = subprocess.run(
        [sys.executable, RUN, *arguments, "--output", "json", "--folder", tmp_path, "--cache", tmp_path],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (sample,) = json.loads(done.stdout)["outcomes"][0]["lines"][0]["rounds"]
    assert sample["sent"] == sample["delivered"] > 0
    assert sample["cpu"] > 0
    assert not list(tmp_path.iterdir())


def test_the_sender_sends_what_it_says_it_sent():
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def receive():
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    received.extend(data)

        thread = threading.Thread(target=receive)
        thread.start()
        order = sender.Order(load=Load(chunk=2770, limit=100), port=server.getsockname()[1], seconds=30)
        done = subprocess.run(
            [sys.executable, "-m", "rutta_bench.sender", msgspec.json.encode(order).decode()],
            cwd=RUN.parent,
            input="\n",
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        thread.join(30)
    said = msgspec.json.decode(done.stdout.splitlines()[1], type=sender.Report)
    assert said.sent == 100 == received.count(b"\n")
