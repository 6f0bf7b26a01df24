"""What survives a restart: which files there are, and how far each is done. One file per source, replaced as a whole.

It is written beside, synced, renamed over the old one, and the folder synced, so at every moment there is a whole one
(https://lwn.net/Articles/457667/). Its first line is a digest of the rest. A lock keeps a second process from reading
the same files while one goes and the next comes.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from rutta.errors import ConfigError
from rutta.tail.fingerprint import Head, Key

log = logging.getLogger("rutta.tail")

VERSION: Final = "rutta-files-1"
LOCK_EVERY: Final = 0.5  # seconds between two tries to get the lock


class Entry(Struct, frozen=True, omit_defaults=True):
    """One file: where it was found, who it is, and for each of its streams the offset before which all is done."""

    path: str
    device: int
    inode: int
    done: tuple[int, ...]
    head: tuple[int, str] = (0, "")
    copy: bool = False
    ended: bool = False  # an older generation that is done
    over: tuple[
        int, ...
    ] = ()  # by stream, from where on it went on in the next generation, and is done; -1: it did not

    @property
    def key(self) -> Key:
        """Device and inode."""
        return self.device, self.inode

    @property
    def fingerprint(self) -> Head:
        """What it is known by otherwise."""
        return Head(*self.head)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def encode(entry: Entry) -> bytes:
    """Write an entry as a line."""
    return _encode(entry)


class Checkpoints:
    """The file of one source, in a folder that it makes."""

    def __init__(self, folder: str, name: str) -> None:
        """Touch nothing."""
        self.path = os.path.join(folder, f"{name.replace('/', '_')}.files")
        self._folder = folder
        self._lock: int | None = None
        self._written = b""

    def prepare(self) -> None:
        """Make the folder; ConfigError if nothing can be written there."""
        try:
            os.makedirs(self._folder, mode=0o755, exist_ok=True)
            os.close(os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
        except OSError as exc:
            raise ConfigError(
                f"the folder {self._folder}, which keeps how far files are read, cannot be written to: {exc.strerror}; "
                "mount one there, or set state to another"
            ) from exc

    async def lock(self) -> None:
        """Wait until no other process reads for this state. OSError."""
        descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        is_said = False
        try:
            while not _locked(descriptor):
                if not is_said:
                    is_said = True
                    log.info(
                        "Another process uses %s; this one begins when that has stopped.", self.path,
                        extra={"event": "state_in_use"},
                    )  # fmt: skip
                await asyncio.sleep(LOCK_EVERY)
        except BaseException:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def unlock(self) -> None:
        """Let the next process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> list[Entry] | None:
        """Read it; None if there is none, or it is broken: then it is set aside, and said."""
        try:
            with open(self.path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        try:
            entries = _read(content)
        except (ValueError, msgspec.DecodeError) as exc:
            self._set_aside(exc)
            return None
        self._written = content
        return entries

    def _set_aside(self, why: Exception) -> None:
        aside = f"{self.path}.broken"
        os.replace(self.path, aside)
        log.error(
            "The state %s is broken (%s) and was moved to %s; files are read as if it were the first start.",
            self.path, why, aside, extra={"event": "state_broken"},
        )  # fmt: skip

    def content(self, lines: Iterable[bytes]) -> bytes | None:
        """Return what is to be written; None if that is what is there."""
        body = b"\n".join([*lines, b""])
        content = f"{VERSION} {_digest(body)}\n".encode() + body
        return None if content == self._written else content

    def save(self, content: bytes) -> None:
        """Replace the file; may be called from a thread, one at a time. OSError leaves the old one."""
        beside = f"{self.path}.tmp"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(beside, self.path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._written = content


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _read(content: bytes) -> list[Entry]:
    """Read the content; ValueError or a decoding error says what is wrong."""
    head, _, body = content.partition(b"\n")
    version, _, digest = head.decode(errors="replace").partition(" ")
    if version != VERSION:
        raise ValueError(f"it begins with {version[:40]!r} instead of {VERSION}")
    if digest != _digest(body):
        raise ValueError("its digest is not that of its content")
    return [_decode(line) for line in body.splitlines()]


Entries = Mapping[Key, Entry]
