"""Rounds → medians, spreads, ratios and verdicts. Pure."""

import statistics
from collections.abc import Callable, Sequence

from msgspec import Struct

from rutta_bench.model import Sample
from rutta_bench.rows import Row

MIB = 1 << 20


class Line(Struct, frozen=True, kw_only=True):
    """One participant of a row: its rounds, what it ran, or why it did not."""

    label: str
    commands: tuple[str, ...] = ()
    rounds: tuple[Sample, ...] = ()
    note: str = ""
    does_less: bool = False
    remark: str = ""
    """What a reader must know of how it was measured."""


class Outcome(Struct, frozen=True, kw_only=True):
    """A row with the lines of all who took part; the first is Rutta's."""

    row: Row
    lines: tuple[Line, ...]


def value(row: Row, sample: Sample) -> float:
    """Return what counts in a row: events per (CPU-)second, or percent of a core."""
    if row.measure in ("share", "idle"):
        return sample.core
    return sample.per_second if row.wall else sample.per_cpu_second


def median(row: Row, line: Line) -> float:
    """Return the median of the rounds; 0 when there are none."""
    return statistics.median(value(row, sample) for sample in line.rounds) if line.rounds else 0.0


def spread(row: Row, line: Line) -> float:
    """Return (highest - lowest) / median of the rounds, in percent."""
    values = [value(row, sample) for sample in line.rounds]
    middle = median(row, line)
    return 100 * (max(values) - min(values)) / middle if middle else 0.0


def middle(line: Line, of: Callable[[Sample], float]) -> float:
    """Return the median of anything over the rounds."""
    return statistics.median(map(of, line.rounds))


def typical(line: Line) -> Sample:
    """Return the round in the middle by cost per event."""
    ordered = sorted(line.rounds, key=lambda sample: sample.cpu / max(1, sample.delivered))
    return ordered[len(ordered) // 2]


def ratio(row: Row, ours: Line, theirs: Line) -> float:
    """Return how many times better the first is; 0 when it cannot be said."""
    if row.measure == "targets":
        return 0.0
    if row.measure == "share":
        return _cost(theirs) / _cost(ours) if ours.rounds and theirs.rounds else 0.0
    first, second = median(row, ours), median(row, theirs)
    return first / second if second else 0.0


def verdicts(outcome: Outcome, others: Sequence[Outcome] = ()) -> list[str]:
    """Say of each promise of a row whether it was kept, with the numbers."""
    row, ours = outcome.row, outcome.lines[0]
    if not ours.rounds:
        return []
    said = [own_costs(outcome)] if row.measure == "targets" else []
    if row.at_least:
        said.append(_absolute(row, ours))
    if row.times:
        said += _relative(outcome)
    if row.memory:
        peak = typical(ours).rss_peak / MIB
        said.append(f"memory {peak:.0f} MiB, promised ≤ {row.memory} MiB: {_kept(peak <= row.memory)}")
    said += [_beside(ours, other.lines[0], row.beside) for other in others if other.row.key == row.beside]
    return [one for one in said if one]


def _kept(yes: bool) -> str:
    return "kept" if yes else "MISSED"


def _absolute(row: Row, ours: Line) -> str:
    mine = median(row, ours)
    if row.measure != "throughput":
        return f"{mine:.1f} % of a core, promised ≤ {row.at_least:.0f} %: {_kept(mine <= row.at_least)}"
    unit = "events/s" if row.wall else "events/CPU-s"
    return f"{short(mine)} {unit}, promised ≥ {short(row.at_least)}: {_kept(mine >= row.at_least)}"


def _relative(outcome: Outcome) -> list[str]:
    row, ours = outcome.row, outcome.lines[0]
    same = [line for line in outcome.lines[1:] if line.rounds and not line.does_less]
    if not same:
        return []
    best = max(same, key=lambda line: median(row, line))
    times = ratio(row, ours, best)
    return [f"{times:.1f} × the best peer ({best.label}), promised ≥ {row.times:.0f} ×: {_kept(times >= row.times)}"]


def _beside(ours: Line, other: Line, key: str) -> str:
    if not other.rounds:
        return ""
    cost, memory = _cost(ours) / _cost(other), typical(ours).rss_peak / typical(other).rss_peak
    return (
        f"{cost:.2f} × the cost per event and {memory:.2f} × the memory of {key}, "
        f"promised ≤ 1.5 ×: {_kept(cost <= 1.5 and memory <= 1.5)}"
    )


def _cost(line: Line) -> float:
    return statistics.median(sample.cpu / max(1, sample.delivered) for sample in line.rounds)


def own_costs(outcome: Outcome) -> str:
    """Say what each target costs above the first of them, for which events are only checked."""
    base, *targets = (line for line in outcome.lines if line.rounds)
    own = {line.label: max(0.0, 1e6 * (_cost(line) - _cost(base))) for line in targets}
    listed = ", ".join(f"{label} {own[label]:.1f}" for label in sorted(own, key=lambda label: (own[label], label)))
    return f"CPU µs an event above {base.label}, for which events are only checked: {listed}" if own else ""


def losses(line: Line) -> str:
    """Say what share of the events did not arrive, or came more than once; nothing when all is well."""
    sent, delivered = sum(one.sent for one in line.rounds), sum(one.delivered for one in line.rounds)
    if sent == delivered:
        return ""
    return f"of {sent} sent {delivered} were delivered ({100 * (delivered - sent) / sent:+.1f} %)"


def short(number: float) -> str:
    """Write a number with three digits and k or M."""
    for limit, divisor, unit in ((1e6, 1e6, " M"), (1e3, 1e3, " k")):
        if number >= limit:
            scaled = number / divisor
            return (
                f"{scaled:.2f}{unit}"
                if scaled < 10
                else f"{scaled:.1f}{unit}"
                if scaled < 100
                else f"{scaled:.0f}{unit}"
            )
    return f"{number:.1f}" if 0 < number < 10 else f"{number:.0f}"
