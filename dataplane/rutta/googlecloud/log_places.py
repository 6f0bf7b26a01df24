"""What of an event has a place of its own in an entry of Google Cloud Logging: trace, source location, HTTP request.

Events name these by keys that many libraries use, in their fields or their context; what is not as the API wants it
stays where it is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rutta.events.event import Event
from rutta.events.values import Mismatch, event_id, span_id

_TRACES: Final = ("traceId", "trace_id", "trace")
_SPANS: Final = ("spanId", "span_id")
_SAMPLED: Final = ("traceSampled", "trace_sampled")
_TRACE_NAME: Final = re.compile(r"projects/[^/]+/traces/[0-9A-Za-z]+")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")  # W3C §3.2

_CODE: Final = {
    "file": ("code.file.path", "code.filepath"), "line": ("code.line.number", "code.lineno"),
    "function": ("code.function.name", "code.function"),
}  # fmt: skip
_KEYS: Final = frozenset((*_TRACES, *_SPANS, *_SAMPLED, "traceparent", "sourceLocation", "httpRequest", *_CODE["file"]))

Found = Iterator[tuple[str, Any]]
_T = TypeVar("_T")


class SourceLocation(Struct, forbid_unknown_fields=True):
    """https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#LogEntrySourceLocation."""

    file: str | UnsetType = UNSET
    line: int | str | UnsetType = UNSET
    function: str | UnsetType = UNSET


class HttpRequest(Struct, forbid_unknown_fields=True, rename="camel"):
    """https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest; int64 may be text."""

    request_method: str | UnsetType = UNSET
    request_url: str | UnsetType = UNSET
    request_size: int | Annotated[str, Meta(pattern=r"^\d+$")] | UnsetType = UNSET
    status: Annotated[int, Meta(ge=0, lt=2**31)] | UnsetType = UNSET
    response_size: int | Annotated[str, Meta(pattern=r"^\d+$")] | UnsetType = UNSET
    user_agent: str | UnsetType = UNSET
    remote_ip: str | UnsetType = UNSET
    server_ip: str | UnsetType = UNSET
    referer: str | UnsetType = UNSET
    latency: Annotated[str, Meta(pattern=r"^\d{1,12}(\.\d{1,9})?s$")] | UnsetType = UNSET
    cache_lookup: bool | UnsetType = UNSET
    cache_hit: bool | UnsetType = UNSET
    cache_validated_with_origin_server: bool | UnsetType = UNSET
    cache_fill_bytes: int | Annotated[str, Meta(pattern=r"^\d+$")] | UnsetType = UNSET
    protocol: str | UnsetType = UNSET


def has_places(values: Mapping[str, Any]) -> bool:
    """Tell quickly whether there is anything to look for."""
    return not _KEYS.isdisjoint(values)


def trace(event: Event, project: str) -> Found:
    """Yield ``trace``, ``spanId`` and ``traceSampled``: a span's own, or of the span that the event happened in."""
    if (span := event.span) is not None:
        if span.trace_id:
            yield "trace", f"projects/{project}/traces/{span.trace_id.hex()}"
            yield "traceSampled", bool(span.flags & 1)
        if span.span_id:
            yield "spanId", span.span_id.hex()
        return
    if (parent := _text(event, ("traceparent",))) and (match := _TRACEPARENT.fullmatch(parent)):
        yield "trace", f"projects/{project}/traces/{match[1]}"
        yield "spanId", match[2]
        yield "traceSampled", bool(int(match[3], 16) & 1)
    elif found := _trace_name(_text(event, _TRACES), project):
        yield "trace", found
        sampled = next((value for value in _values(event, _SAMPLED) if isinstance(value, bool)), None)
        if sampled is not None:
            yield "traceSampled", sampled
    if event.parent_span_id:
        yield "spanId", event.parent_span_id.hex()
    elif parent is None and (span_text := _hex(span_id, _text(event, _SPANS))):
        yield "spanId", span_text


def _trace_name(text: str | None, project: str) -> str:
    if text is not None and _TRACE_NAME.fullmatch(text):
        return text
    found = _hex(event_id, text)
    return f"projects/{project}/traces/{found}" if found else ""


def _hex(read: Any, text: str | None) -> str:
    try:
        return bytes(read(text)).hex() if text else ""
    except Mismatch:
        return ""


def _values(event: Event, keys: tuple[str, ...]) -> Iterator[Any]:
    for values in (event.fields, event.context):
        for key in keys:
            if key in values:
                yield values[key]


def _text(event: Event, keys: tuple[str, ...]) -> str | None:
    return next((value for value in _values(event, keys) if isinstance(value, str)), None)


def source_location(fields: dict[str, Any], context: dict[str, Any]) -> Found:
    """Yield ``sourceLocation`` if the event tells: as an object so called, or in OpenTelemetry's ``code.…``."""
    found = _taken("sourceLocation", SourceLocation, fields, context)
    if found is None:
        found = _of_code(fields) or _of_code(context)
    if found is not None:
        yield "sourceLocation", found


def _of_code(values: Mapping[str, Any]) -> SourceLocation | None:
    found = {part: next((values[key] for key in keys if key in values), UNSET) for part, keys in _CODE.items()}
    try:
        return (
            None
            if found["file"] is UNSET
            else msgspec.convert({part: value for part, value in found.items() if value is not UNSET}, SourceLocation)
        )
    except msgspec.ValidationError:
        return None


def http_request(fields: dict[str, Any], context: dict[str, Any]) -> Found:
    """Yield ``httpRequest`` if the event has an object so called in the API's form; it is taken out."""
    if (found := _taken("httpRequest", HttpRequest, fields, context)) is not None:
        yield "httpRequest", found


def _taken(key: str, kind: type[_T], *places: dict[str, Any]) -> _T | None:
    for values in places:
        if type(values.get(key)) is dict:
            try:
                found = msgspec.convert(values[key], kind)
            except msgspec.ValidationError:
                continue
            del values[key]
            return found
    return None
