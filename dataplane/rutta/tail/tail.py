"""Follow files: look for them, read them in turns, hand over blocks, remember how far they are done.

Fair: every file with something new gets one piece per turn. Quiet files are let go of: closed, and looked at when the
kernel says that they were written to. While the targets' queues are full nothing is read, but files are still found
and opened, so that what is rotated away meanwhile is not lost.
"""

import asyncio
import os
import resource
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from rutta.listeners import Intake
from rutta.tail import saving, seams, watch
from rutta.tail.catalogue import Catalogue, Finder
from rutta.tail.checkpoints import Checkpoints
from rutta.tail.fingerprint import BROKEN
from rutta.tail.folders import Folders
from rutta.tail.followed import Followed
from rutta.tail.reading import Manner, Reader
from rutta.tail.saving import Saver
from rutta.tail.shaping import Shaper
from rutta.tail.sleepers import Sleepers
from rutta.tail.status import status

RESCAN: Final = 1.0  # seconds between looks for new, renamed and removed files, where the kernel tells nothing
SETTLE: Final = 0.02  # seconds in which news of folders are gathered
LAST_LOOK: Final = 1.0  # seconds at most that are read on when told to stop
IDLE: Final = 10.0  # seconds without anything new, after which a file is closed
TURN: Final = 0.005  # seconds of reading before others get their turn on the loop
PART: Final = 50  # reading is to take at most this part of the time: later, pieces are fewer and larger
LATEST: Final = 1.0  # seconds after which what is new is read all the same
OPEN: Final = 2000  # files that are kept open at most
DELETED: Final = 2**30  # bytes of removed files that are kept on disk, by being open, at most

MakeShaper = Callable[[str, str, Callable[[str, int], None]], Shaper]
"""Makes the shaper of a file: its path, the path by which it was found before any rotation, what counts refusals."""


