"""Protobuf's wire format, as much as requests need (https://protobuf.dev/programming-guides/encoding/)."""

from typing import Final


def varint(number: int) -> bytes:
    """Write a number, seven bits a byte."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_SMALL: Final = tuple(varint(number) for number in range(1 << 14))


def length(size: int) -> bytes:
    """Write a length, fast: most are small."""
    return _SMALL[size] if size < 1 << 14 else varint(size)


def field(tag: bytes, value: bytes) -> bytes:
    """Write a field of bytes, text or a message; ``tag`` comes from ``tag_of``."""
    size = len(value)
    return tag + (_SMALL[size] if size < 1 << 14 else varint(size)) + value


def tag_of(number: int) -> bytes:
    """Write the tag of a field of bytes, text or a message (wire type 2)."""
    return varint(number << 3 | 2)


def numbers(message: bytes) -> dict[int, int | bytes]:
    """Read the fields of a message, the last of each number; nothing if it is not one."""
    found: dict[int, int | bytes] = {}
    at = 0
    try:
        while at < len(message):
            key, at = _read(message, at)
            value, at = _read(message, at)
            if key & 7 == 2:
                found[key >> 3] = message[at : at + value]
                at += value
            elif key & 7 == 0:
                found[key >> 3] = value
            else:
                return {}
    except IndexError:
        return {}
    return found


def _read(message: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = message[at]
        at += 1
        found |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return found, at
