"""Protobuf's wire format, as much as requests and answers need (https://protobuf.dev/programming-guides/encoding/)."""

from collections.abc import Iterator
from typing import Final


def varint(number: int) -> bytes:
    """Write a number, seven bits a byte; a negative one as its two's complement of 64 bits."""
    number &= 0xFFFF_FFFF_FFFF_FFFF
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


SMALL: Final = tuple(varint(number) for number in range(1 << 14))
"""The numbers of one and two bytes, written: most lengths. Beyond them ``varint``."""


def length(size: int) -> bytes:
    """Write the length of a field."""
    return SMALL[size] if size < 1 << 14 else varint(size)


def field(tag: bytes, value: bytes) -> bytes:
    """Write a field of bytes, text or a message; ``tag`` comes from ``tag_of``."""
    size = len(value)
    return tag + (SMALL[size] if size < 1 << 14 else varint(size)) + value


NUMBER: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5


def tag_of(number: int, wire: int = BYTES) -> bytes:
    """Write the tag of a field: of bytes, text or a message, unless another wire type is named."""
    return varint(number << 3 | wire)


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read the fields of a message in order: number and value, fixed ones as their bytes; ``ValueError`` if broken."""
    at = 0
    try:
        while at < len(message):
            key, at = _read(message, at)
            size = _FIXED.get(key & 7)
            if key & 7 == NUMBER:
                value, at = _read(message, at)
                yield key >> 3, value
                continue
            if key & 7 == BYTES:
                size, at = _read(message, at)
            if size is None or at + size > len(message):
                raise ValueError("not a protobuf message")
            yield key >> 3, message[at : at + size]
            at += size
    except IndexError:
        raise ValueError("the protobuf message ends too early") from None


_FIXED: Final = {FIXED64: 8, FIXED32: 4}


def numbers(message: bytes) -> dict[int, int | bytes]:
    """Read the fields of a message, the last of each number; nothing if it is not one."""
    try:
        return dict(fields(message))
    except ValueError:
        return {}


def _read(message: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = message[at]
        at += 1
        found |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return found, at
        if shift > 63:
            raise ValueError("not a protobuf message")
