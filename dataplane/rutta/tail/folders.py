"""Listings of folders, read again only when they have changed: by inotify, else by their modification time."""

import os
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from rutta.tail.fingerprint import Key
from rutta.tail.watch import Watcher

COARSE: Final = 2.0  # seconds by which a folder's modification time may be too coarse to show a second change


class Inside(NamedTuple):
    """Something in a folder; ``key`` is its own, not that of what a link leads to."""

    name: str
    key: Key
    is_folder: bool
    is_link: bool


class _Listing:
    __slots__ = ("inside", "is_seen", "is_watched", "modified", "read_at")

    def __init__(self, inside: tuple[Inside, ...], modified: int, *, is_watched: bool) -> None:
        self.inside = inside
        self.modified = modified
        self.is_watched = is_watched
        self.is_seen = True
        self.read_at = time.time()


class Folders:
    """The folders that somebody looks into. A ``round`` forgets those that nobody looked into in the last one."""

    def __init__(self, watcher: Watcher | None) -> None:
        """Without a watcher, modification times are compared."""
        self._watcher = watcher
        self._listings: dict[str, _Listing] = {}

    def round(self, *, all_anew: bool = False) -> None:
        """Begin to look through everything."""
        gone = [path for path, listing in self._listings.items() if all_anew or not listing.is_seen]
        for path in gone:
            del self._listings[path]
            if self._watcher is not None and not all_anew:
                self._watcher.leave(path)
        for listing in self._listings.values():
            listing.is_seen = False
        if self._watcher is not None:
            self._watcher.take()
            for path in self._watcher.folders:
                self._listings.pop(path, None)
            self._watcher.folders.clear()

    @property
    def is_blind(self) -> bool:
        """Whether there is a folder of which the kernel does not tell: no watch is left, or it is not there yet."""
        return any(not listing.is_watched for listing in self._listings.values())

    def inside(self, path: str) -> tuple[Inside, ...]:
        """List a folder, in order of names; empty if it cannot be read."""
        listing = self._listings.get(path)
        if listing is None or not (listing.is_seen or listing.is_watched or _is_fresh(path, listing)):
            listing = self._listings[path] = self._read(path)
        listing.is_seen = True
        return listing.inside

    def inside_now(self, path: str) -> tuple[Inside, ...]:
        """List a folder between two rounds."""
        self._listings[path] = self._read(path)
        return self._listings[path].inside

    def _read(self, path: str) -> _Listing:
        is_watched = self._watcher is not None and self._watcher.folder(path)
        try:
            found = os.stat(path)
            with os.scandir(path) as entries:
                inside = tuple(sorted(_entries(entries, found.st_dev)))
        except OSError:
            return _Listing((), -1, is_watched=False)
        return _Listing(inside, found.st_mtime_ns, is_watched=is_watched)


def _entries(entries: Iterator["os.DirEntry[str]"], device: int) -> Iterator[Inside]:
    for entry in entries:
        is_link = entry.is_symlink()
        try:
            yield Inside(entry.name, (device, entry.inode()), entry.is_dir(), is_link)
        except OSError:
            continue  # it has gone meanwhile


def _is_fresh(path: str, listing: _Listing) -> bool:
    """Whether the modification time proves that nothing came or went since the listing was read."""
    try:
        modified = os.stat(path).st_mtime_ns
    except OSError:
        return False
    return modified == listing.modified and listing.read_at - modified / 1e9 > COARSE
