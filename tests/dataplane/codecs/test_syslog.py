"""The codec ``syslog``: the examples of RFC 5424 and RFC 3164, what senders make of them, and anything else."""

import json
import os
import string
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rutta.codecs import syslog
from rutta.events.event import NO_TIME
from rutta.events.syslog import FACILITIES, SEVERITIES
from rutta.message import EVERYTHING, NOTHING, Block

RECEIVED = 1_700_000_000_000_000_000  # 14 November 2023, 22:13:20 UTC; what the fixture ``read`` decodes with


def ns(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 10**9


# --- RFC 5424 §6.5 ----------------------------------------------------------------------------------------------

EXAMPLE_1 = (
    b"<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
    b"\xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8"
)
EXAMPLE_2 = (
    b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.  %%  "
    b"Ingredients: Mix=OK, Jelly=OK #"
)
EXAMPLE_3 = (
    b'<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" '
    b'eventSource="Application" eventID="1011"] \xef\xbb\xbfAn application event log entry...'
)
EXAMPLE_4 = (
    b'<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" '
    b'eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]'
)


def test_example_1_has_everything_but_a_process_and_data(read):
    event = read(EXAMPLE_1, "syslog")
    assert (event.text, event.name, event.level) == ("'su root' failed for lonvick on /dev/pts/8", "su", 6)
    assert event.timestamp == ns(2003, 10, 11, 22, 14, 15) + 3_000_000
    assert event.fields == {
        "facility": "auth", "severity": "crit", "host": "mymachine.example.com", "app": "su", "msgId": "ID47",
    }  # fmt: skip


def test_example_2_has_microseconds_an_offset_and_a_process(read):
    event = read(EXAMPLE_2, "syslog")
    assert event.timestamp == ns(2003, 8, 24, 12, 14, 15) + 3_000
    assert (event.fields["procId"], event.fields["host"], event.fields["facility"]) == ("8710", "192.0.2.1", "local4")
    assert event.level == 3
    assert event.text.endswith("Jelly=OK #")


def test_examples_3_and_4_have_structured_data_with_and_without_a_text(read):
    one = {"exampleSDID@32473": {"iut": "3", "eventSource": "Application", "eventID": "1011"}}
    third, fourth = read(EXAMPLE_3, "syslog"), read(EXAMPLE_4, "syslog")
    assert (third.fields["structuredData"], third.text) == (one, "An application event log entry...")
    assert fourth.fields["structuredData"] == one | {"examplePriority@32473": {"class": "high"}}
    assert fourth.text == ""


@pytest.mark.parametrize(
    "data", [EXAMPLE_1, EXAMPLE_2, EXAMPLE_3, EXAMPLE_4, b"<0>1 - - - - - -", b"<191>1 - - - - - - x"]
)
def test_strict_takes_the_rfc_to_the_letter(data, read):
    assert read(data, "syslog", strict=True) == read(data, "syslog")


@pytest.mark.parametrize(
    "data",
    [
        b"<34>Oct 11 22:14:15 host su: x",
        b"plain",
        b"<192>1 - - - - - - x",
        b"<007>1 - - - - - - x",
        b"<13>2 - - - - - - x",
        b"<13>1 - - - - -",
        b"<13>1  - - - - - x",
        b"<13>1 yesterday - - - - - x",
        b"<13>1 2003-10-11T22:14:15.1234567Z - - - - - x",
        b"<13>1 - - - - - [a b=c] x",
        b'<13>1 - - - - - [a b="]"] x',
        b'<13>1 - - - - - [a b="1"]x',
        b"<13>1 - " + b"h" * 256 + b" - - - - x",
        b"<13>1 - - " + b"a" * 49 + b" - - - x",
        b"<13>1 - - - - " + b"m" * 33 + b" - x",
        b"<13>1 - h\xc3\xb6st - - - - x",
    ],
)
def test_strict_refuses_and_counts_what_lenient_keeps(data, decode):
    batch = decode(data + b"\n" + EXAMPLE_1 + b"\n", "syslog", strict=True)
    assert (len(batch), batch.failed, list(batch.numbers)) == (1, 1, [1])
    assert [(one.row, one.word) for one in batch.errors] == [(0, "schema")]
    assert batch.rows.payload() == EXAMPLE_1 + b"\n"
    assert len(decode(data, "syslog", lines=False)) == 1


@pytest.mark.parametrize("pri", [*range(0, 192, 7), 191])
def test_every_priority_is_a_facility_a_severity_and_a_level(pri, read):
    event = read(b"<%d>1 - - - - - - x" % pri, "syslog")
    assert event.fields == {"facility": FACILITIES[pri // 8], "severity": SEVERITIES[pri % 8]}
    levels = {"emerg": 6, "alert": 6, "crit": 6, "err": 5, "warning": 4, "notice": 3, "info": 3, "debug": 2}
    assert event.level == levels[SEVERITIES[pri % 8]]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (rb'[a b="\"\]\\\n"]', {"a": {"b": '"]\\\\n'}}),
        (b'[a b="1" b="2" c="3" b="4"]', {"a": {"b": ["1", "2", "4"], "c": "3"}}),
        (b"[a]", {"a": {}}),
        (b'[a][b c=""]', {"a": {}, "b": {"c": ""}}),
        ('[a b="å [x] y=z"]'.encode(), {"a": {"b": "å [x] y=z"}}),
        (b'[a b="]"]', {"a": {"b": "]"}}),
        (b'[a  b="1" ]', {"a": {"b": "1"}}),
    ],
)
def test_structured_data_is_read_escapes_and_all(data, found, read):
    event = read(b"<13>1 - - - - - " + data + b" text", "syslog")
    assert (event.fields["structuredData"], event.text) == (found, "text")


def test_a_time_that_is_none_stays_and_the_event_gets_the_one_of_receipt(read):
    event = read(b"<13>1 2003-13-11T22:14:15Z host app - - - text", "syslog")
    assert (event.timestamp, event.fields["timestamp"], event.text) == (NO_TIME, "2003-13-11T22:14:15Z", "text")


MOMENTS = ["2003-10-11T22:14:15Z", "2003-10-11T22:14:15.1Z", "2003-10-11T22:14:15.123456+02:00",
           "2003-10-11T22:14:15.000001-00:30", "2003-10-11T22:14:15.123456789123Z", "1700000000"]  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
def test_a_time_is_read_the_same_after_others_of_its_second(order, decode, read):
    data = b"".join(b"<13>1 %s - - - - - x\n" % one.encode() for one in MOMENTS[::order] * 2)
    found = [event.timestamp for event in decode(data, "syslog").rows.events()]
    assert found == [read(b"<13>1 %s - - - - - x" % one.encode(), "syslog").timestamp for one in MOMENTS[::order] * 2]


# --- RFC 3164, and what is near to it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "time", "host", "app", "process", "text"),
    [
        # §5.4
        (b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed", ns(2023, 10, 11, 22, 14, 15), "mymachine", "su", None,
         "'su root' failed"),
        (b"<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!", ns(2023, 2, 5, 17, 32, 18), "10.0.0.99", None, None,
         "Use the BFG!"),
        # rsyslog's and syslog-ng's forms, the C library's without a host, an IPv6 address as host
        (b"<30>Nov 14 22:13:00 web-1 nginx[712]: GET /", ns(2023, 11, 14, 22, 13), "web-1", "nginx", "712", "GET /"),
        (b"<30>2023-11-14T22:13:00.5+01:00 web-1 postfix/smtpd[7]: hi", ns(2023, 11, 14, 21, 13) + 500_000_000, "web-1",
         "postfix/smtpd", "7", "hi"),
        (b"<30>Nov  4 22:13:00 cron[7]: hi", ns(2023, 11, 4, 22, 13), None, "cron", "7", "hi"),
        (b"<30>Nov 14 22:13:00 su: session: x", ns(2023, 11, 14, 22, 13), None, "su", None, "session: x"),
        (b"<30>Nov 14 22:13:00 2001:db8::1 app: hi", ns(2023, 11, 14, 22, 13), "2001:db8::1", "app", None, "hi"),
        (b"<30>Nov 14 22:13:00 web kernel: [1.5] x", ns(2023, 11, 14, 22, 13), "web", "kernel", None, "[1.5] x"),
        (b"<30>Nov 14 22:13:00 web app[7] no colon", ns(2023, 11, 14, 22, 13), "web", "app", "7", "no colon"),
        (b"<30>Nov 14 22:13:00 web app:", ns(2023, 11, 14, 22, 13), "web", "app", None, ""),
        # a year, decimals, Cisco's asterisk and colon
        (b"<189>Nov 14 2019 22:13:00 asa : %ASA-6-1: x", ns(2019, 11, 14, 22, 13), "asa", None, None, ": %ASA-6-1: x"),
        (b"<189>*Nov 14 22:13:00.250: %SYS-5: x", ns(2023, 11, 14, 22, 13) + 250_000_000, None, "%SYS-5", None, "x"),
        # the next day's clock is a clock that is ahead; the day after it was last year's
        (b"<13>Nov 15 22:00:00 web app: x", ns(2023, 11, 15, 22), "web", "app", None, "x"),
        (b"<13>Nov 16 22:00:00 web app: x", ns(2022, 11, 16, 22), "web", "app", None, "x"),
        (b"<13>Feb 29 22:00:00 web app: x", ns(2020, 2, 29, 22), "web", "app", None, "x"),
        # no time
        (b"<30>dockerd[9]: hi", None, None, "dockerd", "9", "hi"),
        (b"<30>error: not a tag", None, None, None, None, "error: not a tag"),
        (b"<30>", None, None, None, None, ""),
        (b"<30>Feb 30 22:00:00 web app: x", None, "web", "app", None, "x"),
        (b"<30>Nov 14 25:00:00 web app: x", None, "web", "app", None, "x"),
    ],
)  # fmt: skip
def test_old_messages_are_told_apart_as_well_as_they_can_be(data, time, host, app, process, text, read):
    event = read(data, "syslog")
    fields = event.fields
    assert (fields.get("host"), fields.get("app"), fields.get("procId"), event.text) == (host, app, process, text)
    assert (event.name, event.timestamp) == (app or "", NO_TIME if time is None else time)
    assert "facility" in fields
    assert "severity" in fields


