"""One file that grows, is rotated, and survives what others do to it. Blocking: everything here runs on a worker.

Rules: it is opened for appending, so several processes may write to one path. A write that failed half-way (a full
disk) is cut back to the last whole event. A file that was moved or deleted by others (logrotate) is opened anew, looked
at once a second. Pipes and devices are written to as they are; only regular files are rotated.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rutta.disk.rotation import Naming, Rotate
from rutta.disk.writing import Written, whole_events, write_all

_LOOK: Final = 1.0  # seconds between two looks whether the file is still there
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class LogFile:
    """Owns the descriptor. Not thread-safe: one worker calls it."""

    def __init__(
        self,
        naming: Naming | None,
        *,
        rotate: Rotate,
        modes: tuple[int, int] = (0o640, 0o750),
        durable: bool = False,
        on_closed: Callable[[], None] = lambda: None,
        stopping: Callable[[], bool] = bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``naming`` None is standard output. ``modes`` are those of new files and folders.

        ``durable``: a file that is closed, and the name of one that is made, are on the disk. ``on_closed`` is called
        when a file was closed by rotation; ``stopping`` ends a wait for a slow pipe.
        """
        self._naming = naming
        self._rotate = rotate
        self._modes = modes
        self._durable = durable
        self._on_closed = on_closed
        self._stopping = stopping
        self._clock = clock
        self._fd = -1
        self._torn = False  # the stream ends in the middle of a line that could not be taken back
        self._looked = 0.0
        self.is_regular = False
        self.path = Path("-")
        self.size = 0
        self.rotations = 0

    def open(self) -> None:
        """Open or create the file and its folder; ``OSError`` if that cannot be."""
        now = self._clock()
        if self._naming is None:
            self._fd = os.dup(1)
        else:
            self.path = self._naming.path(now)
            self._fd = self._open_or_create()
        self._looked = time.monotonic()
        facts = os.fstat(self._fd)
        self.is_regular = stat.S_ISREG(facts.st_mode)
        if self.is_regular and self._naming is not None:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self.size = facts.st_size
        self._period = self._period_of(facts.st_mtime if self.size else now)
        self._mend()

    def _open_or_create(self) -> int:
        with suppress(FileNotFoundError):
            return os.open(self.path, _FLAGS & ~os.O_CREAT)
        for folder in reversed([one for one in (self.path.parent, *self.path.parent.parents) if not one.exists()]):
            folder.mkdir(exist_ok=True)
            folder.chmod(self._modes[1])
        fd = os.open(self.path, _FLAGS, self._modes[0])
        os.fchmod(fd, self._modes[0])  # whatever the umask
        if self._durable:
            _sync_folder(self.path.parent)
        return fd

    def _mend(self) -> None:
        """End the half line that a killed process may have left, so that ours begins on its own."""
        self._torn = False
        if self.is_regular and self.size and self._naming is not None:
            with suppress(OSError), self.path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                self._torn = file.read(1) != b"\n"

    def _period_of(self, when: float) -> int:
        return int(when // self._rotate.every) if self._rotate.every else 0

    def append(self, buffers: Sequence[bytes], *, by_line: bool, sync: bool = False) -> Written:
        """Write the buffers; return how many bytes (whole events) are in the file, and the error, never raised.

        ``sync``: they are on the disk when this returns. If that fails nothing counts as written, though it may be.
        """
        self._total = 0
        error = None
        try:
            self.tend()
            if self._torn and by_line:
                os.write(self._fd, b"\n")
                self._torn = False
            for portion in self._portions(buffers, by_line=by_line):
                self._write(portion, by_line=by_line)
        except OSError as exc:
            error = exc
        if sync and self._total:
            try:
                self.sync()
            except OSError as exc:
                return Written(0, exc)
        return Written(self._total, error)

    def tend(self) -> None:
        """Open what is not open or no longer there, and rotate if it is time; ``OSError`` if that cannot be."""
        if self._fd < 0:
            self.open()
        if not self.is_regular or self._naming is None:
            return
        if time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            if self._is_gone():
                self.close()
                self.open()
        self.size = os.fstat(self._fd).st_size
        now = self._clock()
        if self._naming.is_dated and self._naming.path(now) != self.path:
            self.close()
            self.open()
            self._closed_one()
        elif self._rotate.every and self._period_of(now) != self._period:
            if self.size:
                self._roll()
            self._period = self._period_of(now)

    def _is_gone(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return True
        return not os.path.samestat(there, os.fstat(self._fd))

    def _roll(self) -> None:
        """Give the file its closed name and begin the next, unless another process just did."""
        assert self._naming is not None  # noqa: S101 - only named files are rotated
        if not self._is_gone():
            self.path.rename(self._naming.closed_path(self._clock()))
        self.close()
        self.open()
        self._closed_one()

    def _closed_one(self) -> None:
        self.rotations += 1
        self._on_closed()

    def _portions(self, buffers: Sequence[bytes], *, by_line: bool) -> Iterator[Sequence[bytes]]:
        """Cut what is to be written where a file is full; rotates between two portions."""
        limit = self._rotate.max_bytes
        if not limit or not self.is_regular or self.size + sum(map(len, buffers)) <= limit:
            yield buffers
            return
        for data in buffers:
            while data:
                cut = _fitting(data, limit - self.size, by_line=by_line, empty=not self.size)
                if cut:
                    yield [data[:cut]]
                data = data[cut:]
                if data:
                    self._roll()

    def _write(self, buffers: Sequence[bytes], *, by_line: bool) -> None:
        written = write_all(self._fd, buffers, stopping=self._stopping)
        if written.error is None:
            self.size += written.size
            self._total += written.size
            return
        whole = whole_events(buffers, written.size, by_line=by_line)
        self._take_back(self.size + whole, self.size + written.size)
        self.size += whole
        self._total += whole
        raise written.error

    def _take_back(self, wanted: int, reached: int) -> None:
        """Cut off half an event, if nobody else wrote behind it; else the next write ends its line."""
        if wanted == reached:
            return
        if self.is_regular and os.fstat(self._fd).st_size == reached:
            os.ftruncate(self._fd, wanted)
        else:
            self._torn = True

    def sync(self) -> None:
        """Have the disk take what was written; nothing to do for pipes and devices."""
        if self.is_regular and self._fd >= 0:
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the descriptor; idempotent. ``OSError`` if ``durable`` cannot be held; it is closed all the same."""
        try:
            if self._durable:
                self.sync()
        finally:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _fitting(data: bytes, room: int, *, by_line: bool, empty: bool) -> int:
    """How much of ``data`` goes into ``room``: whole lines; into an empty file at least one."""
    if len(data) <= room:
        return len(data)
    if not by_line:
        return len(data) if empty else 0
    cut = data.rfind(b"\n", 0, max(0, room)) + 1
    return cut or ((data.find(b"\n") + 1 or len(data)) if empty else 0)


def explain(exc: OSError, path: object) -> str:
    """Say what stands in the way of writing to ``path``, and what helps."""
    reason = {
        errno.ENOSPC: "the disk is full; make room or set keep",
        errno.EDQUOT: "the disk quota is used up; make room or set keep",
        errno.EACCES: "this process may not write there; change its mode or owner",
        errno.EROFS: "the file system is read-only",
        errno.ENXIO: "nobody reads this pipe",
        errno.EPIPE: "nobody reads this pipe any more",
        errno.EISDIR: "that is a folder; name a file",
        errno.EAGAIN: "the reader of this pipe is too slow",
    }.get(exc.errno or 0, exc.strerror or str(exc))
    return f"{path} cannot be written: {reason}."
