"""The results as a table for a terminal, as Markdown, or as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from rutta_bench import results
from rutta_bench.results import MIB, Line, Outcome

HEADERS = ("", "events/CPU-s", "spread", "events/s", "core", "memory peak / after", "Rutta is")


class Run(Struct, frozen=True, kw_only=True):
    """A whole run: what made it, where, of what versions, and its outcomes."""

    command: str
    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    load_average: float
    seconds: float
    rounds: int
    outcomes: tuple[Outcome, ...]


def json(run: Run) -> str:
    """Everything, every round; ``summary`` is what the table shows."""
    document: dict[str, Any] = msgspec.to_builtins(run)
    for shown, outcome in zip(document["outcomes"], run.outcomes, strict=True):
        shown["verdicts"] = results.verdicts(outcome, run.outcomes)
        for line, source in zip(shown["lines"], outcome.lines, strict=True):
            line["summary"] = dict(zip(HEADERS[1:], cells(outcome, source)[1:], strict=True))
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def cells(outcome: Outcome, line: Line) -> list[str]:
    """Return the cells of one line, as ``HEADERS``."""
    if not line.rounds:
        return [line.label, "–", "", "", "", "", line.note]
    row, ours, idle = outcome.row, outcome.lines[0], outcome.row.measure == "idle"
    core = results.middle(line, lambda sample: sample.core)
    peak = results.middle(line, lambda sample: sample.rss_peak / MIB)
    after = results.middle(line, lambda sample: sample.rss_after / MIB)
    times = 0.0 if line is ours or idle else results.ratio(row, ours, line)
    return [
        line.label,
        "" if idle else results.short(results.middle(line, lambda sample: sample.per_cpu_second)),
        "" if idle else f"{results.spread(row, line):.0f} %",
        "" if idle else results.short(results.middle(line, lambda sample: sample.per_second)),
        f"{core:.1f} %" if core < 10 else f"{core:.0f} %",
        f"{peak:.0f} / {after:.0f} MiB",
        f"{times:.1f} ×" if times else "",
    ]


def remarks(line: Line) -> list[str]:
    """Say what a reader must know of a line: losses, a sender that was at its limit."""
    if not line.rounds:
        return []
    said = [one for one in (results.losses(line), line.remark, line.note) if one]
    busy = max(sample.sender_busy for sample in line.rounds)
    if busy > 0.95 and results.typical(line).core < 90:
        said.append(f"the sender used {100 * busy:.0f} % of a core: more may be possible")
    return [f"{line.label}: {one}" for one in said]


def notes(outcome: Outcome, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield what stands below a row's lines."""
    yield from results.verdicts(outcome, outcomes)
    for line in outcome.lines:
        yield from remarks(line)


def others(run: Run) -> float:
    """Return the most that other programs used in any round, in cores."""
    return max((one.others for made in run.outcomes for line in made.lines for one in line.rounds), default=0.0)


def _heading(run: Run) -> Iterator[str]:
    yield ", ".join(f"{key} {text}" for key, text in run.machine.items())
    yield ", ".join(f"{name} {version}" for name, version in run.versions.items())
    yield f"{run.date}, {run.rounds} rounds of {run.seconds:g} s each, load average at the start {run.load_average:.1f}"
    yield f"other programs used up to {others(run):.1f} cores meanwhile (0.1 and less is quiet)"
    yield f"made by: {run.command}"


def markdown(run: Run) -> str:
    """One table, and what was run below it."""
    lines = [f"- {text}" for text in _heading(run)]
    lines += ["", "| " + " | ".join(HEADERS) + " |", "|---|" + "---:|" * (len(HEADERS) - 1)]
    for outcome in run.outcomes:
        lines.append(f"| **`{outcome.row.key}`** {outcome.row.title} |" + " |" * (len(HEADERS) - 1))
        lines += ["| " + " | ".join(cells(outcome, line)) + " |" for line in outcome.lines]
    lines += ["", "What was promised, and what else to know:", ""]
    for outcome in run.outcomes:
        said = list(notes(outcome, run.outcomes))
        lines += [f"- `{outcome.row.key}`: {'; '.join(said)}."] if said else []
    if commands := list(_commands(run)):
        lines += ["", "What was run:", "", *commands]
    return "\n".join(lines) + "\n"


def _commands(run: Run) -> Iterator[str]:
    for outcome in run.outcomes:
        for line in outcome.lines:
            yield from (f"- `{outcome.row.key}`, {line.label}: `{command}`" for command in line.commands)


def terminal(run: Run, console: Console) -> None:
    """A table, a section per row."""
    table = Table(title="Rutta, beside others", title_justify="left", show_lines=False)
    for number, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if number in (0, len(HEADERS) - 1) else "right", overflow="fold")
    for outcome in run.outcomes:
        table.add_row(f"[bold]{outcome.row.key}[/]: {outcome.row.title}")
        for line in outcome.lines:
            table.add_row(*(f"  {cell}" if not at else cell for at, cell in enumerate(cells(outcome, line))))
        for note in notes(outcome, run.outcomes):
            table.add_row(f"  [{'red' if 'MISSED' in note else 'dim'}]{note}[/]")
        table.add_section()
    console.print(table)
    for text in _heading(run):
        console.print(text, style="dim", highlight=False)
