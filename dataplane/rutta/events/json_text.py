"""JSON as text: check lines, cut inputs into objects, and read values that msgspec refuses.

Limits: an input may be nested as deep as msgspec goes (about 900 levels; deeper is an error), but what looks inside
an event sees ``MAX_DEPTH`` levels of a value: a deeper one is kept as its JSON text, and so is a number that no
64-bit float (or no integer of 4 300 digits) can hold. As it came, a number passes as its digits.
"""

import operator
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw

from rutta.errors import DecodeError

MAX_DEPTH: Final = 100
BOM: Final = b"\xef\xbb\xbf"
SPACE: Final = b" \t\r\n"

_Object = msgspec.defstruct("_Object", [], gc=False)
check = msgspec.json.Decoder(_Object).decode
"""Check that a text is one JSON object, decoding nothing of it. Its UTF-8 is not checked: see ``is_utf8``."""

MAX_OBJECTS: Final = 300_000
"""How many braces one single input (an http body, a datagram, a message) may open, nested ones and those in texts
included, and how many items an array of it may have. More would hold the event loop for seconds."""

MAX_NEWLINES: Final = 1_000_000
"""How many newlines one single input may have."""

UNSAID: Final = DecodeError("not an object")
"""What is wrong with an input whose reason nobody will read: it is counted, and cost no words."""

_any = msgspec.json.Decoder().decode
_raw_object = msgspec.json.Decoder(dict[str, Raw]).decode
_raw_array = msgspec.json.Decoder(list[Raw]).decode
_only_objects = msgspec.json.Decoder(list[_Object]).decode  # type: ignore[valid-type]  # stops at the first item that is none
REFUSED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for input."""

# Half a surrogate pair, as JavaScript writes a text cut in two. Whole pairs and escaped backslashes match first.
_HALVES: Final = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u])|\\u[dD][89a-fA-F][0-9a-fA-F]{2}", re.DOTALL
)
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def is_utf8(data: bytes) -> bool:
    """Check the encoding of a whole block (msgspec does not look at values it skips)."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def refusal(exc: Exception) -> DecodeError:
    """Say what was found wrong with an input (one of ``REFUSED``) in our words."""
    if isinstance(exc, UnicodeDecodeError):
        return DecodeError(f"byte {exc.start} is not UTF-8", word="encoding")
    if isinstance(exc, RecursionError):
        return DecodeError("the input is nested too deep", word="depth")
    text = str(exc)
    if text.startswith("Expected `object`, got `"):
        return DecodeError(f"expected an object, got {_ARTICLES.get(text[24:-1], text[24:-1])}")
    if "truncated" in text:
        return DecodeError("not JSON: the input ends too early")
    return DecodeError(f"not JSON: {text.removeprefix('JSON is malformed: ')}")


_ARTICLES: Final = {
    "array": "an array", "int": "a number", "float": "a number", "str": "a string", "bool": "a boolean", "null": "null",
}  # fmt: skip


def oversize(data: bytes) -> DecodeError | None:
    """Say whether one single input holds more than is decoded at once, before anything of it is."""
    if len(data) <= min(MAX_OBJECTS, MAX_NEWLINES):  # too short to hold so many, and counting costs
        return None
    if data.count(b"{") > MAX_OBJECTS:
        return DecodeError(f"the input holds more than {MAX_OBJECTS} objects; send it in parts", word="oversize")
    if data.count(b"\n") > MAX_NEWLINES:
        return DecodeError(f"the input has more than {MAX_NEWLINES} lines; send it in parts", word="oversize")
    return None


Input = tuple[int, int | None, bytes | DecodeError]


def inputs(data: bytes, *, lines: bool, said: int) -> Iterator[Input]:
    """Cut a block into objects: (number of its line, its index in an array, the object on one line or what is wrong).

    A line that is an array of objects is several. Without ``lines`` the data is one input: an object or an array,
    which may stretch over lines, or else lines; see ``oversize``, and ``_stray`` for its arrays. After ``said``
    errors the reason is mostly ``UNSAID``: lines of garbage must not cost more than events.
    """
    data = data.removeprefix(BOM)
    if not lines and not _is_ndjson(data):
        for index, one in _several(data, single=True, said=said):
            yield 0, index, one
        return
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n")):
        line = line.strip(SPACE)
        if not line:
            continue
        if line[:1] != b"[" or (said <= 0 and line[-1:] != b"]"):
            one = _one(line, quick=said <= 0)
            said -= one.__class__ is DecodeError
            yield number, None, one
            continue
        for index, one in _several(line, single=not lines, said=said):
            said -= one.__class__ is DecodeError
            yield number, index, one


def objects_of_array(data: bytes) -> list[bytes] | None:
    """Cut an array into its objects, each on one line, at once; ``None`` if it is not an array of objects only.

    The decoder checks every item on its way to the next, so what begins with a brace is an object.
    """
    if not is_utf8(data) or _stray(data) is not None:
        return None
    try:
        items = list(map(bytes, _raw_array(data)))
    except REFUSED:
        return None
    if set(map(_FIRST, items)) - _BRACE:
        return None
    if b"\n" in data or b"\r" in data:
        items = [msgspec.json.format(item, indent=-1) for item in items]
    return items


