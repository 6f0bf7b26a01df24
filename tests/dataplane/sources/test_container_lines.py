"""Blocks of container logs: prefixes, streams, parts, joined lines, at every split."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.containers import cri
from rutta.containers.multiline import Traces
from rutta.containers.shaper import ContainerLines, Settings

TIME = b"2026-11-22T20:00:01.5Z"
NANOS = 1_795_377_601_500_000_000


class Log:
    """Feeds a shaper and remembers what came out, per stream."""

    def __init__(self, limit: int = 1000, codec: str = "auto", rule: Any = None) -> None:
        self.refused: list[str] = []
        self.blocks: list[Any] = []
        self.shaper = ContainerLines(
            Settings(limit, codec, rule=rule),
            lambda stream: {"stream": stream},
            lambda word, _: self.refused.append(word),
        )
        self.at = 0

    def feed(self, data: bytes, *, only: int | None = None) -> "Log":
        self.keep(self.shaper.shape(bytearray(data), len(data), self.at, only=only))
        self.at += len(data)
        return self

    def keep(self, made: Sequence[Any]) -> None:
        self.blocks += [one.block for one in made]

    def lines(self, stream: str) -> list[tuple[int, bytes]]:
        return [
            pair
            for block in self.blocks
            if block.context["stream"] == stream
            for pair in zip(block.times, block.data.split(b"\n")[:-1], strict=True)
        ]


def line(stream: bytes, text: bytes, tag: bytes = b"F") -> bytes:
    return b" ".join([TIME, stream, tag, text]) + b"\n"


@pytest.mark.parametrize(
    "text",
    [b"2026-11-22T20:00:01.5Z", b"2026-11-22T20:00:01.500000000Z", b"2026-11-22T22:00:01.500000000+02:00"],
    ids=["containerd", "nine digits", "CRI-O with an offset"],
)
def test_times_of_all_runtimes_are_read(text: bytes) -> None:
    log = Log().feed(text + b" stdout F hello\n" + text + b" stdout F  two  words\n")
    assert log.lines("stdout") == [(NANOS, b"hello"), (NANOS, b" two  words")]


def test_a_block_over_several_seconds_has_the_time_of_each_line() -> None:
    log = Log().feed(b"2026-11-22T20:00:01.5Z stderr F a\n2026-11-22T20:00:02Z stderr F b\n")
    assert log.lines("stderr") == [(NANOS, b"a"), (NANOS + 500_000_000, b"b")]


def test_streams_that_alternate_become_a_block_each() -> None:
    log = Log().feed(line(b"stdout", b"1 stderr F x") + line(b"stderr", b"2 stdout F y") + line(b"stdout", b"3"))
    assert len(log.blocks) == 2
    assert [text for _, text in log.lines("stdout")] == [b"1 stderr F x", b"3"]
    assert [text for _, text in log.lines("stderr")] == [b"2 stdout F y"]


def test_parts_are_joined_across_blocks_and_other_streams() -> None:
    log = Log().feed(line(b"stdout", b"one ", b"P") + line(b"stderr", b"between"))
    assert log.shaper.is_holding
    assert log.shaper.floor(0, log.at) == 0
    assert log.shaper.floor(1, log.at) == log.at
    log.feed(line(b"stdout", b"two ", b"P") + line(b"stdout", b"three"))
    assert log.lines("stdout") == [(NANOS, b"one two three")]
    assert log.lines("stderr") == [(NANOS, b"between")]
    assert not log.shaper.is_holding


def test_a_joined_line_above_the_limit_is_refused_once_and_its_neighbours_kept() -> None:
    log = Log(limit=10).feed(
        line(b"stdout", b"before")
        + line(b"stdout", b"123456", b"P") * 3
        + line(b"stdout", b"end")
        + line(b"stdout", b"x")
    )
    assert [text for _, text in log.lines("stdout")] == [b"before", b"x"]
    assert log.refused == ["oversize"]


def test_a_part_whose_rest_does_not_come_is_a_line() -> None:
    log = Log().feed(line(b"stdout", b"part", b"P"))
    log.keep(log.shaper.due(1e12))
    assert log.lines("stdout") == [(NANOS, b"part")]


def test_a_line_of_no_form_is_shipped_as_it_is_and_counted() -> None:
    log = Log().feed(line(b"stdout", b"a") + b"no prefix here\n" + b"\x00\x00\n" + line(b"stdout", b""))
    assert [text for _, text in log.lines("stdout")] == [b"a", b"no prefix here", b"\x00\x00", b""]
    assert log.refused == ["framing", "framing"]


def test_of_a_stream_that_is_done_already_nothing_comes_again() -> None:
    log = Log().feed(line(b"stdout", b"a") + line(b"stderr", b"b"), only=1)
    assert (log.lines("stdout"), log.lines("stderr")) == ([], [(NANOS, b"b")])


RAW = st.lists(
    st.tuples(st.sampled_from([b"stdout", b"stderr"]), st.sampled_from([b"F", b"F", b"P"]), st.binary(max_size=12)),
    max_size=12,
).map(lambda rows: [line(stream, text.replace(b"\n", b"?"), tag) for stream, tag, text in rows])


@given(lines=RAW, cuts=st.sets(st.integers(0, 11)))
def test_every_split_at_lines_gives_the_same(lines: list[bytes], cuts: set[int]) -> None:
    whole, cut = Log(), Log()
    if lines:
        whole.feed(b"".join(lines))
    start = 0
    for end in [*sorted(one for one in cuts if 0 < one < len(lines)), len(lines)]:
        if start < end:
            cut.feed(b"".join(lines[start:end]))
        start = end
    for log in (whole, cut):
        log.keep(log.shaper.finish())
    for stream in ("stdout", "stderr"):
        assert whole.lines(stream) == cut.lines(stream)


TRACES = {
    "Python": [
        b"ERROR it failed", b"Traceback (most recent call last):", b'  File "x.py", line 1, in <module>', b"    run()",
        b"ValueError: no", b"", b"During handling of the above exception, another exception occurred:", b"",
        b"Traceback (most recent call last):", b'  File "x.py", line 3, in <module>', b"KeyError: 'a'",
    ],
    "Java": [
        b'Exception in thread "main" java.lang.IllegalStateException: no', b"\tat com.example.A.b(A.java:1)",
        b"Caused by: java.io.IOException: disk", b"\tat com.example.C.d(C.java:2)", b"\t... 1 more",
    ],
    "Go": [
        b"panic: no", b"", b"goroutine 1 [running]:", b"main.main()", b"\t/tmp/x.go:5 +0x1d", b"exit status 2",
    ],
    ".NET": [
        b"Unhandled exception. System.InvalidOperationException: no", b" ---> System.IO.IOException: disk",
        b"   at X.Y() in /src/x.cs:line 3", b"   --- End of inner exception stack trace ---", b"   at X.Main()",
    ],
}  # fmt: skip


@pytest.mark.parametrize("language", TRACES)
def test_stack_traces_are_one_event(language: str) -> None:
    log = Log(rule=Traces)
    trace = TRACES[language]
    log.feed(b"".join(line(b"stderr", text) for text in [b"INFO before", *trace, b"INFO after", b"INFO later"]))
    log.keep(log.shaper.due(1e12))
    found = [text for _, text in log.lines("stderr")]
    assert [found[0], *found[2:]] == [b"INFO before", b"INFO after", b"INFO later"]
    assert msgspec.json.decode(found[1]) == {"message": b"\n".join(trace).decode()}


def test_the_last_event_is_held_and_the_watermark_stays_before_it() -> None:
    first = line(b"stdout", b"first")
    log = Log(rule=Traces).feed(first + line(b"stdout", b"second") + line(b"stdout", b"\tat frame"))
    assert [text for _, text in log.lines("stdout")] == [b"first"]
    assert log.shaper.floor(0, log.at) == len(first)


def test_joined_lines_of_codec_plain_are_blocks_of_json_between_the_others() -> None:
    log = Log(codec="plain", rule=Traces)
    log.feed(b"".join(line(b"stdout", text) for text in (b"{a", b"b", b"\tc", b"d")))
    log.keep(log.shaper.finish())
    assert [(block.codec, block.data) for block in log.blocks] == [
        (None, b"{a\n"), ("json", b'{"message":"b\\n\\tc"}\n'), (None, b"d\n"),
    ]  # fmt: skip


SECONDS = [b"2026-11-22T20:00:01", b"2026-11-22T20:00:02", b"2026-11-22T19:59:59", b"1970-01-01T00:00:00"]
FRACTIONS = [b"", b".5", b".000000001", b".123456789", b".1234567", b".1e5", b".1,2", b".-1", b".1234567890"]
MOMENTS = st.tuples(
    st.sampled_from(SECONDS), st.sampled_from(FRACTIONS), st.sampled_from([b"Z", b"Z", b"+02:00", b""])
).map(b"".join)


@given(
    rows=st.lists(
        st.tuples(MOMENTS, st.sampled_from([b"text", b"", b" stdout F x", b"Z stdout F x", b"{}"])),
        min_size=1,
        max_size=6,
    )
)
def test_a_block_at_once_is_what_its_lines_are_one_by_one(rows: list[tuple[bytes, bytes]]) -> None:
    lines = [b" ".join([moment, b"stdout", b"F", text]) + b"\n" for moment, text in rows]
    at_once = cri.read_uniform(b"".join(lines), 1000)
    if at_once is not None:
        assert list(at_once.times) == [cri.one_time(moment) for moment, _ in rows]
        assert at_once.payload == b"".join(text + b"\n" for _, text in rows)
