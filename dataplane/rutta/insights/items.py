"""Events as telemetry items: one event, one item, so that none goes twice because another of the same event failed.

https://learn.microsoft.com/azure/azure-monitor/app/data-model-complete and the schemas that ``limits`` names.

    event                    MessageData (trace), or EventData if told so; with an error ExceptionData
    gauge, histogram         MetricData: a measurement, an aggregation
    span                     RequestData (server, consumer), RemoteDependencyData (all others)
    what is said of users    EventData
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import structs

from rutta import VERSION
from rutta.events import correlation, flat, units
from rutta.events.event import LEVEL_WORDS, Event
from rutta.events.numbering import Numbering
from rutta.events.timestamps import iso
from rutta.formats import logfmt
from rutta.insights import exceptions, limits, operations
from rutta.insights.limits import Cuts

# Verbose 0, Information 1, Warning 2, Error 3, Critical 4; the index is the level
SEVERITIES: Final = (0, 0, 0, 1, 2, 3, 4)

_SDK: Final = f"rutta:{VERSION}"[:64]
_ENVELOPE: Final = "Microsoft.ApplicationInsights."
_NAMES: Final = {
    "MessageData": "Message", "EventData": "Event", "ExceptionData": "Exception", "MetricData": "Metric",
    "RequestData": "Request", "RemoteDependencyData": "RemoteDependency",
}  # fmt: skip
_USERS: Final = frozenset({"identifyUser", "setUserProperty", "forgetUser"})
# Context key → tag, the first that is there
_TAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "ai.cloud.role": ("service", "serviceName", "service.name"),
    "ai.cloud.roleInstance": ("pod", "host", "hostname", "host.name"),
    "ai.application.ver": ("serviceVersion", "build_version", "service.version"),
    "ai.user.id": ("userId", "user.id"),
    "ai.location.ip": ("ip", "clientIp", "client.address"),
}
_TAG_OF: Final = {key: tag for tag, keys in _TAGS.items() for key in keys}
_ORDER: Final = {key: number for number, key in enumerate(_TAG_OF)}
_encode: Final = msgspec.json.Encoder().encode


class Rules(NamedTuple):
    """What is configurable."""

    texts_are_events: bool
    track_dependencies: bool
    numbering: Numbering


class Item(NamedTuple):
    """An item but for its key, how many texts of it were cut, and whether it is small enough."""

    line: bytes
    cuts: int
    fits: bool


Base = tuple[str, dict[str, Any]]


def item(event: Event, rules: Rules) -> Item:
    """Write an event as an envelope without ``iKey`` and its opening brace (``keyed`` puts them)."""
    is_bare = event.error is None and event.span is None
    values = flat.properties(event if is_bare else structs.replace(event, error=None, span=None))
    cuts, measurements = Cuts(), _measurements(event, values)
    trace, parent = correlation.take(event, values)
    tags = _tags(event, values, trace, parent)
    kind, data = _base(event, rules, values, cuts)
    properties = cuts.properties(values)
    data |= {"ver": 2, "properties": properties}
    if measurements and kind != "MetricData":
        data["measurements"] = measurements
    cuts.note(properties)
    found: dict[str, Any] = {
        "name": _ENVELOPE + _NAMES[kind], "time": iso(event.timestamp, digits=7), "seq": str(event.timestamp),
        "sampleRate": 100, "tags": tags,
        "data": {"baseType": kind, "baseData": data},
    }  # fmt: skip
    return _written(found, len(cuts.names))


def _written(found: dict[str, Any], cuts: int) -> Item:
    line = _encode(found)
    if len(line) < _ROOM:
        return Item(line[1:], cuts, True)
    limits.shrink(found)
    line = _encode(found)
    return Item(line[1:], cuts + 1, len(line) < _ROOM)


_ROOM: Final = limits.ITEM - 64  # for the key


def keyed(line: bytes, key: str) -> bytes:
    """Put the key of the resource in."""
    return b'{"iKey":"' + key.encode() + b'",' + line


def _tags(event: Event, values: dict[str, Any], trace: bytes, parent: bytes) -> dict[str, str]:
    """Return the tags; the context keys that they come from are no properties any more."""
    span = event.span
    if span is not None:
        trace, parent = span.trace_id or trace or event.id, span.parent_span_id or event.parent_span_id
    found = {"ai.internal.sdkVersion": _SDK}
    if trace:
        found["ai.operation.id"] = trace.hex()
    if parent:
        found["ai.operation.parentId"] = parent.hex()
    keys = _TAG_OF.keys() & event.context.keys()
    for key in sorted(keys, key=_ORDER.__getitem__) if len(keys) > 1 else keys:
        tag, value = _TAG_OF[key], event.context[key]
        if tag in found or not isinstance(value, str) or not 0 < len(value) <= limits.TAGS[tag]:
            continue
        if values.get(key) == value:  # no field is called so, too
            found[tag] = value
            del values[key]
    return found


def _measurements(event: Event, values: dict[str, Any]) -> dict[str, float]:
    """Take the numbers of gauges and money out of the named values: they are measurements, their units stay."""
    found = {}
    named = [*event.gauges.items(), *([("monetaryValue", event.money)] if event.money is not None else [])]
    for name, gauge in named:
        key = name if values.get(name) is gauge.value else f"gauges.{name}"
        number = units.as_number(gauge.value)
        if values.get(key) is gauge.value and not isinstance(gauge.value, str) and number - number == 0:
            found[key[: limits.KEY] or "_"] = number
            del values[key]
    return found


# --- what an event becomes ---------------------------------------------------------------------------------------


def _base(event: Event, rules: Rules, values: dict[str, Any], cuts: Cuts) -> Base:
    """Return the type of an item and what is its own; what of ``values`` goes into that is taken out."""
    values.setdefault("id", event.id.hex())
    if event.name:
        values.setdefault("logger", event.name)
    if event.kind == "span" and event.span is not None:
        is_request = operations.is_request(event.span, rules.numbering)
        if is_request or rules.track_dependencies:
            return operations.base(event, event.span, values, cuts, rules.numbering)
        values |= operations.properties(event.span, rules.numbering)
    if event.error is not None:
        return exceptions.base(event, event.error, values, cuts, SEVERITIES[event.level])
    special = _SPECIAL.get(event.kind)
    if special is not None and (found := special(event, values, cuts)) is not None:
        return found
    if event.kind in _USERS or (rules.texts_are_events and event.kind == "event"):
        return _event(event, values, cuts)
    return _message(event, values, cuts)


def _message(event: Event, values: dict[str, Any], cuts: Cuts) -> Base:
    text = _told(event)
    if text != event.text and event.text:
        values.setdefault("template", event.text)
    if event.level in (1, 2):  # both are Verbose there
        values.setdefault("level", LEVEL_WORDS[event.level])
    message = cuts.text("message", text, limits.MESSAGE)
    return "MessageData", {"message": message, "severityLevel": SEVERITIES[event.level]}


def _event(event: Event, values: dict[str, Any], cuts: Cuts) -> Base:
    """The name is the text with its placeholders unfilled: few names for many events."""
    name = event.kind if event.user else event.text or event.name or event.kind
    text = _told(event)
    if text != name:
        values.setdefault("message", text)
    values.setdefault("level", LEVEL_WORDS[event.level])
    return "EventData", {"name": cuts.text("name", name, limits.EVENT_NAME)}


def _told(event: Event) -> str:
    """Say what an event is about; the service refuses an empty message."""
    if event.span is not None:
        return event.span.label or event.name or event.kind
    return logfmt.told(event) or event.name or event.kind


def _gauge(event: Event, values: dict[str, Any], cuts: Cuts) -> Base | None:
    """A metric; None if what is measured is no finite number."""
    gauge = event.gauge
    if gauge is None or isinstance(gauge.value, str):
        return None
    number = units.as_number(gauge.value)
    if number - number != 0:
        return None
    for key in ("value", "gauge.value"):
        if values.get(key) is gauge.value:
            del values[key]
            break
    return _metric(event, values, cuts, {"kind": 0, "value": number})


def _histogram(event: Event, values: dict[str, Any], cuts: Cuts) -> Base | None:
    """An aggregation: its sum and count; the buckets are a property."""
    total = units.as_number(event.sum)
    if total - total != 0:
        return None
    for key in ("sum", "histogram.sum"):
        if values.get(key) is event.sum:
            del values[key]
            break
    count = min(2**31 - 1, max(0, round(sum(event.buckets.values()))))
    return _metric(event, values, cuts, {"kind": 1, "value": total, "count": count})


def _metric(event: Event, values: dict[str, Any], cuts: Cuts, point: dict[str, Any]) -> Base:
    values.pop("logger", None)
    name = cuts.text("name", event.name or event.kind, limits.NAME)
    for key, gauge in event.gauges.items():  # metrics have no measurements
        values.setdefault(key, gauge.value)
    return "MetricData", {"metrics": [{"name": name, **point}]}


_SPECIAL: Final[Mapping[str, Callable[[Event, dict[str, Any], Cuts], Base | None]]] = {
    "gauge": _gauge, "histogram": _histogram,
}  # fmt: skip
