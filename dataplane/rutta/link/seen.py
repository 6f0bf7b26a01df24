"""Remembers which origins have come, in bounded memory: a window of sequence numbers per maker, the newest makers.

What is older than its maker's window, or whose maker was forgotten, counts as new: AtLeastOnce would rather deliver
twice than lose.
"""

from collections import OrderedDict
from typing import Final

from rutta.message import Origin

MAKERS: Final = 4096
WINDOW: Final = 16384  # sequence numbers, a bit each: 2 KiB a maker, 8 MiB when all makers are busy


class Seen:
    """A set of origins that forgets the oldest."""

    def __init__(self, *, makers: int = MAKERS, window: int = WINDOW) -> None:
        """Empty."""
        self._most = makers
        self._window = window
        self._mask = (1 << window) - 1
        self._makers: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # newest number, bits: newest first

    def __len__(self) -> int:
        """Count the makers remembered."""
        return len(self._makers)

    def add(self, origin: Origin) -> bool:
        """Remember an origin; say whether it is new."""
        maker, number = origin
        newest, bits = self._makers.get(maker, (number, 0))
        ahead = number - newest
        if ahead > 0:
            bits = ((bits << ahead) | 1) & self._mask if ahead < self._window else 1
            newest = number
        elif -ahead >= self._window:
            return True
        elif bits >> -ahead & 1:
            return False
        else:
            bits |= 1 << -ahead
        self._makers[maker] = newest, bits
        self._makers.move_to_end(maker)
        if len(self._makers) > self._most:
            self._makers.popitem(last=False)
        return True
