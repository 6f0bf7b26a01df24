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

_any = msgspec.json.Decoder().decode
_raw_object = msgspec.json.Decoder(dict[str, Raw]).decode
_raw_array = msgspec.json.Decoder(list[Raw]).decode
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


def checked(text: bytes) -> bytes:
    """Return an object without what surrounds it, on one line; ``DecodeError`` says why it is none."""
    text = text.strip(SPACE)
    if not text:
        raise DecodeError("the input is empty", word="empty")
    try:
        text.decode()
        check(text)
        return msgspec.json.format(text, indent=-1) if b"\n" in text or b"\r" in text else text
    except UnicodeDecodeError as exc:
        raise DecodeError(f"byte {exc.start} is not UTF-8", word="encoding") from exc
    except (msgspec.DecodeError, RecursionError) as exc:
        raise refusal(exc) from exc


def refusal(exc: Exception) -> DecodeError:
    """Say what msgspec found wrong in our words."""
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


def inputs(data: bytes, *, lines: bool) -> Iterator[tuple[int, int | None, bytes | DecodeError]]:
    """Cut a block into objects: (number of its line, its index in an array, the object on one line or what is wrong).

    A line that is an array of objects is several. Without ``lines`` the data is one input: an object or an array,
    which may stretch over lines, or else lines.
    """
    data = data.removeprefix(BOM)
    if not lines and not _is_ndjson(data):
        for index, one in _several(data):
            yield 0, index, one
        return
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n")):
        line = line.strip(SPACE)
        if line:
            for index, one in _several(line):
                yield number, index, one


def objects_of_array(data: bytes) -> list[bytes] | None:
    """Cut an array into its objects, each on one line, at once; ``None`` if it is not an array of objects only.

    The decoder checks every item on its way to the next, so what begins with a brace is an object.
    """
    if not is_utf8(data):
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


def _several(text: bytes) -> Iterator[tuple[int | None, bytes | DecodeError]]:
    """Yield an object, or the objects of an array with their indexes."""
    if text.lstrip(SPACE)[:1] != b"[":
        yield None, _one(text)
        return
    try:
        text.decode()
        items = _raw_array(text)
    except UnicodeDecodeError as exc:
        yield None, DecodeError(f"byte {exc.start} is not UTF-8", word="encoding")
    except (msgspec.DecodeError, RecursionError) as exc:
        yield None, refusal(exc)
    else:
        for index, item in enumerate(items):
            yield index, _one(bytes(item))


def _one(text: bytes) -> bytes | DecodeError:
    try:
        return checked(text)
    except DecodeError as exc:
        if b"\\ud" not in text.lower():
            return exc
        try:
            return checked(_HALVES.sub(lambda match: match[1] or rb"\ufffd", text))
        except DecodeError:
            return exc


# --- looking inside ---------------------------------------------------------------------------------------------


def value(text: bytes) -> dict[str, Any]:
    """Decode an object that ``checked`` has passed; what cannot be held in values is kept as its JSON text."""
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
    """Decode an object that ``checked`` has passed; ``DecodeError`` for what ``value`` would keep as text."""
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
