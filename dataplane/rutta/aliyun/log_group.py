"""Events as a ``LogGroup`` in protobuf: https://www.alibabacloud.com/help/en/sls/developer-reference/data-encoding.

The contents of a log are names and texts: the original's (``Host``, ``Level``, ``LoggerName``, ``Msg``, …) and what
else an event has, by the names of ``events/flat.py``.
"""

import functools
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from rutta.events import flat, units
from rutta.events.event import LEVEL_WORDS, Event
from rutta.events.timestamps import iso
from rutta.formats import logfmt
from rutta.net.protobuf import field, length, tag_of, varint

_KEY_BYTES: Final = 128
_VALUE_BYTES: Final = 2**20
_RESERVED: Final = frozenset(
    {"__time__", "__source__", "__topic__", "__partition_time__", "_extract_others_", "__extract_others__"}
)
_HOSTS: Final = ("host", "hostname", "node")

_LOGS, _TOPIC, _SOURCE, _TAGS = tag_of(1), tag_of(3), tag_of(4), tag_of(6)
_KEY, _VALUE = tag_of(1), tag_of(2)  # of contents and of tags
_CONTENTS: Final = tag_of(2)
_TIME: Final = varint(1 << 3)  # wire type 0, a varint
_TIME_NS: Final = varint(4 << 3 | 5)  # wire type 5, four bytes
_LAST_SECOND: Final = 2**32 - 1


def log(event: Event, host: str) -> bytes:
    """Write an event as a ``Log``, as an element of its group; ``host`` stands for one that names none."""
    seconds, rest = divmod(event.timestamp, 10**9)
    if not 0 <= seconds <= _LAST_SECOND:  # before 1970 or after 2106: TimeOffSet tells
        seconds, rest = min(max(seconds, 0), _LAST_SECOND), 0
    parts = [_TIME, varint(seconds)]
    found = contents(event, host)
    for name, data in zip(map(_name, found), _texts(found), strict=True):
        size = length(len(data))
        parts += (_CONTENTS, length(len(name) + len(size) + len(data)), name, size, data)
    parts += (_TIME_NS, struct.pack("<I", rest))
    return field(_LOGS, b"".join(parts))


def _texts(found: Mapping[str, str]) -> list[bytes]:
    try:
        return list(map(str.encode, found.values()))
    except UnicodeEncodeError:  # halves of surrogate pairs, which codec ``binary`` may bring
        return [text.encode(errors="replace") for text in found.values()]


def group(logs: Sequence[bytes], *, topic: str, source: str, tags: Mapping[str, str]) -> bytes:
    """Write the group of logs that were written."""
    pairs = (field(_KEY, key.encode()) + field(_VALUE, text.encode()) for key, text in tags.items())
    return b"".join(
        (
            *logs,
            field(_TOPIC, topic.encode(errors="replace")) if topic else b"",
            field(_SOURCE, source.encode()),
            *(field(_TAGS, pair) for pair in pairs),
        )
    )


def contents(event: Event, host: str) -> dict[str, str]:
    """Return the contents of an event's log."""
    values = flat.texts(replace(event, gauges={}) if event.gauges else event)
    message = logfmt.told(event)
    found = {
        "Host": next((values.pop(key) for key in _HOSTS if key in values), host),
        "TimeOffSet": iso(event.timestamp, digits=9),
        "Level": LEVEL_WORDS[event.level],
        "LoggerName": event.name,
        "Msg": message,
    }
    if event.text != message and event.text:
        found["MsgTemplate"] = event.text
    if event.span is not None:
        found["Label"] = event.span.label
    found["Id"] = event.id.hex()
    if event.kind != "event":
        found["Kind"] = event.kind
    for key, gauge in event.gauges.items():
        symbol = units.symbol(gauge.unit)
        found[f"{key} ({symbol})" if symbol else key] = flat.shown(gauge.value)
    for key, text in values.items():
        found[key if key not in found and key not in _RESERVED else _free(found, key)] = text
    return _shortened(found) if max(map(len, found.values())) * 4 > _VALUE_BYTES else found


def _free(found: Mapping[str, str], key: str) -> str:
    key = f"fields.{key}"
    while key in found:
        key = f"fields.{key}"
    return key


def _shortened(found: dict[str, str]) -> dict[str, str]:
    """Cut texts at what the service takes; ``Truncated`` names those that were."""
    cut = []
    for key, text in found.items():
        data = text.encode(errors="replace")
        if len(data) > _VALUE_BYTES:
            cut.append(key)
            found[key] = data[:_VALUE_BYTES].decode(errors="ignore")
    if cut:
        found["Truncated"] = ",".join(cut)[:_VALUE_BYTES]
    return found


@functools.lru_cache(maxsize=4096)
def _name(key: str) -> bytes:
    """Write a content's key, and the tag of its value: never empty, at most as long as may be, cut at a character."""
    data = key.encode(errors="replace")
    if len(data) > _KEY_BYTES:
        data = data[:_KEY_BYTES].decode(errors="ignore").encode()
    return field(_KEY, data or b"_") + _VALUE
