"""A compressed generation of a log, read on from where its plain file was left."""

import gzip
from typing import Final

SKIP: Final = 4 * 2**20  # bytes that are skipped per turn, so that nobody waits long


class Packed:
    """One gz file, read from front to back; offsets are those of what it holds."""

    def __init__(self, path: str) -> None:
        """Raises what opening raises (``fingerprint.BROKEN``, also later)."""
        self._file = gzip.open(path)  # noqa: SIM115 - closed by ``close``
        self._at = 0

    def read_into(self, view: memoryview, offset: int) -> int | None:
        """Read what stands at an offset; 0 at the end, None while it is still skipping."""
        if self._at < offset:
            skipped = len(self._file.read(min(SKIP, offset - self._at)))
            self._at += skipped
            return None if skipped else 0
        if self._at > offset:  # the beginning of a line that is read once more
            self._file.seek(offset)
            self._at = offset
        count = 0
        while count < len(view) and (more := self._file.readinto(view[count:])):
            count += more
        self._at += count
        return count

    def close(self) -> None:
        """Let go of it."""
        self._file.close()
