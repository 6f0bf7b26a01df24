"""The figures as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rutta_scale.phases import Changes, Nothing, Restart, Still, percentile


class Figures(NamedTuple):
    """All that was measured."""

    setting: Mapping[str, str]
    resources: int
    nothing: Nothing
    still: Still
    paced: Changes
    """at a pace that leaves the API server time for what follows from them"""
    rushed: Changes
    """each as soon as the child of the one before it was seen"""
    restart: Restart


def markdown(figures: Figures) -> str:
    """A table against what was promised, and below it what else was seen."""
    lines = [f"- {key}: {text}" for key, text in figures.setting.items()]
    lines += ["", "| | measured | promised | |", "|---|---:|---:|---|"]
    lines += [
        f"| {what} | {value} | {bar} | {'yes' if kept else '**no**'} |" for what, value, bar, kept in _rows(figures)
    ]
    return "\n".join([*lines, "", *(f"- {text}" for text in _notes(figures)), ""])


def missed(figures: Figures) -> list[str]:
    """Return what is not as promised."""
    return [f"{what}: {value} ({bar})" for what, value, bar, kept in _rows(figures) if not kept]


Row = tuple[str, str, str, bool]


def _rows(figures: Figures) -> Iterator[Row]:
    nothing, still, restart = figures.nothing, figures.still, figures.restart
    loops = sum(one.rate for one in nothing.bare) / len(nothing.bare)
    share = nothing.all_writes.rate / loops
    yield "from nothing: writes of the operator, of those of a bare loop", f"{share:.0%}", "≥ 80 %", share >= 0.8
    memory = max(nothing.memory.highest, restart.memory.highest)
    yield "memory, at most", f"{memory:.0f} MB", "< 160 MB", memory < 160
    yield "restart with everything in place: caught up after", f"{restart.seconds:.1f} s", "< 8 s", restart.seconds < 8
    yield "writes in and after a restart, but the Lease's", restart.writes or "0", "0", not restart.writes
    yield f"writes in {still.seconds:.0f} s of standstill, but the Lease's", still.writes or "0", "0", not still.writes
    pace, seen = figures.paced.every, [one.seen for one in figures.paced.made]
    what = f"change → child, a change each {1000 * pace:.0f} ms, p50 / p99"
    yield what, _spread(seen), "p99 < 250 ms", percentile(seen, 0.99) < 0.25


def _spread(seconds: Sequence[float]) -> str:
    return f"{1000 * percentile(seconds, 0.5):.0f} / {1000 * percentile(seconds, 0.99):.0f} ms"


def _notes(figures: Figures) -> Iterator[str]:
    nothing, still, restart = figures.nothing, figures.still, figures.restart
    loops = ", ".join(f"{one.rate:.0f}/s ({one.number} in {one.seconds:.1f} s)" for one in nothing.bare)
    yield f"The bare loop, 16 applies at a time, before and after the operator: {loops}."
    every, children = nothing.all_writes, nothing.children
    yield (
        f"The operator from nothing, first write to last child: {every.number} writes in {every.seconds:.1f} s"
        f" ({every.rate:.0f}/s), {children.number} of them children ({children.rate:.0f}/s). All {figures.resources}"
        f" resources were Ready {nothing.seconds:.0f} s after its start; {nothing.cpu:.1f} s of CPU."
    )
    yield f"All its writes until then: {nothing.which}."
    if nothing.refused:
        yield f"Refused: {', '.join(sorted(set(nothing.refused)))}."
    yield f"Memory with all in place {nothing.memory.now:.0f} MB, after the restart {restart.memory.now:.0f} MB."
    yield f"CPU of a restart until caught up: {restart.cpu:.1f} s."
    yield (
        f"At a standstill it used {100 * still.cpu:.1f} % of a core, asked pods {still.asked / still.seconds:.0f} times"
        f" a second, and asked the API server: {still.reads or 'nothing'}."
    )
    paced, rushed = figures.paced, figures.rushed
    yield (
        "Half of the changes are of the log level (the ConfigMap changes), half of replicas (the Deployment does), from"
        f" before the change is sent until a watch shows the child. {len(paced.made)} at a pace: the API server's own"
        f" time for the change {_spread([one.answered for one in paced.made])}, the slowest child"
        f" {1000 * max(one.seen for one in paced.made):.0f} ms."
    )
    yield (
        f"{len(rushed.made)} as fast as they go ({len(rushed.made) / rushed.seconds:.0f}/s; the rollouts then take all"
        f" of the machine): {_spread([one.seen for one in rushed.made])}, the API server's own time"
        f" {_spread([one.answered for one in rushed.made])}."
    )
