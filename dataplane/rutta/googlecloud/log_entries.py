"""Events as entries of Google Cloud Logging: https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry.

The payload is a protobuf ``Struct``, whose numbers are doubles: whole numbers that a double cannot hold are written as
text. Limits: https://cloud.google.com/logging/quotas.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from rutta.events import flat
from rutta.events.event import DEBUG, ERROR, FATAL, INFO, LEVEL_WORDS, VERBOSE, WARN, Error, Event
from rutta.events.render import wire
from rutta.events.timestamps import iso
from rutta.formats import logfmt
from rutta.googlecloud.log_places import has_places, http_request, source_location, trace
from rutta.googlecloud.resources import CONTAINER, Resource

LARGEST: Final = 250_000  # bytes of an entry's JSON; the limit is "approximately" 256 KiB of what Google makes of it

_LABELS: Final = 64
_LABEL_KEY: Final = 512  # bytes; the service cuts longer ones, and longer values
_LABEL: Final = 64 * 1024
_SMALL: Final = 1024  # bytes: parts of an entry that are not cut
_EXACT: Final = 2**53
_SEVERITIES: Final = {
    VERBOSE: "DEBUG", DEBUG: "DEBUG", INFO: "INFO", WARN: "WARNING", ERROR: "ERROR", FATAL: "CRITICAL",
}  # fmt: skip
# keys of the v6 form that have a place of their own in an entry; the others are in the payload by their names
_PLACED: Final = frozenset(
    {"id", "parentSpanId", "name", "level", "received", "timestamp", "context", "fields", "event", "labels"}
)
_IN_RESOURCE: Final = {"namespace": "namespace_name", "pod": "pod_name", "container": "container_name"}

encode: Final = msgspec.json.Encoder().encode


class Where(NamedTuple):
    """In which project entries are, and the resource of those that do not name one."""

    project: str
    resource: Resource


def entry(event: Event, where: Where) -> dict[str, Any]:
    """Return the entry of an event, without what the request says for all: log and resource."""
    fields, context = event.fields, event.context
    found: dict[str, Any] = {
        "timestamp": iso(event.timestamp, digits=9),
        "severity": _SEVERITIES[event.level],
        "insertId": event.id.hex(),
    }
    if event.span is not None or event.parent_span_id or has_places(fields) or has_places(context):
        fields, context = dict(fields), dict(context)
        found.update(trace(event, where.project))
        found.update(source_location(fields, context))
        found.update(http_request(fields, context))
    if where.resource.type == CONTAINER and context.keys() >= _IN_RESOURCE.keys():
        context = dict(context)
        found["resource"] = _of_container(context, where.resource)
    found["labels"], left = _labels(event, context)
    found["jsonPayload"] = _payload(event, fields, left)
    return found


def _of_container(context: dict[str, Any], ours: Resource) -> dict[str, Any]:
    """Name the container that an event came from, and take it out of the context; pods' labels are named as by GKE."""
    own = {label: flat.shown(context.pop(key)) for key, label in _IN_RESOURCE.items()}
    if isinstance(labels := context.get("labels"), dict):
        del context["labels"]
        context.update((f"k8s-pod/{key}", value) for key, value in labels.items())
    return {"type": ours.type, "labels": {**ours.labels, **own}}


def _labels(event: Event, context: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the labels, and what of the context can be none for number or size."""
    labels = {"logger": event.name} if event.name else {}
    left: dict[str, Any] = {}
    for key, value in (*event.labels.items(), *context.items()) if event.labels else context.items():
        if value is None:
            continue
        text = value if type(value) is str else flat.shown(value)
        name = key if key not in labels else f"context.{key}"
        if len(labels) < _LABELS and _fits(name, _LABEL_KEY) and _fits(text, _LABEL):
            labels[name] = text
        else:
            left[key] = value
    return labels, left


def _fits(text: str, most: int) -> bool:
    size = len(text)
    return 0 < size * 4 <= most or 0 < len(text.encode(errors="replace")) <= most or (not size and most == _LABEL)


def _payload(event: Event, fields: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the event says: message and template as in the original, what its kind has, and the fields."""
    payload: dict[str, Any] = {"message": _told(event)}
    if event.text:
        payload["value"] = event.text
    if event.level == VERBOSE:  # its severity is debug's
        payload["level"] = LEVEL_WORDS[VERBOSE]
    if event.kind != "event" or event.gauges or event.error is not None or event.money is not None:
        payload.update(_of_kind(event))
    if left:
        payload["context"] = _exact(dict(left))
    for key, value in fields.items():
        name = key
        while name in payload:
            name = f"fields.{name}"
        payload[name] = value if type(value) is str else _exact(value)
    return payload


def _told(event: Event) -> str:
    """Fill the text; an error follows as it is printed, which is where Error Reporting looks for it."""
    text = logfmt.told(event) or event.name
    return text if event.error is None else "\n".join(filter(None, (text, *_printed(event.error))))


def _printed(error: Error) -> Iterator[str]:
    parts = dict(flat.errors(error))
    prefix, lead = "error", ""
    while any(f"{prefix}.{part}" in parts for part in ("message", "type", "stack")):
        head = (parts.get(f"{prefix}.type"), parts.get(f"{prefix}.message"))
        yield lead + ": ".join(filter(None, head))
        yield parts.get(f"{prefix}.stack", "")
        prefix, lead = f"{prefix}.inner", "Caused by: "


def _of_kind(event: Event) -> dict[str, Any]:
    """Return what else the event has, in the v6 form; a span's ids are in the entry."""
    whole: dict[str, Any] = msgspec.to_builtins(wire(event))
    found = {key: _exact(value) for key, value in whole.items() if key not in _PLACED}
    if event.kind == "event":
        del found["type"]
    if not event.gauges:
        del found["gauges"]
    if "spanContext" in found:
        span = {key: value for key, value in found.pop("spanContext").items() if key not in ("traceId", "spanId")}
        found["spanContext"] = span
    if event.parent_span_id:
        found["parentSpanId"] = event.parent_span_id.hex()
        found.get("spanContext", {}).pop("parentSpanId", None)
    return found


def _exact(value: Any) -> Any:
    """Write whole numbers that a double does not hold exactly as text."""
    if type(value) is int:
        return value if -_EXACT <= value <= _EXACT else str(value)
    if type(value) is dict:
        return {key: _exact(one) for key, one in value.items()}
    return [_exact(one) for one in value] if isinstance(value, list | tuple) else value


def shortened(whole: dict[str, Any]) -> bytes | None:
    """Write an entry that is too large with its largest parts cut; the payload's ``truncated`` names them.

    None if it is made of so many small parts that it is still too large.
    """
    payload, labels = whole["jsonPayload"], whole["labels"]
    for key in [key for key, text in labels.items() if len(text) > _SMALL]:
        payload[f"labels.{key}"] = labels.pop(key)
    if "truncated" in payload:
        payload["fields.truncated"] = payload.pop("truncated")
    sizes = sorted(((len(encode(value)), key) for key, value in payload.items()), reverse=True)
    cut = payload["truncated"] = list[str]()
    excess = len(encode(whole)) - LARGEST
    for size, key in sizes:
        if excess <= 0 or size <= _SMALL:
            break
        cut.append(key)
        excess += len(encode(key)) + 1
        while excess > 0 and payload[key]:  # more than once: an object has more to escape as a text
            text = flat.shown(payload[key]).encode(errors="replace")
            payload[key] = text[: max(0, len(text) - excess)].decode(errors="ignore")
            left = len(encode(payload[key]))
            size, excess = left, excess + left - size
    return encode(whole) if excess <= 0 else None
