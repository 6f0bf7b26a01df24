"""Any split of the same bytes gives the same frames and the same refusals."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutta.net import framing

LIMIT = 40


def cut(
    pieces: Iterable[bytes], codec: str = "json", *, octet_counted: bool = False, limit: int = LIMIT, end: bool = True
) -> tuple[list[bytes], dict[str, int], bool]:
    """Feed pieces through one shared buffer, as a listener does; whole lines are joined to what a listener offers."""
    refused: Counter[str] = Counter()
    how = framing.for_codec(codec, max_bytes=limit, octet_counted=octet_counted)
    framer = how.start(lambda word, count: refused.update({word: count}))
    buffer = bytearray(b"\xff" * 4096)
    frames: list[bytes] = []
    for piece in pieces:
        buffer[: len(piece)] = piece
        frames += framer.feed(buffer, len(piece))
        buffer[: len(piece)] = b"\xff" * len(piece)  # nothing may still point here
    frames += framer.finish() if end else ()
    if codec == "binary":
        frames = objects_of(b"".join(frames))
    elif codec == "json" and not octet_counted:
        frames = [line + b"\n" for line in b"".join(frames).split(b"\n")[:-1]]
    return frames, dict(refused), bool(framer.broken)


def objects_of(data: bytes) -> list[bytes]:
    unpacker = msgpack.Unpacker(max_buffer_size=10**7)
    unpacker.feed(data)
    ends = [0]
    while ends[-1] < len(data):
        unpacker.skip()
        ends.append(unpacker.tell())
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def lines_by_hand(data: bytes) -> tuple[list[bytes], dict[str, int], bool]:
    """What lines are, written the slow way."""
    rows = data.split(b"\n")
    ended, last = rows[:-1], rows[-1]
    rows = [*ended, last] if last else ended
    kept = [(row[:-1] if row.endswith(b"\r") else row) + b"\n" for row in rows if len(row) <= LIMIT]
    dropped = len(rows) - len(kept)
    return kept, {"oversize": dropped} if dropped else {}, False


def event(text: str, prefix: str = "log4j:") -> bytes:
    return f"<{prefix}event level=\"a>b\" x='/>'>\n<m><![CDATA[{text}]]></m></{prefix}event>".encode()


STREAMS: dict[str, tuple[bytes, str, bool]] = {
    "lines with both endings, an over-long one and a rest": (
        b'{"a":1}\n\n\r\nplain\r\n' + b"x" * 41 + b"\nend\r\n" + b"y" * 40 + b"\n" + b"z" * 99 + b"\r\nlast",
        "json",
        False,
    ),
    "an over-long rest": (b"one\n" + b"x" * 60, "json", False),
    "counted octets": (b"3 abc5 a\nb c0 41 " + b"x" * 41 + b"2 ok", "json", True),
    "counted octets that end early": (b"3 abc5 ab", "json", True),
    "counted octets, then a line": (b"3 abchello\n3 abc", "json", True),
    "counted octets with a huge count": (b"2 ok9999999999 x", "json", True),
    "elements": (
        b'<?xml version="1.0"?>\n<log4j:eventSet xmlns:log4j="x">'
        + event("a</log4j:event>")
        + b"\r\n"
        + event("]]", "")
        + event("x")
        + b"<event/></log4j:eventSet>\n",
        "log4jxml",
        False,
    ),
    "elements with something between": (b"rubbish" + event("a") + b"more" + event("b") + b"end", "log4jxml", False),
    "an element that is too long": (event("a") + event("b" * 80) + event("c"), "log4jxml", False),
    "an element that lost its end": (b"<event a='1'>text" + event("b") + b"<event>half", "log4jxml", False),
    "an element with a comment": (b"<event><!-- </event> --><m/></event >" + event("b"), "log4jxml", False),
    "objects": (b"".join(map(msgpack.packb, ([1, "a"], {"k": b"x" * 20}, [], {}, [None] * 20))), "binary", False),
    "objects with one that is too long": (
        msgpack.packb([1]) + msgpack.packb({"k": "v" * 300}) + msgpack.packb([2]),
        "binary",
        False,
    ),
    "objects, then text": (msgpack.packb([1]) + b"hello\n", "binary", False),
    "objects, then a byte that is none": (msgpack.packb([1]) + b"\x92\xc1\x01" + msgpack.packb([1]), "binary", False),
    "half an object": (msgpack.packb([1]) + msgpack.packb(["abcdef"])[:-2], "binary", False),
}

EXPECTED: dict[str, tuple[int, dict[str, int], bool]] = {
    "lines with both endings, an over-long one and a rest": (7, {"oversize": 2}, False),
    "an over-long rest": (1, {"oversize": 1}, False),
    "counted octets": (4, {"oversize": 1}, False),
    "counted octets that end early": (1, {"framing": 1}, False),
    "counted octets, then a line": (1, {"framing": 1}, True),
    "counted octets with a huge count": (1, {"framing": 1}, True),
    "elements": (4, {}, False),
    "elements with something between": (2, {"framing": 3}, False),
    "an element that is too long": (2, {"oversize": 1}, False),
    "an element that lost its end": (1, {"framing": 2}, False),
    "an element with a comment": (2, {}, False),
    "objects": (5, {}, False),
    "objects with one that is too long": (2, {"oversize": 1}, False),
    "objects, then text": (1, {"framing": 1}, True),
    "objects, then a byte that is none": (1, {"framing": 1}, True),
    "half an object": (1, {"framing": 1}, False),
}


def limit_of(codec: str) -> int:
    return 100 if codec == "log4jxml" else LIMIT


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_the_frames_and_refusals_that_are_expected(name: str) -> None:
    data, codec, counted = STREAMS[name]
    frames, refused, broken = cut([data], codec, octet_counted=counted, limit=limit_of(codec))
    assert (len(frames), refused, broken) == EXPECTED[name]


@pytest.mark.parametrize("name", STREAMS)
def test_every_cut_in_two_gives_the_same_frames(name: str) -> None:
    data, codec, counted = STREAMS[name]
    limit = limit_of(codec)
    whole = cut([data], codec, octet_counted=counted, limit=limit)
    for at in range(1, len(data)):
        assert cut([data[:at], data[at:]], codec, octet_counted=counted, limit=limit) == whole, at


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte_gives_the_same_frames(name: str) -> None:
    data, codec, counted = STREAMS[name]
    limit = limit_of(codec)
    pieces = [data[i : i + 1] for i in range(len(data))]
    assert cut(pieces, codec, octet_counted=counted, limit=limit) == cut(
        [data], codec, octet_counted=counted, limit=limit
    )


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({one % (len(data) + 1) for one in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


SPLITS = st.lists(st.integers(0, 4000), max_size=12)
ROUGH_LINES = st.lists(
    st.one_of(st.just(b"\n"), st.just(b"\r\n"), st.just(b"\r"), st.binary(max_size=60)), max_size=20
).map(b"".join)


@given(ROUGH_LINES, SPLITS)
def test_lines_are_what_they_are_by_hand_in_any_split(data: bytes, cuts: list[int]) -> None:
    assert cut(split(data, cuts)) == lines_by_hand(data)


def same_in_any_split(fragments: list[bytes], **how: object) -> Callable[[], None]:
    @settings(deadline=None)
    @given(st.lists(st.sampled_from(fragments), max_size=15).map(b"".join), SPLITS)
    def check(data: bytes, cuts: list[int]) -> None:
        assert cut(split(data, cuts), **how) == cut([data], **how)  # type: ignore[arg-type]

    return check


def test_counted_frames_are_the_same_in_any_split() -> None:
    same_in_any_split(
        [b"3 abc", b"40 " + b"x" * 40, b"41 " + b"y" * 41, b"2 a", b"0 ", b"x", b" "], octet_counted=True
    )()


def test_elements_are_the_same_in_any_split() -> None:
    fragments = [
        event("a"), event("b", "l:"), b"<event", b">", b"/>", b'"', b"<![CDATA[", b"]]>", b"]", b"<!--", b"-->",
        b"</event>", b"</event", b" ", b"text", b"<", b"<eventSet>", b"x" * 70,
    ]  # fmt: skip
    same_in_any_split(fragments, codec="log4jxml", limit=120)()


def test_objects_are_the_same_in_any_split() -> None:
    fragments = [
        msgpack.packb(one) for one in ([1], {"a": [1, 2.5, None]}, ["x" * 33], [b"y" * 300], [msgpack.ExtType(1, b"z")])
    ]
    same_in_any_split([*fragments, b"\x92", b"\xde\x00", b"\xc1", b"a", b"\xdd\xff\xff\xff\xff"], codec="binary")()


@given(
    st.lists(
        st.recursive(
            st.none()
            | st.integers(-(2**63), 2**64 - 1)
            | st.floats(allow_nan=False)
            | st.text(max_size=300)
            | st.binary(max_size=300),
            lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner, max_size=20),
            max_leaves=20,
        ).filter(lambda one: isinstance(one, list | dict)),
        max_size=6,
    ),
    SPLITS,
)
def test_every_kind_of_object_comes_out_as_it_went_in(objects: list[object], cuts: list[int]) -> None:
    packed = [msgpack.packb(one) for one in objects]
    pieces = [piece[i : i + 4096] for piece in split(b"".join(packed), cuts) for i in range(0, len(piece), 4096)]
    assert cut(pieces, "binary", limit=10**6) == (packed, {}, False)


def test_a_partial_line_of_a_torn_stream_is_refused_not_delivered() -> None:
    refused: Counter[str] = Counter()
    framer = framing.for_codec("json", max_bytes=LIMIT).start(lambda word, count: refused.update({word: count}))
    assert framer.feed(bytearray(b"whole\nhal"), 9) == (b"whole\n",)
    framer.abandon()
    assert framer.finish() == ()
    assert refused == {"framing": 1}


def test_a_line_is_kept_in_memory_no_longer_than_its_limit() -> None:
    framer = framing.Lines(lambda word, count: None, LIMIT)
    for _ in range(1000):
        framer.feed(bytearray(b"x" * 30), 30)
        assert len(framer._rest) <= LIMIT + 30


@pytest.mark.parametrize("codec", ["log4jxml", "binary"])
def test_what_is_too_long_is_not_kept(codec: str) -> None:
    refused: Counter[str] = Counter()
    framer = framing.for_codec(codec, max_bytes=1000).start(lambda word, count: refused.update({word: count}))
    begin = b"<event>" if codec == "log4jxml" else b"\xdd\x00\xff\xff\xff"
    framer.feed(bytearray(begin), len(begin))
    for _ in range(1000):
        framer.feed(bytearray(b"\x01" * 100), 100)
        assert len(framer._buffer) < 2000  # type: ignore[attr-defined]
    assert refused == {"oversize": 1}


def test_messages_of_a_line_codec_travel_as_lines_and_those_with_newlines_alone() -> None:
    messages = [b"a", b"b\n", b"c\nd\n", b"e\r\n\r\n"]
    assert list(framing.joined(messages, codec="json")) == [(b"a\nb\n", True), (b"c\nd", False), (b"e\n", True)]


def test_plain_messages_lose_one_line_ending_only() -> None:
    assert list(framing.joined([b"a\r\n", b"b\n\n"], codec="plain")) == [(b"a\n", True), (b"b\n", False)]


def test_counted_frames_of_a_line_codec_are_joined_to_one_block() -> None:
    how = framing.for_codec("json", max_bytes=LIMIT, octet_counted=True)
    assert list(how.blocks([b"{}", b"[]"])) == [(b"{}\n[]\n", True)]


def test_elements_of_all_streams_travel_together() -> None:
    how = framing.for_codec("log4jxml", max_bytes=LIMIT)
    assert list(how.blocks([b"<event/>", b"<event/>"])) == [(b"<event/>\n<event/>", False)]


def test_objects_of_two_streams_are_never_joined() -> None:
    how = framing.for_codec("binary", max_bytes=LIMIT)
    first, second = (how.start(lambda word, count: None) for _ in range(2))
    two = bytearray(b"\x91\x01\x91\x02")
    frames = [*first.feed(two, 4), *second.feed(two, 4)]
    assert list(how.blocks(frames)) == [(bytes(two), False), (bytes(two), False)]
