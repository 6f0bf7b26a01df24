"""Source ``file``: the lines that are appended to files, as ``tail -F`` shows them.

Files are found by glob and known by their inode: a file that is renamed is read to its end under its old name, and its
successor from the beginning. A file that was cut short is read from its beginning again. This first version keeps no
checkpoints: after a restart it begins where ``startAt`` says.
"""

import asyncio
import contextlib
import glob
import logging
import os
import stat
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from rutta.listeners import Intake
from rutta.message import Block
from rutta.net import framing
from rutta.net.flow import room_or
from rutta.settings import Duration, Size, default

log = logging.getLogger("rutta.sources.file")

READ: Final = 2**20  # bytes of a file per turn, so that a long one does not keep the others waiting
RESCAN: Final = 1.0  # seconds between looks for new, renamed and removed files
STALE: Final = 5.0  # seconds in which somebody may still write to a file that was renamed or removed
BACK: Final = 64 * 1024  # bytes before the end in which the begin of a last, unfinished line is looked for
BEGINNING: Final = 256  # bytes by which a file is known again: other ones there mean that it was written anew


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a file source."""

    paths: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        Meta(min_length=1, description="files to follow; globs, ** for any depth"),
    ]
    exclude: Annotated[list[str], Meta(description="globs of files to leave out, such as *.gz")] = []
    start_at: Annotated[
        Literal["End", "Beginning"],
        Meta(description="where to begin in files that are there at start; later ones are read from the beginning"),
    ] = "End"
    codec: Annotated[str, Meta(description="what the lines are: auto, json, plain, log4jxml, binary")] = "auto"
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    max_line_bytes: Annotated[Size, Meta(description="longer lines are dropped and counted")] = default(Size, "1Mi")
    poll_interval: Annotated[Duration, Meta(description="how often to look for new lines")] = default(Duration, "200ms")


def make(config: Config, name: str) -> "Files":
    """Build the source."""
    return Files(config, name)


class Files:
    """Owns the open files."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch nothing yet."""
        self.config = config
        self.name = name
        self._framing = framing.for_codec(config.codec, max_bytes=config.max_line_bytes)
        self._followed: dict[tuple[int, int], _Followed] = {}  # by device and inode
        self._complained: set[str] = set()
        self._stopping = asyncio.Event()
        self._buffer = bytearray(READ)

    async def bind(self) -> Sequence[str]:
        """Find the files that are there, and mark where to begin; return the globs."""
        self._scan(from_end=self.config.start_at == "End")
        return self.config.paths

    async def serve(self, intake: Intake) -> None:
        """Follow the files until ``stop``. What a last line lacks of its newline then is not read."""
        loop = asyncio.get_running_loop()
        scan_at = loop.time() + RESCAN
        try:
            while not self._stopping.is_set():
                if loop.time() >= scan_at:
                    self._scan(from_end=False)
                    scan_at = loop.time() + RESCAN
                await self._turn(intake)
        finally:
            for followed in self._followed.values():
                followed.close()
            self._followed.clear()

    def stop(self) -> None:
        """Make ``serve`` return."""
        self._stopping.set()

    def status(self) -> Mapping[str, Any]:
        """Which files are followed, how far, and how much of them is not read yet."""
        files = [followed.status() for followed in self._followed.values()]
        return {"paths": self.config.paths, "count": len(files), "files": files[:100]}

    async def _turn(self, intake: Intake) -> None:
        """Read a piece of every file that has grown; wait when none has."""
        more = False
        for followed in list(self._followed.values()):
            while intake.full and not self._stopping.is_set():
                await room_or(intake, self._stopping)
            if self._stopping.is_set():
                return
            more |= self._read(followed, intake)
        if more:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self.config.poll_interval, 0.01)):
                await self._stopping.wait()

    def _read(self, followed: "_Followed", intake: Intake) -> bool:
        """Read a piece; say whether there may be more."""
        frames: Sequence[bytes] = ()
        more = False
        try:
            frames, more = followed.read(self._buffer)
        except OSError as exc:  # the disk, or a network file system
            self._complain(followed.path, f"cannot be read: {exc.strerror}")
        self._offer(followed, frames, intake)
        if not more and followed.is_over():
            self._offer(followed, followed.framer.finish(), intake)
            followed.close()
            del self._followed[followed.identity]
        for word, count in followed.refused:
            intake.refuse(word, count)
        followed.refused.clear()
        if followed.framer.broken:
            self._complain(followed.path, f"is not read any further: {followed.framer.broken}")
        return more

    def _offer(self, followed: "_Followed", frames: Sequence[bytes], intake: Intake) -> None:
        if frames:
            for data, lines in self._framing.blocks(frames):
                intake.offer(Block(data, lines=lines, context=followed.context))

    def _scan(self, *, from_end: bool) -> None:
        """Find new files, and the followed ones that no path leads to any more."""
        lost = set(self._followed)
        for path in self._paths():
            if (found := self._look(path)) is not None:
                identity = found.st_dev, found.st_ino
                lost.discard(identity)
                if identity in self._followed:
                    self._followed[identity].lost_at = None
                else:
                    self._follow(path, from_end=from_end)
        for identity in lost:
            self._followed[identity].lose()

    def _paths(self) -> list[str]:
        excluded = {path for pattern in self.config.exclude for path in glob.glob(pattern, recursive=True)}
        found = {path for pattern in self.config.paths for path in glob.glob(pattern, recursive=True)}
        return sorted(found - excluded)

    def _look(self, path: str) -> os.stat_result | None:
        try:
            found = os.stat(path)
        except OSError as exc:
            self._complain(path, f"cannot be read: {exc.strerror}")
            return None
        return found if stat.S_ISREG(found.st_mode) else None  # a FIFO would block, a directory has no lines

    def _follow(self, path: str, *, from_end: bool) -> None:
        try:
            followed = _Followed(path, self._framing, from_end=from_end)
        except OSError as exc:
            self._complain(path, f"cannot be opened: {exc.strerror}")
            return
        self._followed[followed.identity] = followed
        self._complained.discard(path)
        log.info("Following %s.", path, extra={"event": "file_followed", "fields": {"source": self.name}})

    def _complain(self, path: str, what: str) -> None:
        """Say it once; the file is tried again at each look."""
        if path not in self._complained:
            self._complained.add(path)
            log.warning("The file %s %s.", path, what, extra={"event": "file_unreadable"})


