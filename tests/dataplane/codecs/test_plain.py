"""Plain text (reference §3.9), in any encoding, and the codec ``auto``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.codecs import auto, plain
from rutta.events.event import NO_TIME, Event
from rutta.message import NOTHING, Block

OBJECT = b'{"message":"m"}'
EVENT = b'{"type":"event","event":"e"}'


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\r\nb", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"  a\rb \n", ["  a\rb "]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        ("å\n".encode(), ["å"]),
        (b"{}\n", ["{}"]),
        (b"", []),
    ],
)
def test_every_line_is_an_event_with_the_defaults(decode, data, texts):
    batch = decode(data, "plain")
    assert batch.rows.events() == [Event(text=text, level=2, timestamp=NO_TIME) for text in texts]
    assert batch.rows.column("text") == texts
    assert batch.rows.codec == "plain"
    assert (batch.rows.column("level"), batch.rows.column("kind"), batch.rows.column("fields.x")) == (
        [2] * len(texts),
        ["event"] * len(texts),
        [None] * len(texts),
    )


@pytest.mark.parametrize(
    ("data", "text", "codec"),
    [
        (b"a", "a", "plain"),
        (b"a\n", "a", "plain"),
        (b"a\r\n", "a", "plain"),
        (b"", "", "plain"),
        (b"a\nb\n", "a\nb", "json"),
        (b"\xff", "\ufffd", "plain"),
        (b"\xff\nx", "\ufffd\nx", "json"),
    ],
)
def test_a_whole_input_is_one_event_which_goes_as_json_if_it_has_several_lines(decode, data, text, codec):
    rows = decode(data, "plain", lines=False).rows
    assert rows.column("text") == [text]
    assert rows.codec == codec
    assert decode(rows.payload(), rows.codec).rows.column("text") == [text]
    assert rows.payload().count(b"\n") == 1


def test_bytes_that_are_not_utf8_stay_bytes_on_the_way(decode):
    batch = decode(b"\xff\xfe\nok\n", "plain")
    assert batch.rows.payload() == b"\xff\xfe\nok\n"
    assert batch.take([0]).rows.payload() == b"\xff\xfe\n"


@given(st.binary(), st.booleans())
def test_plain_and_auto_never_fail(data, lines):
    for codec in (plain.make(True), auto.make(False)):
        batch = codec.decode(Block(data, lines=lines), NOTHING)
        assert not batch.failed
        assert len(batch) == len(batch.rows.events()) == len(batch.rows.lines()) == len(batch.rows.column("text"))
        assert b"".join(line + b"\n" for line in batch.rows.lines()) == batch.rows.payload()


@pytest.mark.parametrize(("times", "count"), [([], 0), ([7], 1), ([7, 7, 7], 3), (None, 9)])
def test_what_a_peer_says_of_the_number_of_lines_is_not_believed(times, count):
    peers = Block(b"a\nb\n", times=times, count=count)
    assert len(plain.make(False).decode(peers, NOTHING)) == 2


# --- auto -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"hello\nworld\n", ["hello", "world"]),
        (OBJECT + b"\n" + EVENT + b"\n", ["m", "e"]),
        (OBJECT + b"\nhello\n" + EVENT + b"\n", ["m", "hello", "e"]),
        (b"hello\n" + OBJECT + b"\n", ["hello", "m"]),
        (b" " + OBJECT + b" \nx\n", ["m", "x"]),
        (b"{oops\n", ["{oops"]),
        (b"[" + OBJECT + b"]\n", ["[" + OBJECT.decode() + "]"]),
        (b'{"a":"\xff"}\n' + OBJECT + b"\n", ['{"a":"\ufffd"}', "m"]),
        (b"a {b}\n", ["a {b}"]),
        (OBJECT + b"\r\nhi\r\n", ["m", "hi"]),
        (b"\xef\xbb\xbf" + OBJECT + b"\nx\n", ["m", "x"]),
        (OBJECT + b"\n\n", ["m", ""]),
        (OBJECT[:-1] + b"\n}\n", [OBJECT[:-1].decode(), "}"]),
    ],
)
def test_each_line_is_json_if_it_is_an_object_and_else_plain(decode, data, texts):
    batch = decode(data, "auto")
    assert list(batch.rows.column("text")) == texts
    assert [event.text for event in batch.rows.events()] == texts
    assert batch.rows.codec == "auto"
    again = decode(batch.rows.payload(), "auto")
    assert list(again.rows.column("text")) == texts
    assert [next(iter(batch.take([row]).rows.column("text"))) for row in range(len(batch))] == texts


@pytest.mark.parametrize("data", [b"a\n" + OBJECT + b"\n", OBJECT + b"\n" + EVENT + b"\n", b"a\nb\n"])
def test_auto_passes_the_lines_on_unchanged(decode, data):
    assert decode(data, "auto").rows.payload() == data


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (OBJECT, ["m"]),
        (b"[" + OBJECT + b"," + EVENT + b"]", ["m", "e"]),
        (OBJECT + b"\n" + EVENT, ["m", "e"]),
        (b"x\ny", ["x\ny"]),
        (b"x {\ny", ["x {\ny"]),
        (b'{\n"message":"m"}', ["m"]),
        (b"5", ["5"]),
    ],
)
def test_a_whole_input_is_json_if_all_of_it_is(decode, data, texts):
    assert list(decode(data, "auto", lines=False).rows.column("text")) == texts


def test_strict_auto_refuses_objects_that_are_not_of_the_schema_and_takes_the_rest(decode):
    batch = decode(b"plain\n" + OBJECT + b"\n" + EVENT + b"\n", "auto", strict=True, times=[1, 2, 3])
    assert list(batch.rows.column("text")) == ["plain", "e"]
    assert [(failure.row, failure.message) for failure in batch.errors] == [(1, ".type: is required")]
    assert (batch.failed, list(batch.numbers), batch.times) == (1, [0, 2], [1, 3])
    assert len(decode(b"plain\n" + OBJECT + b"\n", "auto", strict=True, atomic=True)) == 0
    assert [failure.word for failure in decode(OBJECT, "auto", strict=True, lines=False).errors] == ["schema"]
