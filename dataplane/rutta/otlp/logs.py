"""Events as log records (opentelemetry.proto.logs.v1.LogRecord); docs/targets/otlp.md says what goes where."""

import struct
from typing import Any, Final

from msgspec import structs

from rutta.events import correlation, flat
from rutta.events.event import LEVEL_WORDS, Error, Event
from rutta.formats import logfmt
from rutta.net.protobuf import FIXED64, NUMBER, SMALL, field, length, tag_of, varint
from rutta.otlp.resources import ATTRIBUTE, EVENT_NAME, TEMPLATE, UID, Split
from rutta.otlp.values import Attributes, attributes, encoded, key_value

# https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber; the index is the level
SEVERITIES: Final = (0, 1, 5, 9, 13, 17, 21)

_BODY, _TRACE, _SPAN, _NAME = map(tag_of, (5, 9, 10, 12))
_TIMES: Final = struct.Struct("<cQcQ").pack
_TIME, _OBSERVED = tag_of(1, FIXED64), tag_of(11, FIXED64)
_LEVELS: Final = tuple(
    tag_of(2, NUMBER) + varint(number) + field(tag_of(3), word.encode()) + _BODY
    for number, word in zip(SEVERITIES, LEVEL_WORDS, strict=True)
)
_UID: Final = field(ATTRIBUTE, key_value(UID, "0" * 32))[:-32]
_STRING: Final = tag_of(1)
_fields: Final = Attributes(ATTRIBUTE)


def record(event: Event, split: Split) -> bytes:
    """Write an event of any kind as a LogRecord; ``split`` is its context."""
    if event.kind != "event" or event.gauges or event.money is not None or event.error is not None:
        return _record(event, everything(event, split.rest), logfmt.told(event))
    if not split.taken.isdisjoint(event.fields) or not split.is_plain:
        return _record(event, everything(event, split.rest), logfmt.filled(event)[0])
    if "{" in event.text or event.parent_span_id:
        return _record(event, {**event.fields, **split.rest}, logfmt.filled(event)[0])
    return _plain(event, split.attributes)


def _plain(event: Event, rest: bytes) -> bytes:
    """Write the usual event: a text, fields and context."""
    text = event.text.encode("utf-8", "replace")
    size = len(text)
    short = SMALL[size] if size < 1 << 14 else varint(size)
    parts = [
        _times(event), _LEVELS[event.level], length(1 + len(short) + size), _STRING, short, text,
        _UID, event.id.hex().encode(), rest,
    ]  # fmt: skip
    _fields.add(parts, event.fields)
    return b"".join(parts)


def _times(event: Event) -> bytes:
    """Write both times; what is before 1970 cannot be said and is left out."""
    return _TIMES(_TIME, max(0, event.timestamp), _OBSERVED, max(0, event.received))


def _record(event: Event, values: dict[str, Any], text: str) -> bytes:
    trace, span = correlation.take(event, values)
    name = event.kind if event.user else values.get(EVENT_NAME)
    if not isinstance(name, str):
        name = ""
    elif values.get(EVENT_NAME) == name:
        del values[EVENT_NAME]
    if text != event.text and event.text:
        values[TEMPLATE] = event.text
    parts = [
        _times(event), _LEVELS[event.level], _sized(field(_STRING, encoded(text))),
        attributes(ATTRIBUTE, {UID: event.id.hex(), **values}.items()),
    ]  # fmt: skip
    ends = ((_TRACE, trace), (_SPAN, span), (_NAME, encoded(name)))
    parts += [field(tag, value) for tag, value in ends if value]
    return b"".join(parts)


def _sized(value: bytes) -> bytes:
    return length(len(value)) + value


def everything(event: Event, rest: dict[str, Any]) -> dict[str, Any]:
    """Name all that an event has (``flat``), its error by the semantic conventions of exceptions."""
    found = flat.properties(structs.replace(event, context=rest, error=None))
    if event.error is not None:
        found.update(exception(event.error))
    return found


def exception(error: Error) -> dict[str, str]:
    """Name the parts of an error: ``exception.type``, …, its causes ``exception.inner.…``.

    https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/
    """
    return {
        "exception" + key.removeprefix("error").replace(".stack", ".stacktrace"): text
        for key, text in flat.errors(error)
    }
