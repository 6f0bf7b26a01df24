"""docs/formats.md: every example is what happens."""

import json
import re
from pathlib import Path

import pytest

from rutta import components, formats
from rutta.message import NOTHING, Block, Origin

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
FENCE = re.compile(r"^```\w+ (codec|format)=(\w+)(?: context=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples():
    """Yield input (codec, context, text) and what is said of it (format, text)."""
    source = None
    for role, word, context, text in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if role == "codec":
            source = (word, json.loads(context) if context else None, text)
        else:
            yield pytest.param(source, word, text, id=f"{text[:30]}… as {word}")


@pytest.mark.parametrize(("source", "word", "expected"), list(examples()))
def test_an_example_of_the_page_is_what_happens(source, word, expected):
    codec, context, text = source
    data = bytes.fromhex(text) if codec == "binary" else text.encode()
    block = Block(data, context=context, origin=Origin(bytes(range(16)), 7), received=1_700_000_000_000_000_000)
    batch = components.module("codecs", codec).make(False).decode(block, NOTHING)
    assert not batch.errors
    assert formats.encode(batch, formats.Format(word)).decode() == expected


def test_the_page_names_every_codec_and_format():
    page = PAGE.read_text(encoding="utf-8")
    codecs = {source.values[0][0] for source in examples()}
    assert codecs == set(components.names("codecs"))
    for word in formats.Word.__args__:
        assert f"`{word}`" in page
