"""Read errors: the schema's objects, and the stack traces that .NET and Java print (reference §3.5).

A trace is read line by line: a line ``Some.Exception: text`` begins an error (the first line also without a colon),
``at SITE`` a frame, ``---> X`` (.NET) or ``Caused by: X`` (Java) what caused the error before it; .NET prints the
frames of the innermost first and closes it with ``--- End of inner exception stack trace ---``. Any other line belongs
to the message of the error that it follows, so nothing of the text is lost.
"""

import re
from typing import Any, Final

from rutta.events.event import Error, Frame, StackTrace
from rutta.events.values import Mismatch, array, expected, mapping, text

_FRAME: Final = re.compile(r"\s*(?:at|vid|bei|à|в) (.+)")
# Traces come from strangers: what follows bounds the work that a text can make, and the depth of what is made of it.
_MAX_LINES: Final = 1000
_MAX_LINE: Final = 1000
_MAX_CAUSES: Final = 50

_NET_PLACE: Final = re.compile(r"(.+?) in (.+?):(?:line |rad |Zeile )?(\d+)")
_JAVA_PLACE: Final = re.compile(r"(.+?\))?\s*(.*?)\(([^():]+\.\w+):(\d+)\)(?:\s*~?\[(.+?)\])?")
_NAME: Final = r"[A-Za-z_$][\w$]*(?:[.+`][\w$]+)*"
_HEAD: Final = re.compile(rf"(?:Exception in thread \".*?\" )?({_NAME})(?:\s*\(0x[0-9A-Fa-f]+\))?(?::\s?(.*))?")
_EXCEPTIONS: Final = ("Exception", "Error", "Throwable", "Failure", "Fault")
_CAUSE: Final = re.compile(r"\s*(?:Caused by: |---> (?:\(Inner Exception #\d+\) )?)(.+)")
_END: Final = re.compile(r"\s*--- (?:End of|Slut på) .*---\s*")
_MORE: Final = re.compile(r"\s*\.\.\. (\d+) (?:more|common frames omitted)\s*")


class _Draft:
    """An error being read."""

    __slots__ = ("dropped", "frames", "kind", "lines")

    def __init__(self) -> None:
        self.kind: str | None = None
        self.lines: list[str] = []
        self.frames: list[Frame] = []
        self.dropped = 0

    def finish(self, inner: Error | None) -> Error:
        message = "\n".join(self.lines).strip() or None
        trace = StackTrace(tuple(self.frames), self.dropped) if self.frames or self.dropped else None
        return Error(message=message, error_type=self.kind, stack_trace=trace, inner=inner)


def parse(trace: str) -> Error:
    """Read a printed stack trace; a text that is none is an error whose message it is."""
    drafts = [_Draft()]
    open_at = 0  # the draft that frames belong to; .NET goes back out of an inner one
    lines = trace.splitlines()
    for index, line in enumerate(lines[:_MAX_LINES]):
        if len(line) > _MAX_LINE:
            drafts[open_at].lines.append(line)
        elif _END.fullmatch(line):
            open_at = max(0, open_at - 1)
        elif (cause := _CAUSE.fullmatch(line)) and len(drafts) < _MAX_CAUSES:
            open_at = _begin(drafts, cause[1])
        elif index == 0 or (open_at == 0 and not drafts[0].kind and _is_head(line)):
            _first(drafts, line)
            open_at = len(drafts) - 1
        else:
            _more(drafts[open_at], line)
    drafts[0].lines += lines[_MAX_LINES:]
    error = Error()
    for index, draft in enumerate(reversed(drafts)):
        error = draft.finish(error if index else None)
    return error


def looks_like(trace: str) -> bool:
    """Tell whether a text is a printed stack trace: it has a frame, or begins with an exception's name."""
    first, *rest = trace.splitlines()[:_MAX_LINES] or [""]
    return _is_head(first) or any(len(line) <= _MAX_LINE and _FRAME.fullmatch(line) for line in rest)


def _is_head(line: str) -> bool:
    head = _HEAD.fullmatch(line.strip()) if len(line) <= _MAX_LINE else None
    return head is not None and _is_exception(head[1])


def _is_exception(name: str) -> bool:
    return any(word in re.split(r"[.+$`]", name)[-1] for word in _EXCEPTIONS)


