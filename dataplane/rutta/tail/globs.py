"""Files by globs, through cached listings: ``*``, ``?``, ``[…]``, and ``**`` for any depth, links followed.

As with Python's glob, only a pattern that begins with a dot matches a name that does.
"""

import fnmatch
import functools
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from rutta.tail.fingerprint import Key
from rutta.tail.folders import Folders, Inside

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst")  # these have no lines; .gz is read where a log goes on in it

_MAGIC: Final = re.compile(r"[*?\[]")
_DEEPEST: Final = 32  # folders below each other that ** goes through: beyond that links go in circles


class Globs:
    """Finds what matches ``patterns`` and no pattern of ``exclude``."""

    def __init__(self, patterns: Sequence[str], exclude: Sequence[str]) -> None:
        """Look at nothing yet."""
        self._patterns = [_split(os.path.expanduser(pattern)) for pattern in patterns]
        self._exclude = [os.path.expanduser(pattern).split("/") for pattern in exclude]
        self._left_out: dict[str, bool] = {}

    def find(self, folders: Folders) -> dict[str, Key]:
        """Return the regular files there are, and who they are."""
        paths = {path for start, parts in self._patterns for path in _walk(folders, start, parts, 0)}
        self._left_out = {path: self._is_left_out(path) for path in paths}
        found = {}
        for path, is_left_out in self._left_out.items():
            if not is_left_out and (key := regular(path)) is not None:
                found[path] = key
        return found

    def _is_left_out(self, path: str) -> bool:
        known = self._left_out.get(path)
        if known is not None:
            return known
        return path.endswith(COMPRESSED) or any(_fits(path.split("/"), pattern) for pattern in self._exclude)


def regular(path: str) -> Key | None:
    """Return who a regular file is; a FIFO would block, a folder has no lines. A link is what it leads to."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _split(pattern: str) -> tuple[str, list[str]]:
    """Cut a pattern into the folder where searching begins and the parts below it, one at least."""
    parts = pattern.split("/")
    first = next((at for at, part in enumerate(parts) if _MAGIC.search(part)), len(parts) - 1)
    start = "/".join(parts[:first])
    return start or ("/" if pattern.startswith("/") else "."), [part for part in parts[first:] if part]


def _walk(folders: Folders, at: str, parts: Sequence[str], depth: int) -> Iterator[str]:
    if not parts or depth > _DEEPEST:
        return
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _walk(folders, at, rest or ["*"], depth)
        for path, _ in _matching(folders, at, "*", is_folder=True):
            yield from _walk(folders, path, parts, depth + 1)
        return
    for path, _ in _matching(folders, at, part, is_folder=bool(rest)):
        if rest:
            yield from _walk(folders, path, rest, depth + 1)
        else:
            yield path


def _matching(folders: Folders, at: str, part: str, *, is_folder: bool) -> Iterator[tuple[str, Inside]]:
    matches = _name(part)
    for one in folders.inside(at):
        if one.is_folder == is_folder and matches(one.name) and (one.name[0] != "." or part[0] == "."):
            yield one.name if at == "." else f"{at.rstrip('/')}/{one.name}", one


@functools.lru_cache(maxsize=1024)
def _name(part: str) -> Callable[[str], Any]:
    return re.compile(fnmatch.translate(part)).match if _MAGIC.search(part) else part.__eq__


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches an excluding glob, part by part."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _fits(parts, pattern[1:]) or bool(parts and _fits(parts[1:], pattern))
    return bool(parts and _name(pattern[0])(parts[0])) and _fits(parts[1:], pattern[1:])
