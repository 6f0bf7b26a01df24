"""Decoding made short for the tests of codecs."""

from collections.abc import Callable
from typing import Any

import pytest

from rutta import components, formats
from rutta.events.event import Event
from rutta.formats import Format
from rutta.message import NOTHING, Batch, Block, Columns, Origin

ORIGIN = Origin(bytes(range(16)), 7)


@pytest.fixture
def decode() -> Callable[..., Batch]:
    """Decode bytes by a codec, with a fixed origin and time of receipt."""

    def run(
        data: bytes, codec: str = "json", *, strict: bool = False, columns: Columns = NOTHING, **block: Any
    ) -> Batch:
        given = Block(data, **{"origin": ORIGIN, "received": 1_700_000_000_000_000_000, **block})
        batch: Batch = components.module("codecs", codec).make(strict).decode(given, columns)
        assert len(batch.numbers) == len(batch)
        return batch

    return run


@pytest.fixture
def read(decode: Callable[..., Batch]) -> Callable[..., Event]:
    """Decode one input into the event it is, as it came (without derived id and times)."""

    def run(data: bytes, codec: str = "json", **given: Any) -> Event:
        batch = decode(data, codec, **given)
        assert not batch.errors
        (event,) = batch.rows.events()
        return event

    return run


@pytest.fixture
def write(decode: Callable[..., Batch]) -> Callable[..., bytes]:
    """Decode an input and write it in a format."""

    def run(data: bytes, codec: str = "json", form: Any = "json", **given: Any) -> bytes:
        return formats.encode(decode(data, codec, **given), form if isinstance(form, Format) else Format(form))

    return run
