"""An event as one flat mapping."""

import json

import pytest

from rutta import formats
from rutta.codecs import json as json_codec
from rutta.events import flat
from rutta.message import EVERYTHING, Block


def event(**given):
    data = json.dumps({"type": "event", **given}).encode() + b"\n"
    batch = json_codec.make(False).decode(Block(data), EVERYTHING)
    assert not batch.errors
    return formats.events(batch)[0]


def test_fields_and_context_keep_their_names_and_a_taken_one_gets_a_prefix():
    got = flat.properties(event(event="x", fields={"a": 1, "both": "f"}, context={"both": "c", "host": "h"}))
    assert got == {"a": 1, "both": "f", "context.both": "c", "host": "h"}


def test_a_gauge_has_its_unit_and_what_people_read_unless_it_is_a_bare_number():
    gauges = {
        "mem": {"type": "gauge", "value": 2048, "unit": "bytes"},
        "n": {"type": "gauge", "value": 7, "unit": "scalar"},
    }
    got = flat.properties(event(event="x", gauges=gauges, fields={"n": "taken"}))
    assert got == {"n": "taken", "mem": 2048, "mem_unit": "bytes", "mem_f": "2.00 KiB", "gauges.n": 7}


def test_money_has_its_currency():
    got = flat.properties(event(event="x", monetaryValue={"amount": 12.5, "currency": "SEK"}))
    assert got == {"monetaryValue": 12.5, "monetaryValue_unit": "SEK", "monetaryValue_f": "SEK 12.50"}


def test_an_error_has_its_stack_and_its_cause():
    frames = [{"site": "a.b", "file": "x.py", "lineNo": 3}, {"functionName": "f"}, {"colNo": 5}]
    error = {
        "message": "no", "errorType": "E", "stackTrace": {"frames": frames, "droppedFramesCount": 2},
        "inner": {"message": "why"},
    }  # fmt: skip
    assert flat.properties(event(event="x", error=error)) == {
        "error.message": "no",
        "error.type": "E",
        "error.stack": 'at a.b in x.py:3\nat f\n{"colNo":5}\n… 2 more',
        "error.inner.message": "why",
    }


def test_a_span_has_its_ids_as_hex_and_its_duration():
    got = flat.properties(
        event(
            type="span",
            label="GET /",
            started=1_700_000_000_000_000_000,
            finished=1_700_000_000_000_000_500,
            spanContext={"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "2"},
            status={"type": "spanStatus", "code": 1, "description": "bad"},
        )
    )
    assert got["traceId"] == "0" * 31 + "1"
    assert got["duration"] == 500
    assert got["status.code"] == 1
    assert got["status.description"] == "bad"


@pytest.mark.parametrize(("kind", "given", "key", "value"), [
    ("gauge", {"gauge": {"type": "gauge", "value": 3, "unit": "seconds"}, "labels": {"l": "v"}}, "value", 3),
    ("histogram", {"buckets": {"1": 2}, "sum": 4, "labels": {"l": "v"}}, "buckets", {"1": 2}),
    ("identifyUser", {"prevUserId": "a", "newUserId": "b"}, "user.newUserId", "b"),
])  # fmt: skip
def test_other_kinds_have_what_they_are_about(kind, given, key, value):
    assert flat.properties(event(type=kind, name="n", **given))[key] == value


def test_texts_are_strings_as_they_are_and_json_of_all_else():
    got = flat.texts(event(event="x", fields={"s": "a b", "n": 1, "l": [1, {"a": None}], "none": None, "t": True}))
    assert got == {"s": "a b", "n": "1", "l": '[1,{"a":null}]', "t": "true"}


def test_what_spans_and_errors_say_leaves_fields_of_the_same_name_alone():
    got = flat.properties(event(type="span", label="x", started=1_700_000_000, fields={"started": "by hand"}))
    assert got["started"] == "by hand"
    assert got["span.started"] == 1_700_000_000_000_000_000
    got = flat.properties(event(event="x", fields={"error.message": "mine"}, error={"message": "theirs"}))
    assert got == {"error.message": "mine", "error.error.message": "theirs"}
