"""Plain ZeroMQ from peers that are not ours: reads messages off a PULL or SUB socket and offers them as blocks.

Frames of a message are concatenated. Messages that are one line each share a block; any other message is a block of its
own, so that its codec sees all of it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import zmq

from rutta.link.wire import Wire
from rutta.listeners import Intake
from rutta.message import Block
from rutta.net.flow import Valve, room_within

READ_AT_ONCE: Final = 2000  # messages, before others get their turn
BLOCK: Final = 256 * 1024  # bytes of messages in one block
LAST_CALL: Final = 1.0  # seconds for which a stopping listener still reads what is here

# Codecs of which a message without a newline inside is a line; JSON arrays are not lines.
_LINE_STARTS: Final = {"json": b"{", "auto": b"", "plain": b""}


class ForeignReader:
    """One ``serve`` on a bound or connected socket."""

    def __init__(self, socket: Any, intake: Intake, *, codec: str) -> None:
        """Owns the socket."""
        self._loop = asyncio.get_running_loop()
        self._intake = intake
        self._start = _LINE_STARTS.get(codec)
        self._stopped = asyncio.Event()
        self._lines: list[bytes] = []
        self._size = 0
        self.messages = 0
        self._wire = Wire(socket, self._wake)
        self._valve = Valve(intake, shut=self._wire.pause, open_again=self._wire.resume)

    def _wake(self) -> bool:
        receive = self._wire.receive
        more = True
        for _ in range(READ_AT_ONCE):
            frames = receive()
            if frames is None:
                more = False
                break
            self._take(frames)
            if self._size >= BLOCK:
                self._offer_lines()
            if self._valve.is_shut:  # a line is offered before whatever shuts it, so none is left behind
                return False
        self._offer_lines()
        return more and not self._valve.is_shut

    def _take(self, frames: Sequence[bytes]) -> None:
        self.messages += 1
        message = frames[0] if len(frames) == 1 else b"".join(frames)
        if not message.strip():
            self._intake.refuse("empty")
        elif self._start is not None and message.startswith(self._start) and b"\n" not in message:
            self._lines.append(message)
            self._size += len(message) + 1
        else:
            self._offer_lines()
            self._offer(Block(message, lines=False))

    def _offer_lines(self) -> None:
        if self._lines:
            self._lines.append(b"")
            data = b"\n".join(self._lines)
            self._lines.clear()
            self._size = 0
            self._offer(Block(data))

    def _offer(self, block: Block) -> None:
        self._intake.offer(block)
        self._valve.check()

    def stop(self) -> None:
        """Read what is here already, then end."""
        self._stopped.set()

    async def run(self) -> None:
        """Serve until ``stop``; closes the socket, also when cancelled."""
        try:
            await self._stopped.wait()
            await self._last_call()
        finally:
            await self._valve.close()
            self._wire.close(0)

    async def _last_call(self) -> None:
        until = self._loop.time() + LAST_CALL
        while self._loop.time() < until and int(self._wire.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            if not await room_within(self._intake, until - self._loop.time()):
                return
            self._wire.look_again()
            await asyncio.sleep(0)

    def status(self) -> Mapping[str, Any]:
        """Counters."""
        return {"messages": self.messages}
