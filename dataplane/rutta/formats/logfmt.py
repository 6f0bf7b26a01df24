"""Write events as the original's console lines (reference §5.3), with what it forgot: gauges and histograms.

    lvl=info   ts=2024-01-02T03:04:05.678Z evt="alice ordered" recv=… parent=… CONTEXT… FIELDS… name=a.b type=event …

Order: level (the pair padded to ten characters, as the original pads it), time, what it is about (``evt`` and
``money``, ``lbl`` and ``dur``, ``g``, a histogram's ``sum`` and ``buckets``, a user's keys), ``recv``, ``parent``,
context, fields (without those that the text shows; blanks skipped), gauges, labels, name, type, error. A value with
white space is quoted; quotes, newlines and tabs are escaped, other control characters left out.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from rutta.events.event import LEVEL_WORDS, NO_TIME, Error, Event, Frame, Gauge, Kind, Unit
from rutta.events.timestamps import iso
from rutta.events.units import display

# v5's templates have {@user} and {$user}, too.
_PLACEHOLDER: Final = re.compile(r"\{[@$]?([A-Za-z0-9._-]+)\}")
_SPACE: Final = re.compile(r"\s")
_SPECIAL: Final = re.compile(r'["\n\t\x00-\x1f\x7f-\x9f\u2028\u2029]')
_ESCAPED: Final = {'"': '\\"', "\n": "\\n", "\t": "\\t", "\u2028": "\\n", "\u2029": "\\n"}
_NO_KEY: Final = re.compile(r'[\s"=\x00-\x1f\x7f-\x9f]+')
_LEVELS: Final = tuple(f"lvl={word}".ljust(10) for word in LEVEL_WORDS)
_NANOSECONDS: Final = Unit("scaled", of=(Unit("seconds"),), number=1e9)

_JSON: Final = msgspec.json.Encoder().encode

Pairs = Iterator[tuple[str, str]]


def line(event: Event) -> str:
    """Write one event, without a newline."""
    text, shown = filled(event)
    parts = [_LEVELS[event.level]]
    if event.timestamp != NO_TIME:
        parts.append(f"ts={iso(event.timestamp)}")
    if event.kind == "event" and event.money is None:  # the usual one
        if text:
            parts.append(f"evt={quoted(text)}")
    else:
        parts += [f"{key}={quoted(value)}" for key, value in _ABOUT[event.kind](event, text) if value]
    if event.received:
        parts.append(_received(event.received))
    if event.parent_span_id:
        parts.append(f"parent={event.parent_span_id.hex()}")
    for values in (event.context, event.fields):
        for key, value in values.items():
            if key in shown:
                continue
            if type(value) is int or type(value) is float:  # nothing to quote
                parts.append(f"{_key(key)}={shown_as(value)}")
            elif said := value if type(value) is str else shown_as(value):
                parts.append(f"{_key(key)}={quoted(said)}")
    if event.gauges or event.labels:
        parts += [f"{_key(key)}={quoted(value)}" for key, value in _measured(event) if value]
    parts.append(_kind(event.name, event.kind))
    if event.error is not None:
        parts += [f"{key}={quoted(value)}" for key, value in _error("error", event.error) if value]
    return " ".join(parts)


def quoted(text: str) -> str:
    """Escape a value, and quote it if it has white space in it."""
    if text.isprintable():  # then there is nothing else to escape, and no other white space
        bare = text.replace('"', '\\"') if '"' in text else text
        return f'"{bare}"' if " " in bare else bare
    bare = _SPECIAL.sub(lambda match: _ESCAPED.get(match[0], ""), text)
    return f'"{bare}"' if _SPACE.search(text) else bare


def filled(event: Event) -> tuple[str, frozenset[str]]:
    """Fill the text's ``{placeholders}`` from fields, then context; also return the keys that it shows now."""
    if "{" not in event.text:
        return event.text, frozenset()
    shown: set[str] = set()

    def fill(match: re.Match[str]) -> str:
        for values in (event.fields, event.context):
            found = _find(values, match[1])
            if found is not None:
                shown.add(match[1])
                return shown_as(found)
        return match[0]

    return _PLACEHOLDER.sub(fill, event.text), frozenset(shown)


