"""Target ``noop``: take every event and keep none; it only counts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from rutta.message import NOTHING, Batch, Columns
from rutta.targets import DELIVERED, Outcome

EXAMPLE: Final[Mapping[str, Any]] = {}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The noop target has no settings of its own."""


def make(config: Config, name: str) -> "Noop":
    """Build the target; there is nothing to connect to."""
    return Noop()


class Noop:
    """Counts, and forgets."""

    columns: Columns = NOTHING

    def __init__(self) -> None:
        """Start at zero."""
        self._events = 0
        self._bytes = 0

    async def open(self) -> None:
        """Nothing to open."""

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Count the batches and take them."""
        self._events += sum(map(len, batches))
        self._bytes += sum(batch.size for batch in batches)
        return DELIVERED

    async def close(self) -> None:
        """Nothing to close."""

    def status(self) -> Mapping[str, Any]:
        """Say what it has taken: events, and bytes as queues count them."""
        return {"events": self._events, "bytes": self._bytes}
