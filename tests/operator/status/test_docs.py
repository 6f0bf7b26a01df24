"""docs/conditions.md has every condition and every reason as the code has them, and no others."""

import re
from pathlib import Path

import pytest

from rutta_operator.state.reasons import CONDITIONS, REASONS
from rutta_operator.state.seen import TargetState

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "conditions.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]


def section(word):
    return PAGE.partition(f"\n### {word}\n")[2].partition("\n### ")[0]


@pytest.mark.parametrize("word", REASONS)
def test_every_reason_is_where_it_stands_with_cause_and_remedy(word):
    reason = REASONS[word]
    assert reason.conditions
    for condition in reason.conditions:
        assert re.search(
            rf"^\| `{word}` \| (True|False|Unknown) \| {re.escape(reason.cause)} \| {re.escape(reason.remedy)} \|$",
            section(condition),
            re.MULTILINE,
        ), condition


def test_every_condition_and_state_is_told_and_nothing_else():
    told = {row[0].strip("`"): row[1:] for row in ROWS}
    assert {word: [text] for word, text in CONDITIONS.items()} == {word: told[word] for word in CONDITIONS}
    states = {*TargetState.__args__, "Unknown"}
    assert set(told) == {*CONDITIONS, *REASONS, *states}


def test_commands_of_the_pages_are_those_that_there_are(capsys):
    from rutta_operator.ctl.__main__ import parser

    text = PAGE + (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    lines = re.findall(r"(?:ruttactl|kubectl rutta) (\w[^`\n|]*)", text)
    assert len(lines) > 10
    for line in lines:
        words = line.partition("#")[0].split()
        if words[0] in ("up", "check", "status", "render", "graph"):
            parser().parse_args(words)  # exits if it is none
