"""What a target is. Each module beside this one is one: a docstring, a frozen ``Config``, a ``make``.

A component's file name is its key. ``make(config, name)`` builds it without touching the network. A module may name
``BATCH``, its own defaults for gathering, and ``from_uri(uri) -> dict`` for URIs that carry more than a query.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rutta.message import Batch, Columns


class Lost(NamedTuple):
    """An event that was not delivered: which batch of the call, which row of it, and why in words."""

    batch: int
    row: int
    reason: str


class Outcome(NamedTuple):
    """What became of the batches of one ``send``: what is not named here is delivered.

    ``retry``: try these again, not before ``after`` seconds if given. ``rejected``: never again; they are dropped and
    counted under ``word`` (of ``message.DROP_WORDS``).
    """

    retry: Sequence[Lost] = ()
    rejected: Sequence[Lost] = ()
    after: float | None = None
    word: str = "rejected"


DELIVERED = Outcome()


class Gathering(NamedTuple):
    """How much one ``send`` takes at most: events, bytes, and for how long (seconds) it waits for more."""

    max_events: int = 1_000_000
    max_bytes: int = 8 * 2**20
    max_delay: float = 0.01
    concurrency: int = 1  # how many sends may be under way at once; more than one gives up order


class Target(Protocol):
    """Takes events somewhere."""

    @property
    def columns(self) -> Columns:
        """What it reads of an event beside the line as it came; ``formats.columns_of`` knows it for a format."""

    async def open(self) -> None:
        """Connect. ``Retry`` when the other side is away; called again before the next send after a bug."""

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Deliver several batches at once, in order.

        Raises ``Retry`` or ``Reject`` for all of them; returns an ``Outcome`` when some differ. Returning means
        delivered: acknowledged by the other side, written, whatever the target's page says. Anything else it raises
        is a bug: the target is closed, opened again, and a batch that met three bugs is given up.
        """

    async def close(self) -> None:
        """Flush and let go of everything. Called once, also after a failed ``open``."""
