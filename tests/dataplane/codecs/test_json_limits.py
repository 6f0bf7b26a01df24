"""JSON codec: how much of a hostile input is read, and that what is left out costs no event."""

import pytest

from rutta.codecs import auto, json
from rutta.events import json_text
from rutta.message import NOTHING, Batch, Block
from rutta.rows.json_blocks import MAX_FAILURES

GARBAGE = b"x\n" * (MAX_FAILURES + 5)


def decode(data: bytes, *, lines: bool = False, atomic: bool = False, strict: bool = False) -> Batch:
    return json.make(strict).decode(Block(data, lines=lines, atomic=atomic), NOTHING)


def said(batch: Batch) -> list[tuple[int, str, str]]:
    return [tuple(failure) for failure in batch.errors]


@pytest.fixture
def few_objects(monkeypatch):
    monkeypatch.setattr(json_text, "MAX_OBJECTS", 3)


@pytest.fixture
def few_lines(monkeypatch):
    monkeypatch.setattr(json_text, "MAX_NEWLINES", 3)


# --- atomic blocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("data", [b"0\n" * (8 << 20), b"[" + b"0," * (8 << 20) + b"0]", b"{}\n" * (5 << 20) + b"0\n"])
def test_a_hostile_body_of_16_mb_is_refused_with_few_failures(data, strict):
    batch = decode(data, atomic=True, strict=strict)
    assert len(batch) == 0
    assert 1 <= batch.failed <= MAX_FAILURES
    assert len(batch.errors) == batch.failed


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "data", [b"0\n" * 1000, b"{}\n" + b"0\n" * 1000, b"[{}" + b",0" * 1000 + b"]", b"{}\n[{}" + b",0" * 1000 + b"]"]
)
def test_an_atomic_block_is_read_up_to_the_last_failure_said(data, strict):
    batch = decode(data, atomic=True, strict=strict)
    assert (len(batch), batch.failed, len(batch.errors)) == (0, MAX_FAILURES, MAX_FAILURES)


def test_a_block_that_is_not_atomic_is_read_to_its_end():
    batch = decode(b"0\n" * 1000 + b"{}\n")
    assert (len(batch), batch.failed, list(batch.numbers)) == (1, 1000, [1000])


# --- garbage beyond what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        (b"x", 1),
        (b"{", 1),
        (b"{x}", 1),
        (b"[", 1),
        (b"[0,1]", 2),
        (b"[[],{x}]", 1),
        (b"[{},{}", 1),
        (b'{"a":"\xff"}', 1),
        (b'[{"a":"\xff"}]', 1),
        (b'{"a":"\\ud800}', 1),
        (b'{"a":\\ud800}', 1),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, 1),
    ],
)
def test_garbage_after_the_failures_said_is_counted_and_numbered(line, failed):
    batch = decode(GARBAGE + line + b"\n{}\n", lines=True)
    assert batch.failed == MAX_FAILURES + 5 + failed
    assert list(batch.numbers) == [MAX_FAILURES + 5 + failed]
    assert list(batch.rows.lines()) == [b"{}"]
    assert {failure.message for failure in batch.errors} == {"not JSON: invalid character (byte 0)"}


@pytest.mark.parametrize(
    ("line", "events"),
    [
        (b' {"a": 1} \r', [b'{"a": 1}']),
        (b'{"a":\r1}', [b'{"a":1}']),
        (b'{"a":"\\ud800"}', [b'{"a":"\\ufffd"}']),
        (b'{"a":"\\uD83D"}', [b'{"a":"\\ufffd"}']),
        ('{"a":"é"}'.encode(), ['{"a":"é"}'.encode()]),
        (b' [{"a":1}, {"b":2} ] ', [b'{"a":1}', b'{"b":2}']),
        (b"[]", []),
        (b" \t", []),
    ],
)
def test_events_after_the_failures_said_are_taken_as_ever(line, events):
    batch = decode(GARBAGE + line + b"\n{}\n", lines=True)
    assert list(batch.rows.lines()) == [*events, b"{}"]
    assert batch.failed == MAX_FAILURES + 5


# --- single inputs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("data", [b"{}\n{}\n{}\n{}", b"[{},{},{},{}]", b'{"a":{"b":{"c":{}}}}'])
@pytest.mark.usefixtures("few_objects")
def test_a_single_input_of_too_many_objects_is_one_failure(data, strict):
    batch = decode(data, strict=strict)
    assert len(batch) == 0
    assert said(batch) == [(0, "oversize", "the input holds more than 3 objects; send it in parts")]


@pytest.mark.usefixtures("few_lines")
def test_a_single_input_of_too_many_lines_is_one_failure():
    assert said(decode(b"0\n\n\n\n")) == [(0, "oversize", "the input has more than 3 lines; send it in parts")]
    assert len(decode(b"{}\n{}\n{}\n")) == 3


@pytest.mark.usefixtures("few_objects", "few_lines")
def test_lines_of_a_stream_have_no_such_limits():
    assert len(decode(b"{}\n" * 9 + b"[{},{},{},{},{}]\n", lines=True)) == 14


@pytest.mark.usefixtures("few_objects")
def test_as_many_objects_as_the_limit_are_taken():
    assert len(decode(b"[{},{},{}]")) == 3
    assert len(decode(b'[{"a":1,"b":[2,3,4,5]},{}]')) == 2


@pytest.mark.parametrize(
    ("first", "what"),
    [(b"0", "a number"), (b"[{}]", "an array"), (b'"x"', "a string"), (b"null", "null"), (b"true", "a boolean")],
)
def test_an_array_whose_first_item_is_no_object_is_one_failure(first, what):
    batch = decode(b" [ " + first + b",0,{}]")
    assert len(batch) == 0
    assert said(batch) == [(0, "malformed", f"[0]: expected an object, got {what}")]


@pytest.mark.usefixtures("few_objects")
def test_a_long_array_with_a_stray_item_is_one_failure_that_names_it():
    batch = decode(b"[{},{},0,0,0]")
    assert len(batch) == 0
    assert said(batch) == [(0, "malformed", "[2]: expected an object, got a number")]
    assert len(decode(b"[{},{},0]")) == 2


def test_an_array_of_a_single_input_of_lines_is_refused_alone():
    batch = decode(b"{}\n[0,{},0]\n[{},0]\n{}")
    assert len(batch) == 3
    assert [message for _, _, message in said(batch)] == [
        "[0]: expected an object, got a number",
        "[1]: expected an object, got a number",
    ]


@pytest.mark.parametrize("data", [b"[,", b"[0", b"[x]"])
def test_an_array_that_is_no_json_is_one_failure(data):
    assert [word for _, word, _ in said(decode(data))] == ["malformed"]


@pytest.mark.usefixtures("few_objects")
def test_auto_takes_a_text_of_many_braces_for_one_text():
    batch = auto.make(False).decode(Block(b"{{{{{{", lines=False), NOTHING)
    assert [event.text for event in batch.rows.events()] == ["{{{{{{"]
