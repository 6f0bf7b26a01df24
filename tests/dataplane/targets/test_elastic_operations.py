"""Operations of ``_bulk``: lines of every form become documents without two keys of one name."""

import json

import pytest

from rutta import formats
from rutta.codecs import auto, plain
from rutta.codecs import json as json_codec
from rutta.elastic.operations import Shape, operations
from rutta.events.timestamps import iso, isos
from rutta.formats import parts
from rutta.message import EVERYTHING, Block

RECEIVED = 1_700_000_000_000_000_005
AS_CAME = Shape("create", "ndjson")


def decode(data, codec=json_codec, **given):
    return codec.make(False).decode(Block(data, received=RECEIVED, **given), AS_CAME.columns)


def documents(batch, shape=AS_CAME):
    """Read what was written, strictly: pairs of the action and the document, as lists of members."""
    found = []
    for operation in operations(batch, shape):
        action, document, end = operation.split(b"\n")
        assert end == b""
        found.append((json.loads(action), json.loads(document, object_pairs_hook=list)))
    return found


@pytest.mark.parametrize(
    ("line", "members"),
    [
        (b"{}", []),
        (b"  { }", []),
        (b' { "message" : "a" }', [("message", "a")]),
        (b'{\t"message":"a"}', [("message", "a")]),
        (b'{"message":"@timestamp"}', [("message", "@timestamp")]),
        (b'{"message":"a","\\u0040timestamp":"rubbish"}', [("message", "a"), ("@timestamp_", "rubbish")]),
        (b'{"message":"a","@timestamp":null,"@timestamp_":1}',
         [("message", "a"), ("@timestamp_", 1), ("@timestamp__", None)]),
    ],
)  # fmt: skip
def test_the_time_stands_in_front_of_whatever_object_came(line, members):
    ((_, document),) = documents(decode(line + b"\n"))
    assert document == [("@timestamp", "2023-11-14T22:13:20.000000005Z"), *members]


def test_a_timestamp_that_says_the_events_time_is_not_kept_twice():
    line = b'{"@timestamp":"2023-11-14T22:13:21+00:00","message":"a"}\n'
    ((_, document),) = documents(decode(line))
    assert document == [("@timestamp", "2023-11-14T22:13:21.000000000Z"), ("message", "a")]


def test_an_object_nested_deeper_than_decoders_go_keeps_its_bytes():
    deep = b"[" * 900 + b"]" * 900
    (operation,) = operations(decode(b'{"message":"a","deep":' + deep + b"}\n"), AS_CAME)
    assert operation.endswith(b'{"@timestamp":"2023-11-14T22:13:20.000000005Z","message":"a","deep":' + deep + b"}\n")


def test_plain_lines_and_mixed_ones_are_documents_of_the_v6_form():
    for codec, data in ((plain, b"one\ntwo\n"), (auto, b'one\n{"message":"two"}\n')):
        found = documents(decode(data, codec))
        assert all(document[0] == ("@timestamp", "2023-11-14T22:13:20.000000005Z") for _, document in found)
        assert [dict(document).get("event") or dict(document)["message"] for _, document in found] == ["one", "two"]
        ids = [action["create"]["_id"] for action, _ in found]
        assert len(set(ids)) == 2
        assert all(len(one) == 22 for one in ids)


def test_what_is_cut_out_of_a_batch_keeps_its_ids():
    batch = decode(b'{"message":"a"}\n{"message":"b"}\n{"message":"c"}\n')
    assert operations(batch.take([1, 2]), AS_CAME) == operations(batch, AS_CAME)[1:]


@pytest.mark.parametrize(
    "ids",
    [
        ["0123456789abcdef0123456789abcdef", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"],
        ["0123456789abcdef0123456789abcdef", "ASNFZ4mrze8BI0VniavN7w=="],
        ["0123456789abcdef0123456789abcdef", "0" * 32],
        ["0123456789abcdef0123456789abcdef", None],
        ["0123456789abcdef0123456789abcdef", "0123456789abcdef 123456789abcd f"],
        ["0123456789abcdef0123456789abcdef", "x" * 32],
        ["0123456789abcdef0123456789abcdef", 7],
        ["0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"],
        [None, None],
    ],
)
def test_ids_read_all_at_once_are_those_of_whole_events(ids):
    events = [{"type": "event", "event": "e", **({} if one is None else {"id": one})} for one in ids]
    data = b"".join(json.dumps(one).encode() + b"\n" for one in events)
    batch = json_codec.make(False).decode(Block(data), EVERYTHING)
    whole = [formats.parts.b2a_base64(event.id, newline=False) for event in formats.events(batch)]
    assert parts.ids(batch) == whole


def test_times_written_together_are_those_written_one_by_one():
    times = [0, 1, -1, 1_700_000_000_123_456_789, -(2**63) + 1, 2**63 - 1, 10**9 - 1]
    assert isos(times) == [iso(time, digits=9) for time in times]
