"""Both images: what is in them and what is not, and the line that every old tutorial starts with, word for word."""

import contextlib
import json
import os
import re
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness.leaving import leave_out

ROOT = Path(__file__).parent.parent
TUTORIAL = "docker run -p 10001:10001 --rm -it logary/rutta:latest router --listener tcp json --target console://./"


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> str:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        leave_out(request.config, "no Docker engine answers; start one to run this")
    docker("build", "-q", "-f", "Dockerfile.dataplane", "-t", "logary/rutta:latest", ".")
    return "logary/rutta:latest"


def test_the_readme_has_the_tutorials_line():
    assert TUTORIAL in (ROOT / "README.md").read_text()


def send(line: bytes) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", 10001), timeout=2) as peer:
        peer.sendall(line)


def test_the_tutorials_line_works_with_our_image(image):
    """``script`` gives it the terminal that ``-it`` wants."""
    words = TUTORIAL.replace("docker run", "docker run --name rutta-e2e-tutorial")
    running = subprocess.Popen(["script", "-qefc", words, "/dev/null"], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        text = ""
        while "hello from e2e" not in text:  # the port is open before the process listens: what comes then is lost
            assert time.monotonic() < deadline, text
            send(b'{"message":"hello from e2e","level":"warn"}\n')
            while select.select([running.stdout], [], [], 0.5)[0]:
                text += os.read(running.stdout.fileno(), 65536).decode()
        assert re.search(r"lvl=.?warn", re.sub(r"\x1b\[[0-9;]*m", "", text))
    finally:
        subprocess.run(["docker", "rm", "-f", "rutta-e2e-tutorial"], capture_output=True, check=False)
        running.wait(20)
        running.stdout.close()
        running.stdin.close()


HALVES = {"rutta": ("dataplane", "rutta"), "rutta-operator": ("operator", "rutta_operator")}  # Dockerfile, package


@pytest.fixture(scope="module", params=HALVES)
def either(request, image) -> str:
    """Each of the two images, as ``make images`` calls it."""
    name = request.param
    docker("build", "-q", "-f", f"Dockerfile.{HALVES[name][0]}", "-t", f"logary/{name}:latest", ".")
    return name


def test_an_image_is_as_large_as_the_docs_say(either):
    sizes = dict(
        re.findall(r"^\| `logary/([a-z-]+)` \| (\d+) MB", (ROOT / "docs/installation.md").read_text(), re.MULTILINE)
    )
    size = int(docker("image", "inspect", "--format", "{{.Size}}", f"logary/{either}:latest")) / 1e6
    assert size == pytest.approx(int(sizes[either]), rel=0.1)


def python(image: str, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["docker", "run", "--rm", "--read-only", *words, "--entrypoint", "/venv/bin/python", image, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_image_holds_its_half_only(either):
    for name, (_, package) in HALVES.items():
        said = python(f"logary/{either}:latest", f"import {package}.__main__")
        assert ("No module named" in said.stderr) is (name != either), said.stderr
        assert (said.returncode == 0) is (name == either), said.stderr


def test_an_image_runs_as_nobody_and_says_what_it_is(either):
    config = json.loads(docker("inspect", "-f", "{{json .Config}}", f"logary/{either}:latest"))
    assert config["User"] == "65532:65532"
    labels = {key.rpartition(".")[2]: value for key, value in config["Labels"].items()}
    assert labels.keys() >= {"title", "description", "licenses", "version", "revision"}
    assert labels["version"] == "0.1.0"


def test_an_image_has_no_installer_and_all_of_its_bytecode(either):
    """A read-only root file system would have it compile at every start."""
    said = python(f"logary/{either}:latest", BARE)
    assert said.stdout.split() == ["[]", "[]"], said.stdout + said.stderr


BARE = """
import importlib.util, pathlib, sys
site = pathlib.Path(sys.prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages")
print([path for path in site.rglob("*.py") if not pathlib.Path(importlib.util.cache_from_source(str(path))).exists()])
print([path.name for name in ("pip", "setuptools", "wheel", "tests") for path in site.rglob(name)])
"""


def test_an_image_starts_under_any_user(either):
    """OpenShift chooses one without an account; kopf asks for its name."""
    user = ("--user", "1000680000:0")
    assert either in docker("run", "--rm", "--read-only", *user, f"logary/{either}:latest", "--help")
    if either == "rutta-operator":
        assert python(f"logary/{either}:latest", "import getpass; print(getpass.getuser())", *user).stdout == "rutta\n"


def test_the_image_runs_on_a_read_only_root_file_system(image):
    out = docker("run", "--rm", "--read-only", image, "check", "--help")
    assert "--config FILE" in out


def test_ruttactl_is_in_the_operators_image(either):
    if either == "rutta-operator":
        assert docker("run", "--rm", "--entrypoint", "ruttactl", f"logary/{either}:latest", "version").startswith(
            "ruttactl "
        )
