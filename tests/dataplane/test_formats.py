"""What targets write: contexts, ids and times, lines as they came, columns; nothing is made twice."""

import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta import components, formats
from rutta.formats import Format
from rutta.message import EVERYTHING, NOTHING, Batch, Block, Origin
from rutta.rows.rows import EventRows

ORIGIN = Origin(bytes(range(16)), 7)
RECEIVED = 1_700_000_000_000_000_000
WORDS = ("ndjson", "json", "logfmt", "msgpack", "plain")


def batch_of(data, codec="json", *, columns=NOTHING, strict=False, **block):
    """Decode bytes, with a fixed origin and time of receipt."""
    given = Block(data, origin=ORIGIN, received=RECEIVED, **block)
    return components.module("codecs", codec).make(strict).decode(given, columns)


def of_events(*events):
    """A batch of events."""
    return Batch(EventRows(events), size=1, origin=ORIGIN, received=RECEIVED)


# --- ids, times, contexts ---------------------------------------------------------------------------------------


def test_what_an_event_lacks_comes_from_its_block():
    batch = batch_of(
        b'{"type":"event","event":"a"}\n{"message":"b","context":{"k":"own"}}\n',
        context={"k": "block", "h": 1},
        times=[3, 4],
    )
    a, b = formats.events(batch)
    assert (a.id, a.timestamp, a.received, a.context) == (
        formats.derived_id(ORIGIN, 0),
        3,
        RECEIVED,
        {"k": "block", "h": 1},
    )
    assert (b.id, b.timestamp, b.context) == (formats.derived_id(ORIGIN, 1), 4, {"k": "block", "h": 1})
    assert [event.id for event in batch.rows.events()] == [b"", b""]


def test_an_event_without_any_time_has_the_time_of_receipt_but_epoch_zero_stays():
    now, zero, epoch = formats.events(batch_of(b'{}\n{"timestamp":0}\n{"timestamp":"1970-01-01T00:00:00Z"}\n'))
    assert (now.timestamp, zero.timestamp, epoch.timestamp) == (RECEIVED, RECEIVED, 0)


def test_a_derived_id_depends_on_origin_and_number_only_and_no_two_are_equal():
    origins = [
        Origin(maker, sequence) for maker in (bytes(16), bytes(range(16)), b"\xaa" * 16) for sequence in (1, 2, 10**6)
    ]
    ids = [formats.derived_id(origin, number) for origin in origins for number in (0, 1, 2, 10**6)]
    assert len({*ids}) == len(ids)
    assert all(len(id_) == 16 for id_ in ids)
    assert ids == [formats.derived_id(origin, number) for origin in origins for number in (0, 1, 2, 10**6)]


@pytest.mark.parametrize("codec", ["json", "auto"])
@pytest.mark.parametrize("form", [Format("json"), Format("ndjson", ("id",))])
def test_an_events_id_survives_filters_and_retries(codec, form):
    data = b'{"type":"event","event":"a"}\nhello\n{"message":"b"}\n[{},{}]\n'
    whole = formats.encode_lines(batch_of(data, codec), form)
    again = formats.encode_lines(batch_of(data, codec), form)
    assert whole == again
    assert [formats.encode_lines(batch_of(data, codec).take([row]), form) for row in range(len(whole))] == [
        [one] for one in whole
    ]


