"""Blocks that a link's sender has checked: taken without a second check when nothing contradicts its count."""

import pytest

from rutta.codecs import json
from rutta.message import NOTHING, Block

GOOD = b'{"a":1}\n{"a":2}\n{"message":"\xc3\xa9"}\n'


def decode(data, count, columns=NOTHING, *, strict=False):
    return json.make(strict).decode(Block(data, count=count), columns)


def test_a_block_whose_count_is_right_is_taken_as_it_came():
    batch = decode(GOOD, 3)
    assert (len(batch), batch.failed, batch.rows.payload()) == (3, 0, GOOD)


@pytest.mark.parametrize(
    ("data", "count", "good"),
    [
        (b"no json\n", 1, 0),  # what is no object
        (b'{"a":1}\n[]\n', 2, 1),
        (b'{"a":1', 1, 0),
        (b'{"a":"\xff"}\n', 1, 0),  # what is not UTF-8
        (b"", 1, 0),
    ],
)
def test_a_block_that_contradicts_its_sender_is_checked_here(data, count, good):
    batch = decode(data, count)
    assert len(batch) == good
    assert b"\xff" not in batch.rows.payload()


def test_columns_of_such_a_block_are_decoded_and_what_they_meet_is_an_error():
    batch = decode(b'{"level":"warn"}\n{"level":]}\n', 2, frozenset({"level"}))
    assert list(batch.rows.column("level")) == [4]
    assert batch.failed == 1


def test_strict_trusts_nobody():
    assert len(decode(b'{"no":"type"}\n', 1, strict=True)) == 0
