"""Read one piece of one file and hand over what is whole of it."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from rutta.listeners import Intake
from rutta.tail import seams
from rutta.tail.fingerprint import BROKEN
from rutta.tail.followed import CutShort, Followed
from rutta.tail.limits import Bucket
from rutta.tail.rotation import Rotation
from rutta.tail.shaping import Made

PIECE: Final = 256 * 1024  # bytes of a file per turn


class Manner(NamedTuple):
    """How to follow. ``limit``: bytes of a line. ``rate``: bytes a second of a file, 0: no bound; ``over``: then?

    ``last_look``: whether what is there at the stop is read before it, for nobody may come after us.
    """

    limit: int
    poll: float = 0.25
    from_end: bool = False
    rate: int = 0
    over: Literal["Wait", "Drop"] = "Wait"
    rescan: float | None = None
    last_look: bool = False


class Reader:
    """Reads into one buffer, whichever file it is. ``touched`` collects those whose state has changed."""

    def __init__(self, manner: Manner) -> None:
        """``limited`` counts what the rate held back (``waits``) or dropped (``lines``, ``bytes``)."""
        self.limited: Counter[str] = Counter()
        self.touched: set[Followed] = set()
        self._manner = manner
        self._refused: Counter[str] = Counter()
        self._buffer = bytearray(PIECE)

    def refuse(self, word: str, count: int) -> None:
        """Count lines that cannot be taken; the intake is told with the next piece."""
        self._refused[word] += count

    def bucket(self) -> Bucket:
        """Make the bound of a file."""
        return Bucket(self._manner.rate, time.monotonic())

    def piece(self, one: Followed, rotation: Rotation, intake: Intake) -> bool:
        """Read a piece of a file; say whether there may be more at once. ``one.is_dry``: there was nothing more."""
        one.is_dry, one.has_begun = False, True
        if one.is_ended or self._must_wait(one):
            return False
        is_partial = one.position < one.until
        buffer = self._buffer
        try:
            count = one.read(buffer)
            if count == len(buffer) and self._is_long(one, buffer):
                buffer = bytearray(self._manner.limit + PIECE)
                count = one.read(buffer)
        except CutShort:
            rotation.cut(one)
            return True
        if count is None:
            return True
        used = self._use(one, buffer, count, intake) if count else 0
        self._tell(intake)
        one.is_dry = count < len(buffer) and not (is_partial and used > 0)
        if one.is_dry:
            one.dry_at = time.monotonic()
        return not one.is_dry

    def _must_wait(self, one: Followed) -> bool:
        if not self._manner.rate or self._manner.over == "Drop" or not one.bucket.is_empty(time.monotonic()):
            return False
        self.limited["waits"] += 1
        return True

    def _is_long(self, one: Followed, buffer: bytearray) -> bool:
        return one.shaper.takes_lines and not one.is_skipping and buffer.rfind(b"\n") < 0

    def _use(self, one: Followed, buffer: bytearray, count: int, intake: Intake) -> int:
        """Hand over what is whole of a piece; return how many bytes were dealt with."""
        if not one.shaper.takes_lines:
            return self._shape(one, buffer, count, intake)
        if one.is_skipping:
            return self._skip(one, buffer, count)
        size = buffer.rfind(b"\n", 0, count) + 1
        if size:
            return self._shape(one, buffer, size, intake)
        if count <= self._manner.limit:
            return 0
        self.refuse("oversize", 1)
        return self._skip(one, buffer, count)

    def _skip(self, one: Followed, buffer: bytearray, count: int) -> int:
        """Pass by an over-long line."""
        end = buffer.find(b"\n", 0, count) + 1
        one.is_skipping = not end
        one.pass_by(buffer, end or count)
        self.touched.add(one)
        return end or count

    def _shape(self, one: Followed, buffer: bytearray, size: int, intake: Intake) -> int:
        start, only = one.position, one.only
        one.pass_by(buffer, size)
        self.touched.add(one)
        if not self._manner.rate or self._may_take(one, buffer, size):
            self.offer(one, one.shaper.shape(buffer, size, start, only=only), intake)
        else:  # the rest of what is held is dropped
            self.offer(one, one.shaper.finish(), intake)
        return size

    def _may_take(self, one: Followed, buffer: bytearray, size: int) -> bool:
        """Whether the rate allows it; with ``Drop`` what is above is passed by, counted."""
        if self._manner.over == "Drop" and one.bucket.is_empty(time.monotonic()):
            self.limited["lines"] += buffer.count(b"\n", 0, size)
            self.limited["bytes"] += size
            return False
        one.bucket.take(size)
        return True

    def offer(self, one: Followed, made: Sequence[Made], intake: Intake) -> None:
        """Hand blocks over, and remember whose they are."""
        for block, start, stream in made:
            receipt = intake.offer(block)
            one.marks[stream].sent(start, receipt)
            if one.seam is not None:
                one.seam.sent(stream, receipt)
        if one.seam is not None and one.seam.is_closed(one.shaper):
            one.seam = None
        if made:
            self.touched.add(one)

    def _tell(self, intake: Intake) -> None:
        if self._refused:
            for word, count in self._refused.items():
                intake.refuse(word, count)
            self._refused.clear()

    def last(self, one: Followed, intake: Intake, heir: Followed | None) -> None:
        """Hand over what the end of a file makes whole: a last line needs no newline. ``heir``: what comes next, if
        nothing was read of it; it goes on with what is held.
        """
        if one.shaper.takes_lines and not one.is_skipping:
            try:
                count = one.read(self._buffer) or 0
            except (CutShort, *BROKEN):
                count = 0
            if 0 < count < len(self._buffer):
                self._buffer[count] = 0x0A
                start, only = one.position, one.only
                one.pass_by(self._buffer, count)
                self.offer(one, one.shaper.shape(self._buffer, count + 1, start, only=only), intake)
        seams.forget_done(one)
        if heir is not None:
            seams.begin(heir, [one])
        self.offer(one, one.shaper.finish(), intake)
        self._tell(intake)
        self.touched.add(one)
