"""Runs the programs that the suite stands on: docker, kind, kubectl, helm."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


class Failed(AssertionError):
    """A program ended with an error; the text is what it said."""


def run(*words: str, text: str | None = None, timeout: float = 120, env: Mapping[str, str] | None = None) -> str:
    """Run a program in the project's folder and return what it printed. Raises Failed with what it complained of."""
    environment = {**os.environ, **env} if env else None
    done = subprocess.run(
        words, input=text, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT, env=environment
    )
    if done.returncode:
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def until(check: Callable[[], T], seconds: float, what: str, pause: float = 0.25) -> T:
    """Call ``check`` until it returns something true, and return that.

    AssertionError (``Failed`` is one) and KeyError of ``check`` mean not yet. After ``seconds`` the test fails, with
    the last of them.
    """
    deadline, last = time.monotonic() + seconds, ""
    while True:
        try:
            found = check()
        except (AssertionError, KeyError) as exc:
            found, last = None, f"{type(exc).__name__}: {exc}"  # type: ignore[assignment]
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:.0f} s still not true: {what}. {last or f'last seen: {found!r}'}")
        time.sleep(pause)
