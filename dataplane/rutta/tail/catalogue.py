"""Who is followed: files that are found, renamed, cut short, compressed, gone; and those of before a restart.

Rules. A file is known by device and inode, and by a fingerprint of its first bytes where these may have changed.
    renamed      read to its end, STALE seconds longer than anybody writes to it; so is a deleted one that is open
    cut short    read from the beginning; what was not read of it before is read in its copy, if there is one
    a copy       of a followed file, by name and first bytes: not read, but for what the original has lost
    compressed   read on where the plain file was left, when that was not read to its end
    generations  that came and went between two looks, or while nothing ran, are read from the beginning, once
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from rutta.tail.checkpoints import Entry
from rutta.tail.fingerprint import Key
from rutta.tail.folders import Folders
from rutta.tail.followed import Followed
from rutta.tail.limits import Bucket
from rutta.tail.originals import Originals
from rutta.tail.recovery import Recovery
from rutta.tail.register import Make, Register
from rutta.tail.relatives import Relatives
from rutta.tail.rotation import Rotation

log = logging.getLogger("rutta.tail")


class Finder(Protocol):
    """Tells which files there are to follow."""

    def find(self, folders: Folders) -> Mapping[str, Key]:
        """Return path → device and inode."""


class Catalogue:
    """Keeps the register as the finder and the folders say."""

    def __init__(self, finder: Finder, make: Make, folders: Folders, bucket: Callable[[], Bucket]) -> None:
        """``bucket`` makes the bound of a file."""
        self._relatives = Relatives(folders)
        self.register = Register(make, self._relatives, bucket)
        self.rotation = Rotation(self.register, self._relatives)
        self._finder = finder
        self._folders = folders
        self._originals = Originals(())
        self._recovery: Recovery | None = None
        self._is_begun = False  # whether the first look is over

    @property
    def files(self) -> dict[Key, Followed]:
        """All that are followed."""
        return self.register.files

    @property
    def awake(self) -> dict[Key, Followed]:
        """Those that are looked at all the time."""
        return self.register.awake

    @property
    def is_blind(self) -> bool:
        """Whether something may come of which the kernel does not tell."""
        return self._folders.is_blind

    def scan(self, *, from_end: bool = False, all_anew: bool = False) -> None:
        """Look for what is new and what has gone; new files are read from the end, or from the beginning."""
        self.rotation.looked()
        self._folders.round(all_anew=all_anew)
        found = self._finder.find(self._folders)
        if self._is_begun and self._recovery is not None:
            self._recovery.forget_gone()
            self._recovery = None if self._recovery.is_over else self._recovery
        lost = dict(self.files)
        fresh: dict[Key, str] = {}
        for path, key in found.items():
            if (one := self.files.get(key)) is None:
                fresh.setdefault(key, path)
            elif lost.pop(key, None) is not None:
                self._there(one, path if one.path not in found else one.path)
        for one in lost.values():
            if one.lost_at is None or not (one.is_open or one.is_ended):
                self.rotation.lose(one)
        if fresh:
            self._originals = Originals(self.files.values())
        for key, path in fresh.items():
            if key not in self.files:
                self._find(path, key, from_end=from_end)

    def _there(self, one: Followed, path: str) -> None:
        """It is where files are looked for, still or again."""
        one.path = path
        one.lost_at = None
        if one.is_ended:
            one.is_ended = False
            self.awake[one.key] = one

    def known(self, entries: Sequence[Entry], stopped: float) -> None:
        """Take what was known ``stopped`` (seconds since the epoch); ``scan`` and then ``recover`` make use of it."""
        self._recovery = Recovery(self.register, self._relatives, entries, stopped)

    def recover(self) -> None:
        """Find what was rotated away while nothing ran; to be called after the first scan."""
        self._is_begun = True
        if self._recovery is not None:
            self._recovery.finish()

    def _find(self, path: str, key: Key, *, from_end: bool) -> None:
        """Follow a file that is found for the first time."""
        recovery = self._recovery
        entry = None if recovery is None else recovery.entry_of(path, key)
        one = self.register.follow(path, live=path)
        if one is None:
            return
        is_resumed = recovery is not None and entry is not None and recovery.resume(one, entry)
        if recovery is not None and self._is_begun:
            recovery.wanted(path)
        if is_resumed:
            return
        if self._originals.has(one):
            self.register.leave_alone(one)
        else:
            self._originals.add(one)
            if from_end and entry is None:
                one.skip_to_end()
        log.info("Following %s.", path, extra={"event": "file_followed"})
