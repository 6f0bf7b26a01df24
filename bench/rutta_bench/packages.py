"""Get Debian packages without installing them: unpacked beside each other in the cache, no root, nothing is started.

rsyslog and syslog-ng conflict as packages, so installing both is not possible anyway.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rutta_bench.model import Missing


def unpacked(package: str, cache: Path, *, offline: bool) -> Path:
    """Return the folder that holds a package and what it needs; ``Missing`` says what to do instead."""
    root = cache / package
    if (root / ".done").exists():
        return root
    by_hand = f"install it: sudo apt-get update && sudo apt-get install {package}"
    if offline or not shutil.which("apt-get"):
        raise Missing(f"not found; {by_hand}")
    print(f"Fetching {package} from apt into {root} ...", file=sys.stderr)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    try:
        _unpack(package, root)
    except subprocess.CalledProcessError as exc:
        reason = (exc.stderr or exc.output or "").strip().splitlines()
        raise Missing(f"apt-get could not fetch it ({reason[-1] if reason else exc}); {by_hand}") from exc
    (root / ".done").touch()
    return root


def _unpack(package: str, root: Path) -> None:
    plan = _run(["apt-get", "install", "--print-uris", "-qq", "-y", "--no-install-recommends", package], root)
    _run(["apt-get", "download", "-qq", *names(plan)], root)
    for archive in root.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(archive), str(root)], root)
        archive.unlink()


def names(plan: str) -> list[str]:
    """Read the packages from what ``apt-get --print-uris`` says: lines of 'URI' FILE SIZE HASH."""
    files = [line.split()[1] for line in plan.splitlines() if line.startswith("'")]
    return [file.split("_")[0] for file in files]


def _run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def libraries(root: Path) -> dict[str, str]:
    """Return the environment in which programs below ``root`` find their libraries."""
    folders = sorted({str(found.parent) for found in root.rglob("*.so*")})
    return {"LD_LIBRARY_PATH": os.pathsep.join(folders)}