_FIRST: Final = operator.itemgetter(0)
_BRACE: Final = frozenset(b"{")


def _is_ndjson(data: bytes) -> bool:
    """Tell whether the first line is a value by itself, and more follow."""
    first, newline, rest = data.strip(SPACE).partition(b"\n")
    if not newline or not rest:
        return False
    try:
        _any_raw(first)
    except REFUSED:
        return False
    return True


_any_raw = msgspec.json.Decoder(Raw).decode


def _several(text: bytes, *, single: bool, said: int) -> Iterator[tuple[int | None, bytes | DecodeError]]:
    """Yield an object, or the objects of an array with their indexes."""
    if text.lstrip(SPACE)[:1] != b"[":
        yield None, _one(text, quick=said <= 0)
        return
    try:
        text.decode()
        if single and (stray := _stray(text)) is not None:
            yield stray
            return
        items = _raw_array(text)
    except REFUSED as exc:
        yield None, UNSAID if said <= 0 else refusal(exc)
        return
    for index, item in enumerate(items):
        one = _one(bytes(item), quick=said <= 0)
        said -= one.__class__ is DecodeError
        yield index, one


def _stray(array: bytes) -> tuple[int, DecodeError] | None:
    """Find what makes a single input's array be refused whole, before its items are held: the first that is no object.

    Looked for where the first item is none, or where there may be more than ``MAX_OBJECTS``: an array of objects
    only has no more items than braces, which ``oversize`` has counted.
    """
    if array.lstrip(SPACE)[1:].lstrip(SPACE)[:1] in _OPENINGS and (
        len(array) <= MAX_OBJECTS or array.count(b",") < MAX_OBJECTS
    ):
        return None
    try:
        _only_objects(array)
    except msgspec.ValidationError as exc:
        reason, _, path = str(exc).partition(" - at `$[")
        return int(path.removesuffix("]`")), refusal(msgspec.ValidationError(reason))
    except REFUSED:  # no JSON: whoever decodes it comes as far as this
        pass
    return None


_OPENINGS: Final = (b"{", b"]")


def _one(text: bytes, *, quick: bool) -> bytes | DecodeError:
    """Return an object on one line, halves of surrogate pairs replaced, or what is wrong; ``quick``: no matter what."""
    text = text.strip(SPACE)
    if quick and (text[:1] != b"{" or text[-1:] != b"}"):
        return UNSAID
    if not text:
        return DecodeError("the input is empty", word="empty")
    try:
        return _object(text)
    except REFUSED as exc:
        if b"\\ud" in text.lower() and (whole := _without_halves(text)) is not None:
            return whole
        return UNSAID if quick else refusal(exc)


def _object(text: bytes) -> bytes:
    """Check an object and put it on one line; one of ``REFUSED`` if it is none."""
    text.decode()
    check(text)
    return msgspec.json.format(text, indent=-1) if b"\n" in text or b"\r" in text else text


def _without_halves(text: bytes) -> bytes | None:
    try:
        return _object(_HALVES.sub(lambda match: match[1] or rb"\ufffd", text))
    except REFUSED:
        return None


# --- looking inside ---------------------------------------------------------------------------------------------


def value(text: bytes) -> dict[str, Any]:
    """Decode an object that ``inputs`` has passed; what cannot be held in values is kept as its JSON text."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        try:
            found: dict[str, Any] = _any(text)
        except REFUSED:
            return _soft_object(text, 0)
        return found
    try:
        return _soft_object(text, 0)
    except REFUSED:  # near msgspec's own limit, which counts the Python frames above it, too
        return {"type": "event", "event": text.decode(errors="replace")}


def strict_value(text: bytes) -> dict[str, Any]:
    """Decode an object that ``inputs`` has passed; ``DecodeError`` for what ``value`` would keep as text."""
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and depth(text) > MAX_DEPTH:
        raise DecodeError(f"the input is nested deeper than {MAX_DEPTH} levels", word="depth")
    try:
        found: dict[str, Any] = _any(text)
    except REFUSED as exc:
        raise refusal(exc) from exc
    return found


def _soft_object(text: bytes, level: int) -> dict[str, Any]:
    return {key: _soft(bytes(raw), level + 1) for key, raw in _raw_object(text).items()}


def _soft(text: bytes, level: int) -> Any:
    """Decode a value; go two levels down (``fields``, a gauge) to keep the loss of form small."""
    try:
        if depth(text) <= MAX_DEPTH - level:
            return _any(text)
    except REFUSED:
        pass
    if level < 3 and text[:1] == b"{":
        return _soft_object(text, level)
    return text.decode(errors="replace")


def depth(text: bytes) -> int:
    """Count how deep a checked JSON text is nested."""
    deepest = level = 0
    for match in _BRACKETS.finditer(text):
        step = match[0]
        if step in (b"[", b"{"):
            level += 1
            deepest = max(deepest, level)
        elif step in (b"]", b"}"):
            level -= 1
    return deepest
