"""What is wrong with what a user wrote: where it stands, and what it is, in one line.

A path is the way from the top of a document to a value: ``("spec", "listeners", 1, "udp", "port")``. A ``Problem`` is
found by code that knows only a document's data; ``Document.locate`` makes it a ``Finding`` with file and line.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

Path = tuple[str | int, ...]

USER_ERROR: Final = 22  # the exit code of what a user can mend in a file; the data plane's is the same

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class Problem(NamedTuple):
    """One thing wrong in a document."""

    path: Path
    message: str


class Finding(NamedTuple):
    """A problem with its place; its text is what users read."""

    file: str
    line: int
    path: Path
    message: str

    def __str__(self) -> str:
        """Say it in one line: file, line, path, what."""
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{place}{show(self.path)}: {self.message}" if self.path else f"{place}{self.message}"


class Refused(Exception):
    """What a user wrote cannot work; carries every finding, not only the first."""

    exit_code = USER_ERROR

    def __init__(self, findings: Iterable[Finding]) -> None:
        """Take all that was found."""
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))


def show(path: Path) -> str:
    """Write a path as users do: ``spec.listeners[1].udp.port``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text


def written(value: object) -> str:
    """Show a value as it is written in YAML; long ones are cut, lists and mappings are only named."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, if any is near."""
    by_lower = {one.lower(): one for one in sorted(known)}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def hint(word: str, known: Iterable[str]) -> str:
    """Name the word that was probably meant, or all that there are."""
    names = sorted(known)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"known are {', '.join(names)}" if names else "there are none"


def unknown(key: str, known: Iterable[str]) -> str:
    """Say that a key is unknown, and which was probably meant."""
    return f"unknown setting; {hint(key, known)}"


def choice(value: object, words: Iterable[str]) -> str:
    """Say that a value is none of the words allowed, and which was probably meant."""
    known = list(words)
    near = nearest(str(value), known)
    return f"{written(value)} is not one of {', '.join(known)}" + (f"; did you mean {near}?" if near else "")
