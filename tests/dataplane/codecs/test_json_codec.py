"""Blocks of JSON: framing by lines, arrays, whole inputs; errors, atomic blocks, numbers and columns."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.codecs.json import make
from rutta.message import NOTHING, Block
from rutta.rows import columns
from rutta.rows.columns import keys_of

A, B = b'{"type":"event","event":"a"}', b'{"message":"b"}'


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (A + b"\n" + B + b"\n", [A, B]),
        (A + b"\n" + B, [A, B]),
        (A + b"\r\n" + B + b"\r\n", [A, B]),
        (b"\n\n" + A + b"\n\r\n \n" + B + b"\n\n", [A, B]),
        (b"\xef\xbb\xbf" + A + b"\n", [A]),
        (b"  " + A + b"\t\n", [A]),
        (b"[" + A + b"," + B + b"]\n" + A + b"\n", [A, B, A]),
        (b"[]\n", []),
        (b"\n", []),
        (b"", []),
    ],
)
def test_each_line_is_an_object_or_an_array_of_objects(decode, data, lines):
    batch = decode(data)
    assert not batch.errors
    assert [line.strip() for line in batch.rows.lines()] == lines
    assert [line.strip() for line in batch.rows.payload().splitlines()] == lines
    assert len(batch.rows.events()) == len(lines)
    assert batch.rows.payload().count(b"\n") == len(lines)


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (A, [A]),
        (A + b"\n", [A]),
        (b"[" + A + b",\n" + B + b"]", [A, B]),
        (b'{\n  "message":\r\n "b"\n}\n', [B]),
        (b'[\n{\n"message": "b"\n}\n]', [B]),
        (A + b"\n" + B + b"\n", [A, B]),
        (A + b"\n[" + B + b"]\n", [A, B]),
        (b"\xef\xbb\xbf" + A, [A]),
        (b"[]", []),
    ],
)
def test_a_whole_input_is_an_object_an_array_or_lines_and_every_event_gets_one_line(decode, data, lines):
    batch = decode(data, lines=False)
    assert not batch.errors
    assert batch.rows.lines() == lines
    assert batch.rows.payload() == b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(
    ("data", "word", "message"),
    [
        (b"{", "malformed", "not JSON: the input ends too early"),
        (b'{"a":1}{"b":2}', "malformed", "not JSON: trailing characters (byte 8)"),
        (b'{"a":NaN}', "malformed", "not JSON: invalid character (byte 5)"),
        (b'{"a":01}', "malformed", "not JSON: invalid number (byte 6)"),
        (b"5", "malformed", "expected an object, got a number"),
        (b'"x"', "malformed", "expected an object, got a string"),
        (b"null", "malformed", "expected an object, got null"),
        (b"true", "malformed", "expected an object, got a boolean"),
        (b'{"a":"\xff"}', "encoding", "byte 6 is not UTF-8"),
        (b'[{"a":"\xff"}]', "encoding", "byte 7 is not UTF-8"),
        (b"[{},5]", "malformed", "[1]: expected an object, got a number"),
        (b"[{},[{}]]", "malformed", "[1]: expected an object, got an array"),
        (b"[{}", "malformed", "not JSON: the input ends too early"),
        (b"hello", "malformed", "not JSON: invalid character (byte 0)"),
    ],
)
def test_what_is_no_event_is_an_error_in_words(decode, data, word, message, lines):
    (failure,) = decode(data, lines=lines).errors
    assert (failure.word, failure.message) == (word, message)


def test_an_empty_input_is_an_error_where_blank_lines_are_none(decode):
    assert [failure.word for failure in decode(b"", lines=False).errors] == ["empty"]
    assert [failure.word for failure in decode(b" \r\n ", lines=False).errors] == ["empty"]


def test_bad_lines_are_counted_and_the_others_taken(decode):
    batch = decode(A + b"\nx\n" + B + b"\n{\n[{},5,{}]\n")
    assert list(batch.rows.lines()) == [A, B, b"{}", b"{}"]
    assert [(failure.row, failure.word) for failure in batch.errors] == [
        (1, "malformed"),
        (3, "malformed"),
        (4, "malformed"),
    ]
    assert batch.failed == 3
    assert list(batch.numbers) == [0, 2, 4, 6]


def test_only_the_first_twenty_errors_are_said_but_all_are_counted(decode):
    batch = decode(b"x\n" * 1000 + A + b"\n")
    assert (len(batch), len(batch.errors), batch.failed) == (1, 20, 1000)


@pytest.mark.parametrize("strict", [False, True])
def test_an_atomic_block_with_one_bad_input_has_no_rows_and_all_errors(decode, strict):
    batch = decode(b"[" + A + b',5,{"type":"event","event":"x"},6]', lines=False, atomic=True, strict=strict)
    assert (len(batch), batch.failed) == (0, 2)
    assert [failure.row for failure in batch.errors] == [1, 3]
    assert len(decode(b"[" + A + b"]", lines=False, atomic=True, strict=strict)) == 1


def test_strict_names_index_and_path_in_arrays(decode):
    batch = decode(b'[{"type":"event","event":"x"},{"type":"event","event":5,"level":9}]', strict=True, lines=False)
    assert len(batch) == 1
    assert [failure.message for failure in batch.errors] == [
        "[1].event: expected a string, got a number; .level: 9 is not a level; levels are 1 to 6"
    ]


@pytest.mark.parametrize(
    ("escape", "text"),
    [
        (rb"\ud800", "\ufffd"),
        (rb"x\udc00y", "x\ufffdy"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\ud83d", "\ufffd"),
        (rb"\\ud800", "\\ud800"),
        (rb"\ud83d\ude00\ud83d", "😀\ufffd"),
        (rb"\\\ud800", "\\\ufffd"),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(read, escape, text):
    assert read(b'{"message":"' + escape + b'"}').text == text


def test_the_last_of_equal_keys_wins(read):
    assert read(b'{"message":"a","message":"b","x":1,"x":2}').fields == {"x": 2}


def test_a_time_per_line_goes_to_every_event_of_that_line(decode):
    batch = decode(b"[{},{}]\n\nx\n{}\n", times=[1, 2, 3, 4])
    assert batch.times == [1, 1, 4]
    assert decode(b"{}\n{}\n", times=[1, 2]).times == [1, 2]


def test_rows_taken_keep_their_columns_and_numbers(decode):
    batch = decode(b'{"level":"info"}\n{"level":"warn"}\nx\n{"level":"fatal"}\n', columns=frozenset({"level"}))
    taken = batch.take([1, 2])
    assert taken.rows.column("level") == [4, 6]
    assert taken.rows.payload() == b'{"level":"warn"}\n{"level":"fatal"}\n'
    assert list(taken.numbers) == [1, 3]
    assert taken.take([1]).rows.column("level") == [6]


# --- columns ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        (set(), {}),
        ({"*"}, {}),
        ({"*", "level"}, {}),
        ({"kind"}, {"type": ()}),
        ({"level"}, {"type": (), "level": (), "severity": ()}),
        ({"name"}, {"type": (), "name": (), "source": (), "logger": ()}),
        ({"timestamp"}, {"type": (), "timestamp": (), "@timestamp": (), "started": ()}),
        ({"text"}, {"type": (), "event": (), "message": (), "value": ()}),
        ({"fields.user"}, {"type": (), "fields": ("user",), "user": ()}),
        ({"context.host", "context.a b"}, {"type": (), "context": ("a b", "host")}),
        (
            {"level", "fields.user", "fields.n"},
            {"type": (), "fields": ("n", "user"), "user": (), "n": (), "level": (), "severity": ()},
        ),
        ({"fields.level"}, {}),
        ({columns.raw_column(["b", "@a"])}, {"b": (), "@a": ()}),
    ],
)
def test_a_set_of_columns_decodes_these_keys_and_nothing_else(asked, keys):
    assert keys_of(frozenset(asked)) == keys


def test_what_no_column_asks_for_is_not_decoded(decode):
    # A number no float can hold is refused by whoever decodes it.
    batch = decode(
        b'{"level":"warn","fields":{"huge":1e999,"a":1},"x":1e999}\n', columns=frozenset({"level", "fields.a"})
    )
    assert batch.rows.plan.decode(batch.rows.lines()[0]) is not None
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(batch.rows.lines()[0])
    assert batch.rows.column("level") == [4]
    assert batch.rows.column("fields.a") == [1]


NAMES = [
    "level",
    "name",
    "kind",
    "timestamp",
    "text",
    "fields.a",
    "fields.level",
    "fields.id",
    "fields.id_",
    "context.a",
]

scalar = (
    st.none()
    | st.booleans()
    | st.integers(-9, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)
value = (
    scalar | st.lists(scalar, max_size=2) | st.dictionaries(st.sampled_from(["a", "type", "value"]), scalar, max_size=2)
)
words = st.sampled_from(
    ["event", "Event", "gauge", "span", "forgetUser", "other", "info", "WARN", "a.b", "2024-01-02T03:04:05Z"]
)
source = st.dictionaries(
    st.sampled_from(
        [
            "type",
            "event",
            "message",
            "value",
            "level",
            "severity",
            "name",
            "source",
            "logger",
            "timestamp",
            "@timestamp",
            "started",
            "fields",
            "context",
            "a",
            "id",
            "attrs",
            "type",
            "level",
        ]
    ),
    words | value | st.dictionaries(st.sampled_from(["a", "id", "level", "b"]), value, max_size=3),
    max_size=7,
)


@given(st.lists(source, min_size=1, max_size=5), st.sets(st.sampled_from(NAMES), min_size=1))
def test_a_column_is_always_what_the_whole_event_says(sources, asked):
    data = b"".join(json.dumps(one).encode() + b"\n" for one in sources)
    batch = make(False).decode(Block(data), frozenset(asked))
    late = make(False).decode(Block(data), NOTHING)
    events = batch.rows.events()
    for name in asked:
        expected = [columns.column_of(event, name) for event in events]
        for rows in (batch.rows, late.rows):
            found = list(rows.column(name))
            assert found == expected
            assert list(map(type, found)) == list(map(type, expected))
