"""Values and attributes of OTLP (opentelemetry.proto.common.v1): AnyValue, KeyValue.

Written by hand, not by a library: this is where most of the time of a log record goes.
"""

import functools
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from rutta.net.protobuf import FIXED64, NUMBER, SMALL, field, length, tag_of, varint

_KEY, _VALUE = tag_of(1), tag_of(2)
_STRING, _ARRAY, _LIST = map(tag_of, (1, 5, 6))
_BOOL, _INT, _DOUBLE = tag_of(2, NUMBER), tag_of(3, NUMBER), tag_of(4, FIXED64)
_ITEM: Final = tag_of(1)  # of an ArrayValue and of a KeyValueList

_pack_double: Final = struct.Struct("<d").pack
_INT64: Final = range(-(2**63), 2**63)
_SHORT: Final = 1 << 13  # bytes of a text up to which all lengths around it are in SMALL


def encoded(text: str) -> bytes:
    """Encode a text; half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace")


def _string(value: str) -> bytes:
    return field(_STRING, value.encode("utf-8", "replace"))


def _bool(value: bool) -> bytes:
    return _BOOL + (b"\1" if value else b"\0")


def _int(value: int) -> bytes:
    """Write a whole number; one of more than 64 bits as its digits."""
    return _INT + varint(value) if value in _INT64 else field(_STRING, str(value).encode())


def _float(value: float) -> bytes:
    return _DOUBLE + _pack_double(value)


def _array(value: Iterable[Any]) -> bytes:
    return field(_ARRAY, b"".join([field(_ITEM, any_value(one)) for one in value]))


def _mapping(value: Mapping[str, Any]) -> bytes:
    return field(_LIST, b"".join([field(_ITEM, key_value(key, one)) for key, one in value.items()]))


_ENCODERS: Final[Mapping[type, Callable[[Any], bytes]]] = {
    str: _string, bool: _bool, int: _int, float: _float, list: _array, tuple: _array, dict: _mapping,
    type(None): lambda _: b"",
}  # fmt: skip


def any_value(value: Any) -> bytes:
    """Write an AnyValue: any JSON value; null is one without a value."""
    return _ENCODERS[type(value)](value)


@functools.lru_cache(maxsize=8192)
def _key(key: str) -> bytes:
    """Write the key of a KeyValue and the tag of its value (most are seen again and again)."""
    return field(_KEY, encoded(key)) + _VALUE


def key_value(key: str, value: Any) -> bytes:
    """Write a KeyValue."""
    head = _key(key)
    if type(value) is str:
        text = value.encode("utf-8", "replace")
        size = len(text)
        if size < _SHORT:
            short = SMALL[size]
            return head + SMALL[1 + len(short) + size] + _STRING + short + text
    inner = _ENCODERS[type(value)](value)
    return head + length(len(inner)) + inner


class Attributes:
    """Writes attributes as fields of one tag.

    What stands before a value depends on its key and its size only, and is remembered: most attributes are of few keys
    and of few sizes.
    """

    def __init__(self, tag: bytes) -> None:
        """Nothing is known at first."""
        self._tag = tag
        self._known: dict[str, dict[int, bytes]] = {}

    def add(self, parts: list[bytes], values: Mapping[str, Any]) -> None:
        """Put attributes behind what is written already."""
        known = self._known
        for key, value in values.items():
            heads = known.get(key) or self._new(key)
            kind = type(value)
            if kind is str:
                text = value.encode("utf-8", "replace")
                size = len(text)
                parts += (heads.get(size) or self._head(key, size), text)
            elif kind is int and 0 <= value < 1 << 28:
                digits = SMALL[value] if value < 1 << 14 else _MORE[value & 0x3FFF] + SMALL[value >> 14]
                parts += (heads[_WHOLE - len(digits)], digits)
            elif kind is float:
                parts += (heads[_WHOLE], _pack_double(value))
            else:
                one = key_value(key, value)
                parts += (self._tag, length(len(one)), one)

    def _new(self, key: str) -> dict[int, bytes]:
        if len(self._known) >= _MOST_KEYS:
            self._known.clear()
        heads = {_WHOLE - size: self._before(key, _INT, size) for size in range(1, 5)}
        heads[_WHOLE] = self._before(key, _DOUBLE, 8)
        self._known[key] = heads
        return heads

    def _head(self, key: str, size: int) -> bytes:
        head = self._before(key, _STRING + length(size), size)
        if size < _MOST_SIZES:
            self._known[key][size] = head
        return head

    def _before(self, key: str, inner: bytes, size: int) -> bytes:
        """Write all up to a value of that size; ``inner`` is what stands before it in its AnyValue."""
        size += len(inner)
        head = _key(key) + length(size) + inner
        return self._tag + length(len(head) - len(inner) + size) + head


_MORE: Final = tuple(bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(1 << 14))
_WHOLE: Final = -1  # the size that stands for a double; below it those of whole numbers of 1 to 4 bytes
_MOST_KEYS: Final = 1024
_MOST_SIZES: Final = 128


def attributes(tag: bytes, values: Iterable[tuple[str, Any]]) -> bytes:
    """Write attributes, each as a field of that tag."""
    found: list[bytes] = []
    for key, value in values:
        one = key_value(key, value)
        found += (tag, length(len(one)), one)
    return b"".join(found)
