"""log4j XML, row by row of reference §3.10, over any number of lines; entity bombs refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.codecs.log4jxml import make
from rutta.events.event import NO_TIME, Error, Event, Frame, StackTrace
from rutta.message import NOTHING, Block

SIMPLE = (
    '<log4j:event logger="org.shop.Cart" timestamp="1286198926000" level="INFO" thread="main">\n'
    "  <log4j:message><![CDATA[two\nlines & more]]></log4j:message>\n</log4j:event>\n"
)
CHAINSAW = """<log4j:event logger="shop" timestamp="1286198926123" level="ERROR" thread="pool-1">
<log4j:message>it broke</log4j:message>
<log4j:NDC>request 5</log4j:NDC>
<log4j:throwable><![CDATA[java.lang.IllegalStateException: boom
\tat shop.Cart.open(Cart.java:12)
]]></log4j:throwable>
<log4j:locationInfo class="shop.Cart" method="open" file="Cart.java" line="12"/>
<log4j:properties><log4j:data name="user" value="ada"/><log4j:data name="host" value="h&lt;1"/></log4j:properties>
</log4j:event>"""


def test_the_attributes_and_children_of_an_event_are_read(read):
    assert read(SIMPLE.encode(), "log4jxml") == Event(
        name="org.shop.Cart",
        level=3,
        timestamp=1286198926000 * 10**6,
        text="two\nlines & more",
        fields={"thread": "main"},
    )


def test_chainsaws_properties_and_throwable_are_read_and_the_error_is_no_field(read):
    assert read(CHAINSAW.encode(), "log4jxml") == Event(
        name="shop",
        level=5,
        timestamp=1286198926123 * 10**6,
        text="it broke",
        fields={"thread": "pool-1", "NDC": "request 5", "user": "ada", "host": "h<1"},
        error=Error(
            "boom",
            "java.lang.IllegalStateException",
            StackTrace((Frame(site="shop.Cart.open", file="Cart.java", line_no=12),)),
        ),
    )


def event(attributes: str = "", inside: str = "<log4j:message>m</log4j:message>") -> bytes:
    """An element."""
    return f"<log4j:event {attributes}>{inside}</log4j:event>".encode()


@pytest.mark.parametrize("word", ["TRACE", "WARNING", "custom"])
def test_an_unknown_level_is_info_and_its_word_is_kept(read, word):
    found = read(event(f'level="{word}"'), "log4jxml")
    assert (found.level, found.fields) == (3, {"level": word})


@pytest.mark.parametrize(("word", "level"), [("DEBUG", 2), ("WARN", 4), ("FATAL", 6)])
def test_a_known_level_is_read(read, word, level):
    assert read(event(f'level="{word}"'), "log4jxml").level == level


@pytest.mark.parametrize("attribute", ["", 'timestamp=""', 'timestamp="x"', 'timestamp="9999999999999999999"'])
def test_a_missing_or_invalid_timestamp_is_the_time_of_receipt(read, attribute):
    assert read(event(attribute), "log4jxml").timestamp == NO_TIME


@pytest.mark.parametrize(
    "text",
    [
        SIMPLE * 3,
        SIMPLE + "\n\n  " + SIMPLE + SIMPLE,
        '<?xml version="1.0" encoding="UTF-8"?>' + SIMPLE * 3,
        "\ufeff" + SIMPLE * 3,
        SIMPLE.replace("\n", "\r\n") * 3,
        SIMPLE.replace("log4j:event ", 'log4j:event xmlns:log4j="http://jakarta.apache.org/log4j/" ') * 3,
        SIMPLE.replace("<log4j:event", '<event xmlns="http://jakarta.apache.org/log4j/"').replace("log4j:", "") * 3,
    ],
)
@pytest.mark.parametrize("lines", [True, False])
def test_any_number_of_elements_is_read_in_every_spelling(decode, text, lines):
    batch = decode(text.encode(), "log4jxml", lines=lines)
    assert not batch.errors
    assert [found.text for found in batch.rows.events()] == ["two\nlines & more"] * 3


def test_colours_and_other_characters_that_xml_cannot_hold_are_replaced(read):
    assert (
        read(event(inside="<log4j:message><![CDATA[\x1b[31mred\x00]]></log4j:message>"), "log4jxml").text
        == "\ufffd[31mred\ufffd"
    )
    assert read(b"<log4j:event><log4j:message>\xff</log4j:message></log4j:event>", "log4jxml").text == "\ufffd"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the input is empty"),
        ("  \n ", "the input is empty"),
        ("hello", "text outside of its elements"),
        ("<log4j:event>", "mismatched tag"),
        ("<log4j:event><log4j:message></log4j:event>", "mismatched tag"),
        ("<other/>", "expected an element log4j:event, got 'other'"),
        ("<event/>", "expected an element log4j:event, got 'event'"),
        ("<log4j:event>text<x</log4j:event>", "not well-formed"),
        ("<log4j:event><log4j:message>&bomb;</log4j:message></log4j:event>", "undefined entity"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><log4j:event/>', "not log4j XML"),
        ("</log4j:events><log4j:events>", "not log4j XML"),
    ],
)
def test_anything_else_is_one_error(decode, text, message):
    batch = decode(text.encode(), "log4jxml")
    (failure,) = batch.errors
    assert message in failure.message
    assert len(batch) == 0


def test_an_entity_bomb_is_refused_and_its_neighbours_are_read(decode):
    bomb = (
        '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "'
        + "&a;" * 1000
        + '">]><log4j:event><log4j:message>&b;</log4j:message></log4j:event>'
    )
    batch = decode((SIMPLE + bomb + SIMPLE).encode(), "log4jxml")
    assert [found.text for found in batch.rows.events()] == ["two\nlines & more"] * 2
    assert batch.failed == 1
    assert list(batch.numbers) == [0, 2]


def test_a_broken_element_costs_no_other(decode):
    text = SIMPLE + "<log4j:event><log4j:message>a</log4j:event>" + SIMPLE + "<log4j:event>" + SIMPLE
    batch = decode(text.encode(), "log4jxml")
    assert (len(batch), batch.failed, list(batch.numbers)) == (3, 2, [0, 2, 4])
    assert len(decode(text.encode(), "log4jxml", atomic=True)) == 0


def test_an_end_tag_inside_of_cdata_ends_nothing_beside_a_broken_element(decode):
    tricky = "<log4j:event><log4j:message><![CDATA[</log4j:event> ]]]]><![CDATA[> x]]></log4j:message></log4j:event>"
    batch = decode((tricky + "<log4j:event><y></log4j:event>" + tricky).encode(), "log4jxml")
    assert [found.text for found in batch.rows.events()] == ["</log4j:event> ]]> x"] * 2
    assert batch.failed == 1


def test_events_go_on_as_json(decode):
    rows = decode((SIMPLE + CHAINSAW).encode(), "log4jxml").rows
    assert rows.codec == "json"
    assert decode(rows.payload()).rows.events() == rows.events()
    assert rows.column("level") == [3, 5]
    assert rows.take([1]).column("name") == ["shop"]


pieces = st.sampled_from(
    [
        SIMPLE,
        "<log4j:event>",
        "</log4j:event>",
        "<![CDATA[",
        "]]>",
        "<log4j:message>",
        "</log4j:message>",
        "x",
        "&a;",
        "<!DOCTYPE a>",
        "\n",
        '<log4j:properties><log4j:data name="a"/></log4j:properties>',
        "\x00",
        "<",
    ]
)


@given(st.lists(pieces, max_size=12).map("".join) | st.text())
def test_nothing_breaks_the_codec(text):
    batch = make(False).decode(Block(text.encode(errors="replace")), NOTHING)
    assert len(batch) == len(batch.rows.events()) == len(batch.numbers)
    assert len(batch) + batch.failed >= 1
