"""Values of fields, and what no value can hold: limits on numbers and depth (reference §3.5, defects 6, 15, 17)."""

import json

import pytest

from rutta.events.event import Error, Frame, StackTrace


def line(**keys):
    """An event of kind event, with these keys."""
    return json.dumps({"type": "event", "event": "x", **keys}).encode()


def complaint(decode, data):
    """What strict says about one input."""
    batch = decode(data, strict=True)
    assert len(batch) == 0
    (failure,) = batch.errors
    assert failure.word in ("schema", "malformed", "depth")
    return failure.message


# --- §3.5: values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("key", ["fields", "context"])
@pytest.mark.parametrize(
    "value",
    [
        2**53 + 1,
        2**63 - 1,
        -(2**63),
        2**64,
        10**30,
        0.1,
        1e300,
        "x",
        True,
        None,
        [],
        [1, [None, {"a": {}}]],
        {"a": {"b": [1.5]}},
    ],
)
def test_every_json_value_is_kept_as_it_is_integers_exactly(read, key, value, strict):
    found = getattr(read(line(**{key: {"k": value}}), strict=strict), key)["k"]
    assert found == value
    assert type(found) is type(value)


def test_a_number_that_no_float_holds_is_kept_as_its_text_and_refused_by_strict(read, decode, write):
    for text in (b"1e999", b"-1e999", b"1" * 400 + b".5", b"9" * 5000):
        source = b'{"type":"event","event":"x","fields":{"big":' + text + b',"n":5},"n":' + text + b"}"
        assert read(source).fields == {"big": text.decode(), "n": 5, "n_": text.decode()}
        assert "out of range" in complaint(decode, source)
        assert write(source, form="ndjson") == source + b"\n"  # as it came
        assert json.loads(write(source))["fields"]["n"] == 5


def test_a_value_nested_deeper_than_a_hundred_levels_is_kept_as_its_text_and_refused_by_strict(read, decode):
    deep = b"[" * 101 + b"]" * 101
    source = b'{"type":"event","event":"x","fields":{"deep":' + deep + b',"n":5}}'
    assert read(source).fields == {"deep": deep.decode(), "n": 5}
    assert complaint(decode, source) == "the input is nested deeper than 100 levels"
    fits = b'{"type":"event","event":"x","fields":{"deep":' + b"[" * 98 + b"]" * 98 + b"}}"
    assert isinstance(read(fits, strict=True).fields["deep"], list)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("text", [b"[" * 5000 + b"]" * 5000, b'{"a":' * 5000 + b"1" + b"}" * 5000])
def test_nesting_that_would_exhaust_the_stack_is_one_error(decode, text, strict):
    batch = decode(b'{"a":' + text + b"}\n" + line() + b"\n", strict=strict)
    assert [failure.word for failure in batch.errors] == ["depth"]
    assert len(batch) == 1


@pytest.mark.parametrize("levels", range(850, 1010, 7))
def test_near_the_stacks_limit_an_event_is_refused_or_read_but_nothing_breaks(decode, write, levels):
    source = b'{"type":"event","event":"x","deep":' + b"[" * levels + b"]" * levels + b"}"
    for form in ("ndjson", "json", "logfmt", "msgpack", "plain"):
        write(source, form=form)
    batch = decode(source)
    assert len(batch) + batch.failed == 1
    for event in batch.rows.events():
        assert b"[" * levels in str(event.fields.get("deep", event.text)).encode()


def test_a_stack_trace_as_text_is_read(read):
    event = read(line(error="System.Exception: outer\n   at A.B() in x.cs:line 3"))
    assert event.error == Error("outer", "System.Exception", StackTrace((Frame(site="A.B()", file="x.cs", line_no=3),)))


def test_an_error_that_is_only_a_text_becomes_its_message(read):
    assert read(line(error="it broke")).error == Error(message="it broke")