def _find(values: Mapping[str, Any], path: str) -> Any:
    """Look a placeholder up: by its whole name, or along its dots through nested objects."""
    if path in values:
        return values[path]
    found: Any = values
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def shown_as(value: Any) -> str:
    """Show a value: text as it is, a fraction as ``1/3``, everything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if type(value) is int:
        return str(value) if -(10**18) < value < 10**18 else str(_JSON(value), "utf-8")
    if isinstance(value, dict) and value.get("type") == "fraction" and isinstance(value.get("value"), list):
        return "/".join(map(str, value["value"]))
    return str(_JSON(value), "utf-8")


def _measured(event: Event) -> Pairs:
    for key, gauge in event.gauges.items():
        yield key, display(gauge)
    yield from event.labels.items()


@functools.lru_cache(maxsize=8)
def _received(time: int) -> str:
    """Say when a block came; cached: all its events did at once."""
    return f"recv={iso(time)}"


@functools.lru_cache(maxsize=4096)
def _kind(name: str, kind: Kind) -> str:
    """Say what ends every line; cached: few loggers write many events."""
    return f"name={quoted(name)} type={kind}" if name else f"type={kind}"


@functools.lru_cache(maxsize=4096)
def _key(key: str) -> str:
    return _NO_KEY.sub("_", key)


# --- what the event is about ------------------------------------------------------------------------------------


def _event(event: Event, text: str) -> Pairs:
    yield "evt", text
    if event.money is not None:
        yield "money", display(event.money)


def _gauge(event: Event, text: str) -> Pairs:
    if event.gauge is not None:
        yield "g", display(event.gauge)


def _histogram(event: Event, text: str) -> Pairs:
    yield "sum", shown_as(event.sum)
    yield "buckets", " ".join(f"{bound}:{shown_as(count)}" for bound, count in event.buckets.items())


def _span(event: Event, text: str) -> Pairs:
    span = event.span
    if span is None:
        return
    yield "lbl", span.label
    if span.finished:
        yield "dur", display(Gauge(span.finished - span.started, _NANOSECONDS))


def _user(event: Event, text: str) -> Pairs:
    for key, value in event.user.items():
        yield key, shown_as(value)


_ABOUT: Final[Mapping[Kind, Callable[[Event, str], Pairs]]] = {
    "event": _event, "gauge": _gauge, "histogram": _histogram, "span": _span,
    "identifyUser": _user, "setUserProperty": _user, "forgetUser": _user,
}  # fmt: skip


def about(event: Event) -> str:
    """Say in one text what an event of any kind is about: what the format ``plain`` writes."""
    if event.kind == "event":
        return event.text
    return " ".join(value for _, value in _ABOUT[event.kind](event, event.text) if value)


# --- errors -----------------------------------------------------------------------------------------------------


def told(event: Event) -> str:
    """Say what an event is about with its placeholders filled, as people read it."""
    return filled(event)[0] or about(event)


def _error(prefix: str, error: Error) -> Pairs:
    if error.message:
        yield f"{prefix}.message", error.message
    if error.error_type:
        yield f"{prefix}.type", error.error_type
    if error.stack_trace is not None:
        yield f"{prefix}.stackTrace", "\n".join(map(_frame, error.stack_trace.frames))
    if error.inner is not None:
        yield from _error(f"{prefix}.inner", error.inner)


def _frame(frame: Frame) -> str:
    site = f"at {frame.site or frame.function_name or '?'}"
    if frame.file is None:
        return site
    return f"{site} in {frame.file}" + (f":{frame.line_no}" if frame.line_no is not None else "")
