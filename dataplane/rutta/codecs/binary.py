"""Binary: our own, versioned: a stream of msgpack arrays ``[1, {the keys of the v6 JSON schema}]``.

A block is any number of them, one after the other. Ids may be binary (16 and 8 bytes), other binary values become
base64 texts. Anything else is one error: without the length of the broken object there is no finding the next. The
original's ``binary`` is refused: a .NET pickle can only be read by the program version that wrote it, and reading one
of a stranger's runs the stranger's code.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgpack
import msgspec

from rutta.errors import DecodeError
from rutta.events import json_text, schema
from rutta.events.event import Event
from rutta.events.render import VERSION
from rutta.events.values import unwrap
from rutta.message import Batch, Block, Columns, Failure
from rutta.rows.rows import EventRows

MAX_ITEMS: Final = 65_536  # of one array or map: a header claims what it likes, and room is made for it at once
EXPECTED: Final = (
    f"not Rutta's binary format, which is msgpack arrays [{VERSION}, {{event}}] "
    "(a .NET pickle of the original cannot be read safely: send codec json)"
)

_as_json = msgspec.json.Encoder().encode


class BinaryCodec:
    """Decodes streams of msgpack objects."""

    __slots__ = ("_strict",)

    def __init__(self, strict: bool) -> None:
        """``strict`` asks for the v6 schema."""
        self._strict = strict

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Decode a block; what comes after a broken object of it is lost with it."""
        events: list[Event] = []
        numbers: list[int] = []
        failures: list[Failure] = []
        for number, one in enumerate(_objects(block.data)):
            try:
                events.append(self._event(one))
                numbers.append(number)
            except DecodeError as exc:
                failures.append(Failure(number, exc.word, str(exc)))
        if failures and block.atomic:
            events, numbers = [], []
        batch = Batch.of(block, EventRows(events), errors=failures[:20], failed=len(failures))
        if failures:
            batch.numbers = numbers
        return batch

    def _event(self, one: Any) -> Event:
        if isinstance(one, DecodeError):
            raise one
        if one[0] != VERSION:
            raise DecodeError(
                f"version {one[0]!r:.20} of the binary format is not known; this is {VERSION}", word="codec"
            )
        return schema.read_strict(one[1]) if self._strict else schema.read(one[1])


def _objects(data: bytes) -> Iterator[Any]:
    """Yield the objects of a stream, and a ``DecodeError`` where it breaks."""
    if not data:
        yield DecodeError("the input is empty", word="empty")
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, timestamp=2, max_buffer_size=max(1, len(data)),
        max_array_len=MAX_ITEMS, max_map_len=MAX_ITEMS, ext_hook=_refuse_extension,
    )  # fmt: skip
    unpacker.feed(data)
    try:
        while unpacker.tell() < len(data):
            one = unpacker.unpack()
            if not (isinstance(one, list) and len(one) == 2 and isinstance(one[1], dict)):
                raise ValueError("another kind of object")
            yield _plain(one)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException, msgpack.OutOfData) as exc:
        yield DecodeError(f"{EXPECTED}: {exc or 'it is cut off'}"[:300], word="codec")


def _plain(one: Any) -> Any:
    """Make what JSON can hold of what msgpack can hold: binary values become base64, NaN null, all keys texts."""
    try:
        text = _as_json(one[1])
        source = json_text.value(text)
        return [one[0], _whole_numbers(source) if b'"bigint"' in text else source]
    except (TypeError, ValueError, RecursionError) as exc:
        return DecodeError(f"the event has no JSON form: {exc}", word="codec")


def _whole_numbers(value: Any) -> Any:
    """Take back the whole numbers that msgpack has no room for, wherever ``render.to_msgpack`` found them."""
    if isinstance(value, dict):
        return unwrap({key: _whole_numbers(one) for key, one in value.items()})
    return [_whole_numbers(one) for one in value] if isinstance(value, list) else value


def _refuse_extension(code: int, data: bytes) -> Any:
    raise ValueError(f"extension type {code}")


def make(strict: bool) -> BinaryCodec:
    """Make the codec."""
    return BinaryCodec(strict)
