"""A bound on how much of a file is taken a second."""

from typing import Final

BURST: Final = 2.0  # seconds' worth that may come at once after a quiet time


class Bucket:
    """Bytes that may be taken now; may be overdrawn by one piece, which is then waited for."""

    __slots__ = ("_at", "_left", "rate")

    def __init__(self, rate: int, now: float) -> None:
        """``rate`` in bytes per second; 0: no bound."""
        self.rate = rate
        self._left = rate * BURST
        self._at = now

    def is_empty(self, now: float) -> bool:
        """Whether nothing may be taken now."""
        if not self.rate:
            return False
        self._left = min(self.rate * BURST, self._left + (now - self._at) * self.rate)
        self._at = now
        return self._left <= 0

    def take(self, size: int) -> None:
        """Count what was taken."""
        self._left -= size
