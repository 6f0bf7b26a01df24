"""Events as documents of the Elastic Common Schema (https://www.elastic.co/docs/reference/ecs), version 8.11.

What the schema has a place for goes there; the rest stands under ``rutta`` in the v6 form, so that nothing is lost:

    @timestamp  message  log.level  log.logger  event.id  event.kind  event.created  ecs.version
    event.start  event.end  event.duration  event.outcome  trace.id  span.id  parent.id      of spans
    error.message  error.type  error.stack_trace
    host.name  service.name  container.…  kubernetes.…  labels.…                             of the context
    user.id                                                                                  of the user kinds
"""

import base64
import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from rutta.events import flat
from rutta.events.event import LEVEL_WORDS, Event
from rutta.events.render import wire
from rutta.events.timestamps import iso
from rutta.formats import logfmt

_VERSION: Final = {"version": "8.11.0"}
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "host": ("host", "name"),
    "hostname": ("host", "name"),
    "service": ("service", "name"),
}
# What containerLogs knows; these words mean something else in the context of other sources.
_POD_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    **_PLACES,
    "namespace": ("kubernetes", "namespace"),
    "pod": ("kubernetes", "pod", "name"),
    "uid": ("kubernetes", "pod", "uid"),
    "node": ("kubernetes", "node", "name"),
    "container": ("container", "name"),
    "image": ("container", "image", "name"),
}
_OUTCOMES: Final = {1: "failure", 2: "success"}
_JSON: Final = msgspec.json.Encoder()


@functools.lru_cache(maxsize=64)  # the events of a block were received at one time
def _iso(time: int) -> str:
    return iso(time, digits=9)


def document(event: Event, stamp: str) -> bytes:
    """Write an event as a document; ``stamp`` is its time."""
    message = logfmt.told(event)
    found: dict[str, Any] = {
        "@timestamp": stamp,
        "message": message,
        "log": {"level": LEVEL_WORDS[event.level]},
        "event": {
            "id": base64.urlsafe_b64encode(event.id).decode().rstrip("="),
            "kind": "metric" if event.kind in ("gauge", "histogram") else "event",
            "created": _iso(event.received),
        },
        "ecs": _VERSION,
    }
    if event.name:
        found["log"]["logger"] = event.name
    _context(event.context, found)
    _error(event, found)
    _tracing(event, found)
    user = event.user.get("newUserId", event.user.get("userId"))
    if user is not None:
        found["user"] = {"id": flat.shown(user)}
    found["rutta"] = _rest(event, message)
    return _JSON.encode(found)


def _rest(event: Event, message: str) -> Any:
    """Return the v6 form without what has a place elsewhere."""
    rest: Any = wire(event)
    rest.id = rest.parent_span_id = rest.name = rest.level = rest.received = rest.timestamp = rest.context = UNSET
    rest.fields = rest.fields or UNSET
    rest.gauges = rest.gauges or UNSET
    if rest.event == message:
        rest.event = UNSET
    error = event.error
    if error is None or (error.stack_trace is None and error.inner is None):
        rest.error = UNSET
    return rest


def _context(context: Mapping[str, Any], found: dict[str, Any]) -> None:
    is_pod = "pod" in context
    places = _POD_PLACES if is_pod else _PLACES
    labels: dict[str, str] = {}
    for key, value in context.items():
        place = places.get(key)
        if place is not None and isinstance(value, str) and _put(found, place, value):
            continue
        if is_pod and key in ("labels", "annotations") and isinstance(value, Mapping):
            _put(found, ("kubernetes", key), _flat(value))
        elif value is not None:
            labels[_undotted(key)] = flat.shown(value)
    if labels:
        found["labels"] = labels


def _put(found: dict[str, Any], place: tuple[str, ...], value: Any) -> bool:
    """Put a value where nothing is; tell whether that was so."""
    inner = found
    for step in place[:-1]:
        inner = inner.setdefault(step, {})
    return inner.setdefault(place[-1], value) is value


def _flat(values: Mapping[str, Any]) -> dict[str, str]:
    return {_undotted(key): flat.shown(value) for key, value in values.items() if value is not None}


def _undotted(key: str) -> str:
    """A dot would make an object: ``app`` and ``app.kubernetes.io/name`` could not stand side by side."""
    return key.replace(".", "_")


def _error(event: Event, found: dict[str, Any]) -> None:
    error = event.error
    if error is None:
        return
    told = (("message", error.message), ("type", error.error_type), ("stack_trace", flat.stack(error.stack_trace)))
    found["error"] = {key: value for key, value in told if value}


def _tracing(event: Event, found: dict[str, Any]) -> None:
    span = event.span
    if span is None:
        if event.parent_span_id:  # the span that it happened in
            found["span"] = {"id": event.parent_span_id.hex()}
        return
    found["trace"], found["span"] = {"id": span.trace_id.hex()}, {"id": span.span_id.hex()}
    parent = span.parent_span_id or event.parent_span_id
    if parent:
        found["parent"] = {"id": parent.hex()}
    told = found["event"]
    told["outcome"] = _OUTCOMES.get((span.status or {}).get("code", 0), "unknown")
    if span.started:
        told["start"] = _iso(span.started)
    if span.finished:
        told["end"] = _iso(span.finished)
        told["duration"] = span.finished - span.started
