"""The data plane's image: the line that every old tutorial starts with, word for word."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIAL = "docker run -p 10001:10001 --rm -it logary/rutta:latest router --listener tcp json --target console://./"


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image() -> str:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no Docker engine answers; start one to run this")
    docker("build", "-q", "-f", "Dockerfile.dataplane", "-t", "logary/rutta:latest", ".")
    return "logary/rutta:latest"


def test_the_readme_has_the_tutorials_line():
    assert TUTORIAL in (ROOT / "README.md").read_text()


def test_the_tutorials_line_works_with_our_image(image):
    """``script`` gives it the terminal that ``-it`` wants."""
    words = TUTORIAL.replace("docker run", "docker run --name rutta-e2e-tutorial")
    running = subprocess.Popen(["script", "-qefc", words, "/dev/null"], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while True:  # the port is open before the process listens: send until something comes out
            try:
                with socket.create_connection(("127.0.0.1", 10001), timeout=2) as peer:
                    peer.sendall(b'{"message":"hello from e2e","level":"warn"}\n')
                    break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        text = ""
        while "hello from e2e" not in text:
            assert time.monotonic() < deadline, text
            text += running.stdout.readline().decode()
        assert re.search(r"lvl=.?warn", re.sub(r"\x1b\[[0-9;]*m", "", text))
    finally:
        subprocess.run(["docker", "rm", "-f", "rutta-e2e-tutorial"], capture_output=True, check=False)
        running.wait(20)
        running.stdout.close()
        running.stdin.close()


def test_the_image_holds_its_half_only_and_runs_as_nobody(image):
    assert docker("run", "--rm", image, "version").startswith("rutta ")
    assert docker("inspect", "-f", "{{.Config.User}}", image).strip() == "65532:65532"
    said = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "/venv/bin/python", image, "-c", "import rutta_operator"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "No module named 'rutta_operator'" in said.stderr


def test_the_image_runs_on_a_read_only_root_file_system(image):
    out = docker("run", "--rm", "--read-only", image, "check", "--help")
    assert "--config FILE" in out
