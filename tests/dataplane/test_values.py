"""Ids, levels and typed values (reference §3.3, §3.5, §4.4; defects 1, 15, 18)."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.events import values
from rutta.events.values import Mismatch, event_id, keep, level, span_id, unwrap

ID = bytes(range(1, 17))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (base64.b64encode(ID).decode(), ID),
        (base64.b64encode(ID).decode().rstrip("="), ID),
        (ID.hex(), ID),
        (ID.hex().upper(), ID),
        ("1", bytes(15) + b"\x01"),
        ("abcdefabcdefabcdefabcd", bytes(5) + bytes.fromhex("abcdefabcdefabcdefabcd")),  # hex before unpadded base64
        (str(uuid.UUID(bytes=ID)), ID),
        ("{" + str(uuid.UUID(bytes=ID)) + "}", ID),
        ("", b""),
        ("0" * 32, b""),
        ("AAAAAAAAAAAAAAAAAAAAAA==", b""),
    ],
)
def test_an_id_is_base64_padded_or_not_hex_or_a_uuid_and_zero_is_none(text, expected):
    assert event_id(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "zz",
        "hello world",
        "a" * 33,
        "0" * 64,
        "01234567 89abcdef 0123456789abcd",
        5,
        None,
        [],
        "é" * 16,
        " " * 32,
        "=" * 24,
        "AAAA"[:1] + "!" * 23,
    ],
)
def test_a_text_that_is_no_id_is_a_mismatch_never_the_zero_id(value):
    with pytest.raises(Mismatch):
        event_id(value)


def test_a_spans_id_has_eight_bytes():
    assert span_id("b7ad6b7169203331") == bytes.fromhex("b7ad6b7169203331")
    assert span_id(base64.b64encode(ID[:8]).decode()) == ID[:8]
    assert span_id(base64.b64encode(ID[:8]).decode().rstrip("=")) == ID[:8]
    with pytest.raises(Mismatch):
        span_id(ID.hex())


@given(st.binary(min_size=16, max_size=16).filter(any))
def test_every_id_is_read_from_each_of_its_spellings(id_):
    for text in (id_.hex(), base64.b64encode(id_).decode(), str(uuid.UUID(bytes=id_)), id_):
        assert event_id(text) == id_


@pytest.mark.parametrize("word", ["verbose", "DEBUG", "Info", "wArN", "error", "fatal"])
def test_a_level_is_a_word_in_any_case(word):
    assert values.LEVELS[word.lower()] == level(word)


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("WARNING", 3),
        ("", 3),
        (0, 1),
        (-5, 1),
        (7, 6),
        (10**30, 6),
        (None, None),
        (True, None),
        (3.0, None),
        ([], None),
    ],
)
def test_what_is_no_level_is_a_mismatch_that_says_what_stands_in_for_it(value, instead):
    with pytest.raises(Mismatch) as caught:
        level(value)
    assert caught.value.instead == instead


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "int64", "value": 2**63 - 1}, 2**63 - 1),
        ({"type": "Int64", "value": "9007199254740993"}, 9007199254740993),
        ({"type": "bigint", "value": 2**70}, 2**70),
        ({"type": "bigint", "value": str(2**70)}, 2**70),
        ({"type": "float", "value": 7}, 7.0),
        ({"type": "string", "value": "x"}, "x"),
        ({"type": "bool", "value": False}, False),
        ({"type": "fraction", "value": [1, 3]}, {"type": "fraction", "value": [1, 3]}),
        ({"type": "fraction", "numerator": 1, "denominator": 3}, {"type": "fraction", "value": [1, 3]}),
    ],
)
def test_typed_values_are_unwrapped_and_fractions_get_the_form_that_reads_back(value, expected):
    found = unwrap(value)
    assert found == expected
    assert type(found) is type(expected)
    assert unwrap(found) == found


@pytest.mark.parametrize(
    "value",
    [
        {"type": "int64", "value": "x"},
        {"type": "int64"},
        {"type": "int64", "value": 1, "x": 2},
        {"type": 5, "value": 1},
        {"type": "other", "value": 1},
        {"type": "bool", "value": 1},
        {"type": "fraction", "value": [1]},
        {"type": "float", "value": 10**400},
        {"type": "bigint", "value": "1" * 5000},
        {},
        [1],
        None,
        2**70,
    ],
)
def test_anything_else_stays_as_it_is(value):
    assert unwrap(value) is value


def test_a_kept_value_never_takes_anothers_place():
    fields = {"a": 1, "a_": 2}
    keep(fields, "a", 3)
    assert fields == {"a": 1, "a_": 2, "a__": 3}
