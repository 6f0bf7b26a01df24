"""ruttactl as a user has it: the program beside the interpreter, and a kubeconfig."""

import os
import subprocess
import sys
from pathlib import Path

from harness.kubectl import Kubectl
from harness.shell import ROOT

_PROGRAMS = Path(sys.executable).parent


def ruttactl(kubectl: Kubectl, *words: str) -> tuple[int, str]:
    """Run ruttactl against the cluster; return its exit code and all that it said."""
    return _run(kubectl, str(_PROGRAMS / "ruttactl"), *words)


def kubectl_rutta(kubectl: Kubectl, *words: str) -> tuple[int, str]:
    """Run the same as ``kubectl rutta``."""
    return _run(kubectl, "kubectl", "rutta", *words)


def _run(kubectl: Kubectl, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "KUBECONFIG": kubectl.kubeconfig, "PATH": f"{_PROGRAMS}:{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env=environment)
    return done.returncode, done.stdout + done.stderr
