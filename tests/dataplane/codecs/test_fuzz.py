"""Fuzzing: no input makes a codec or a format raise anything, and what comes out is always JSON.

10 000 inputs in every run, a million with ``pytest -m fuzz`` (``make fuzz``). Inputs are mutations of good ones: random
bytes alone hardly get past the first character.
"""

import json
import os
import random

import msgpack
import pytest

from rutta import components, formats
from rutta.formats import Format
from rutta.message import ALL, NOTHING, Block

SEEDS = [
    b'{"type":"event","id":"0123456789abcdef0123456789abcdef","name":["a","b"],"level":"info","timestamp":1700000000000000000,'
    b'"event":"hi {user.name}","fields":{"user":{"name":"x"},"n":1.5e3},"context":{"h":"\\u00e9"},"gauges":{"g":{"type":"gauge",'  # noqa: E501
    b'"value":{"type":"fraction","value":[1,3]},"unit":{"type":"scaled","unit":"seconds","value":1e9}}}}',
    b'{"message":"m","severity":"Warn","@timestamp":"2024-01-02T03:04:05.678+01:00","logger":"l","error":"System.Exception: x\\n   at A.B() '  # noqa: E501
    b'in c.cs:line 3","tags":["a"],"x":null}',
    b'{"type":"span","label":"l","spanContext":{"traceId":"1","spanId":"2","flags":1},"started":"1700000000000000000","finished":0,'
    b'"status":{"code":1},"links":[],"events":[{"event":"e"}],"attrs":{"a":1},"kind":1}',
    b'{"type":"histogram","labels":{"a":"b"},"buckets":{"0.1":3,"1e5":4},"sum":2}',
    b'{"type":"setUserProperty","userId":"u","key":"k","value":true,"parentSpanId":"b7ad6b7169203331"}',
    b'{"type":"gauge","gauge":{"type":"money","amount":12.5,"currency":"sek"},"labels":{},"level":9}',
    b'[{"event":"a","type":"event"},{"value":"b","timestamp":1600000000.5}]',
    b'<log4j:event logger="l" timestamp="1286198926000" level="WARN" thread="t"><log4j:message><![CDATA[m]]></log4j:message>'  # noqa: E501
    b'<log4j:throwable>java.lang.Error: x</log4j:throwable><log4j:properties><log4j:data name="a" value="b"/></log4j:properties></log4j:event>',  # noqa: E501
    msgpack.packb([1, {"type": "event", "event": "x", "id": bytes(range(16)), "fields": {"a": [1, None, 2.5, b"x"]}}]),
    b"plain text\nwith lines\r\n\n",
    b'<165>1 2003-10-11T22:14:15.003Z host app 7 ID47 [a@1 b="c\\"d" b="2"][e] \xef\xbb\xbftext\n<13>Oct 11 22:14:15 host app[7]: x',  # noqa: E501
]
SPLICES = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r\n", b"\\", b"\\ud800", b"\xff", b"\x00", b"null", b"true", b"1e999", b"-",  # noqa: E501
           b"9" * 30, b"[" * 120, b'{"a":' * 120, b'"type":', b'"level":', b'"timestamp":', b"0", b".", b"<log4j:event>", b"]]>", b"&lol;",  # noqa: E501
           b"\xef\xbb\xbf", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\x92\x01", b'"fields":5,', b'"context":{"a":1},', b"\\u0063ontext"]  # fmt: skip  # noqa: E501
COLUMNS = [NOTHING, frozenset({ALL}), frozenset({"level", "timestamp", "fields.user", "context.h"}), frozenset({"text", "name", "kind"}),  # noqa: E501
           formats.columns_of(Format("ndjson", ("type", "fields", "context")))]  # fmt: skip
FORMATS = [
    Format("ndjson"),
    Format("json"),
    Format("logfmt"),
    Format("msgpack"),
    Format("plain"),
    Format("ndjson", ("event", "context")),
]
CODECS = ["json", "plain", "log4jxml", "binary", "auto", "syslog"]


def mutated(dice: random.Random) -> bytes:
    """Some good inputs, one after the other, with a few mistakes."""
    data = bytearray(dice.choice([b"\n", b"", b"\r\n"]).join(dice.choices(SEEDS, k=dice.choice([1, 1, 1, 2, 3]))))
    for _ in range(dice.choice([0, 1, 1, 2, 3, 8])):
        at, size = dice.randrange(len(data) + 1), dice.choice([0, 0, 1, 1, 4, 20])
        data[at : at + size] = dice.choice(
            [dice.choice(SPLICES), dice.choice(SPLICES), dice.randbytes(dice.randrange(4)), b""]
        )
    return bytes(data)


def check(dice: random.Random, codecs: dict[tuple[str, bool], object]) -> None:
    """Decode one input by some codec, and write it in some format."""
    (name, _), codec = dice.choice(list(codecs.items()))
    context = dice.choice([None, {"h": "block"}])
    lines = dice.random() < 0.6
    block = Block(mutated(dice), lines=lines, atomic=dice.random() < 0.2, context=context)
    batch = codec.decode(block, dice.choice(COLUMNS))  # type: ignore[attr-defined]
    assert batch.failed >= len(batch.errors)
    assert (len(batch), batch.failed) >= (0, 0)
    assert not (block.atomic and batch.failed and len(batch))
    assert len(batch) == len(batch.numbers) == len(batch.rows.lines())
    for column in ("level", "fields.user", "timestamp"):
        assert len(batch.rows.column(column)) == len(batch)
    form = dice.choice(FORMATS)
    found = formats.encode_lines(batch, form)
    assert len(found) == len(batch)
    if form.name in ("ndjson", "json"):
        for line in found:
            assert isinstance(json.loads(line, parse_constant=pytest.fail), dict)
            assert b"\n" not in line
    assert len(set(batch.numbers)) == len(batch), name


def run(count: int, seed: int) -> None:
    """Check that many inputs; the message of a failure says which."""
    codecs = {
        (name, strict): components.module("codecs", name).make(strict) for name in CODECS for strict in (False, True)
    }
    for number in range(count):
        dice = random.Random(f"{seed}/{number}")
        try:
            check(dice, codecs)
        except BaseException:
            print(f"the input is number {number} of seed {seed}")
            raise


def test_ten_thousand_broken_inputs_break_nothing():
    run(10_000, 1)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.skipif("RUTTA_FUZZ" not in os.environ, reason="takes minutes; `make fuzz` runs it")
def test_a_million_broken_inputs_break_nothing():
    run(1_000_000, random.SystemRandom().randrange(2**32))
