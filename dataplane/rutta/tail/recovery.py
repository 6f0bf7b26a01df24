"""What is made, after a restart, of what was known before it: files are read on, wherever they are now.

A file that is there and that nobody wants now stays on record: what tells whether it is wanted (a pod's labels, say)
may not be known yet. It goes on where it was when it is wanted again.
"""

import os
from collections.abc import Sequence

from rutta.tail import register as registers
from rutta.tail.checkpoints import Entry
from rutta.tail.fingerprint import PACKED, Key, first_bytes
from rutta.tail.finished import Finished, is_finished, modified
from rutta.tail.followed import Followed
from rutta.tail.globs import regular
from rutta.tail.register import Register
from rutta.tail.relatives import Relatives


class Recovery:
    """The entries of the last checkpoint that nothing was made of yet."""

    def __init__(self, register: Register, relatives: Relatives, entries: Sequence[Entry], stopped: float) -> None:
        """``stopped``: when they were written, seconds since the epoch."""
        self._register = register
        self._relatives = relatives
        self._entries = {entry.key: entry for entry in entries if not entry.ended}
        self._ended = [entry for entry in entries if entry.ended]
        self._stopped = stopped - registers.STALE
        self._resumed: set[str] = set()  # names under which there is still the file of before the restart

    # --- files that are where they were ------------------------------------------------------------------------

    def entry_of(self, path: str, key: Key) -> Entry | None:
        """Find what is known of a file; a device may have another number since the machine was started again."""
        if (entry := self._entries.get(key)) is not None:
            return entry
        return next((one for one in self._entries.values() if one.path == path and one.inode == key[1]), None)

    def resume(self, one: Followed, entry: Entry) -> bool:
        """Go on where an entry says, if it is of this file; one of another file is left for ``finish``."""
        done, head = min(entry.done), entry.fingerprint
        if head.size and not head.fits(one.first()):
            return False
        del self._entries[entry.key]
        if one.size < done:  # it was cut short meanwhile
            self._entries[(-1, len(self._entries))] = entry
            return False
        self._resumed.add(entry.path)
        if entry.copy:
            self._register.leave_alone(one)
            return True
        one.resume(done, entry.done if len(entry.done) == one.shaper.streams else ())
        one.over = {stream: start for stream, start in enumerate(entry.over) if start >= 0}
        return True

    # --- those that were rotated away --------------------------------------------------------------------------

    def finish(self) -> None:
        """Find what was rotated away while nothing ran; to be called when all that is wanted is followed."""
        finished = self._register.finished = Finished(self._ended)
        for live in finished.lives():
            finished.keep(live, len(self._relatives.older(live)))
        by_live: dict[str, list[Entry]] = {}
        for entry in (*self._entries.values(), *finished):
            by_live.setdefault(entry.path, []).append(entry)
        followed = {one.live for one in self._register.files.values()}
        self._entries = self._register.waiting = {}
        for live, known in by_live.items():
            if live in followed or not os.path.lexists(live):
                self._recover(live, known)
            else:
                self._entries |= {entry.key: entry for entry in known if not entry.ended}

    @property
    def is_over(self) -> bool:
        """Whether something was made of everything."""
        return not self._entries

    def wanted(self, live: str) -> None:
        """A log that was not wanted is followed now: find what else is known of it."""
        keys = [key for key, entry in self._entries.items() if entry.path == live]
        self._recover(live, [*map(self._entries.pop, keys), *self._register.finished.of(live)])

    def forget_gone(self) -> None:
        """What is not wanted and whose folder is gone will never be."""
        for key in [key for key, entry in self._entries.items() if not os.path.isdir(os.path.dirname(entry.path))]:
            del self._entries[key]

    def _recover(self, live: str, known: Sequence[Entry]) -> None:
        """Find the generations of one log that were known, and those that came after all of them."""
        folder, names = os.path.dirname(live), self._relatives.older(live)
        known = [entry for entry in known if not entry.copy]
        if not known:
            return
        places: list[str] = []
        for entry in sorted(known, key=lambda entry: not entry.fingerprint.size):  # what is known for certain first
            if (place := self._place(folder, entry, places)) is not None:
                places.append(place)
                self._go_on(f"{folder}/{place}", entry)
        if live in self._resumed:
            return
        ordered = [names.index(place) for place in places if place in names]
        newer = names[max(ordered) + 1 :] if ordered else []
        if not places:
            newer = [one for one in names if modified(f"{folder}/{one}") > self._stopped]
        for one in newer:
            self._register.follow(f"{folder}/{one}", live=live, lost=True)

    def _place(self, folder: str, entry: Entry, taken: Sequence[str]) -> str | None:
        """Find what became of a file; its name now. The file with its inode, if several begin as it did."""
        is_it = is_finished if entry.ended else _is
        related = (one for one in self._relatives.all_now(entry.path) if one not in taken)
        found = [one for one in related if is_it(entry, f"{folder}/{one}")]
        return next((one for one in found if regular(f"{folder}/{one}") == entry.key), next(iter(found), None))

    def _go_on(self, path: str, entry: Entry) -> None:
        """Read on a file that is not where it was, unless it is done."""
        one = None if entry.ended else self._register.follow(path, live=entry.path, lost=True)
        if one is not None:
            one.resume(min(entry.done), entry.done, head=entry.fingerprint)
            one.over = {stream: start for stream, start in enumerate(entry.over) if start >= 0}


def _is(entry: Entry, path: str) -> bool:
    """Whether a file is that of an entry: by inode and beginning, or compressed, or copied.

    Of an empty file only the inode is known, and that may have been given to what was compressed meanwhile.
    """
    head, done, is_packed = entry.fingerprint, min(entry.done), path.endswith(PACKED)
    if not head.size:
        return done == 0 and not is_packed and regular(path) == entry.key
    return head.fits(first_bytes(path)) and (is_packed or _size(path) >= done)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return -1
