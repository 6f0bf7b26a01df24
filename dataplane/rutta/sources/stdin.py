"""Source ``stdin``: the standard input, as lines or whatever the codec cuts; at its end the process has done its work.

At the end of input the source waits until all it read is delivered (or dropped, and counted), and ends. When every
source of a process has ended, the process stops in order: ``zcat old.log.gz | rutta shipper --stdin --link-to …``.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from rutta.errors import ConfigError
from rutta.listeners import Intake
from rutta.message import Block
from rutta.net import framing
from rutta.net.flow import room_or
from rutta.settings import Size, default

log = logging.getLogger("rutta.sources.stdin")

INPUT: Final = 0  # the file descriptor
READ: Final = 256 * 1024  # bytes taken at once; a pipe holds 64 KiB, a file gives all


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of the standard input."""

    codec: Annotated[str, Meta(description="what the lines are: auto, json, plain, syslog, log4jxml, binary")] = "auto"
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    max_line_bytes: Annotated[Size, Meta(description="longer lines are dropped and counted")] = default(Size, "1Mi")


def make(config: Config, name: str) -> "Stdin":
    """Build the source."""
    return Stdin(config, name)


class Stdin:
    """The reader of the standard input; never closes it, and leaves its mode as it is (a terminal shares it)."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch nothing yet."""
        self.config = config
        self.name = name
        self._stopping = asyncio.Event()
        self._under_way = 0
        self._done = asyncio.Event()
        self._at_end = False

    async def bind(self) -> Sequence[str]:
        """Look whether there is an input. ConfigError if there was none at the start: the number is another file's."""
        if sys.stdin is None:
            raise ConfigError(f"the source {self.name} cannot read: the standard input is closed")
        return ["the standard input"]

    async def serve(self, intake: Intake) -> None:
        """Read to the end and wait until all is delivered; or until ``stop``, and then leave half a line out."""
        cut = framing.for_codec(self.config.codec, max_bytes=self.config.max_line_bytes)
        framer = cut.start(intake.refuse)
        while not self._stopping.is_set():
            if intake.full:
                await room_or(intake, self._stopping)
                continue
            data = await self._read()
            if data is None:
                break
            self._at_end = not data
            frames = framer.feed(bytearray(data), len(data)) if data else framer.finish()
            for block, lines in cut.blocks(frames) if frames else ():
                self._offer(intake, Block(block, lines=lines))
            if framer.broken:
                log.error("What follows on the standard input cannot be read: %s.", framer.broken,
                          extra={"event": "stdin_broken"})  # fmt: skip
            if self._at_end or framer.broken:
                await self._delivered()
                return
        framer.abandon()

    def _offer(self, intake: Intake, block: Block) -> None:
        self._under_way += 1
        intake.offer(block).on_done(self._one_done)

    def _one_done(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._done.set()

    async def _delivered(self) -> None:
        """Wait until nobody holds anything of what was read, or for ``stop``."""
        while self._under_way and not self._stopping.is_set():
            self._done.clear()
            await _either(self._done, self._stopping)

    async def _read(self) -> bytes | None:
        """Return what there is, nothing at the end of input; None when told to stop first."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        try:
            loop.add_reader(INPUT, readable.set)
        except (PermissionError, ValueError):  # a file, or /dev/null: never to be waited for
            await asyncio.sleep(0)
            return os.read(INPUT, READ)
        try:
            await _either(readable, self._stopping)
        finally:
            loop.remove_reader(INPUT)
        return os.read(INPUT, READ) if readable.is_set() else None

    def stop(self) -> None:
        """Make ``serve`` return."""
        self._stopping.set()

    def status(self) -> Mapping[str, Any]:
        """Whether the end has come, and how many blocks are not delivered yet."""
        return {"atEnd": self._at_end, "underWay": self._under_way}


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(one.wait()), asyncio.ensure_future(other.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
