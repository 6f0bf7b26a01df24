"""The files that are followed, by key: who comes in, who goes, what could not be read."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from rutta.message import Receipt
from rutta.tail.checkpoints import Entry
from rutta.tail.fingerprint import Key, head_of
from rutta.tail.finished import Finished
from rutta.tail.followed import Followed
from rutta.tail.globs import regular
from rutta.tail.limits import Bucket
from rutta.tail.relatives import Relatives
from rutta.tail.seams import Generations
from rutta.tail.shaping import Shaper

log = logging.getLogger("rutta.tail")

STALE: Final = 5.0  # seconds in which somebody may still write to a file that was renamed or removed

Make = Callable[[str, str], Shaper]
"""Makes the shaper of a file: its path, and the one by which it was found before any rotation."""


class Register:
    """Owns the followed files and their descriptors."""

    def __init__(self, make: Make, relatives: Relatives, bucket: Callable[[], Bucket]) -> None:
        """``bucket`` makes the bound of a file."""
        self.files: dict[Key, Followed] = {}
        self.awake: dict[Key, Followed] = {}  # those that are looked at all the time
        self.generations = Generations(self.files)
        self.finished = Finished()
        self.waiting: Mapping[Key, Entry] = {}  # of a run before this one, and not wanted now
        self.abandoned = 0  # bytes that were there and could not be read
        self._make = make
        self._relatives = relatives
        self._bucket = bucket
        self._apart = 0
        self._complained: set[str] = set()

    # --- coming -----------------------------------------------------------------------------------------------

    def follow(self, path: str, *, live: str, lost: bool = False) -> Followed | None:
        """Open a file and follow it, if it is not followed yet. ``lost``: it will not grow for long."""
        key = regular(path)
        if key is None or key in self.files:
            return None
        one = self.followed(path, key, live)
        try:
            one.open()
        except OSError as exc:
            self.complain(path, f"cannot be opened: {exc.strerror}")
            return None
        one.head = head_of(one.first())
        one.siblings = frozenset(self._relatives.keys(live))
        self._complained.discard(path)
        self.put(one)
        if lost:
            self.lost(one)
        return one

    def lost(self, one: Followed) -> None:
        """It is not where files are looked for: it will not grow for long."""
        one.lost_at = time.monotonic()
        self.generations.add(one)

    def followed(self, path: str, key: Key, live: str) -> Followed:
        """Make one that is not in here yet."""
        one = Followed(path, key, self._make(path, live), self._bucket())
        one.live = live
        return one

    def put(self, one: Followed) -> None:
        """Take one in, in the place of whichever had its key."""
        self.files[one.key] = self.awake[one.key] = one

    def wake(self, one: Followed) -> bool:
        """A closed file is to be read again; opened at once, so that it may be removed. False if it has ended."""
        if one.is_ended or self.files.get(one.key) is not one:
            return False
        self.awake[one.key] = one
        one.grown_at = time.monotonic()
        try:
            one.open()
        except OSError as exc:
            self.unreadable(one, exc)
        return True

    def leave_alone(self, one: Followed) -> None:
        """It is a copy of one that is followed: none of it is read."""
        one.is_copy = True
        one.resume(one.size)
        one.close()
        self.awake.pop(one.key, None)

    def set_apart(self, one: Followed) -> None:
        """Its inode is another file's now: keep it by a number of our own until all of it is done."""
        del self.files[one.key]
        self._apart += 1
        one.key = (-1, self._apart)
        self.files[one.key] = one

    # --- going ------------------------------------------------------------------------------------------------

    def is_over(self, one: Followed) -> bool:
        """Whether nobody will write to it any more, as far as one can tell."""
        if one.lost_at is None:
            return False
        return one.is_packed or time.monotonic() - max(one.lost_at, one.grown_at) > STALE

    def end(self, one: Followed) -> None:
        """Nothing more is read of it; it is forgotten when all is done."""
        one.close()
        one.is_ended = True
        self.awake.pop(one.key, None)
        if one.seam is not None:
            one.seam.end()
            one.seam = None

    def abandon(self, one: Followed) -> None:
        """Give up what is not read of it, counted."""
        lost = max(0, one.size - one.position)
        self.abandoned += lost
        one.shaper.abandon()
        log.error("%d bytes of %s are given up.", lost, one.path, extra={"event": "bytes_abandoned"})
        self.end(one)

    def gone(self, one: Followed) -> None:
        """Count what was not read of one that nothing is left of."""
        if one.size > one.position and not one.is_ended:
            self.abandoned += one.size - one.position
            log.warning(
                "%d bytes of %s were gone before they were read.", one.size - one.position, one.path,
                extra={"event": "bytes_abandoned"},
            )  # fmt: skip

    def bound_deleted(self, most: int) -> None:
        """Give up the oldest of the removed files when they take too much disk that only we keep from being free."""
        lost = [one for one in self.awake.values() if one.lost_at is not None and one.is_deleted]
        held = sum(one.size for one in lost)
        for one in sorted(lost, key=lambda one: one.lost_at or 0.0):
            if held <= most:
                return
            held -= one.size
            self.abandon(one)

    def forget_done(self) -> None:
        """Forget the files that have ended and of which all is done; what is still on disk is remembered as that."""
        for one in [one for one in self.files.values() if one.is_ended and one.lost_at is not None and one.is_done]:
            del self.files[one.key]
            self.generations.forget(one.live)
            self.finished.add(one.entry(ended=True), len(self._relatives.older(one.live)))

    def under_way(self) -> list[Receipt]:
        """Return the receipts of what was read and is not done."""
        marks = [mark for one in self.files.values() for mark in one.marks]
        return [receipt for mark in marks for receipt in mark.receipts() if not receipt.done]

    def close(self) -> None:
        """Close all."""
        for one in self.files.values():
            one.close()

    # --- failing ----------------------------------------------------------------------------------------------

    def complain(self, path: str, what: str) -> None:
        """Say it once; the file is tried again at each look."""
        if path not in self._complained:
            self._complained.add(path)
            log.warning("The file %s %s.", path, what, extra={"event": "file_unreadable"})

    def unreadable(self, one: Followed, exc: BaseException) -> None:
        """It could not be opened or read; it is tried again, unless it is compressed."""
        if isinstance(exc, FileNotFoundError):  # it has moved: the next look tells where
            return
        self.complain(one.path, f"cannot be read: {getattr(exc, 'strerror', None) or exc or type(exc).__name__}")
        if one.is_packed:
            self.abandon(one)
