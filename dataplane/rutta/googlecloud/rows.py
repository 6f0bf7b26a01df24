"""Events as rows of BigQuery: the original's columns, and the whole event as JSON in the last."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from rutta import formats
from rutta.events.event import Event
from rutta.events.timestamps import iso
from rutta.formats import logfmt
from rutta.message import Batch

SCHEMA: Final[Sequence[Mapping[str, str]]] = (
    {"name": "level", "type": "INT64", "mode": "REQUIRED", "description": "1 verbose … 6 fatal"},
    {"name": "event", "type": "STRING", "description": "the text, or what it is about"},
    {"name": "money_amount", "type": "NUMERIC"},
    {"name": "money_currency", "type": "STRING"},
    {"name": "name", "type": "STRING", "mode": "REQUIRED"},
    {"name": "timestamp", "type": "TIMESTAMP", "mode": "REQUIRED"},
    {"name": "json", "type": "STRING", "description": "the whole event"},
)

_NANO: Final = Decimal("1e-9")  # NUMERIC has nine decimals
_WIDE: Final = Context(prec=50)
_LARGEST: Final = Decimal(10) ** 29
_encode: Final = msgspec.json.Encoder().encode


def rows(batch: Batch) -> list[bytes]:
    """Write each event as an element of ``rows`` in a request of ``tabledata.insertAll``."""
    lines = formats.encode_lines(batch, formats.Format("json"))
    return [
        _encode({"insertId": event.id.hex(), "json": columns(event, line)})
        for event, line in zip(formats.events(batch), lines, strict=True)
    ]


def columns(event: Event, line: bytes) -> dict[str, Any]:
    """Return the columns of one event; absent ones are null."""
    found = {
        "level": event.level,
        "event": event.text or logfmt.about(event),
        "name": event.name,
        "timestamp": iso(event.timestamp, digits=6),
        "json": line.decode(),
    }
    if event.money is not None and (amount := numeric(event.money.value)) is not None:
        found |= {"money_amount": amount, "money_currency": event.money.unit.text}
    return found


def numeric(value: object) -> str | None:
    """Write a number as NUMERIC takes it: 29 digits before the point, 9 after it; None if it is none, or too large."""
    try:
        found = Decimal(str(value))
        if not found.is_finite() or abs(found) >= _LARGEST:
            return None
        rounded = found.quantize(_NANO, ROUND_HALF_EVEN, _WIDE)
        return f"{rounded:f}".rstrip("0").rstrip(".")
    except InvalidOperation:
        return None
