"""Runs the programs that the measurement stands on: docker, kind, kubectl, helm, kwok."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Failed(Exception):
    """A program ended with an error; the text is what it said."""


def run(*words: str, text: str | None = None, timeout: float = 300) -> str:
    """Run a program in the project's folder and return what it printed. Raises Failed with what it complained of."""
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)
    if done.returncode:
        raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def say(text: str) -> None:
    """Tell how far it is; standard output is for the figures."""
    print(text, file=sys.stderr, flush=True)
