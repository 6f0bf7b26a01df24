"""Who is followed: files that are found, renamed, cut short, compressed, gone; and those of before a restart.

Rules. A file is known by device and inode, and by a fingerprint of its first bytes where these may have changed.
    renamed      read to its end, STALE seconds longer than anybody writes to it; so is a deleted one that is open
    cut short    read from the beginning; what was not read of it before is read in its copy, if there is one
    a copy       of a followed file, by name and first bytes: not read, but for what the original has lost
    compressed   read on where the plain file was left, when that was not read to its end
    generations  that came and went between two looks, or while nothing ran, are read from the beginning
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from rutta.tail import generations
from rutta.tail.checkpoints import Entry
from rutta.tail.fingerprint import PACKED, Key, first_bytes, goes_on, head_of
from rutta.tail.folders import Folders
from rutta.tail.followed import Followed
from rutta.tail.globs import regular
from rutta.tail.limits import Bucket
from rutta.tail.marks import Mark
from rutta.tail.shaping import Shaper

log = logging.getLogger("rutta.tail")

STALE: Final = 5.0  # seconds in which somebody may still write to a file that was renamed or removed
COPY_FROM: Final = 64  # bytes of a beginning that a copy must share at least


class Finder(Protocol):
    """Tells which files there are to follow."""

    def find(self, folders: Folders) -> Mapping[str, Key]:
        """Return path → device and inode."""


Make = Callable[[str, str], Shaper]
"""Makes the shaper of a file: its path, and the one by which it was found before any rotation."""


class Catalogue:
    """Owns the followed files, by key."""

    def __init__(self, finder: Finder, make: Make, folders: Folders, bucket: Callable[[], Bucket]) -> None:
        """``bucket`` makes the bound of a file."""
        self.files: dict[Key, Followed] = {}
        self.awake: dict[Key, Followed] = {}  # those that are looked at all the time
        self.abandoned = 0  # bytes that were there and could not be read
        self.cuts = 0
        self._apart = 0
        self._finder = finder
        self._make = make
        self._folders = folders
        self._bucket = bucket
        self._entries: dict[Key, Entry] = {}
        self._stopped = 0.0
        self._resumed: set[str] = set()  # names under which there is still the file of before the restart
        self._complained: set[str] = set()

    # --- looking ----------------------------------------------------------------------------------------------

    def scan(self, *, from_end: bool = False, all_anew: bool = False) -> None:
        """Look for what is new and what has gone; new files are read from the end, or from the beginning."""
        self._folders.round(all_anew=all_anew)
        found = self._finder.find(self._folders)
        lost = dict(self.files)
        fresh: dict[Key, str] = {}
        for path, key in found.items():
            if (one := self.files.get(key)) is None:
                fresh.setdefault(key, path)
            elif lost.pop(key, None) is not None:
                one.path = path if one.path not in found else one.path
                one.lost_at = None
                if one.is_ended:
                    self._again(one)
        for one in lost.values():
            if one.lost_at is None or not (one.is_open or one.is_ended):
                self._lose(one)
        for key, path in fresh.items():
            if key not in self.files:
                self._find(path, key, from_end=from_end)

    def known(self, entries: Sequence[Entry], stopped: float) -> None:
        """Take what was known ``stopped`` (seconds since the epoch); ``scan`` and then ``recover`` make use of it."""
        self._stopped = stopped - STALE
        self._entries = {entry.key: entry for entry in entries}

    def recover(self) -> None:
        """Find what was rotated away while nothing ran; to be called after the first scan."""
        entries, self._entries = self._entries, {}
        by_live: dict[str, list[Entry]] = {}
        for entry in entries.values():
            if not entry.copy:
                by_live.setdefault(entry.path, []).append(entry)
        for live, known in by_live.items():
            self._recover(live, known)
        self._resumed.clear()

    def _recover(self, live: str, known: Sequence[Entry]) -> None:
        """Find the generations of one log that were known, and those that came after all of them."""
        folder, name = os.path.split(live)
        names = self._older(folder, name)
        places = [place for entry in known if (place := self._place(folder, name, live, entry)) is not None]
        if live in self._resumed:
            return
        ordered = [names.index(place) for place in places if place in names]
        newer = names[max(ordered) + 1 :] if ordered else []
        if not places:
            newer = [one for one in names if _modified(f"{folder}/{one}") > self._stopped]
        for one in newer:
            self._follow(f"{folder}/{one}", live=live, lost=True)

    def _place(self, folder: str, name: str, live: str, entry: Entry) -> str | None:
        """Find what became of a file, and go on in it; return its name now."""
        related = self._older(folder, name, anything=True)
        at = next((one for one in related if _is(entry, f"{folder}/{one}")), None)
        one = None if at is None else self._follow(f"{folder}/{at}", live=live, lost=True)
        if one is not None:
            one.resume(min(entry.done), entry.done, head=entry.fingerprint)
        return at

    # --- finding ----------------------------------------------------------------------------------------------

    def _find(self, path: str, key: Key, *, from_end: bool) -> None:
        """Follow a file that is found for the first time."""
        entry = self._entries.get(key) or self._moved(path, key)
        one = self._follow(path, live=path)
        if one is None:
            return
        if entry is not None and self._resume(one, entry):
            return
        if self._is_copy(one):
            self._leave_alone(one)
        elif from_end and entry is None:
            one.skip_to_end()
        log.info("Following %s.", path, extra={"event": "file_followed"})

    def _moved(self, path: str, key: Key) -> Entry | None:
        """Find the entry of a file whose device has another number since the machine was started again."""
        for entry in self._entries.values():
            if entry.path == path and entry.inode == key[1]:
                return entry
        return None

    def _resume(self, one: Followed, entry: Entry) -> bool:
        """Go on where an entry says, if it is of this file; one of another file is left for ``recover``."""
        done, head = min(entry.done), entry.fingerprint
        first = one.first()
        if head.size and not head.fits(first):
            return False
        del self._entries[entry.key]
        self._resumed.add(entry.path)
        if one.size < done:  # it was cut short meanwhile
            self._resumed.discard(entry.path)
            self._entries[(-1, len(self._entries))] = entry
            return False
        if entry.copy:
            self._leave_alone(one)
            return True
        one.resume(done, entry.done if len(entry.done) == one.shaper.streams else ())
        return True

    def _leave_alone(self, one: Followed) -> None:
        one.is_copy = True
        one.resume(one.size)
        one.close()
        self.awake.pop(one.key, None)

    def _is_copy(self, one: Followed) -> bool:
        folder, name = os.path.split(one.path)
        first = one.first()
        return any(
            other.head.size >= COPY_FROM and other.head.fits(first)
            for other in self.files.values()
            if other is not one
            and os.path.dirname(other.path) == folder
            and generations.is_related(name, os.path.basename(other.path))
        )

    def _follow(self, path: str, *, live: str, lost: bool = False) -> Followed | None:
        """Open a file and follow it, if it is not followed yet. ``lost``: it will not grow for long."""
        key = regular(path)
        if key is None or key in self.files:
            return None
        one = Followed(path, key, self._make(path, live), self._bucket())
        one.live = live
        try:
            one.open()
        except OSError as exc:
            self.complain(path, f"cannot be opened: {exc.strerror}")
            return None
        one.head = head_of(one.first())
        if lost:
            one.lost_at = time.monotonic()
        one.siblings = frozenset(self._sibling_keys(one))
        self._complained.discard(path)
        self.files[key] = self.awake[key] = one
        return one

    def complain(self, path: str, what: str) -> None:
        """Say it once; the file is tried again at each look."""
        if path not in self._complained:
            self._complained.add(path)
            log.warning("The file %s %s.", path, what, extra={"event": "file_unreadable"})

    # --- losing -----------------------------------------------------------------------------------------------

    def _lose(self, one: Followed) -> None:
        """It is not where files are looked for: it was renamed, removed, or compressed."""
        is_first = one.lost_at is None
        if is_first:
            one.lost_at = time.monotonic()
        if one.is_ended:
            return
        folder = os.path.dirname(one.path)
        name = next((inside.name for inside in self._folders.inside(folder) if inside.key == one.key), None)
        if name is not None:
            one.path = f"{folder}/{name}"
        self.awake[one.key] = one
        if not one.is_open:
            self._open_lost(one)
        if is_first:
            self._between(one, name)

    def _open_lost(self, one: Followed) -> None:
        try:
            one.open()
        except FileNotFoundError:
            self._read_on(one)
            self.end(one)
        except OSError as exc:
            self.complain(one.path, f"cannot be opened: {exc.strerror}")

    def _between(self, one: Followed, name: str | None) -> None:
        """Follow the generations that came and went since the last look."""
        folder, live = os.path.split(one.live)
        names = self._older(folder, live)
        if name in names:
            fresh = generations.newer(names, name)
        else:
            fresh = [
                older for older in names
                if not older.endswith(PACKED) and regular(f"{folder}/{older}") not in one.siblings
            ]  # fmt: skip
        for older in fresh:
            self._follow(f"{folder}/{older}", live=one.live, lost=True)

    def cut(self, one: Followed) -> None:
        """It was cut short: read it from the beginning, and what was not read of it before in its copy."""
        log.info("The file %s was cut short; it is read from its beginning.", one.path, extra={"event": "file_cut"})
        self.cuts += 1
        one.size = max(one.position, one.seen)  # what it is now says nothing of what it was
        heir = self._read_on(one)
        if heir is None:
            one.shaper.abandon()
        else:
            self._follow_newer(one.live, heir)
        live = one.path if one.lost_at is None else one.live
        new = Followed(one.path, one.key, self._make(one.path, live), self._bucket())
        new.live, new.siblings, new.lost_at = live, one.siblings, one.lost_at
        one.close()
        one.is_ended = True
        self.files[one.key] = self.awake[one.key] = new

    def _follow_newer(self, live: str, name: str) -> None:
        """Follow the generations that came after one."""
        folder, live_name = os.path.split(live)
        names = self._older(folder, live_name)
        for newer in generations.newer(names, name) if name in names else ():
            self._follow(f"{folder}/{newer}", live=live, lost=True)

    def _read_on(self, one: Followed) -> str | None:
        """Find the copy, or the compressed form, of a file that is not there any more, and go on in it: its name."""
        folder, live = os.path.split(one.live)
        for name in self._older(folder, live, anything=True):
            path = f"{folder}/{name}"
            key = regular(path)
            other = self.files.get(key) if key is not None else None
            if other is not None and not (other.is_copy or other.is_ended):
                continue
            if not one.head.fits(first_bytes(path)) or not goes_on(path, one.position, one.last):
                continue
            return name if self._hand_over(one, path, other) else None
        if one.size > one.position and not one.is_ended:
            self.abandoned += one.size - one.position
            log.warning(
                "%d bytes of %s were gone before they were read.", one.size - one.position, one.path,
                extra={"event": "bytes_abandoned"},
            )  # fmt: skip
        return None

    def _hand_over(self, one: Followed, path: str, other: Followed | None) -> bool:
        """Let another file be read instead, with all that is known of the first: its state, what is under way."""
        if other is not None and other.is_copy:
            del self.files[other.key]
            other.close()
        elif other is not None:
            self._set_apart(other)
        heir = self._follow(path, live=one.live, lost=True)
        if heir is None:
            return False
        heir.shaper, heir.marks, one.marks = one.shaper, one.marks, [Mark() for _ in one.marks]
        heir.resume(one.position, one.ends, head=one.head)
        return True

    def _set_apart(self, one: Followed) -> None:
        """Its inode is another file's now: keep it by a number of our own until all of it is done."""
        del self.files[one.key]
        self._apart += 1
        one.key = (-1, self._apart)
        self.files[one.key] = one

    # --- ending -----------------------------------------------------------------------------------------------

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

    def abandon(self, one: Followed) -> None:
        """Give up what is not read of it, counted."""
        lost = max(0, one.size - one.position)
        self.abandoned += lost
        log.error(
            "%d bytes of %s are given up.", lost, one.path, extra={"event": "bytes_abandoned"}
        )  # fmt: skip
        self.end(one)

    def bound_deleted(self, most: int) -> None:
        """Give up the oldest of the removed files when they take too much disk that only we keep from being free."""
        lost = [one for one in self.awake.values() if one.lost_at is not None and one.is_deleted]
        held = sum(one.size for one in lost)
        for one in sorted(lost, key=lambda one: one.lost_at or 0.0):
            if held <= most:
                return
            held -= one.size
            self.abandon(one)

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

    def unreadable(self, one: Followed, exc: BaseException) -> None:
        """It could not be opened or read; it is tried again, unless it is compressed."""
        if isinstance(exc, FileNotFoundError):  # it has moved: the next look tells where
            return
        self.complain(one.path, f"cannot be read: {getattr(exc, 'strerror', None) or exc or type(exc).__name__}")
        if one.is_packed:
            self.abandon(one)

    def _again(self, one: Followed) -> None:
        """A file that had gone is there again."""
        one.is_ended = False
        self.awake[one.key] = one

    def forget_done(self) -> None:
        """Forget the files that have ended and of which all is done."""
        for one in [one for one in self.files.values() if one.is_ended and one.lost_at is not None and one.is_done]:
            del self.files[one.key]

    def close(self) -> None:
        """Close all."""
        for one in self.files.values():
            one.close()

    # --- relatives --------------------------------------------------------------------------------------------

    def _older(self, folder: str, live: str, *, anything: bool = False) -> list[str]:
        """Return the older generations of a file, oldest first; ``anything`` that may be a copy, too."""
        inside = self._folders.inside_now(folder) if anything else self._folders.inside(folder)
        related = [one.name for one in inside if generations.is_related(one.name, live)]
        ordered = generations.oldest_first(related, live)
        return [*reversed(ordered), *(name for name in related if name not in ordered)] if anything else ordered

    def _sibling_keys(self, one: Followed) -> Iterator[Key]:
        folder, live = os.path.split(one.live)
        return (other.key for other in self._folders.inside(folder) if generations.is_related(other.name, live))


def _is(entry: Entry, path: str) -> bool:
    """Whether a file is that of an entry: by inode and beginning, or compressed, or copied."""
    head, done = entry.fingerprint, min(entry.done)
    if not head.size:
        return done == 0 and regular(path) == entry.key
    return head.fits(first_bytes(path)) and (path.endswith(PACKED) or _size(path) >= done)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return -1


def _modified(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:
        return 0.0