def test_a_file_of_syslog_has_no_priorities(read):
    event = read(b"Nov 14 22:13:00 web nginx[712]: GET /", "syslog")
    assert (event.level, event.name, event.text) == (3, "nginx", "GET /")
    assert event.fields == {"host": "web", "app": "nginx", "procId": "712"}


@pytest.mark.parametrize("data", [b"hello", b"<999>1 - - - - - - x", b"<1", b"1 a b c d e - f", b"<a>x", b"<>x",
                                  b"\xff", b"<200>Nov 14 22:13:00 web app: x", b"1 - - - - - [a] x  "])  # fmt: skip
def test_what_has_no_priority_of_the_protocol_is_a_text(data, read):
    event = read(data, "syslog")
    assert (event.text, event.level, event.fields) == (data.decode(errors="replace"), 3, {})


ZONE = """
import sys
from rutta.codecs import syslog
from rutta.message import Block, NOTHING
codec = syslog.make(False)
lines = b"<13>Jul  1 12:00:00 web app: x\\n<13>1 2023-07-01T12:00:00Z - - - - - y\\n<13>text\\n"
batch = codec.decode(Block(lines, received=1_700_000_000_000_000_000), NOTHING)
further = codec.decode(Block(batch.rows.payload(), received=batch.received, times=batch.times, hop=1), NOTHING)
unsaid = codec.decode(Block(lines, received=batch.received, hop=1), NOTHING)
from rutta import formats
for one in (batch, further, unsaid):
    print([event.timestamp // 10**9 for event in formats.events(one)])
"""


