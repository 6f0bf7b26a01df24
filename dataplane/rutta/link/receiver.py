"""The receiving end of a Balance link: the state machine ``Receiver`` on one ROUTER socket."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from rutta.link.incoming import Credit, Receiver
from rutta.link.judging import is_sound, lines_of
from rutta.link.protocol import Data, Delivery, Parcel, decode, unpack_times
from rutta.link.wire import Wire
from rutta.listeners import Intake
from rutta.message import Block, Receipt
from rutta.net.flow import Valve

READ_AT_ONCE: Final = 32  # messages, before others get their turn; one acknowledgement answers them
TICK: Final = 0.25  # seconds between looks at who is silent


def block_of(parcel: Parcel) -> Block:
    """Make the block of a parcel, as the first listener made it."""
    return Block(
        parcel.payload,
        codec=parcel.codec,
        context=parcel.context,
        times=unpack_times(parcel.times, parcel.count),
        hop=parcel.hop,
        origin=parcel.origin,
        received=parcel.received,
        count=parcel.count,
    )


def offer(intake: Intake, parcel: Parcel) -> Receipt:
    """Hand a parcel over; one that is not sound is refused, counted, and done with."""
    if is_sound(parcel):
        return intake.offer(block_of(parcel))
    intake.refuse("framing", lines_of(parcel))
    refused = Receipt()
    refused.release()
    return refused


class BalanceReceiver:
    """One ``serve``: from a bound socket to the last sender's parting."""

    def __init__(self, socket: Any, intake: Intake, *, delivery: Delivery, name: str, credit: Credit) -> None:
        """Owns the socket."""
        self._loop = asyncio.get_running_loop()
        self._intake = intake
        self._owes = False
        self._gone = asyncio.Event()
        self.receiver = Receiver(
            self._offer, full=lambda: intake.full, delivery=delivery, name=name, credit=credit, owing=self._owing
        )
        self._valve = Valve(intake, shut=lambda: None, open_again=self._renew)
        self._wire = Wire(socket, self._wake)
        self._timer = self._loop.call_later(TICK, self._tick)

    def _offer(self, parcel: Parcel) -> Receipt:
        return offer(self._intake, parcel)

    def _wake(self) -> bool:
        now = self._loop.time()
        more = self._read(now)
        self._flush()
        self._valve.check()
        return more

    def _read(self, now: float) -> bool:
        for _ in range(READ_AT_ONCE):
            frames = self._wire.receive()
            if frames is None:
                return False
            message = decode(frames[1]) if len(frames) > 1 else None
            if isinstance(message, Data) and len(frames) != 3:
                message = None
            self.receiver.receive(frames[0], message, frames[2] if len(frames) > 2 else b"", now)
        return True

    def _flush(self) -> None:
        """Write what is owed. An answer without room is let go: the next ping asks again."""
        self._owes = False
        receiver = self.receiver
        receiver.flush()
        if receiver.out:
            out, receiver.out = receiver.out, []
            for identity, frames in out:
                self._wire.send((identity, *frames))
        if receiver.leaving and not receiver.sessions:
            self._gone.set()

    def _owing(self) -> None:
        """Receipts are done one by one; one answer tells of all that are done in this turn of the loop."""
        if not self._owes and not self._wire.closed:
            self._owes = True
            self._loop.call_soon(self._flush_later)

    def _flush_later(self) -> None:
        if not self._wire.closed:
            self._flush()

    def _renew(self) -> None:
        self.receiver.renew()
        self._flush()

    def _tick(self) -> None:
        """Read first: after a long pause of this process the senders' pings are here already."""
        self._timer = self._loop.call_later(TICK, self._tick)
        now = self._loop.time()
        if not self._read(now):
            self.receiver.tick(now)
        self._wire.look_again()
        self._flush()
        self._valve.check()

    def leave(self) -> None:
        """Ask every sender to finish."""
        self.receiver.leave()
        self._flush()

    async def run(self) -> None:
        """Serve until every sender has parted after ``leave``; closes the socket, also when cancelled."""
        try:
            await self._gone.wait()
        finally:
            self._timer.cancel()
            await self._valve.close()
            self._wire.close()

    def status(self) -> Mapping[str, Any]:
        """Senders and counters."""
        receiver = self.receiver
        peers = [
            {"name": session.name, "blocks": session.blocks, "bytes": session.size} for session in receiver.sessions
        ]
        return {
            "peers": peers,
            "connected": len(peers),
            "blocks": receiver.blocks,
            "bytes": receiver.bytes,
            "acks": receiver.acks,
            "duplicates": receiver.duplicates,
            "refused": receiver.refused,
            "pending": receiver.pending,
            "leaving": receiver.leaving,
        }
