"""What every target has beside its own settings: a buffer, a batch, a way to retry. The same keys in URIs and CRDs."""

from typing import Annotated

from msgspec import Meta, Struct

from rutta.queue import WhenFull
from rutta.settings import Duration, Size, default
from rutta.targets import Gathering


class Buffer(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a target may hold before it says full, and what happens then."""

    max_bytes: Annotated[Size, Meta(description="bytes that may wait for this target, in memory")] = default(
        Size, "64Mi"
    )
    when_full: Annotated[
        WhenFull,
        Meta(
            description="Block holds the senders back; DropNewest refuses what comes, DropOldest what waited "
            "longest; drops are counted"
        ),
    ] = "Block"


class BatchSettings(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How much one request to a target takes; absent keys follow the target's own limits."""

    max_events: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="events in one request at most")] = None
    max_bytes: Annotated[Size | None, Meta(description="bytes gathered for one request; one batch may exceed it")] = (
        None
    )
    max_delay: Annotated[Duration | None, Meta(description="how long to wait for more events")] = None

    def over(self, own: Gathering) -> Gathering:
        """Return a target's own limits with what is set here instead."""
        return own._replace(
            max_events=self.max_events or own.max_events,
            max_bytes=own.max_bytes if self.max_bytes is None else int(self.max_bytes),
            max_delay=own.max_delay if self.max_delay is None else float(self.max_delay),
        )


class RetrySettings(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How a request that failed is tried again."""

    initial: Annotated[Duration, Meta(description="first pause; doubles with every failure, with jitter")] = default(
        Duration, "100ms"
    )
    max: Annotated[Duration, Meta(description="longest pause")] = default(Duration, "30s")
    budget: Annotated[
        Duration | None, Meta(description="give an event up, counted, when it failed for so long; absent: never")
    ] = None


class TargetSettings(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What every target has beside its own settings."""

    buffer: Buffer = Buffer()
    batch: BatchSettings = BatchSettings()
    retry: RetrySettings = RetrySettings()
