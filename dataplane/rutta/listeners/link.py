"""Listener ``link``: blocks from our own senders (docs/protocol.md).

It takes no codec: every block names its own. ``delivery`` is this side's promise, and the senders keep to it:
AtMostOnce acknowledges on receipt, AtLeastOnce when every target here is done with the block.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import zmq
from msgspec import Meta, Struct

from rutta.link import wire
from rutta.link.broadcast import RECEIVE_HWM, BroadcastReceiver
from rutta.link.curve import CurveServer, Domain
from rutta.link.curve import serve as serve_curve
from rutta.link.incoming import Credit
from rutta.link.protocol import AT_LEAST_ONCE, Delivery, Pattern
from rutta.link.receiver import BalanceReceiver
from rutta.listeners import Intake
from rutta.net import bindings
from rutta.settings import Duration, Size, default

EXAMPLE: Final[Mapping[str, Any]] = {"bind": "127.0.0.1:0"}
CONTROL: Final = 64  # messages that are no blocks and may wait to be read, too


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a link's receiving end."""

    bind: Annotated[str, Meta(description="addresses to listen on: host:port, host:port")] = "0.0.0.0:5555"
    pattern: Annotated[
        Pattern, Meta(description="Balance: senders share their blocks out; Broadcast: they send to everybody, lossy")
    ] = "Balance"
    delivery: Annotated[
        Delivery, Meta(description="acknowledge on receipt (AtMostOnce) or when the targets are done (AtLeastOnce)")
    ] = "AtMostOnce"
    credit_bytes: Annotated[
        Size, Meta(description="bytes that all senders together may have under way, at least 64 KiB each")
    ] = default(Size, "16Mi")
    credit_blocks: Annotated[
        int, Meta(ge=8, description="blocks that all senders together may have under way, at least 2 each")
    ] = 1024
    max_block_bytes: Annotated[
        Size, Meta(description="a sender with a longer block than this is cut off; only huge events exceed 1 MiB")
    ] = default(Size, "64Mi")
    heartbeat: Annotated[Duration, Meta(description="time between the pings of the transport")] = default(
        Duration, "2s"
    )
    curve: Annotated[CurveServer | None, Meta(description="let in only clients with CURVE")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        bindings.parse(self.bind)
        if self.pattern == "Broadcast" and self.delivery == AT_LEAST_ONCE:
            raise ValueError("AtLeastOnce needs pattern Balance: a broadcast is not acknowledged")
        if self.heartbeat <= 0:
            raise ValueError("heartbeat must be longer than 0s")


def make(config: Config, name: str) -> "Link":
    """Build the listener."""
    return Link(config, name)


class Link:
    """Owns its socket from ``bind`` to the end of ``serve``."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch no network."""
        self._config = config
        self._name = name
        self._socket: Any = None
        self._domain: Domain | None = None
        self._end: BalanceReceiver | BroadcastReceiver | None = None
        self._bound: tuple[str, ...] = ()
        self._stopped = False

    async def bind(self) -> Sequence[str]:
        """Bind all addresses."""
        sockets = await bindings.bind(self._config.bind, listener=self._name)
        shown = tuple(map(bindings.shown, sockets))
        wire.acquire()
        try:
            self._socket = self._open()
        except BaseException:
            bindings.close(sockets)
            await wire.release()
            raise
        for address, sock in zip(shown, sockets, strict=True):
            wire.adopt(self._socket, sock, address)
        self._bound = shown
        return shown

    def _open(self) -> Any:
        config = self._config
        broadcast = config.pattern == "Broadcast"
        settings = wire.options(
            heartbeat=config.heartbeat,
            send=1024,  # answers to one sender; more are let go, the next one says it all
            receive=RECEIVE_HWM if broadcast else config.credit_blocks // 4 + CONTROL,
            largest=config.max_block_bytes,
            ipv6=False,
        )
        socket = wire.open_socket(zmq.SUB if broadcast else zmq.ROUTER, settings)
        if config.curve is not None:
            try:
                self._domain = serve_curve(socket, config.curve, owner=f"listener {self._name}")
            except BaseException:
                socket.close(0)
                raise
        return socket

    async def serve(self, intake: Intake) -> None:
        """Take blocks until ``stop``; return when every sender has got its acknowledgements and has parted."""
        try:
            if not self._stopped:
                self._end = self._begin(intake)
                await self._end.run()
        finally:
            self._socket.close(wire.LINGER)
            if self._domain is not None:
                self._domain.close()
            await wire.release()

    def _begin(self, intake: Intake) -> BalanceReceiver | BroadcastReceiver:
        config = self._config
        if config.pattern == "Broadcast":
            return BroadcastReceiver(self._socket, intake)
        credit = Credit(config.credit_bytes, config.credit_blocks)
        return BalanceReceiver(self._socket, intake, delivery=config.delivery, name=self._name, credit=credit)

    def stop(self) -> None:
        """Tell the senders to finish."""
        if not self._stopped:
            self._stopped = True
            if self._end is not None:
                self._end.leave()
            elif self._socket is not None:
                self._socket.close(0)

    def status(self) -> Mapping[str, Any]:
        """Addresses, senders, counters."""
        config = self._config
        counts = {} if self._end is None else self._end.status()
        denied = {} if self._domain is None else {"denied": self._domain.denied}
        promise = {"delivery": config.delivery} if config.pattern == "Balance" else {}
        return {"bound": list(self._bound), "pattern": config.pattern, **promise, **counts, **denied}