def _first(drafts: list[_Draft], line: str) -> None:
    """Read a first line; .NET may print the whole chain of causes on it: ``A: x ---> B: y``."""
    if _FRAME.fullmatch(line):
        drafts[-1].frames.append(_frame(line))
        return
    outer, *causes = line.split(" ---> ", _MAX_CAUSES - len(drafts))
    _name(drafts[-1], outer)
    for cause in causes:
        _begin(drafts, cause)


def _begin(drafts: list[_Draft], line: str) -> int:
    """Begin the error that a line names, and those that it says caused this."""
    for cause in line.split(" ---> ", max(0, _MAX_CAUSES - len(drafts) - 1)):
        drafts.append(_Draft())
        _name(drafts[-1], cause, is_cause=True)
    return len(drafts) - 1


def _name(draft: _Draft, line: str, *, is_cause: bool = False) -> None:
    """Tell the exception's name from its text; what is said to be a cause need not be called an exception."""
    head = _HEAD.fullmatch(line.strip())
    if head is not None and (is_cause or _is_exception(head[1])):
        draft.kind = head[1]
        line = head[2] or ""
    if line:
        draft.lines.append(line)


def _more(draft: _Draft, line: str) -> None:
    if _FRAME.fullmatch(line):
        draft.frames.append(_frame(line))
    elif more := _MORE.fullmatch(line):
        draft.dropped += int(more[1][:9])
    elif line.strip() or draft.lines:
        draft.lines.append(line)


def _frame(line: str) -> Frame:
    found = _FRAME.fullmatch(line)
    site = (found[1] if found else line).strip()
    if place := _NET_PLACE.fullmatch(site):
        return Frame(site=place[1], file=place[2], line_no=int(place[3][:9]))
    if place := _JAVA_PLACE.fullmatch(site):
        return Frame(site=(place[1] or "") + place[2], file=place[3], line_no=int(place[4][:9]))
    return Frame(site=site)


# --- the schema's objects ---------------------------------------------------------------------------------------

_ERROR_KEYS: Final = frozenset({"message", "errorType", "stackTrace", "inner"})
_TEXTS: Final = {
    "site": "site", "file": "file", "functionName": "function_name", "sourceVersion": "source_version",
    "originalFunctionName": "original_function_name",
}  # fmt: skip
_NUMBERS: Final = {"lineNo": "line_no", "colNo": "col_no"}


def error(value: object) -> Error | None:
    """Read ``error``: an object of the schema or a printed stack trace; null is none."""
    if value is None:
        return None
    if isinstance(value, str):
        return parse(value)
    given = mapping(value)
    if unknown := given.keys() - _ERROR_KEYS:
        raise Mismatch("is no key of an error", path=f".{min(unknown)}")
    found: dict[str, Any] = {}
    for key, attribute, read in _ERROR:
        one = given.get(key)
        if one is not None:
            try:
                found[attribute] = read(one)
            except Mismatch as problem:
                raise problem.under(key) from None
    return Error(**found)


def _trace(value: object) -> StackTrace:
    given = mapping(value)
    frames: list[Frame] = []
    for index, one in enumerate(array(given.get("frames"))):
        try:
            frames.append(_schema_frame(one))
        except Mismatch as problem:
            raise problem.under(index).under("frames") from None
    return StackTrace(tuple(frames), _count(given.get("droppedFramesCount", 0), "droppedFramesCount"))


def _schema_frame(value: object) -> Frame:
    given = mapping(value)
    found: dict[str, Any] = {}
    for key, one in given.items():
        if one is None:
            continue
        if key in _TEXTS:
            found[_TEXTS[key]] = _under(key, one)
        elif key in _NUMBERS:
            found[_NUMBERS[key]] = _count(one, key)
        elif key == "loadModule":
            found["load_module"] = mapping(one)
        else:
            raise Mismatch("is no key of a frame", path=f".{key}")
    return Frame(**found)


def _under(key: str, value: object) -> str:
    try:
        return text(value)
    except Mismatch as problem:
        raise problem.under(key) from None


def _count(value: object, key: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise expected("a whole number", value).under(key)


_ERROR: Final = (
    ("message", "message", text),
    ("errorType", "error_type", text),
    ("stackTrace", "stack_trace", _trace),
    ("inner", "inner", error),
)
