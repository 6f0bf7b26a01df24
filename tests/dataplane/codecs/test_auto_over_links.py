"""Codec auto where only links are: lines go on as they are, and the next one reads them alike."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rutta import formats
from rutta.codecs import Codec
from rutta.intake import codecs_of
from rutta.message import NOTHING, Batch, Block, Origin
from rutta.rows.rows import PlainRows

ONES = [b'{"a":1}', b"{", b"text", b"", b'  {"message":"x"}  ', b"[1]", b"caf\xe9", b'{"a":"caf\xe9"}', b"{}\r", b"x\r"]
LINES = st.lists(st.sampled_from(ONES), min_size=1, max_size=8).map(lambda lines: b"\n".join(lines) + b"\n")
BOM = b"\xef\xbb\xbf"


def codec(*, only_links: bool, strict: bool = False) -> Codec:
    return codecs_of("auto", strict=strict, opaque=None, only_links=lambda: only_links)(None)


def passed_on(batch: Batch) -> Block:
    """What the next process has of it."""
    return Block(batch.rows.payload(), codec=batch.rows.codec, count=len(batch), origin=Origin(b"maker", 1), received=1)


def written(batch: Batch) -> list[bytes]:
    return [bytes(line) for line in formats.encode_lines(batch, formats.Format("ndjson"))]


@given(data=LINES)
@example(data=BOM + b'{"a":1}\n{"b":2}\n')
@example(data=b'{"a":1}')
def test_the_next_one_reads_the_same_as_if_they_had_been_told_apart_here(data: bytes) -> None:
    here, later = (codec(only_links=only).decode(Block(data), NOTHING) for only in (False, True))
    assert len(here) == len(later)
    assert here.rows.codec == later.rows.codec == "auto"
    router = codec(only_links=False)
    assert written(router.decode(passed_on(here), NOTHING)) == written(router.decode(passed_on(later), NOTHING))


def test_nothing_is_decoded_where_only_links_are() -> None:
    batch = codec(only_links=True).decode(Block(b'{"a":1}\n{"b":2}\n'), NOTHING)
    assert isinstance(batch.rows, PlainRows)
    assert not isinstance(codec(only_links=False).decode(Block(b'{"a":1}\n'), NOTHING).rows, PlainRows)


@pytest.mark.parametrize("block", [Block(b'{"a":\n1}', lines=False), Block(b'[{"a":1},{"b":2}]', lines=False)])
def test_a_whole_input_is_read_here(block: Block) -> None:
    assert len(codec(only_links=True).decode(block, NOTHING)) == len(codec(only_links=False).decode(block, NOTHING))


def test_strict_is_checked_here() -> None:
    assert codec(only_links=True, strict=True).decode(Block(b'{"type":"nonsense"}\n'), NOTHING).failed == 1