class _Followed:
    """One open file. Keeping it open keeps its inode from being given to another."""

    def __init__(self, path: str, cut: framing.Framing, *, from_end: bool) -> None:
        self.path = path
        self.context = {"file": path}
        self.refused: list[tuple[str, int]] = []
        self.framer = cut.start(lambda word, count: self.refused.append((word, count)))
        self.lost_at: float | None = None  # since when no path leads to it any more
        self._grown_at = time.monotonic()
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self._descriptor)
        self.identity = found.st_dev, found.st_ino
        self._offset = self._last_line(found.st_size) if from_end else 0
        self._size = found.st_size
        self._beginning = os.pread(self._descriptor, min(BEGINNING, self._offset), 0)

    def read(self, buffer: bytearray) -> tuple[Sequence[bytes], bool]:
        """Read a piece of what is new: its frames, and whether there may be more."""
        self._size = os.fstat(self._descriptor).st_size
        if self._size == self._offset or self.framer.broken:
            return (), False
        if self._size < self._offset or self._is_another():
            self._restart()
        count = os.preadv(self._descriptor, [buffer], self._offset)
        if not count:
            return (), False
        self._grown_at = time.monotonic()
        self._offset += count
        if len(self._beginning) < BEGINNING:
            self._beginning = os.pread(self._descriptor, min(BEGINNING, self._offset), 0)
        return self.framer.feed(buffer, count), count == len(buffer)

    def lose(self) -> None:
        """No path leads to it."""
        if self.lost_at is None:
            self.lost_at = time.monotonic()

    def is_over(self) -> bool:
        """Whether nobody will write to it any more, as far as one can tell."""
        return self.lost_at is not None and time.monotonic() - max(self.lost_at, self._grown_at) > STALE

    def status(self) -> dict[str, Any]:
        """How far it is read; bytes."""
        return {"file": self.path, "offset": self._offset, "behind": max(0, self._size - self._offset)}

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def _last_line(self, size: int) -> int:
        """Where the last line begins if it is not whole yet, else the end."""
        start = max(0, size - BACK)
        newline = os.pread(self._descriptor, size - start, start).rfind(b"\n")
        return start + newline + 1 if newline >= 0 else 0 if start == 0 else size

    def _is_another(self) -> bool:
        """Whether the file was written anew since, and is longer already."""
        return os.pread(self._descriptor, len(self._beginning), 0) != self._beginning

    def _restart(self) -> None:
        log.info("The file %s was cut short; it is read from its beginning.", self.path, extra={"event": "file_cut"})
        self.framer.abandon()
        self._offset, self._beginning = 0, b""
