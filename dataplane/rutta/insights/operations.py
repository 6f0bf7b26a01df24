"""Spans as RequestData and RemoteDependencyData."""

from collections.abc import Mapping
from typing import Any, Final

from rutta.events import numbering
from rutta.events.event import INFO, LEVEL_WORDS, Event, Span
from rutta.events.flat import errors, shown
from rutta.events.numbering import Numbering
from rutta.insights import limits
from rutta.insights.limits import Cuts

# Fields by OpenTelemetry's semantic conventions, old and new, that have a place of their own; the first that is there
_CODES: Final = ("http.response.status_code", "http.status_code", "rpc.grpc.status_code", "db.response.status_code")
_URLS: Final = ("url.full", "http.url")
_SOURCES: Final = ("client.address", "net.peer.ip")
_TARGETS: Final = ("server.address", "peer.service", "net.peer.name", "db.namespace", "db.name")
_DATA: Final = ("db.query.text", "db.statement", *_URLS)
_SYSTEMS: Final = ("db.system.name", "db.system", "messaging.system", "rpc.system")
_LONGEST: Final = 1000 * 86400 * 10**7 - 1  # ticks of 100 ns: durations are less than 1000 days
_TICK: Final = 100


def is_request(span: Span, counted: Numbering) -> bool:
    """Whether a span is work that was asked for from outside."""
    return numbering.kind(span.kind, counted) in ("server", "consumer")


def base(
    event: Event, span: Span, values: dict[str, Any], cuts: Cuts, counted: Numbering
) -> tuple[str, dict[str, Any]]:
    """Return the type of the item and what is its own; fields that have a place there are no properties any more."""
    found: dict[str, Any] = {
        "id": (span.span_id or event.id[8:]).hex(),
        "name": cuts.text("name", span.label or event.name or event.kind, limits.NAME),
        "duration": duration(span),
        "success": numbering.status((span.status or {}).get("code"), counted) != "error" and event.error is None,
    }
    system = next((shown(values[key]) for key in _SYSTEMS if values.get(key) is not None), "")
    is_http = any(key.startswith(("http.", "url.")) for key in values)
    code = _taken(values, _CODES)
    rest: dict[str, tuple[tuple[str, ...], int]]
    if is_request(span, counted):
        rest = {"url": (_URLS, limits.URL), "source": (_SOURCES, limits.NAME)}
        found["responseCode"] = cuts.text("responseCode", code or "0", limits.NAME)
    else:
        rest = {"target": (_TARGETS, limits.NAME), "data": (_DATA, limits.DATA)}
        found["resultCode"] = cuts.text("resultCode", code or "0", limits.NAME)
        is_inside = numbering.kind(span.kind, counted) == "internal"
        found["type"] = cuts.text("type", system or ("HTTP" if is_http else "InProc" if is_inside else ""), limits.NAME)
    for name, (keys, most) in rest.items():
        if text := _taken(values, keys):
            found[name] = cuts.text(name, text, most)
    values |= {key: value for key, value in properties(span, counted).items() if key not in values}
    if event.error is not None:
        values |= {key: text for key, text in errors(event.error) if key not in values}
    if event.level != INFO:
        values.setdefault("level", LEVEL_WORDS[event.level])
    return ("RequestData" if is_request(span, counted) else "RemoteDependencyData"), found


def properties(span: Span, counted: Numbering) -> dict[str, Any]:
    """Name what of a span has no place of its own."""
    status: Mapping[str, Any] = span.status or {}
    found = {
        "spanKind": numbering.kind(span.kind, counted),
        "status.description": status.get("description"),
        "status.source": status.get("source"),
        "links": list(span.links),
        "events": list(span.events),
        "state": span.state,
        "baggage": span.baggage,
        "unfinished": not span.finished,
    }
    return {key: value for key, value in found.items() if value}


def duration(span: Span) -> str:
    """Write how long a span took: ``d.hh:mm:ss.fffffff``; one that goes on took no time yet."""
    ticks = min(_LONGEST, max(0, span.finished - span.started) // _TICK) if span.finished else 0
    seconds, rest = divmod(ticks, 10**7)
    minutes, hours = seconds // 60, seconds // 3600
    return f"{hours // 24}.{hours % 24:02}:{minutes % 60:02}:{seconds % 60:02}.{rest:07}"


def _taken(values: dict[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        if values.get(key) is not None:
            return shown(values.pop(key))
    return ""
