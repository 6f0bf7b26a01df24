"""When checkpoints are written: soon after something was done, not too often, one at a time, off the loop."""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Final

from rutta.tail.checkpoints import Checkpoints, encode
from rutta.tail.followed import Followed
from rutta.tail.register import Register

log = logging.getLogger("rutta.tail")

EVERY: Final = 1.0  # seconds between two checkpoints
SHARE: Final = 20  # one that took long is followed by that much more time without one


class Saver:
    """Writes the state of files to checkpoints."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        """Nothing is known yet."""
        self.at: float | None = None  # when the next one is due; None: nothing has changed
        self.problem = ""
        self._checkpoints = checkpoints
        self._lines: dict[Followed, bytes] = {}  # of those that have not changed since
        self._task: asyncio.Task[None] | None = None
        self._least = EVERY

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be written."""
        return self.at is None and (self._task is None or self._task.done())

    def touched(self, files: Iterable[Followed]) -> None:
        """The state of these has changed, or will, when what is under way is done."""
        for one in files:
            self._lines.pop(one, None)
        self.at = self.at or time.monotonic() + self._least

    def start(self, register: Register) -> None:
        """Write a checkpoint in the background."""
        if self._task is not None and not self._task.done():
            self.at = time.monotonic() + self._least
            return
        content, is_moving = self._content(register)
        self.at = time.monotonic() + self._least if is_moving else None
        if content is not None:
            self._task = asyncio.get_running_loop().create_task(self._save(content))

    def _content(self, register: Register) -> tuple[bytes | None, bool]:
        before, self._lines, lines, is_moving = self._lines, {}, [], False
        for one in register.files.values():
            if (line := before.get(one)) is None:
                line = encode(one.entry())
            if one.is_done and not one.shaper.is_holding:
                self._lines[one] = line
            else:
                is_moving = True
            lines.append(line)
        lines += register.finished.lines()
        lines += map(encode, register.waiting.values())
        return self._checkpoints.content(lines), is_moving

    async def _save(self, content: bytes) -> None:
        began = time.monotonic()
        try:
            await asyncio.to_thread(self._checkpoints.save, content)
        except OSError as exc:
            self._complain(exc)
        else:
            self.problem = ""
        self._least = max(EVERY, SHARE * (time.monotonic() - began))

    def _complain(self, exc: OSError) -> None:
        self.at = self.at or time.monotonic() + self._least
        if not self.problem:
            log.error(
                "How far files are read cannot be written to %s (%s); it is tried again.", self._checkpoints.path, exc,
                extra={"event": "state_unwritable"},
            )  # fmt: skip
        self.problem = str(exc)

    async def end(self, register: Register) -> None:
        """Write the last checkpoint, before anything else happens."""
        if self._task is not None:
            await asyncio.wait({self._task})
        content, _ = self._content(register)
        if content is not None:
            try:
                self._checkpoints.save(content)
            except OSError as exc:
                self._complain(exc)
