"""How far a stream of lines is done: a contiguous watermark of receipts, whatever order they are done in."""

from collections import deque
from collections.abc import Iterator

from rutta.message import Receipt


class Mark:
    """The blocks of one stream that are under way, in the order of their places in the file."""

    __slots__ = ("_flying",)

    def __init__(self) -> None:
        """Nothing is under way."""
        self._flying: deque[tuple[int, Receipt]] = deque()

    def sent(self, start: int, receipt: Receipt) -> None:
        """A block was handed over; every line of the stream before ``start`` is in an earlier one. Ascending."""
        self._prune()
        self._flying.append((start, receipt))

    def low(self, otherwise: int) -> int:
        """Return before which offset all is done; ``otherwise`` when nothing is under way."""
        self._prune()
        return self._flying[0][0] if self._flying else otherwise

    def __bool__(self) -> bool:
        """Whether something is under way."""
        self._prune()
        return bool(self._flying)

    def receipts(self) -> Iterator[Receipt]:
        """Give the receipts that are not done, and some that are."""
        return (receipt for _, receipt in self._flying)

    def _prune(self) -> None:
        flying = self._flying
        while flying and flying[0][1].done:
            flying.popleft()


class Pin:
    """Where something stands in a file that goes on in the next one: undone until that is, and what it is part of."""

    __slots__ = ("is_held", "mark", "start")

    def __init__(self, start: int) -> None:
        """It is held."""
        self.start = start
        self.mark = Mark()
        self.is_held = True

    @property
    def is_done(self) -> bool:
        """Whether all of it was handed over, and is done."""
        return not self.is_held and not self.mark