CONTEXT = {"host": "n1", "é": [1, None]}
HEADED = '{"context":{"host":"n1","é":[1,null]}'.encode()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"a":1}', HEADED + b',"a":1}'),
        (b"{}", HEADED + b"}"),
        (b"{ }", HEADED + b"}"),
        (b' { "a" : 1 } ', HEADED + b',"a" : 1 }'),
        (b'{"a":{"context":1}}', HEADED + b',"a":{"context":1}}'),
        (b'{"a":"\\u00e9"}', HEADED + b',"a":"\\u00e9"}'),
        (b'{"a":1e999}', HEADED + b',"a":1e999}'),
        (b'{"a":1,"context":{"host":"own","b":2}}', '{"context":{"host":"n1","é":[1,null],"b":2},"a":1}'.encode()),
        (b'{"\\u0063ontext":{"b":2}}', '{"context":{"host":"n1","é":[1,null],"b":2}}'.encode()),
        (b'{"context":null}', HEADED + b"}"),
        (b'{"context":5,"context_":6}', HEADED + b',"context_":6,"context__":5}'),
        (b'{"context":{"b":1},"context":{"b":2}}', '{"context":{"host":"n1","é":[1,null],"b":2}}'.encode()),
    ],
)
def test_the_blocks_context_wins_over_the_events_own_whatever_the_other_lines_are(line, expected):
    for data, at in ((line, 0), (line + b'\n{"z":1}', 0), (b'{"z":1}\n' + line + b'\n{"z":"\\u00e9"}', 1)):
        lines = formats.encode_lines(batch_of(data + b"\n", context=CONTEXT), Format("ndjson"))
        assert lines[at] == expected
        assert all(json.loads(one)["context"]["é"] == [1, None] for one in lines)


keys = st.sampled_from(["a", "context", "b c", "é"])
objects = st.dictionaries(
    keys, st.integers() | st.text(max_size=3) | st.dictionaries(keys, st.integers(), max_size=2), max_size=3
)


@given(
    st.lists(objects, min_size=1, max_size=4),
    st.dictionaries(keys, st.integers(), min_size=1, max_size=2),
    st.booleans(),
)
def test_merging_a_context_changes_nothing_else(sources, context, ascii_only):
    data = b"".join(json.dumps(one, ensure_ascii=ascii_only).encode() + b"\n" for one in sources)
    lines = formats.encode_lines(batch_of(data, context=context), Format("ndjson"))
    for source, line in zip(sources, lines, strict=True):
        found = json.loads(line)
        own = source.get("context", {})
        assert found.pop("context") == ({**own, **context} if isinstance(own, dict) else context)
        found.pop("context_", None)
        assert found == {key: value for key, value in source.items() if key != "context"}


# --- ndjson -----------------------------------------------------------------------------------------------------


def test_json_goes_out_as_it_came_byte_by_byte():
    data = b'{"type":"event","x":1.10,"event":"a","x":2}\n{ "message" : "b" }\n'
    assert formats.encode(batch_of(data), Format("ndjson")) == data
    assert formats.encode(batch_of(data, "auto"), Format("ndjson")) == data


def test_strict_goes_out_as_it_came_too():
    data = b'{"type":"event","event":"a","n":1.10}\n'
    assert formats.encode(batch_of(data, strict=True), Format("ndjson")) == data


def test_what_came_not_as_json_goes_out_in_the_v6_form():
    line = (
        b'{"type":"event","id":"AAECAwQFBgcICRELDA0ODw==","name":"","level":"debug","received":1700000000000000000,'
        b'"timestamp":1700000000000000000,"context":{},"fields":{},"gauges":{},"event":"hi \xef\xbf\xbd"}\n'
    )
    assert formats.encode(batch_of(b"hi \xff\n", "plain"), Format("ndjson")) == line
    assert formats.encode(batch_of(b"hi \xff\n", "plain"), Format("json")) == line
    xml = "<log4j:event><log4j:message>hi \ufffd</log4j:message></log4j:event>".encode()
    assert formats.encode(batch_of(xml, "log4jxml"), Format("ndjson")) == line
    assert formats.encode(batch_of(msgpack.packb([1, {"message": "hi \ufffd"}]), "binary"), Format("ndjson")) == line


