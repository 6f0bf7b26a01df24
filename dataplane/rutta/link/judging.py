"""What a block must be before anybody works with it: a peer may be broken, or nobody we know."""

from typing import Any, Final

import msgspec

from rutta.link.protocol import Parcel
from rutta.rows.rows import count_lines

CONTEXT: Final = 64 * 1024  # bytes of a context, as JSON
LARGEST_NUMBER: Final = 2**63 - 1


def lines_of(parcel: Parcel) -> int:
    """Count the lines of a parcel's payload, at least one: what is refused with it."""
    return max(1, count_lines(parcel.payload))


def is_sound(parcel: Parcel) -> bool:
    """Whether header and payload agree: one line an event, a time for each or none, a context that is JSON."""
    if parcel.payload[-1:] != b"\n" or parcel.count != count_lines(parcel.payload):
        return False
    if parcel.times is not None and len(parcel.times) != 8 * parcel.count:
        return False
    maker, number = parcel.origin
    if len(maker) != 16 or not 0 < number <= LARGEST_NUMBER:
        return False
    if parcel.hop < 0 or not 0 <= parcel.received <= LARGEST_NUMBER:
        return False
    return parcel.context is None or _is_json(parcel.context)


def _is_json(context: Any) -> bool:
    try:
        text = msgspec.json.encode(context)
        return len(text) <= CONTEXT and isinstance(msgspec.json.decode(text), dict)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return False
