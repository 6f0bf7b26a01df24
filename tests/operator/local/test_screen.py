"""What a terminal sees: every tier's output with a prefix in its own colour."""

import os
import re

import pytest

from rutta_operator.local.screen import Screen


@pytest.fixture
def terminal(monkeypatch):
    """A terminal's two ends: what is written to the one is read from the other, up to a byte."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    reading, writing = os.openpty()
    with open(reading, "rb", buffering=0) as reader, open(writing, "w") as writer:
        yield writer, lambda end: b"".join(iter(lambda: reader.read(1), end)).decode()


def colours(text):
    return re.findall(r"\x1b\[(\d+)m(\S+) +│\x1b\[0m (.*)\r\n", text)


def test_each_tier_has_a_colour_of_its_own_on_a_terminal(terminal):
    writer, read = terminal
    screen = Screen(writer, writer)
    screen.expect(["shipper/node", "router/main"])
    screen.output("shipper/node", [b"one"])
    screen.output("router/main", [b"two"])
    screen.log("router/main", b"three\n!", None)
    (first, *one), (second, *two), (third, *three) = colours(read(b"!"))
    assert [one, two, three] == [["shipper/node", "one"], ["router/main", "two"], ["router/main", "three"]]
    assert first != second == third


def test_no_color_is_heeded(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    writer, read = terminal
    screen = Screen(writer, writer)
    screen.expect(["router/main"])
    screen.output("router/main", [b"one"])
    assert read(b"\n") == "router/main │ one\r"