def test_lines_of_both_kinds_go_out_each_in_its_way():
    batch = batch_of(b'{"a":1}\nhello\n{"b":2}\n', "auto", context={"h": 1}, times=[10**18 + 1, 10**18 + 2, 10**18 + 3])
    first, second, third = formats.encode_lines(batch, Format("ndjson"))
    assert (first, third) == (b'{"context":{"h":1},"a":1}', b'{"context":{"h":1},"b":2}')
    plain = json.loads(second)
    assert (plain["event"], plain["timestamp"], plain["context"]) == ("hello", 10**18 + 2, {"h": 1})
    assert formats.encode_lines(batch, Format("plain")) == [b"-", b"hello", b"-"]
    assert [json.loads(one)["timestamp"] for one in formats.encode_lines(batch, Format("json"))] == [
        10**18 + 1,
        10**18 + 2,
        10**18 + 3,
    ]


COLUMNS = Format("ndjson", ("b", "a", "@t", "b c"))


@pytest.mark.parametrize(
    "asked", [NOTHING, formats.columns_of(COLUMNS), frozenset({"level"}) | formats.columns_of(COLUMNS)]
)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"a":1.10,"x":2,"b":{"x": [1]}}', b'{"b":{"x": [1]},"a":1.10}'),
        (b'{"@t":null,"b c":"\\u00e9"}', b'{"@t":null,"b c":"\\u00e9"}'),
        (b'{"x":1}', b"{}"),
        (b'{"a":1e999}', b'{"a":1e999}'),
    ],
)
def test_with_columns_only_these_keys_go_out_as_they_came_in_the_order_asked_for(line, expected, asked):
    batch = batch_of(line + b"\n", columns=asked)
    assert formats.encode(batch, COLUMNS) == expected + b"\n"
    assert formats.encode(batch.take([0]), COLUMNS) == expected + b"\n"


def test_columns_of_other_inputs_are_those_of_the_v6_form():
    form = Format("ndjson", ("event", "level", "nope"))
    assert formats.encode(batch_of(b"hi\n", "plain"), form) == b'{"event":"hi","level":"debug"}\n'
    assert (
        formats.encode(batch_of(b'hi\n{"level":5}\n', "auto"), form) == b'{"event":"hi","level":"debug"}\n{"level":5}\n'
    )


def test_the_context_goes_into_columns_if_it_is_one_of_them():
    batch = batch_of(b'{"a":1,"b":2}\n', context={"h": 1})
    assert formats.encode(batch, Format("ndjson", ("a",))) == b'{"a":1}\n'
    assert formats.encode(batch, Format("ndjson", ("a", "context"))) == b'{"context":{"h":1},"a":1}\n'


# --- all formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("codec", ["json", "auto", "plain"])
def test_lines_and_bytes_are_the_same_events_and_made_once(word, codec):
    data = b'{"type":"event","event":"a"}\n{"message":"b\\nc"}\nnope\n' if codec != "json" else b'{"message":"b"}\n{}\n'
    batch = batch_of(data, codec)
    lines, whole = formats.encode_lines(batch, Format(word)), formats.encode(batch, Format(word))
    assert len(lines) == len(batch)
    assert whole == (b"".join(lines) if word == "msgpack" else b"".join(line + b"\n" for line in lines))
    assert formats.encode(batch, Format(word)) is whole
    assert formats.encode_lines(batch, Format(word)) is lines
    assert formats.events(batch) is formats.events(batch)


@pytest.mark.parametrize("word", WORDS)
def test_an_empty_batch_is_written_as_nothing(word):
    for batch in (batch_of(b""), batch_of(b"", "plain"), of_events()):
        assert formats.encode(batch, Format(word)) == b""
        assert formats.encode_lines(batch, Format(word)) == []


def test_a_format_says_what_it_reads():
    assert (
        formats.columns_of(Format("ndjson"))
        == formats.columns_of(Format("json"))
        == formats.columns_of(Format("plain"))
        == NOTHING
    )
    assert formats.columns_of(Format("logfmt")) == formats.columns_of(Format("msgpack")) == EVERYTHING
    assert len(formats.columns_of(COLUMNS)) == 1
