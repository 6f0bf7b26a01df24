"""What becomes of a file that is not where it was found, or has become shorter, while it is followed.

A renamed or removed file is read to its end, through its descriptor. One that was cut short is read from the beginning,
and what was not read of it before is looked for in its copy, or in its compressed form.
"""

import logging
import os
import time

from rutta.tail import generations
from rutta.tail import register as registers
from rutta.tail.fingerprint import PACKED, first_bytes, goes_on
from rutta.tail.finished import is_same, modified
from rutta.tail.followed import Followed
from rutta.tail.globs import regular
from rutta.tail.marks import Mark
from rutta.tail.register import Register
from rutta.tail.relatives import Relatives

log = logging.getLogger("rutta.tail")


class Rotation:
    """Follows files to where they have gone."""

    def __init__(self, register: Register, relatives: Relatives) -> None:
        """``cuts`` counts files that were cut short."""
        self.cuts = 0
        self._register = register
        self._relatives = relatives
        self._looks = (time.time(), time.time())  # when folders were looked at: the last time, and the one before

    def looked(self) -> None:
        """Folders are about to be looked at."""
        self._looks = time.time(), self._looks[0]

    # --- renamed, removed -------------------------------------------------------------------------------------

    def lose(self, one: Followed) -> None:
        """It is not where files are looked for: it was renamed, removed, or compressed."""
        is_first = one.lost_at is None
        folder = os.path.dirname(one.path)
        name = self._relatives.name_of(folder, one.key)
        if name is not None and not one.is_ended:
            one.path = f"{folder}/{name}"
        if is_first:
            self._register.lost(one)
        if one.is_ended:
            return
        self._register.awake[one.key] = one
        if not one.is_open:
            self._open(one)
        if is_first:
            self._between(one, name)

    def _open(self, one: Followed) -> None:
        try:
            one.open()
        except FileNotFoundError:
            self._read_on(one)
            self._register.end(one)
        except OSError as exc:
            self._register.complain(one.path, f"cannot be opened: {exc.strerror}")

    def _between(self, one: Followed, name: str | None) -> None:
        """Follow the generations that came and went since the last look."""
        folder, names = os.path.dirname(one.live), self._relatives.older(one.live)
        if name not in names:
            name = next((older for older in names if one.head.fits(first_bytes(f"{folder}/{older}"))), None)
        for older in generations.newer(names, name):
            if name is not None or self._is_new(one, f"{folder}/{older}"):
                self._register.follow(f"{folder}/{older}", live=one.live, lost=True)

    def _is_new(self, one: Followed, path: str) -> bool:
        """Whether a generation came since the last look, when nothing is left of the file that was followed."""
        if not path.endswith(PACKED):
            return regular(path) not in one.siblings
        return modified(path) > self._looks[1] - registers.STALE and not self._is_known(one.live, path)

    def _is_known(self, live: str, path: str) -> bool:
        """Whether what is compressed was read to its end, or is followed as the plain file that it was."""
        followed = [one for one in self._register.files.values() if one.live == live and one.lost_at is not None]
        return self._register.finished.has(live, path) or any(is_same(one.head, one.length(), path) for one in followed)

    # --- cut short --------------------------------------------------------------------------------------------

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
        new = self._register.followed(one.path, one.key, one.path if one.lost_at is None else one.live)
        new.siblings, new.lost_at = one.siblings, one.lost_at
        self._register.end(one)
        self._register.put(new)
        if new.lost_at is not None:
            self._register.generations.add(new)

    def _follow_newer(self, live: str, name: str) -> None:
        """Follow the generations that came after one."""
        folder, names = os.path.dirname(live), self._relatives.older(live)
        for newer in generations.newer(names, name) if name in names else ():
            self._register.follow(f"{folder}/{newer}", live=live, lost=True)

    # --- read on elsewhere ------------------------------------------------------------------------------------

    def _read_on(self, one: Followed) -> str | None:
        """Find the copy, or the compressed form, of a file that is not there any more, and go on in it: its name."""
        folder, files = os.path.dirname(one.live), self._register.files
        for name in self._relatives.all_now(one.live):
            path = f"{folder}/{name}"
            key = regular(path)
            other = files.get(key) if key is not None else None
            if other is not None and not (other.is_copy or other.is_ended):
                continue
            if not one.head.fits(first_bytes(path)) or not goes_on(path, one.position, one.last):
                continue
            return name if self._hand_over(one, path, other) else None
        self._register.gone(one)
        return None

    def _hand_over(self, one: Followed, path: str, other: Followed | None) -> bool:
        """Let another file be read instead, with all that is known of the first: its state, what is under way."""
        if other is not None and other.is_copy:
            del self._register.files[other.key]
            other.close()
        elif other is not None:
            self._register.set_apart(other)
        heir = self._register.follow(path, live=one.live, lost=True)
        if heir is None:
            return False
        heir.shaper, heir.marks, one.marks = one.shaper, one.marks, [Mark() for _ in one.marks]
        heir.seam, heir.pins, one.seam, one.pins = one.seam, one.pins, None, {}
        heir.has_begun, heir.over = one.has_begun, one.over
        heir.resume(one.position, one.ends, head=one.head)
        return True
