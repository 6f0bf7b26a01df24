"""What a file is known by when its name, its inode or its compression has changed: a digest of its first bytes."""

import gzip
import hashlib
import os
import zlib
from typing import Final, NamedTuple

LENGTH: Final = 1024  # bytes that are looked at: the first lines of two logs seldom agree so far
PACKED: Final = ".gz"
BROKEN: Final = (OSError, EOFError, zlib.error)  # what reading a compressed file raises; gzip.BadGzipFile is an OSError
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

Key = tuple[int, int]
"""Device and inode."""


class Head(NamedTuple):
    """The first ``size`` bytes of a file, as a digest."""

    size: int = 0
    digest: str = ""

    def fits(self, first: bytes) -> bool:
        """Whether a file begins so; a head of nothing says nothing, and fits none."""
        return 0 < self.size <= len(first) and head_of(first[: self.size]) == self


def head_of(first: bytes) -> Head:
    """Make the head of the first bytes of a file."""
    first = first[:LENGTH]
    return Head(len(first), hashlib.blake2b(first, digest_size=16).hexdigest()) if first else Head()


def opened(path: str) -> int:
    """Open a plain file to read; OSError if that cannot be."""
    return os.open(path, _FLAGS)


def piece(path: str, offset: int, size: int) -> bytes:
    """Read a piece of a plain file; empty if it cannot be read."""
    try:
        descriptor = opened(path)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, size, offset)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def first_bytes(path: str) -> bytes:
    """Read what heads are made of, through compression; empty if it cannot be read."""
    if not path.endswith(PACKED):
        return piece(path, 0, LENGTH)
    try:
        with gzip.open(path) as packed:
            return packed.read(LENGTH)
    except BROKEN:
        return b""


def goes_on(path: str, offset: int, last: bytes) -> bool:
    """Whether a file has these bytes before that offset, so that it can be read on there; gz files are believed."""
    return path.endswith(PACKED) or piece(path, offset - len(last), len(last)) == last
