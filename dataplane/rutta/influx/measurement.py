"""Events as InfluxDB line protocol: one event, one point.

What becomes of an event (the original's rules, with its losses mended):

| name | text  | gauges | measurement   | fields                                                    |
|------|-------|--------|---------------|-----------------------------------------------------------|
| –    | blank | 0      | ``MISSING``   | ``value=0``                                               |
| –    | text  | 0      | text          | ``value=1i``                                              |
| set  | any   | 0      | name          | ``value=1i``, ``event="text"``                            |
| –    | text  | 1      | text.gauge    | the gauge as ``value``                                    |
| –    | blank | 1      | gauge's name  | the gauge as ``value``                                    |
| set  | any   | 1      | name.gauge    | the gauge as ``value``, the text, if any, as ``event``    |
| –    | text  | n      | text          | each gauge by its name                                    |
| –    | blank | n      | first's name  | the first (by name) as ``value``, the others by name      |
| set  | any   | n      | name          | each gauge by its name, the text, if any, as ``event``    |

The level, the tags, labels, and the context keys that are allowed become tags; fields, other context and the error
become fields. A key that is taken, or reserved by InfluxDB, gets the prefix ``fields.`` (``context.``, ``labels.``).
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import json

from rutta.events import units
from rutta.events.event import LEVEL_WORDS, Error, Event, Gauge, Span, Unit
from rutta.influx.line_protocol import LARGEST, SMALLEST, key, name_of, quote, scalar, tag

DIVISORS: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}

_SPAN_KINDS: Final = ("internal", "client", "server", "consumer", "producer")
_RESERVED: Final = frozenset({"", "time", "_time", "_field", "_measurement"})
_DEEPEST: Final = 8  # errors within errors


class Rules(NamedTuple):
    """What is configurable: context keys that become tags, ns per unit of time, lists and objects as JSON or not."""

    allowed_tags: frozenset[str]
    divisor: int = 1
    nested: bool = False


def lines(events: Iterable[Event], rules: Rules) -> list[str]:
    """Write one point per event, without a newline behind it."""
    return [line(event, rules) for event in events]


def line(event: Event, rules: Rules) -> str:
    """Write one point."""
    tags = {"level": LEVEL_WORDS[event.level]}
    fields: dict[str, str] = {}
    measurement = _measure(event, fields, tags)
    values: Mapping[str, Any] = event.fields
    if "tags" in values or event.gauges or event.gauge is not None:
        values = _tag_words(event, values, tags)
    if values:
        _add(values, fields, "fields.", rules)
    if event.context:
        _add_context(event.context, fields, tags, rules)
    if event.error is not None:
        _add_error(event.error, fields)
    body = ",".join([start + fields[name] for name, start in _order(tuple(fields))])
    return f"{name_of(measurement)}{_head(tuple(tags.items()))} {body or 'value=0'} {event.timestamp // rules.divisor}"


@functools.lru_cache(maxsize=1024)
def _order(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Sort and escape keys; events of one place in a program have the same."""
    return [(name, f"{key(name)}=") for name in sorted(names)]


@functools.lru_cache(maxsize=4096)
def _head(tags: tuple[tuple[str, str], ...]) -> str:
    """Sort and write tags; few sets of them are many events'."""
    return "".join([f",{key(name)}={tag(value)}" for name, value in sorted(tags)])


# --- what the measurement is, and its own fields ----------------------------------------------------------------


def _measure(event: Event, fields: dict[str, str], tags: dict[str, str]) -> str:
    """Add what the kind of the event is about; return the measurement."""
    if event.money is not None:
        add_gauge("monetaryValue", event.money, fields)
    if event.parent_span_id:
        fields["parentSpanId"] = quote(event.parent_span_id.hex())
    special = _KINDS.get(event.kind)
    if special is not None:
        return special(event, fields, tags)
    return _from_table(event.name, event.text, event.gauges, fields)


def _from_table(name: str, text: str, gauges: Mapping[str, Gauge], fields: dict[str, str]) -> str:
    """Go by the table above; a blank text is one of white space."""
    if name and not gauges:
        fields["value"] = "1i"
        fields["event"] = quote(text)
        return name
    text = text if text.strip() else ""
    if not gauges:
        fields["value"] = "1i" if text else "0"
        return text or "MISSING"
    if name and text:
        fields["event"] = quote(text)
    if len(gauges) == 1:
        ((gauge_name, only),) = gauges.items()
        add_gauge("value", only, fields)
        return ".".join([part for part in (name or text, gauge_name) if part]) or "MISSING"
    first = min(gauges)
    is_nameless = not name and not text
    for gauge_name, one in gauges.items():
        add_gauge("value" if gauge_name == first and is_nameless else gauge_name, one, fields)
    return name or text or first or "MISSING"


def add_gauge(name: str, gauge: Gauge, fields: dict[str, str]) -> None:
    """Add the value, the unit if it has a name, and what people read unless it is a bare number."""
    value = scalar(gauge.value)
    if value is None:
        return
    name = f"gauges.{name}" if name in _RESERVED or name in fields else name
    fields[name] = value
    unit = unit_name(gauge.unit)
    if unit:
        fields[name + "_unit"] = quote(unit)
    if gauge.unit.kind != "scalar":
        fields[name + "_f"] = quote(units.display(gauge))


