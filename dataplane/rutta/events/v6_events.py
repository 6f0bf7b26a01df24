"""Lines of JSON to whole events, fast for the common form and right for every other.

The common form is an event of v6 with the schema's own types and no keys but its own: a struct that forbids unknown
keys decodes it in one go; what does not fit (any other kind, v5, gauges, errors, unknown keys) goes by dictionaries.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rutta.events.event import DEBUG, NO_ID, NO_TIME, Event
from rutta.events.json_text import MAX_DEPTH, REFUSED
from rutta.events.timestamps import NANOSECONDS
from rutta.events.values import LEVELS, Mismatch, event_id, unwrap_all
from rutta.rows.columns import whole

Level = Literal["verbose", "debug", "info", "warn", "error", "fatal", 1, 2, 3, 4, 5, 6]
Nanoseconds = Annotated[int, Meta(ge=NANOSECONDS, le=2**63 - 1)]


class _Common(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    type: Literal["event"]
    event: str
    id: str = ""
    name: str | list[str] = ""
    level: Level = DEBUG
    timestamp: Nanoseconds | UnsetType = UNSET
    received: Nanoseconds | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    fields: dict[str, Any] | UnsetType = UNSET
    gauges: dict[str, Any] | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Common).decode
_LEVEL: Final = LEVELS | {level: level for level in range(1, 7)}


def read_lines(lines: Sequence[bytes]) -> list[Event]:
    """Read every line."""
    return [common(line) or whole(line) for line in lines]


def common(line: bytes) -> Event | None:
    """Read a line of the common form, which strict accepts, too; ``None`` if it is not."""
    # Brackets inside of texts count, too: then the slow way finds that it is not deep.
    if line.count(b"{") + line.count(b"[") > MAX_DEPTH:
        return None
    try:
        row = _decode(line)
        id_ = event_id(row.id) if row.id else NO_ID
    except (*REFUSED, Mismatch):
        return None
    if row.gauges:
        return None
    return Event(
        id=id_,
        name=row.name if isinstance(row.name, str) else ".".join(row.name),
        level=_LEVEL[row.level],
        timestamp=NO_TIME if row.timestamp is UNSET else row.timestamp,
        received=0 if row.received is UNSET else row.received,
        text=row.event,
        context={} if row.context is UNSET else unwrap_all(row.context),
        fields={} if row.fields is UNSET else unwrap_all(row.fields),
    )
