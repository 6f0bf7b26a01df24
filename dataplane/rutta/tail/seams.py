"""Where a generation of a log stops in the middle of a line or an event, and the next one goes on with it.

containerd hands a log over to its next file wherever it is: what it has of a line so far ends the old file, as a part
(``P``), and the rest begins the new one (``redirectLogs`` in its ``internal/cri/io/logger.go``). So a file is begun
when those before it have been read to their end, and what is held then goes on in it. In the older file the place of
what is held stays undone until the blocks in which it ends are.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from rutta.message import Receipt
from rutta.tail import generations
from rutta.tail.fingerprint import Key
from rutta.tail.followed import Followed
from rutta.tail.marks import Pin
from rutta.tail.shaping import Shaper

SETTLED: Final = 1.0  # seconds after the next file appeared in which the last line of one may still be written


class Seam:
    """What a file has from those before it. Ends when all of it was handed over."""

    __slots__ = ("_pins",)

    def __init__(self, older: Followed, streams: Iterable[int]) -> None:
        """What ``older`` holds of these streams is held by the next one from now on."""
        for stream in streams:
            if (place := older.shaper.floor(stream, older.position)) < older.position:
                older.pins[stream] = Pin(place)
        self._pins = list(older.pins.items())
        if older.seam is not None:
            self._pins += older.seam._pins
            older.seam = None

    def sent(self, stream: int, receipt: Receipt) -> None:
        """A block of the newer file was handed over."""
        for of, pin in self._pins:
            if of == stream and pin.is_held:
                pin.mark.sent(pin.start, receipt)

    def is_closed(self, shaper: Shaper) -> bool:
        """Let go of what the newer file's shaper does not hold any more; True if nothing is left."""
        for stream, pin in self._pins:
            pin.is_held = pin.is_held and shaper.has_inherited(stream)
        return not any(pin.is_held for _, pin in self._pins)

    def end(self) -> None:
        """The newer file is given up: nothing is waited for."""
        for _, pin in self._pins:
            pin.is_held = False


class Generations:
    """Those of each log that were rotated away and are not forgotten, oldest first."""

    def __init__(self, files: dict[Key, Followed]) -> None:
        """``files`` are all that are followed, by key."""
        self._files = files
        self._of: dict[str, list[Followed]] = {}

    def add(self, one: Followed) -> None:
        """One was rotated away, or is found as an older generation."""
        known, age = self._known(one.live), _age(one)
        if one not in known:
            later = (at for at, other in enumerate(known) if age is not None and (_age(other) or age) > age)
            known.insert(next(later, len(known)), one)
            self._of[one.live] = known

    def forget(self, live: str) -> None:
        """Some of a log are not followed any more."""
        self._known(live)

    def _known(self, live: str) -> list[Followed]:
        """Give those that are still followed, and still away."""
        if live not in self._of:
            return []
        known = [one for one in self._of[live] if one.lost_at is not None and self._files.get(one.key) is one]
        if known:
            self._of[live] = known
        else:
            del self._of[live]
        return known

    def before(self, one: Followed) -> Sequence[Followed]:
        """Give the older ones, oldest first."""
        known = self._known(one.live)
        return known[: known.index(one)] if one in known else known if one.lost_at is None else ()

    def after(self, one: Followed) -> Followed | None:
        """Give the one that comes next."""
        known = self._known(one.live)
        if one not in known:
            return None
        if newer := known[known.index(one) + 1 :]:
            return newer[0]
        return next((other for other in self._files.values() if other.live == one.live and other.lost_at is None), None)


def may_begin(one: Followed, older: Sequence[Followed]) -> bool:
    """Whether all before a file were read to their end, some time after it appeared."""
    return not one.shaper.inherits or all(_is_through(before, one) for before in older)


def _is_through(older: Followed, newer: Followed) -> bool:
    if older.is_ended or older.is_copy:
        return True
    return older.is_dry and not older.is_packed and older.dry_at - newer.found_at > SETTLED


def begin(one: Followed, older: Sequence[Followed]) -> None:
    """Nothing was read of a file yet: let it go on with what the one before it holds.

    After a restart the older one may be read again for what stands before that; what is done already is not begun once
    more, and where the newer file is not at its beginning nothing of it goes on.
    """
    one.has_begun = True
    before = older[-1] if older else None
    if before is None or not one.shaper.inherits:
        return
    forget_done(before)
    streams = [stream for stream, end in enumerate(one.ends) if end == 0]
    if before.seam is not None or any(before.shaper.holds(stream) for stream in streams):
        one.seam = Seam(before, streams)
        one.shaper.inherit(before.shaper, streams)


def forget_done(one: Followed) -> None:
    """Let go of what is held of a file that was read to its end, if it was done before a restart."""
    for stream, end in enumerate(one.ends):
        if one.shaper.holds(stream):
            start, over = one.shaper.floor(stream, one.position), one.over.get(stream)
            if start < end <= one.position or (over is not None and start >= over):
                one.shaper.let_go(stream)


def _age(one: Followed) -> tuple[int, int] | None:
    return generations.age(one.path, one.live)
