"""Target ``link``: blocks to our own receivers, a shipper's or proxy's way on (docs/protocol.md).

A send returns when the receiver has acknowledged: on receipt, or when its own targets are done, as the receiver's
``delivery`` says. What a dead receiver had is sent to another (AtLeastOnce) or dropped as ``possibly_lost``
(AtMostOnce). Without a receiver everything is held.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

import zmq
from msgspec import Meta, Struct

from rutta.link import discovery
from rutta.link.broadcast import BroadcastSender
from rutta.link.curve import CurveClient, dial
from rutta.link.discovery import Discovery, Resolver
from rutta.link.packing import BLOCK, Packer, is_over
from rutta.link.protocol import HOP_LIMIT, Pattern
from rutta.link.sender import BalanceSender
from rutta.message import NOTHING, Batch, Columns
from rutta.settings import Duration, Port, default
from rutta.targets import DELIVERED, Gathering, Lost, Outcome

BATCH: Final = Gathering(max_bytes=BLOCK, max_delay=0.005, concurrency=64)
EXAMPLE: Final[Mapping[str, Any]] = {"addresses": ["127.0.0.1:5555"]}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a link to receivers."""

    addresses: Annotated[list[str] | None, Meta(description="the receivers: host:port each; names are resolved")] = None
    dns: Annotated[str | None, Meta(description="a name that has the address of every receiver (headless Service)")] = (
        None
    )
    port: Annotated[Port | None, Meta(description="the receivers' port, with dns")] = None
    pattern: Annotated[
        Pattern, Meta(description="Balance: each block to one receiver; Broadcast: each to every receiver, lossy")
    ] = "Balance"
    refresh: Annotated[Duration, Meta(description="how often names are resolved again, give or take 40 %")] = default(
        Duration, "3s"
    )
    heartbeat: Annotated[
        Duration, Meta(description="time between pings; a receiver is dead after two without an answer")
    ] = default(Duration, "2s")
    curve: Annotated[CurveClient | None, Meta(description="encrypt and authenticate with CURVE")] = None

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if (self.addresses is None) == (self.dns is None):
            raise ValueError("a link needs either addresses or dns and port")
        if (self.dns is None) != (self.port is None):
            raise ValueError("dns and port go together")
        if self.addresses is not None and not self.addresses:
            raise ValueError("addresses is empty: a link needs at least one")
        if self.heartbeat <= 0 or self.refresh <= 0:
            raise ValueError("heartbeat and refresh must be longer than 0s")
        for address in self.addresses or ():
            discovery.parse(address)


def make(config: Config, name: str) -> "Link":
    """Build the target."""
    return Link(config, name)


def from_uri(uri: str) -> dict[str, Any]:
    """Read ``link://host:port,host:port``; ``link://.?dns=…&port=…`` has nothing here."""
    hosts = uri.partition("://")[2].partition("?")[0].strip("/.")
    return {"addresses": hosts.split(",")} if hosts else {}


class Link:
    """Owns the sender behind it."""

    columns: Columns = NOTHING

    def __init__(self, config: Config, name: str, *, resolver: Resolver = discovery.resolve) -> None:
        """Touch no network."""
        self._config = config
        self._packer = Packer()
        places = [discovery.parse(address) for address in config.addresses or ()]
        if config.dns is not None and config.port is not None:
            places = [(config.dns, config.port)]
        self._sender = (BroadcastSender if config.pattern == "Broadcast" else BalanceSender)(
            name,
            heartbeat=config.heartbeat,
            discovery=partial(Discovery, places, interval=config.refresh, resolver=resolver),
            dress=_dress(config.curve, name),
        )

    async def open(self) -> None:
        """Start to look for receivers."""
        await self._sender.open()

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Deliver; cancelled, it forgets what is not acknowledged."""
        over = [at for at, batch in enumerate(batches) if is_over(batch)]
        if over:
            return _too_far(batches, over)
        packed = self._packer.pack(list(enumerate(batches)))
        settled = await self._sender.deliver([one.parcel for one in packed])
        if all(settled):
            return DELIVERED
        lost = [one.lost("its receiver died") for one, fine in zip(packed, settled, strict=True) if not fine]
        return Outcome(rejected=[event for events in lost for event in events], word="possibly_lost")

    async def close(self) -> None:
        """Part from all receivers."""
        await self._sender.close()

    def status(self) -> Mapping[str, Any]:
        """Say what ``/status`` shows: peers with state, credit and what is in flight; counters."""
        return {"pattern": self._config.pattern, **self._sender.status()}


def _too_far(batches: Sequence[Batch], over: Sequence[int]) -> Outcome:
    """Reject what has passed too many links; the others come again, for an outcome has one word only."""
    reason = f"the block has passed {HOP_LIMIT} links: is there a cycle?"
    rejected = [Lost(at, row, reason) for at in over for row in range(len(batches[at]))]
    others = [at for at in range(len(batches)) if at not in over]
    retry = [Lost(at, row, "sent along with what was not sent") for at in others for row in range(len(batches[at]))]
    return Outcome(retry=retry, rejected=rejected, word="hop_limit", after=0 if retry else None)


def _dress(keys: CurveClient | None, name: str) -> Callable[["zmq.Socket[Any]"], None]:
    def dress(socket: "zmq.Socket[Any]") -> None:
        if keys is not None:
            dial(socket, keys, owner=f"link {name}")

    return dress
