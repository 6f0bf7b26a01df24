"""Formats ``logfmt`` (reference §5.3) and ``plain``."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta import components, formats
from rutta.events.event import Event, Gauge, Span, Unit
from rutta.formats import Format, logfmt
from rutta.message import NOTHING, Batch, Block, Origin
from rutta.rows.rows import EventRows

ORIGIN = Origin(bytes(range(16)), 7)
RECEIVED = 1_700_000_000_000_000_000


def batch_of(data, codec="json", *, columns=NOTHING, strict=False, **block):
    """Decode bytes, with a fixed origin and time of receipt."""
    given = Block(data, origin=ORIGIN, received=RECEIVED, **block)
    return components.module("codecs", codec).make(strict).decode(given, columns)


def of_events(*events):
    """A batch of events."""
    return Batch(EventRows(events), size=1, origin=ORIGIN, received=RECEIVED)


# --- logfmt and plain -------------------------------------------------------------------------------------------


def shown(**keys):
    """The logfmt line of an event, without level and time."""
    return (
        formats.encode(of_events(Event(timestamp=0, received=5, **keys)), Format("logfmt"))
        .decode()
        .split("recv=1970-01-01T00:00:00.000Z ")
    )


@pytest.mark.parametrize(
    ("text", "fields", "context", "evt", "rest"),
    [
        ("hi", {}, {}, "hi", ""),
        ("a b", {}, {}, '"a b"', ""),
        ("{user} in", {"user": "ada", "n": 1}, {}, '"ada in"', "n=1 "),
        ("{user}", {}, {"user": "ctx"}, "ctx", ""),
        ("{user}", {"user": "f"}, {"user": "c"}, "f", ""),
        ("{@user} {$n}", {"user": {"a": 1}, "n": 2}, {}, '"{\\"a\\":1} 2"', ""),
        ("{user.name}", {"user": {"name": "ada"}}, {}, "ada", 'user={\\"name\\":\\"ada\\"} '),
        ("{user.name}", {"user.name": "dotted"}, {}, "dotted", ""),
        ("{missing} {}", {}, {}, '"{missing} {}"', ""),
        ('say "x"\n\there\x00\x1b', {}, {}, '"say \\"x\\"\\n\\there"', ""),
        ("C:\\a=b", {}, {}, "C:\\a=b", ""),
        (
            "x",
            {"blank": "", "null": None, "b": False, "f": 0.1, "t": {"type": "fraction", "value": [1, 3]}, "k y=": 1},
            {},
            "x",
            "b=false f=0.1 t=1/3 k_y_=1 ",
        ),
    ],
)
def test_a_console_line_fills_the_text_quotes_white_space_and_skips_blanks(text, fields, context, evt, rest):
    head, tail = shown(text=text, fields=fields, context=context)
    assert head == f"lvl=debug  ts=1970-01-01T00:00:00.000Z evt={evt} "
    assert tail == f"{rest}type=event\n"


ESCAPED = {'"': '\\"', "\n": "\\n", "\t": "\\t", "\u2028": "\\n", "\u2029": "\\n"}
CONTROLS = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}


@given(st.text() | st.text(' "a-\n\t\x1c\x85\xa0\u2003\u2028é', max_size=6))
def test_a_value_is_escaped_and_quoted_if_it_has_white_space(text):
    bare = "".join(ESCAPED.get(one, "" if one in CONTROLS else one) for one in text)
    assert logfmt.quoted(text) == (f'"{bare}"' if any(map(str.isspace, text)) else bare)


def test_numbers_and_what_else_json_has_stand_as_json_writes_them():
    fields = {"a": 1, "b": -0.5, "c": 1e16, "d": 10**20, "e": True, "f": [1, "x y"], "g": {"h": None}, "i": None}
    fraction = {"type": "fraction", "value": [1, 3]}
    said = shown(fields={**fields, "j": fraction, "k": ""})[1]
    assert said.startswith('a=1 b=-0.5 c=1e16 d=100000000000000000000 e=true f="[1,\\"x y\\"]" g={\\"h\\":null} j=1/3 ')
    assert said.endswith("j=1/3 type=event\n")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event(text="hi {x}", fields={"x": 1}), "hi {x}"),
        (Event(kind="span", span=Span(label="GET")), "GET"),
        (Event(kind="gauge", gauge=Gauge(5, Unit("bytes"))), "5.00 B"),
        (Event(kind="forgetUser", user={"userId": "a"}), "a"),
    ],
)
def test_plain_writes_the_texts(event, text):
    assert formats.encode(of_events(event), Format("plain")) == text.encode() + b"\n"


def test_plain_lines_stay_as_they_came_in_plain():
    assert formats.encode(batch_of(b"\xff a\nb\n", "plain"), Format("plain")) == b"\xff a\nb\n"
    assert formats.encode_lines(batch_of(b"\xff a\nb\n", "plain"), Format("plain")) == [b"\xff a", b"b"]