def unit_name(unit: Unit) -> str:
    """The name of a unit; composite ones have none."""
    word = units.WORDS.get(unit.kind)
    return word[0] if word else unit.text if unit.kind in ("currency", "other") else ""


def _of_gauge(event: Event, fields: dict[str, str], tags: dict[str, str]) -> str:
    if event.gauge is not None:
        add_gauge("value", event.gauge, fields)
    return _with_labels(event, fields, tags)


def _of_histogram(event: Event, fields: dict[str, str], tags: dict[str, str]) -> str:
    fields["sum"] = scalar(event.sum) or "0"
    for bound, count in event.buckets.items():
        fields[bound] = scalar(count) or "0"
    return _with_labels(event, fields, tags)


def _with_labels(event: Event, fields: dict[str, str], tags: dict[str, str]) -> str:
    for name, one in event.gauges.items():
        add_gauge(name, one, fields)
    for label, value in event.labels.items():
        if value:
            tags[f"labels.{label}" if label in tags or label in _RESERVED or label == "tags" else label] = value
    return event.name or "MISSING"


def _of_span(event: Event, fields: dict[str, str], tags: dict[str, str]) -> str:
    span = event.span or Span()
    measurement = _from_table(event.name, span.label, event.gauges, fields)
    fields["label"] = quote(span.label)
    for name, identity in (("traceId", span.trace_id), ("spanId", span.span_id), ("parentSpanId", span.parent_span_id)):
        if identity:
            fields[name] = quote(identity.hex())
    fields["kind"] = quote(_SPAN_KINDS[span.kind] if 0 <= span.kind < len(_SPAN_KINDS) else str(span.kind))
    if span.finished:
        fields["duration"] = f"{span.finished - span.started}i"
    for name, value in (span.status or {}).items():
        encoded = scalar(value)
        if encoded is not None and name != "type":
            fields[f"status.{name}"] = encoded
    return measurement


def _of_user(event: Event, fields: dict[str, str], tags: dict[str, str]) -> str:
    measurement = _from_table(event.name, event.kind, event.gauges, fields)
    for name, value in event.user.items():
        encoded = scalar(value)
        if encoded is not None:
            fields[f"user.{name}" if name in fields else name] = encoded
    return measurement


_Special = Callable[[Event, dict[str, str], dict[str, str]], str]
_KINDS: Final[dict[str, _Special]] = {
    "gauge": _of_gauge, "histogram": _of_histogram, "span": _of_span,
    "identifyUser": _of_user, "setUserProperty": _of_user, "forgetUser": _of_user,
}  # fmt: skip


# --- tags, fields, context, errors ------------------------------------------------------------------------------


def _tag_words(event: Event, values: Mapping[str, Any], tags: dict[str, str]) -> Mapping[str, Any]:
    """Make one tag of the set of tags, to which ``gauge`` belongs when there is one; return the other fields."""
    given = values.get("tags")
    words = {"gauge"} if event.gauges or event.gauge is not None else set()
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        words.update(word for word in given if word.strip())
        values = {name: value for name, value in values.items() if name != "tags"}
    if words:
        tags["tags"] = ",".join(sorted(words))
    return values


def _add(values: Mapping[str, Any], fields: dict[str, str], prefix: str, rules: Rules) -> None:
    """Add what can be written of ``values``; a key that is taken or reserved gets ``prefix``.

    This loop is most of the cost of a point, so texts and integers are written without a call.
    """
    for name, value in values.items():
        kind = type(value)
        encoded: str | None
        if kind is str:
            encoded = quote(value) if '"' in value or "\\" in value else f'"{value}"'
        elif kind is int and SMALLEST <= value <= LARGEST:
            encoded = f"{value}i"
        else:
            encoded = scalar(value)
            if encoded is None and rules.nested and isinstance(value, list | dict):
                encoded = quote(json.encode(value).decode())
            if encoded is None:
                continue
        fields[prefix + name if name in fields or name in _RESERVED else name] = encoded


def _add_context(context: Mapping[str, Any], fields: dict[str, str], tags: dict[str, str], rules: Rules) -> None:
    allowed = rules.allowed_tags
    others = {}
    for name, value in context.items():
        if name in allowed and name not in tags and name not in _RESERVED and (text := _tag_text(value)):
            tags[name] = text
        else:
            others[name] = value
    if others:
        _add(others, fields, "context.", rules)


def _tag_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return (scalar(value) or "").removesuffix("i")


def _add_error(error: Error, fields: dict[str, str]) -> None:
    """Add an error and its causes: ``error.message``, ``error.type``, ``error.stack``, ``error.inner.message``, …"""
    prefix = "error"
    cause: Error | None = error
    for _ in range(_DEEPEST):
        if cause is None:
            return
        for name, text in (("message", cause.message), ("type", cause.error_type), ("stack", _stack(cause))):
            if text:
                fields[f"{prefix}.{name}"] = quote(text)
        prefix += ".inner"
        cause = cause.inner


def _stack(error: Error) -> str:
    if error.stack_trace is None:
        return ""
    found = []
    for frame in error.stack_trace.frames:
        place = f" in {frame.file}" if frame.file else ""
        number = f":{frame.line_no}" if frame.line_no is not None else ""
        found.append(f"at {frame.site or frame.function_name or '?'}{place}{number}")
    return "\n".join(found)
