"""Events with an error as ExceptionData: the error and its causes, each with its frames."""

from typing import Any, Final

from rutta.events.event import Error, Event, Frame, StackTrace
from rutta.formats import logfmt
from rutta.insights import limits
from rutta.insights.limits import Cuts

_DEEPEST: Final = 16  # causes of causes
_LINES: Final = range(1_000_001)  # line numbers that the service takes


def base(event: Event, error: Error, values: dict[str, Any], cuts: Cuts, severity: int) -> tuple[str, dict[str, Any]]:
    """Return the type of the item and what is its own. The event's text is the property ``message``."""
    text = logfmt.told(event)
    if text:
        values.setdefault("message", text)
    if text != event.text and event.text:
        values.setdefault("template", event.text)
    chain, cause = [], error
    for number in range(1, _DEEPEST + 1):
        chain.append(_details(cause, number, text, cuts))
        if cause.inner is None:
            break
        cause = cause.inner
    return "ExceptionData", {"exceptions": chain, "severityLevel": severity}


def _details(error: Error, number: int, text: str, cuts: Cuts) -> dict[str, Any]:
    """Write one of the chain; type and message must not be empty."""
    kind = error.error_type or "Error"
    found = {
        "id": number,
        "typeName": cuts.text("typeName", kind, limits.NAME),
        "message": cuts.text("exception", error.message or text or kind, limits.MESSAGE),
        "hasFullStack": False,
    }
    if number > 1:
        found["outerId"] = number - 1
    if error.stack_trace is not None and error.stack_trace.frames:
        found |= _stack(error.stack_trace, cuts)
    return found


def _stack(trace: StackTrace, cuts: Cuts) -> dict[str, Any]:
    frames = trace.frames[: limits.FRAMES]
    if len(frames) < len(trace.frames):
        cuts.names.append("stack")
    return {
        "hasFullStack": not trace.dropped_frames_count and len(frames) == len(trace.frames),
        "parsedStack": [_frame(level, frame, cuts) for level, frame in enumerate(frames)],
    }


def _frame(level: int, frame: Frame, cuts: Cuts) -> dict[str, Any]:
    module = (frame.load_module or {}).get("name")
    texts = {
        "method": frame.site or frame.function_name or "?",
        "fileName": frame.file,
        "assembly": module if isinstance(module, str) else None,
    }
    found: dict[str, Any] = {"level": level}
    found |= {key: cuts.text(key, text, limits.NAME) for key, text in texts.items() if text}
    if frame.line_no is not None and frame.line_no in _LINES:
        found["line"] = frame.line_no
    return found
