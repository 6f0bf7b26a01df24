"""Streams of syslog (RFC 6587): counted or lines, told apart by how they begin, the same in any split."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutta.net import framing
from rutta.net.framing_octets import folded

LIMIT = 40


def cut(pieces, *, end=True):
    """Feed pieces, as a listener does; return the lines, what was refused, and whether the stream is broken."""
    refused = Counter()
    how = framing.for_codec("syslog", max_bytes=LIMIT)
    framer = how.start(lambda word, count: refused.update({word: count}))
    frames = []
    for piece in pieces:
        buffer = bytearray(piece + b"\xff" * 8)
        frames += framer.feed(buffer, len(piece))
    frames += framer.finish() if end else ()
    if not end:
        framer.abandon()
    blocks = list(how.blocks(frames))
    assert all(is_lines for _, is_lines in blocks)
    return b"".join(data for data, _ in blocks).split(b"\n")[:-1], dict(refused), bool(framer.broken)


@pytest.mark.parametrize(
    ("data", "lines", "refused", "broken"),
    [
        (b"<1>a\n<2>b\r\n<3>c", [b"<1>a", b"<2>b", b"<3>c"], {}, False),
        (b"<1>a\0<2>b\0", [b"<1>a", b"<2>b"], {}, False),
        (b"4 <1>a5 <2>bb", [b"<1>a", b"<2>bb"], {}, False),
        (b"8 <1>a\nb\r\n6 <2>b\n\0", [b"<1>a\0b", b"<2>b"], {}, False),
        (b"4 <1>a41 " + b"x" * 41 + b"4 <2>b", [b"<1>a", b"<2>b"], {"oversize": 1}, False),
        (b"4 <1>a9 <2>b", [b"<1>a"], {"framing": 1}, False),
        (b"4 <1>a<2>b\n", [b"<1>a"], {"framing": 1}, True),
        (b"4 <1>a9999999999 <2>b\n", [b"<1>a"], {"framing": 1}, True),
        (b"no priority\n12 monkeys\n", [b"no priority", b"12 monkeys"], {}, False),
        (b"12 monkeys\n", [b"12 monkeys"], {}, False),
        (b"1234567890 <x\n", [b"1234567890 <x"], {}, False),
        (b"01 <\n", [b"01 <"], {}, False),
        (b"12", [b"12"], {}, False),
        (b"12 ", [b"12 "], {}, False),
        (b"<1>" + b"x" * 41 + b"\n<2>b\n", [b"<2>b"], {"oversize": 1}, False),
        (b"\n\n<1>a\n", [b"", b"", b"<1>a"], {}, False),  # the codec counts empty ones
        (b"", [], {}, False),
    ],
)
def test_a_stream_is_cut_as_it_begins_in_any_split(data, lines, refused, broken):
    assert cut([data]) == (lines, refused, broken)
    for at in range(1, len(data)):
        assert cut([data[:at], data[at:]]) == (lines, refused, broken), at
    assert cut([data[at : at + 1] for at in range(len(data))]) == (lines, refused, broken)


FRAGMENTS = [
    b"4 <1>a",
    b"<1>a\n",
    b"41 " + b"<" * 41,
    b"6 <1>a\nb",
    b"12",
    b" ",
    b"<",
    b"\0",
    b"\r\n",
    b"0 ",
    b"x" * 45,
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join), st.lists(st.integers(0, 400), max_size=8))
def test_rough_streams_are_the_same_in_any_split(data, cuts):
    edges = [0, *sorted({one % (len(data) + 1) for one in cuts}), len(data)]
    assert cut([data[a:b] for a, b in itertools.pairwise(edges)]) == cut([data])


@given(st.lists(st.binary(max_size=30).map(lambda text: b"<13>" + text), max_size=8))
def test_counted_messages_come_out_whole_whatever_is_in_them(messages):
    counted = b"".join(b"%d %s" % (len(one), one) for one in messages)
    wanted = [one.rstrip(b"\r\n\0").replace(b"\n", b"\0") for one in messages]
    assert cut([counted]) == (wanted, {}, False)


@pytest.mark.parametrize(("data", "count"), [(b"12 ", 1), (b"<1>a", 1), (b"4 <1", 1), (b"<1>a\n", 0), (b"", 0)])
def test_half_a_message_of_a_torn_stream_is_refused(data, count):
    assert cut([data], end=False)[1] == ({"framing": 1} if count else {})


def test_datagrams_are_lines_whatever_is_in_them():
    assert folded([b"a", b"b"]) == b"a\nb\n"
    assert folded([b"a\n", b"b\r\n\0", b"c\nd\r\ne"]) == b"a\nb\nc\0d\r\0e\n"
    assert list(framing.joined([b"a\nb", b"c"], codec="syslog")) == [(b"a\0b\nc\n", True)]


def test_all_streams_of_a_listener_travel_together():
    how = framing.for_codec("syslog", max_bytes=LIMIT)
    counted, lines = how.start(lambda word, count: None), how.start(lambda word, count: None)
    frames = [*counted.feed(bytearray(b"4 <1>a6 <1>b\nc"), 14), *lines.feed(bytearray(b"<2>d\n<2>"), 8)]
    assert list(how.blocks(frames)) == [(b"<1>a\n<1>b\0c\n<2>d\n", True)]
    assert (counted.pending, lines.pending) == (0, 3)