@pytest.mark.parametrize(
    ("zone", "hours"), [("UTC0", 0), ("CET-1CEST,M3.5.0,M10.5.0/3", 2), ("EST5EDT,M3.2.0,M11.1.0", -4)]
)
def test_a_time_without_a_zone_is_in_that_of_who_received_it_however_far_it_goes(zone, hours):
    environment = {**os.environ, "TZ": zone}
    done = subprocess.run([sys.executable, "-c", ZONE], capture_output=True, text=True, check=True, env=environment)
    noon = ns(2023, 7, 1, 12) // 10**9
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert first == second == [noon - hours * 3600, noon, RECEIVED // 10**9]
    assert third == [noon, noon, RECEIVED // 10**9]  # a process that is not the first takes it for UTC


# --- blocks -----------------------------------------------------------------------------------------------------


def test_lines_go_on_as_they_came_and_are_read_again(decode):
    data = EXAMPLE_1 + b"\n<13>x\0y\n" + EXAMPLE_2 + b"\n"
    batch = decode(data, "syslog")
    assert (batch.rows.payload(), batch.rows.codec, len(batch)) == (data, "syslog", 3)
    assert batch.rows.lines() == data.split(b"\n")[:-1]
    assert [event.text[:3] for event in batch.rows.events()] == ["'su", "x\ny", "%% "]
    taken = batch.take([1, 2])
    assert taken.rows.payload() == b"<13>x\0y\n" + EXAMPLE_2 + b"\n"
    assert taken.rows.events() == batch.rows.events()[1:]


@pytest.mark.parametrize(
    "column", ["level", "name", "kind", "timestamp", "text", "fields.host", "fields.nothing", "context.x"]
)
def test_columns_are_what_the_events_say(column, decode):
    batch = decode(b"".join(one + b"\n" for one in (EXAMPLE_1, b"<13>old", EXAMPLE_4, b"x")), "syslog")
    events = batch.rows.events()
    group, _, key = column.partition(".")
    wanted = [getattr(one, group).get(key) if key else getattr(one, group) for one in events]
    assert list(batch.rows.column(column)) == [None if one == NO_TIME else one for one in wanted]


def test_a_whole_input_is_one_message_with_its_newlines(read):
    assert read(b"<13>1 - - app - - - a\nb\r\n", "syslog", lines=False).text == "a\nb"


def test_empty_messages_are_counted_and_the_others_kept(decode):
    batch = decode(b"\n<13>a\n\n\n<13>b\n", "syslog", times=[1, 2, 3, 4, 5])
    assert [event.text for event in batch.rows.events()] == ["a", "b"]
    assert [(one.row, one.word) for one in batch.errors] == [(0, "empty"), (2, "empty"), (3, "empty")]
    assert (batch.failed, list(batch.numbers), list(batch.times)) == (3, [1, 4], [2, 5])
    assert len(decode(b"<13>a\n\n", "syslog", atomic=True)) == 0
    assert decode(b"\n" * 100, "syslog").failed == 100
    assert len(decode(b"\n" * 100, "syslog").errors) == 20


def test_a_block_with_nothing_in_it_is_nothing(decode):
    batch = decode(b"", "syslog")
    assert (len(batch), batch.failed, batch.rows.payload(), batch.rows.events()) == (0, 0, b"", [])


# --- anything ---------------------------------------------------------------------------------------------------

TOKEN = st.text(string.ascii_letters + string.digits + "-._/", min_size=1, max_size=12).filter(lambda one: one != "-")
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\n\r"), max_size=30)
DATA = st.dictionaries(TOKEN, st.dictionaries(TOKEN, TEXT, max_size=3), max_size=3)


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


@given(st.integers(0, 191), TOKEN, TOKEN, TOKEN, TOKEN, DATA, TEXT)
@example(13, "h", "a", "1", "m", {"a": {"b": '\\"]'}}, "")
def test_a_message_says_the_same_when_it_is_read(pri, host, app, process, message, data, text):
    parameters = {
        name: "".join(f' {key}="{escaped(value)}"' for key, value in one.items()) for name, one in data.items()
    }
    elements = "".join(f"[{name}{text}]" for name, text in parameters.items())
    line = f"<{pri}>1 2023-11-14T22:13:20.000001Z {host} {app} {process} {message} {elements or '-'} {text}".encode()
    batch = syslog.make(True).decode(Block(line + b"\n"), NOTHING)
    (event,) = batch.rows.events()
    assert event.fields == {
        "facility": FACILITIES[pri // 8], "severity": SEVERITIES[pri % 8], "host": host, "app": app,
        "procId": process, "msgId": message, **({"structuredData": data} if data else {}),
    }  # fmt: skip
    assert (event.text, event.timestamp) == (text.removeprefix("\ufeff"), RECEIVED + 1000)


@given(st.binary(), st.booleans(), st.booleans())
@example(b"<1>1 " + b"[" * 60, True, False)
@example(b'<1>1 - - - - - [a b="' + b"\\" * 60, True, False)
def test_nothing_breaks_the_codec_and_every_line_is_an_event_or_counted(data, lines, strict):
    batch = syslog.make(strict).decode(Block(data, lines=lines), EVERYTHING)
    events = batch.rows.events()
    assert len(batch) == len(events) == len(batch.rows.lines()) == len(batch.numbers)
    given_lines = len((data + b"\n" if data and data[-1:] != b"\n" else data).replace(b"\r\n", b"\n").split(b"\n")) - 1
    assert len(batch) + batch.failed == (given_lines if lines else 1)
    assert all(isinstance(event.text, str) for event in events)


@pytest.mark.parametrize("filler", ['[a b="x', "[a ", '[a b="\\', "a" * 10, "[a]", "<1>", ' b="1"'])
def test_no_message_takes_long(filler, read):
    read(("<13>1 - - - - - " + filler * 20_000).encode(), "syslog")
    read(("<13>Nov 14 22:13:00 " + filler * 20_000).encode(), "syslog")
