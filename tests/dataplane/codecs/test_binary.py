"""The codec ``binary``: ours, versioned, msgpack; anything else is one clear error (defects 2 and 29)."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.codecs.binary import make
from rutta.events.event import NO_TIME, Event
from rutta.message import NOTHING, Block


def packed(**keys):
    """One object of the stream."""
    return msgpack.packb([1, keys])


ONE = packed(type="event", event="a", id=bytes(range(16)), level="warn", fields={"n": 2**63 + 1, "f": 1.5, "x": None})


def test_a_stream_of_objects_is_a_batch(decode):
    batch = decode(ONE + packed(message="b"), "binary", lines=False)
    assert batch.rows.events() == [
        Event(text="a", id=bytes(range(16)), level=4, fields={"n": 2**63 + 1, "f": 1.5, "x": None}, timestamp=NO_TIME),
        Event(text="b", timestamp=NO_TIME),
    ]
    assert batch.rows.codec == "json"
    assert decode(batch.rows.payload()).rows.events() == batch.rows.events()


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"hello",
        b'{"type":"event"}',
        msgpack.packb([1]),
        msgpack.packb([1, []]),
        msgpack.packb({"type": "event"}),
        b"\xc1",
        ONE[:-1],
        b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00",
        msgpack.packb([1, {"a": msgpack.ExtType(5, b"x")}]),
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x92\x01\x81\xa1a" + b"\x91" * 5000,
        b"\x92\x01\x81\xa1a\xa1\xff",
    ],
)
def test_anything_else_is_one_error_that_says_what_is_expected(decode, data):
    batch = decode(data, "binary")
    assert len(batch) == 0
    assert "not Rutta's binary format" in batch.errors[0].message
    assert {failure.word for failure in batch.errors} == {"codec"}


def test_the_error_says_why_the_originals_pickle_is_refused(decode):
    assert ".NET pickle" in decode(b"\x00\x01", "binary").errors[0].message


def test_another_version_is_refused_by_its_number(decode):
    (failure,) = decode(msgpack.packb([2, {}]), "binary").errors
    assert failure.message == "version 2 of the binary format is not known; this is 1"


def test_an_empty_input_is_an_error(decode):
    assert decode(b"", "binary", lines=False).errors[0].word == "empty"


def test_what_came_before_a_broken_object_is_taken_unless_the_block_is_atomic(decode):
    batch = decode(ONE + b"\xc1" + ONE, "binary")
    assert (len(batch), batch.failed, list(batch.numbers)) == (1, 1, [0])
    assert len(decode(ONE + b"\xc1", "binary", atomic=True)) == 0


def test_an_object_that_has_no_json_form_costs_no_other(decode):
    batch = decode(ONE + msgpack.packb([1, {"a": {None: 1}}]) + ONE, "binary")
    assert (len(batch), list(batch.numbers)) == (2, [0, 2])
    assert "no JSON form" in batch.errors[0].message


def test_strict_holds_the_objects_against_the_schema(decode):
    batch = decode(ONE + packed(message="b"), "binary", strict=True)
    assert len(batch) == 1
    assert [(failure.row, failure.word, failure.message) for failure in batch.errors] == [
        (1, "schema", ".type: is required")
    ]


def test_values_that_json_has_not_are_given_a_form_that_it_has(read):
    event = read(
        packed(type="event", event="x", fields={"b": b"hi", "nan": float("nan"), "inf": float("inf"), "m": {5: 6}}),
        "binary",
    )
    assert event.fields == {"b": "aGk=", "nan": None, "inf": None, "m": {"5": 6}}


def test_whole_numbers_beyond_64_bits_make_the_round_trip(read, write):
    data = b'{"type":"event","event":"x","fields":{"big":1234567890123456789012345678901234567890,"l":[99999999999999999999]}}'  # noqa: E501
    assert read(write(data, form="msgpack"), "binary").fields["big"] == 1234567890123456789012345678901234567890


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.binary(max_size=2) | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.tuples(
    st.just(1) | values,
    st.dictionaries(st.sampled_from(["type", "event", "fields", "id", "gauges", "span"]), values) | values,
)


@given(
    st.lists(objects.map(lambda one: msgpack.packb(list(one))) | st.binary(max_size=9), max_size=4).map(b"".join),
    st.booleans(),
)
def test_nothing_breaks_the_codec(data, strict):
    batch = make(strict).decode(Block(data, lines=False), NOTHING)
    assert len(batch) == len(batch.rows.lines()) == len(batch.numbers)
    assert len(batch) + batch.failed >= 1
