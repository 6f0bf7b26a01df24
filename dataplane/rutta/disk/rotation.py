"""Names of log files, and what becomes of closed ones: compressed, and deleted by count, age or size. Blocking.

An open file is held by a shared ``flock``; who compresses or deletes a closed one takes an exclusive lock first and
leaves it for the next time otherwise. So processes that write to the same path never lose each other's lines.
"""

import fcntl
import gzip
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Literal, NamedTuple

import zstandard
from msgspec import Meta, Struct

from rutta.settings import Duration, Size

log = logging.getLogger("rutta.rotation")

Compression = Literal["None", "Gzip", "Zstd"]

_SUFFIX: Final = {"None": "", "Gzip": ".gz", "Zstd": ".zst"}
_PART: Final = ".part"  # a compressed file that is not finished
_CHUNK: Final = 2**20
_PLACEHOLDERS: Final = {"date": r"\d{4}-\d\d-\d\d", "hour": r"\d\d", "pid": r"\d+", "host": r"[^/]+"}


class Rotate(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """When a file is closed and the next one begun."""

    max_bytes: Annotated[
        Size | None, Meta(description="size that no file exceeds, but for a single line longer than that")
    ] = None
    every: Annotated[
        Duration | None, Meta(description="begin a new file when this much time passed, counted from midnight UTC")
    ] = None


class Keep(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which closed files stay; without any of these all do. The file being written is never deleted."""

    files: Annotated[Annotated[int, Meta(ge=0)] | None, Meta(description="number of closed files")] = None
    age: Annotated[Duration | None, Meta(description="age of a closed file, since its last write")] = None
    max_bytes: Annotated[Size | None, Meta(description="size of all closed files together")] = None


class Naming:
    """The names that one path template stands for. Placeholders are UTC: ``{date}`` ``{hour}`` ``{host}`` ``{pid}``."""

    def __init__(self, template: str) -> None:
        """``ValueError`` says what is wrong with a template."""
        folder, self._name = os.path.split(template)
        self.folder = Path(folder or ".")
        known = ", ".join(f"{{{word}}}" for word in _PLACEHOLDERS)
        if re.search(r"[{}]", folder) or not self._name:
            raise ValueError(f"{template!r}: needs a file name, and placeholders ({known}) only in it")
        left = re.sub("|".join(f"{{{word}}}" for word in _PLACEHOLDERS), "", self._name)
        if re.search(r"[{}]", left):
            raise ValueError(f"{template!r}: there are only the placeholders {known}")
        self._stem, self._suffix = os.path.splitext(self._name)
        if "{" in self._suffix:
            self._stem, self._suffix = self._name, ""
        self._last = ("", 0)
        self.is_dated = "{date}" in self._name or "{hour}" in self._name
        closed = f"{_pattern(self._stem)}(\\.\\d{{8}}T\\d{{6}}Z(_\\d+)?)?{re.escape(self._suffix)}"
        self._closed = re.compile(f"({closed})(\\.gz|\\.zst)?")
        self._part = re.compile(f"({closed})(\\.gz|\\.zst){re.escape(_PART)}")

    def path(self, now: float) -> Path:
        """The file to write to at ``now`` (seconds since the epoch)."""
        return self.folder / _fill(self._name, now)

    def closed_path(self, now: float) -> Path:
        """A free name for the file that is closed at ``now`` to make place for the next of the same name."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        stem = f"{_fill(self._stem, now)}.{stamp}"
        number = self._last[1] + 1 if self._last[0] == stem else 0  # never a name again: they sort by time
        while True:
            path = self.folder / f"{stem}{f'_{number:04d}' if number else ''}{self._suffix}"
            if not any(path.with_name(path.name + suffix).exists() for suffix in _SUFFIX.values()):
                self._last = (stem, number)
                return path
            number += 1

    def closed(self, current: Path) -> list["Closed"]:
        """All closed files, newest first; ``current`` is not one of them."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if self._closed.fullmatch(entry.name) and entry.name != current.name and entry.is_file():
                    with suppress(FileNotFoundError):
                        facts = entry.stat()
                        found.append(Closed(facts.st_mtime_ns, entry.name, facts.st_size))
        return sorted(found, reverse=True)

    def unfinished(self) -> list[Path]:
        """Compressed files that nobody finished (if their lock is free)."""
        return [path for path in self.folder.iterdir() if self._part.fullmatch(path.name)]


class Closed(NamedTuple):
    """A closed file; they sort by age."""

    mtime_ns: int
    name: str
    size: int


def _fill(text: str, now: float) -> str:
    when = time.gmtime(now)
    values = {
        "date": time.strftime("%Y-%m-%d", when),
        "hour": time.strftime("%H", when),
        "pid": str(os.getpid()),
        "host": socket.gethostname(),
    }
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], text)


def _pattern(text: str) -> str:
    pieces = re.split(r"\{(\w+)\}", text)
    return "".join(_PLACEHOLDERS[piece] if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))


def surplus(closed: list[Closed], keep: Keep, *, now: float) -> list[Closed]:
    """Choose what is to be deleted of the closed files, given newest first."""
    total = 0
    chosen = []
    for number, one in enumerate(closed):
        total += one.size
        if (
            (keep.files is not None and number >= keep.files)
            or (keep.age is not None and now - one.mtime_ns / 1e9 > keep.age)
            or (keep.max_bytes is not None and total > keep.max_bytes)
        ):
            chosen.append(one)
    return chosen


def tidy(
    naming: Naming, *, keep: Keep, compression: Compression, now: float, stopping: Callable[[], bool] = bool
) -> None:
    """Delete what is not to be kept, compress what is; what another process still holds is left for the next time.

    Safe to run at any time and to end at any time: it looks at what is there, so a restart goes on where it stopped.
    """
    try:
        for part in naming.unfinished():
            _remove(part)
        closed = naming.closed(naming.path(now))
        gone = surplus(closed, keep, now=now)
        for one in gone:
            _remove(naming.folder / one.name)
        for one in closed:
            if compression != "None" and one not in gone and not one.name.endswith((".gz", ".zst")) and not stopping():
                compress(naming.folder / one.name, compression, stopping=stopping)
    except OSError as exc:
        log.warning(
            "Old files of %s were not tidied up: %s.", naming.folder, exc.strerror, extra={"event": "file_tidy_failed"}
        )


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError), path.open("rb") as file, held(file) as free:
        if free:
            path.unlink()


@contextmanager
def held(file: BinaryIO) -> Iterator[bool]:
    """Hold the exclusive lock of an open file; false if somebody else has it. Let go by closing the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    except OSError:  # a file system without locks: there, one process writes a path
        yield True
    else:
        yield True


def compress(path: Path, compression: Compression, *, stopping: Callable[[], bool] = bool) -> None:
    """Replace a closed file by its compressed form, which has its time and mode; told to stop, leave it as it was."""
    final = path.with_name(path.name + _SUFFIX[compression])
    part = final.with_name(final.name + _PART)
    with suppress(FileNotFoundError), path.open("rb") as source, held(source) as free:
        if not free or not path.exists():
            return
        facts = os.fstat(source.fileno())
        with part.open("wb") as target:
            fcntl.flock(target, fcntl.LOCK_SH)
            done = _pump(source, target, compression, stopping)
            target.flush()
            os.fchmod(target.fileno(), facts.st_mode & 0o7777)
            os.fsync(target.fileno())
            os.utime(part, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            if done:
                part.rename(final)
                path.unlink()
            else:
                part.unlink()


def _pump(source: BinaryIO, target: BinaryIO, compression: Compression, stopping: Callable[[], bool]) -> bool:
    """Copy through a compressor; false if stopped half-way."""
    if compression == "Gzip":
        sink: BinaryIO = gzip.GzipFile(fileobj=target, mode="wb", filename="")  # type: ignore[assignment]
    else:
        sink = zstandard.ZstdCompressor().stream_writer(target, closefd=False)
    with sink:
        while chunk := source.read(_CHUNK):
            if stopping():
                return False
            sink.write(chunk)
    return True
