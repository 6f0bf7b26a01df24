"""Every rule by which an event becomes a point, as a table of events and lines."""

import pytest

from rutta.events import units
from rutta.events.event import Error, Event, Frame, Gauge, Span, StackTrace, Unit
from rutta.influx.measurement import Rules, line

TIME = 1_700_000_000_000_000_000
RULES = Rules(frozenset({"service", "host", "region"}))
BYTES, SECONDS = Unit("bytes"), Unit("seconds")


def one(count: int) -> dict[str, Gauge]:
    return {f"g{number}": Gauge(number + 1) for number in range(count)}


def gauge_fields(name: str, value: int) -> str:
    return f'{name}={value}i,{name}_unit="units"'


GOLDEN = {
    "no name, blank text, no gauge": (Event(text=" "), "MISSING,level=debug value=0"),
    "no name, text, no gauge": (Event(text="hi there"), r"hi\ there,level=debug value=1i"),
    "a name, text, no gauge": (Event(name="shop.api", text="hi"), 'shop.api,level=debug event="hi",value=1i'),
    "a name, blank text, no gauge": (Event(name="shop.api"), 'shop.api,level=debug event="",value=1i'),
    "no name, text, a gauge": (
        Event(text="hi", gauges=one(1)),
        'hi.g0,level=debug,tags=gauge value=1i,value_unit="units"',
    ),
    "no name, blank text, a gauge": (
        Event(gauges=one(1)),
        'g0,level=debug,tags=gauge value=1i,value_unit="units"',
    ),
    "a name, blank text, a gauge": (
        Event(name="disk", gauges={"io ops": Gauge(7)}),
        r'disk.io\ ops,level=debug,tags=gauge value=7i,value_unit="units"',
    ),
    "a name, text, a gauge: the text is kept": (
        Event(name="disk", text="busy", gauges={"io ops": Gauge(7)}),
        r'disk.io\ ops,level=debug,tags=gauge event="busy",value=7i,value_unit="units"',
    ),
    "a name, a gauge without a name": (
        Event(name="disk", gauges={"": Gauge(7)}),
        'disk,level=debug,tags=gauge value=7i,value_unit="units"',
    ),
    "nothing but a gauge without a name": (
        Event(gauges={"": Gauge(7)}),
        'MISSING,level=debug,tags=gauge value=7i,value_unit="units"',
    ),
    "no name, text, two gauges": (
        Event(text="hi", gauges=one(2)),
        f"hi,level=debug,tags=gauge {gauge_fields('g0', 1)},{gauge_fields('g1', 2)}",
    ),
    "no name, blank text, two gauges": (
        Event(gauges=dict(reversed(one(2).items()))),
        f"g0,level=debug,tags=gauge {gauge_fields('g1', 2)},{gauge_fields('value', 1)}",
    ),
    "a name, two gauges, one of them a float": (
        Event(name="disk", gauges={"io ops": Gauge(7), "queue": Gauge(1.5)}),
        r'disk,level=debug,tags=gauge io\ ops=7i,io\ ops_unit="units",queue=1.5,queue_unit="units"',
    ),
    "a name, text, two gauges: the text is kept": (
        Event(name="disk", text="busy", gauges=one(2)),
        f'disk,level=debug,tags=gauge event="busy",{gauge_fields("g0", 1)},{gauge_fields("g1", 2)}',
    ),
    "context, a field and a template": (
        Event(
            name="shop.api", level=4, text="Slow {route}", context={"service": "shop", "host": "n1"},
            fields={"route": "/buy"},
        ),
        'shop.api,host=n1,level=warn,service=shop event="Slow {route}",route="/buy",value=1i',
    ),
    "a gauge in bytes is shown as people read it": (
        Event(gauges={"mem": Gauge(2048, BYTES)}),
        'mem,level=debug,tags=gauge value=2048i,value_f="2.00 KiB",value_unit="bytes"',
    ),
    "a large gauge in bytes": (
        Event(gauges={"mem": Gauge(442221570129, BYTES)}),
        'mem,level=debug,tags=gauge value=442221570129i,value_f="411.85 GiB",value_unit="bytes"',
    ),
    "a composite unit has no name": (
        Event(gauges={"rate": Gauge(2.5, Unit("div", of=(BYTES, SECONDS)))}),
        'rate,level=debug,tags=gauge value=2.5,value_f="2.50 B/s"',
    ),
    "tags are sorted, blank ones dropped": (
        Event(text="x", fields={"tags": ["b", "", "a", " "]}),
        r"x,level=debug,tags=a\,b value=1i",
    ),
    "tags hold gauge when there is one": (
        Event(name="x", fields={"tags": ["b", "z"]}, gauges={"": Gauge(1)}),
        r'x,level=debug,tags=b\,gauge\,z value=1i,value_unit="units"',
    ),
    "context that is not allowed as a tag is a field": (
        Event(text="x", context={"host": "a b", "tenant": "acme", "region": 7}),
        r'x,host=a\ b,level=debug,region=7 tenant="acme",value=1i',
    ),
    "an empty tag is none": (Event(text="x", context={"host": ""}), 'x,level=debug host="",value=1i'),
    "values of all types": (
        Event(
            text="x",
            fields={
                "i": 5, "f": 0.5, "t": True, "n": False, "s": "a", "big": 2**70, "small": -(2**70),
                "third": {"type": "fraction", "value": [1, 4]},
            },
        ),
        "x,level=debug big=9223372036854775807i,f=0.5,i=5i,n=F,"
        's="a",small=-9223372036854775808i,t=T,third=0.25,value=1i',
    ),
    "null, lists, objects, infinity: left out": (
        Event(text="x", fields={"a": None, "b": [1], "c": {"d": 1}, "e": float("inf"), "f": float("nan")}),
        "x,level=debug value=1i",
    ),
    "upper case sorts first": (
        Event(text="x", fields={"b": 1, "B": 2, "a": 3}),
        "x,level=debug B=2i,a=3i,b=1i,value=1i",
    ),
    "keys sort as they are, not as they are escaped": (
        Event(text="x", fields={"a1": 1, "a": 2, "a b": 3}),
        r"x,level=debug a=2i,a\ b=3i,a1=1i,value=1i",
    ),
    "quotes, backslashes and newlines in a field": (
        Event(text="x", fields={"s": 'a"b\\c\nd\\'}),
        'x,level=debug s="a\\"b\\\\c\nd\\\\",value=1i',
    ),
    "commas, spaces, equals, newlines in keys and tags": (
        Event(text="x", fields={"a,b c=d\ne": 1}, context={"host": "a,b c=d\ne"}),
        r"x,host=a\,b\ c\=d\ne,level=debug a\,b\ c\=d\ne=1i,value=1i",
    ),
    "a backslash at the end of a tag": (
        Event(text="x", context={"host": "C:\\"}),
        "x,host=C:/,level=debug value=1i",
    ),
    "a backslash that a name or key would lose": (
        Event(name='a\\"b\\ c\\d', fields={"k\\": 1}, gauges={"": Gauge(1)}),
        r'a/"b/\ c\d,level=debug,tags=gauge k/=1i,value=1i,value_unit="units"',
    ),
    "a measurement that would be a comment": (Event(text="# 1"), r"\#\ 1,level=debug value=1i"),
    "a field that is named like ours": (
        Event(name="n", text="t", fields={"value": "mine", "event": 3, "time": 4}),
        'n,level=debug event="t",fields.event=3i,fields.time=4i,fields.value="mine",value=1i',
    ),
    "context that is named like a field": (
        Event(text="t", fields={"a": 1}, context={"a": 2}),
        "t,level=debug a=1i,context.a=2i,value=1i",
    ),
    "an error, its type, its stack and its cause": (
        Event(
            text="t",
            error=Error(
                message="no such file",
                error_type="IOError",
                stack_trace=StackTrace((Frame(site="A.b", file="a.py", line_no=3), Frame(site="C.d"))),
                inner=Error(message="disk gone"),
            ),
        ),
        't,level=debug error.inner.message="disk gone",error.message="no such file",'
        'error.stack="at A.b in a.py:3\nat C.d",error.type="IOError",value=1i',
    ),
    "money": (
        Event(name="sale", text="t", money=Gauge(12.5, units.currency("sek"))),
        'sale,level=debug event="t",monetaryValue=12.5,monetaryValue_f="SEK 12.50",monetaryValue_unit="SEK",value=1i',
    ),
    "the kind gauge: its labels are tags": (
        Event(kind="gauge", name="mem", gauge=Gauge(2048, BYTES), labels={"pod": "a b", "level": "x", "none": ""}),
        r'mem,labels.level=x,level=debug,pod=a\ b,tags=gauge value=2048i,value_f="2.00 KiB",value_unit="bytes"',
    ),
    "the kind histogram: a field a bucket": (
        Event(kind="histogram", name="lat", buckets={"0.5": 3.0, "1": 4.0}, sum=2.5, labels={"pod": "a"}),
        "lat,level=debug,pod=a 0.5=3.0,1=4.0,sum=2.5",
    ),
    "the kind span": (
        Event(
            kind="span", name="api", level=3,
            span=Span(trace_id=b"\1" * 16, span_id=b"\2" * 8, parent_span_id=b"\3" * 8, label="GET /", kind=2,
                      started=10, finished=35, status={"code": 2, "type": "spanStatus"}),
        ),
        'api,level=info duration=25i,event="GET /",kind="server",label="GET /",parentSpanId="0303030303030303",'
        'spanId="0202020202020202",status.code=2i,traceId="01010101010101010101010101010101",value=1i',
    ),
    "a kind about users": (
        Event(kind="setUserProperty", user={"userId": "u1", "key": "plan", "value": "gold"}),
        'setUserProperty,level=debug key="plan",user.value="gold",userId="u1",value=1i',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN, ids=list(GOLDEN))
def test_an_event_becomes_the_point_that_the_rules_say(case: str) -> None:
    event, expected = GOLDEN[case]
    event.timestamp = TIME
    assert line(event, RULES) == f"{expected} {TIME}"


@pytest.mark.parametrize(("divisor", "expected"), [(1, TIME), (10**3, TIME // 10**3), (10**9, 1_700_000_000)])
def test_the_timestamp_is_in_the_unit_that_was_asked_for(divisor: int, expected: int) -> None:
    assert line(Event(text="x", timestamp=TIME), RULES._replace(divisor=divisor)).endswith(f" {expected}")


def test_lists_and_objects_are_json_text_when_asked_for() -> None:
    event = Event(text="x", fields={"b": [1, "a"], "c": {"d": None}, "e": None})
    assert line(event, RULES._replace(nested=True)) == 'x,level=debug b="[1,\\"a\\"]",c="{\\"d\\":null}",value=1i 0'


def test_an_endless_chain_of_causes_is_cut() -> None:
    error = Error(message="0")
    for depth in range(50):
        error = Error(message=str(depth + 1), inner=error)
    assert line(Event(text="x", error=error), RULES).count(".message=") == 8
