"""Stack traces and errors (reference §3.5, defect 19): nothing of a text is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.events.event import Error, Frame, StackTrace
from rutta.events.stack_trace import error, looks_like, parse
from rutta.events.values import Mismatch

NET = """System.InvalidOperationException: The order could not be placed. ---> \
System.IO.FileNotFoundException: Could not load file or assembly 'Shop'.
The system cannot find the file specified.
   at Shop.Store.Load(String path) in C:\\src\\Store.cs:line 42
   at Shop.Store..ctor()
   --- End of inner exception stack trace ---
   at Shop.Order.Place[T](T item) in /src/Order.cs:line 7
   at Shop.Program.Main()

=== Pre-bind state information ===
LOG: DisplayName = Shop"""

JAVA = """Exception in thread "main" java.lang.IllegalStateException: A book has a null property
\tat com.example.Author.getBookIds(Author.java:38)
\tat com.example.Bootstrap.main(Bootstrap.java:14) ~[app.jar:1.0]
Caused by: java.lang.NullPointerException
\tat com.example.Book.getId(Book.java:22)
\tat java.base/java.lang.reflect.Method.invoke(Native Method)
\t... 1 more
Caused by: org.example.Deep$Inner: very deep
second line
\t... 2 common frames omitted"""


def test_a_net_trace_keeps_the_outer_exception_and_gives_frames_to_whom_they_belong():
    found = parse(NET)
    assert found.error_type == "System.InvalidOperationException"
    assert found.message == (
        "The order could not be placed.\n\n=== Pre-bind state information ===\nLOG: DisplayName = Shop"
    )
    assert found.stack_trace == StackTrace(
        (Frame(site="Shop.Order.Place[T](T item)", file="/src/Order.cs", line_no=7), Frame(site="Shop.Program.Main()"))
    )
    inner = found.inner
    assert inner is not None
    assert inner.error_type == "System.IO.FileNotFoundException"
    assert inner.message == "Could not load file or assembly 'Shop'.\nThe system cannot find the file specified."
    assert inner.stack_trace == StackTrace(
        (
            Frame(site="Shop.Store.Load(String path)", file="C:\\src\\Store.cs", line_no=42),
            Frame(site="Shop.Store..ctor()"),
        )
    )
    assert inner.inner is None


def test_a_java_trace_keeps_every_cause_in_order():
    found = parse(JAVA)
    assert (found.error_type, found.message) == ("java.lang.IllegalStateException", "A book has a null property")
    assert found.stack_trace is not None
    assert found.stack_trace.frames[0] == Frame(site="com.example.Author.getBookIds", file="Author.java", line_no=38)
    assert found.stack_trace.frames[1].file == "Bootstrap.java"
    cause = found.inner
    assert cause is not None
    assert (cause.error_type, cause.message) == ("java.lang.NullPointerException", None)
    assert cause.stack_trace is not None
    assert cause.stack_trace.frames[1] == Frame(site="java.base/java.lang.reflect.Method.invoke(Native Method)")
    assert cause.stack_trace.dropped_frames_count == 1
    deep = cause.inner
    assert deep is not None
    assert (deep.error_type, deep.message) == ("org.example.Deep$Inner", "very deep\nsecond line")
    assert deep.inner is None


@pytest.mark.parametrize("text", ["boom", "no exception here:\nonly text", "x" * 10_000, "  indented", "a: b: c"])
def test_a_text_that_is_no_trace_becomes_the_message(text):
    assert parse(text) == Error(message=text.strip())
    assert not looks_like(text)


@pytest.mark.parametrize("text", [NET, JAVA, "System.Exception: x", "java.lang.Error", "boom\n   at A.B()"])
def test_what_is_a_trace_looks_like_one(text):
    assert looks_like(text)


def test_a_trace_of_frames_alone_has_frames_alone():
    assert parse("   at A.B()\n   at C.D() in x.cs:line 3") == Error(
        stack_trace=StackTrace((Frame(site="A.B()"), Frame(site="C.D()", file="x.cs", line_no=3)))
    )


MIB = 2**20


@pytest.mark.parametrize(
    "text",
    [
        "x" * MIB, "\n" * MIB, "   at " + "(" * MIB, "boom\n   at a" + " " * MIB + "b", "Error" * (MIB // 5), "a\n" * (MIB // 2),  # noqa: E501
        "x\n   at A.B()\n" * (MIB // 14), "x ---> y" * (MIB // 8), "x: y\n" + "Caused by: z\n" * (MIB // 13), "A." * (MIB // 2),  # noqa: E501
        "boom\n at " + "a) " * (MIB // 3), "boom\n" + "at (a(a.a:1" * 90 + "\n" + "at " + ").(a" * 240,
    ],
)  # fmt: skip
def test_no_text_makes_more_work_or_depth_than_its_length(text):
    found = parse(text)
    looks_like(text)
    depth = 0
    inner: Error | None = found
    while inner is not None:
        depth, inner = depth + 1, inner.inner
    assert depth <= 51
    assert len(texts(found)) >= len(text.replace("\n", "").replace(" ", "")) * 0.3


def texts(found: Error | None) -> str:
    """All that an error holds, as one text."""
    if found is None:
        return ""
    frames = found.stack_trace.frames if found.stack_trace else ()
    own = [found.error_type or "", found.message or "", *(f"{f.site} {f.file} {f.line_no}" for f in frames)]
    return " ".join(own) + texts(found.inner)


line = st.sampled_from(
    [
        "System.AError: a1",
        "   at A.F() in f.cs:line 12",
        "Caused by: b.CException: b2",
        " ---> D.EException: d3",
        "   --- End of inner exception stack trace ---",
        "word4",
        "",
        "\tat x.y(Z.java:77)",
    ]
)


@given(st.lists(line, max_size=30))
def test_no_word_of_any_mix_of_lines_is_lost(lines):
    found = texts(parse("\n".join(lines)))
    for mark, source in (
        ("a1", "a1"),
        ("f.cs 12", "f.cs"),
        ("b2", "b2"),
        ("d3", "d3"),
        ("word4", "word4"),
        ("77", "77"),
    ):
        assert found.count(mark) == sum(source in one for one in lines)


@given(st.text())
def test_any_text_is_read(text):
    assert isinstance(parse(text), Error)
    assert isinstance(looks_like(text), bool)


FULL = {
    "message": "m",
    "errorType": "t",
    "stackTrace": {
        "frames": [
            {
                "site": "s",
                "file": "f",
                "functionName": "fn",
                "originalFunctionName": "o",
                "lineNo": 1,
                "colNo": 2,
                "sourceVersion": "v",
                "loadModule": {"name": "n", "buildId": "b"},
            }
        ],
        "droppedFramesCount": 3,
    },
    "inner": {"message": "i"},
}


def test_the_schemas_error_is_read_whole():
    assert error(FULL) == Error(
        message="m",
        error_type="t",
        stack_trace=StackTrace(
            (Frame("s", "f", "fn", "o", 1, 2, "v", {"name": "n", "buildId": "b"}),), dropped_frames_count=3
        ),
        inner=Error(message="i"),
    )
    assert error({}) == Error()
    assert error(None) is None


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (5, ""),
        ([], ""),
        ({"message": 5}, ".message"),
        ({"x": 1}, ".x"),
        ({"stackTrace": {}}, ".stackTrace"),
        ({"stackTrace": {"frames": [{}, {"lineNo": "x"}]}}, ".stackTrace.frames[1].lineNo"),
        ({"stackTrace": {"frames": [{"x": 1}]}}, ".stackTrace.frames[0].x"),
        ({"inner": {"inner": 5}}, ".inner.inner"),
    ],
)
def test_what_is_no_error_is_a_mismatch_with_its_path(value, path):
    with pytest.raises(Mismatch) as caught:
        error(value)
    assert caught.value.path == path
