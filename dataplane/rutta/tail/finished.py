"""Which generations of a log were read to their end: the ones that are still on disk must not be read again.

A generation may be renamed, copied or compressed after it was forgotten, so that after a restart neither its name nor
its inode nor its time tells that it is an old one; its beginning and its length do.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Final

from rutta.tail.checkpoints import Entry, encode
from rutta.tail.fingerprint import PACKED, Head, first_bytes, piece

_TRAILER: Final = 4  # bytes at the end of a gz file: the length of what it holds, modulo 2³² (RFC 1952 §2.3.1)


class Finished:
    """The generations of each log that are done, oldest first; no more of them than there are files beside it."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Take those of before the restart."""
        self._of: dict[str, list[tuple[Entry, bytes]]] = {}
        for entry in entries:
            self._of.setdefault(entry.path, []).append((entry, encode(entry)))

    def add(self, entry: Entry, generations: int) -> None:
        """One has ended and is done; ``generations`` says how many there are on disk."""
        self._of.setdefault(entry.path, []).append((entry, encode(entry)))
        self.keep(entry.path, generations)

    def keep(self, live: str, generations: int) -> None:
        """Forget the oldest: each was a file of its own, so when there are fewer files these have gone."""
        known = self._of.pop(live, [])
        if kept := known[max(0, len(known) - generations) :]:
            self._of[live] = kept

    def __iter__(self) -> Iterator[Entry]:
        """Give them all."""
        return (entry for known in self._of.values() for entry, _ in known)

    def of(self, live: str) -> list[Entry]:
        """Give those of one log, oldest first."""
        return [entry for entry, _ in self._of.get(live, ())]

    def has(self, live: str, path: str) -> bool:
        """Whether a file is one of them."""
        return any(is_finished(entry, path) for entry, _ in self._of.get(live, ()))

    def lives(self) -> list[str]:
        """Return the names of the logs that have any."""
        return list(self._of)

    def lines(self) -> Iterator[bytes]:
        """Give the lines that stand for them in a checkpoint."""
        return (line for known in self._of.values() for _, line in known)


def is_finished(entry: Entry, path: str) -> bool:
    """Whether a file is what an entry says was read to its end."""
    return is_same(entry.fingerprint, max(entry.done), path)


def is_same(head: Head, length: int, path: str) -> bool:
    """Whether a file, or what is compressed in it, has this beginning and this length."""
    return head.fits(first_bytes(path)) and _length(path) == length % 2**32


def _length(path: str) -> int:
    """Return the length of a file, or of what is compressed in it, modulo 2³²; -1 if it cannot be read."""
    try:
        size = os.path.getsize(path)
    except OSError:
        return -1
    if not path.endswith(PACKED):
        return size % 2**32
    return int.from_bytes(piece(path, max(0, size - _TRAILER), _TRAILER), "little")


def modified(path: str) -> float:
    """Return when a file was written to, in seconds since the epoch; 0 if it is not there."""
    try:
        return os.path.getmtime(path)
    except OSError:
        return 0.0