class Tail:
    """Owns the files, from ``bind`` to the end of ``serve``."""

    def __init__(
        self,
        finder: Finder,
        make: MakeShaper,
        manner: Manner,
        *,
        checkpoints: Checkpoints | None = None,
        watcher: watch.Make = watch.watcher,
    ) -> None:
        """Touch nothing yet."""
        self.manner = manner
        self._finder = finder
        self._make = make
        self._checkpoints = checkpoints
        self._saver = None if checkpoints is None else Saver(checkpoints)
        self._make_watcher = watcher
        self._watcher: watch.Watcher | None = None
        self._reader = Reader(manner)
        self._ready: deque[Followed] = deque()
        self._stopping = False
        self._news = asyncio.Event()
        self._scan_at = self._poll_at = 0.0
        self._reading = 0.0  # seconds since the last poll
        self._most_open = min(OPEN, max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
        self.catalogue = self._catalogue()
        self._sleepers = Sleepers(self.catalogue.register, None)

    def _catalogue(self) -> Catalogue:
        reader, make = self._reader, self._make
        return Catalogue(
            self._finder, lambda path, live: make(path, live, reader.refuse), Folders(self._watcher), reader.bucket
        )

    def bind(self) -> None:
        """Without checkpoints: find the files that are there, and mark where to begin. ConfigError."""
        if self._checkpoints is not None:
            self._checkpoints.prepare()
        else:
            self._begin()

    def _begin(self) -> None:
        self._watcher = self._make_watcher()
        self.catalogue = self._catalogue()
        self._sleepers = Sleepers(self.catalogue.register, self._watcher)
        entries = None if self._checkpoints is None else self._checkpoints.load()
        if entries is not None and self._checkpoints is not None:
            self.catalogue.known(entries, os.path.getmtime(self._checkpoints.path))
        self.catalogue.scan(from_end=self.manner.from_end and entries is None)
        self.catalogue.recover()
        self._touched(self.catalogue.files.values())

    def stop(self) -> None:
        """Make ``serve`` return."""
        self._stopping = True
        self._news.set()

    def look_again(self) -> None:
        """Something has changed that the finder depends on."""
        self._scan_at = 0.0
        self._news.set()

    async def serve(self, intake: Intake) -> None:
        """Follow until ``stop``, and read what is there by then; with checkpoints, return when all of it is done.

        Cancelled, it saves.
        """
        loop = asyncio.get_running_loop()
        is_begun, was_served = self._checkpoints is None, not self._stopping
        try:
            if self._checkpoints is not None and (is_begun := await self._lock(self._checkpoints)):
                self._begin()
                await self._save_at_once()
            if self._watcher is not None:
                loop.add_reader(self._watcher.descriptor, self._tell)
            while not self._stopping:
                await self._round(intake)
            if is_begun and was_served and self.manner.last_look:
                await self._last_look(intake)
            await self._finish(intake)
        finally:
            if self._watcher is not None:
                loop.remove_reader(self._watcher.descriptor)
                self._watcher.close()
                self._watcher = None
            if self._saver is not None and is_begun:
                await self._saver.end(self.catalogue.register)
            if self._checkpoints is not None:
                self._checkpoints.unlock()
            self.catalogue.register.close()

    async def _lock(self, checkpoints: Checkpoints) -> bool:
        """Wait for the lock; False if it is to stop first."""
        work = asyncio.ensure_future(checkpoints.lock())
        stop = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            return work.done()
        finally:
            work.cancel()
            stop.cancel()
            await asyncio.wait({work, stop})

    def _tell(self) -> None:
        """The kernel has news."""
        watcher = self._watcher
        if watcher is None:
            return
        watcher.take()
        for one in self._sleepers.told():
            self._queue(one)
        if watcher.folders or watcher.missed:
            self._scan_at = min(self._scan_at, time.monotonic() + SETTLE)
        self._news.set()

    # --- rounds -----------------------------------------------------------------------------------------------

    async def _round(self, intake: Intake) -> None:
        """Look, read, save, wait; each when it is time."""
        now = time.monotonic()
        if now >= self._scan_at:
            self._scan(now)
        if now >= self._poll_at:
            self._poll_at = now + pause(self.manner.poll, self._reading)
            self._reading = 0.0
            for one in self.catalogue.awake.values():
                self._queue(one)
        if self._ready and not intake.full:
            await self._read(intake)
        self._hand_over_due(intake)
        self._save()
        if intake.full or not self._ready:
            await self._wait(intake)

    async def _last_look(self, intake: Intake) -> None:
        """Read what was written until now, as far as there is room and time: beside an app, its last lines."""
        end = time.monotonic() + LAST_LOOK
        self._scan(time.monotonic())
        for one in self.catalogue.awake.values():
            self._queue(one)
        while self._ready and not intake.full and time.monotonic() < end:
            one = self._ready.popleft()
            one.is_queued = False
            if self._piece(one, intake):
                self._queue(self.catalogue.files.get(one.key, one))
            await asyncio.sleep(0)

    def _queue(self, one: Followed) -> None:
        if not one.is_queued:
            one.is_queued = True
            self._ready.append(one)

    async def _read(self, intake: Intake) -> None:
        """Read in turns until there is nothing more, or something else is due."""
        began, ready = time.monotonic(), self._ready
        while ready and not intake.full and not self._stopping:
            one = ready.popleft()
            one.is_queued = False
            if self._piece(one, intake):
                self._queue(self.catalogue.files.get(one.key, one))
            if (spent := time.monotonic() - began) > TURN:
                self._reading += spent
                await asyncio.sleep(0)
                began = time.monotonic()
                if began >= min(self._poll_at, self._scan_at):
                    return
        self._reading += time.monotonic() - began

    def _piece(self, one: Followed, intake: Intake) -> bool:
        if not (one.has_begun or self._begin_file(one)):
            return False
        try:
            if self._reader.piece(one, self.catalogue.rotation, intake):
                return True
        except BROKEN as exc:
            if isinstance(exc, FileNotFoundError):  # it has moved: the next look tells where
                self._scan_at = min(self._scan_at, time.monotonic() + SETTLE)
            self.catalogue.register.unreadable(one, exc)
            one.is_dry, one.dry_at = True, time.monotonic()  # nobody waits for it
            return False
        if one.shaper.broken and not one.is_ended:
            self.catalogue.register.complain(one.path, f"is not read any further: {one.shaper.broken}")
            self.catalogue.register.end(one)
        elif one.is_dry and self.catalogue.register.is_over(one):
            self._reader.last(one, intake, self._heir(one))
            self.catalogue.register.end(one)
        elif one.is_dry and (time.monotonic() - one.grown_at > IDLE or len(self.catalogue.awake) > self._most_open):
            self._sleepers.put(one)
            if self._sleepers.is_blind:
                self._scan_at = min(self._scan_at, time.monotonic() + RESCAN)
        return False

    def _begin_file(self, one: Followed) -> bool:
        """Let a file begin where the one before it has stopped; False while that is not read to its end."""
        older = self.catalogue.register.generations.before(one)
        if not seams.may_begin(one, older):
            return False
        seams.begin(one, older)
        return True

    def _heir(self, one: Followed) -> Followed | None:
        """Return the next generation, if it can go on with what is held of this one: nothing was read of it yet."""
        heir = self.catalogue.register.generations.after(one) if one.shaper.inherits else None
        return None if heir is None or heir.has_begun or heir.is_ended or heir.is_copy else heir

    def _hand_over_due(self, intake: Intake) -> None:
        """Hand over what has waited too long for what belongs to it."""
        for one in self.catalogue.awake.values():
            if not one.shaper.is_holding or (one.lost_at is not None and self._heir(one) is not None):
                continue
            made = one.shaper.due(one.dry_at)  # what is not read yet may be what it waits for
            if made or one.seam is not None:
                self._reader.offer(one, made, intake)

    async def _wait(self, intake: Intake) -> None:
        """Wait for news, room, or the next thing that is due."""
        due = self._scan_at
        if self.catalogue.awake and not intake.full:
            due = min(due, self._poll_at)
        if self._saver is not None and self._saver.at is not None:
            due = min(due, self._saver.at)
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._news.wait())]
        if intake.full:
            waits.append(asyncio.ensure_future(intake.room()))
        try:
            patience = max(0.0, due - time.monotonic())
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        self._news.clear()

    # --- looking ----------------------------------------------------------------------------------------------

    def _scan(self, now: float) -> None:
        """Look for files, and at those that are not looked at otherwise."""
        watcher = self._watcher
        all_anew = watcher is not None and watcher.missed
        if watcher is not None:
            watcher.missed = False
        before = len(self.catalogue.files)
        self.catalogue.scan(all_anew=all_anew)
        is_blind = self._sleepers.is_blind or self.catalogue.is_blind
        self._scan_at = now + (RESCAN if is_blind else self.manner.rescan or RESCAN)
        for one in self._sleepers.grown():
            self._queue(one)
        wall = time.time()
        for one in list(self.catalogue.awake.values()):
            one.look(wall)
        self.catalogue.register.bound_deleted(DELETED)
        self.catalogue.register.forget_done()
        if len(self.catalogue.files) != before:
            self._touched(())

    # --- saving -----------------------------------------------------------------------------------------------

    def _touched(self, files: Any) -> None:
        if self._saver is not None:
            self._saver.touched(files)

    def _save(self) -> None:
        touched = self._reader.touched
        if self._saver is not None:
            if touched:
                self._saver.touched(touched)
            if self._saver.at is not None and time.monotonic() >= self._saver.at:
                self._saver.start(self.catalogue.register)
        touched.clear()

    async def _save_at_once(self) -> None:
        """Write down which files there are before anything is read: from now on it is no first start any more."""
        if self._saver is not None:
            await self._saver.end(self.catalogue.register)

    async def _finish(self, intake: Intake) -> None:
        """Let what was read be done, and written down as it is. Without checkpoints nothing held is kept back."""
        if self._saver is None:
            for one in self.catalogue.files.values():
                self._reader.offer(one, one.shaper.finish(), intake)
            return
        for receipt in self.catalogue.register.under_way():
            waiting = asyncio.ensure_future(receipt.wait())
            try:
                while not waiting.done():
                    await asyncio.wait({waiting}, timeout=saving.EVERY)
                    self._saver.start(self.catalogue.register)
            finally:
                waiting.cancel()

    @property
    def is_saved(self) -> bool:
        """Whether all that was read is done and written down."""
        return self._saver is None or (not self._reader.touched and self._saver.is_idle)

    def status(self) -> Mapping[str, Any]:
        """Say how many files there are, how far behind they are, and what was lost or held back."""
        return status(self.catalogue, self._reader, "" if self._saver is None else self._saver.problem, time.time())


def pause(poll: float, spent: float) -> float:
    """Return in how many seconds files that grow are looked at again, when reading them took ``spent`` last time."""
    least = max(0.01, poll)
    return max(least, min(PART * spent, LATEST))
