"""A process at one end of a link, for tests that kill it: writes lines to a file, or passes blocks on closed.

link_end.py file PATH BIND DELIVERY HEARTBEAT     the address it bound is printed; SIGTERM stops it in order
link_end.py pass ADDRESS BIND DELIVERY HEARTBEAT
"""

import asyncio
import os
import signal
import sys
from typing import Any

from rutta.conversion import convert
from rutta.link.opaque import Opaque
from rutta.listeners import link as link_listener
from rutta.message import NOTHING, Block, Receipt
from rutta.targets import link as link_target


class Intake:
    """Never full; blocks are done when they are written, or when the next tier has acknowledged them."""

    full = False

    def __init__(self, write: Any) -> None:
        self._write = write
        self._passing: set[asyncio.Task[None]] = set()

    async def room(self) -> None:
        return

    def offer(self, block: Block) -> Receipt:
        receipt = Receipt(block.count)
        task = asyncio.get_running_loop().create_task(self._pass(block, receipt))
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        return receipt

    async def _pass(self, block: Block, receipt: Receipt) -> None:
        await self._write(block)
        receipt.release()

    async def end(self) -> None:
        if self._passing:
            await asyncio.wait(self._passing, timeout=10)


async def main(kind: str, where: str, bind: str, delivery: str, beat: str) -> None:
    target = None
    if kind == "pass":
        target = link_target.make(
            convert({"addresses": where.split(","), "heartbeat": beat}, link_target.Config), "out"
        )
        await target.open()

        async def write(block: Block) -> None:
            await target.send([Opaque().decode(block, NOTHING)])
    else:
        out = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

        async def write(block: Block) -> None:
            os.write(out, block.data)

    given = {"bind": bind, "delivery": delivery, "heartbeat": beat}
    listener = link_listener.make(convert(given, link_listener.Config), kind)
    print((await listener.bind())[0], flush=True)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, listener.stop)
    intake: Any = Intake(write)
    await listener.serve(intake)
    await intake.end()
    if target is not None:
        await target.close()


asyncio.run(main(*sys.argv[1:]))
