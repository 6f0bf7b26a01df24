"""The source ``hostMetrics`` in namespaces of its own, as a container has, with the host's /proc and root mounted."""

import json
import os
import shutil
import subprocess
import sys

import psutil
import pytest

SCRIPT = """
import json, os
from rutta.host.meter import GROUPS, Meter
from rutta.host.places import find
proc, root = os.environ["HOST"] + "/proc", os.environ["HOST"] + "/root"
own, host = Meter(find(None, None), GROUPS, ()), Meter(find(proc, root), GROUPS, ())
for one in (own, host):
    one.measure()
    found = one.measure()
    rows = [(each.name, each.value, dict(each.labels)) for each in found]
    print(json.dumps(rows), json.dumps(one.missing), sep="\\t")
"""
# Mounts of its own first, to keep the host's /proc and root in; then network, processes and a /proc of its own.
NAMESPACES = """
set -e
mkdir "$HOST/proc" "$HOST/root"
mount --bind /proc "$HOST/proc"
mount --rbind / "$HOST/root"
exec unshare --net --pid --fork --mount-proc "$@"
"""


def run_in_namespaces(folder):
    words = ["unshare", "--mount", "sh", "-c", NAMESPACES, "sh", sys.executable, "-c", SCRIPT]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, "HOST": str(folder)})


def test_a_process_in_namespaces_of_its_own_measures_the_host(tmp_path):
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("needs unshare of util-linux, and to be root")
    done = run_in_namespaces(tmp_path)
    if "Operation not permitted" in done.stderr or "ermission denied" in done.stderr:
        pytest.skip(f"namespaces are not to be had here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    (own, _), (host, missing) = [map(json.loads, line.split("\t")) for line in done.stdout.splitlines()]
    assert missing == {}
    there = {labels["interface"] for name, _, labels in host if name == "host.network.received"}
    assert there == set(psutil.net_io_counters(pernic=True))
    assert {labels["interface"] for name, _, labels in own if name == "host.network.received"} < there
    (processes,) = [value for name, value, _ in host if name == "host.processes"]
    (alone,) = [value for name, value, _ in own if name == "host.processes"]
    assert alone < 5 < processes
    mounts = {labels["mount"] for name, _, labels in host if name == "host.fileSystem.total"}
    assert mounts
    assert mounts <= {one.mountpoint for one in psutil.disk_partitions(all=True)}
