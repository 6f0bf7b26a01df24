"""The figures as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rutta_scale.phases import Nothing, Restart, Still, percentile


class Figures(NamedTuple):
    """All that was measured."""

    setting: Mapping[str, str]
    resources: int
    nothing: Nothing
    still: Still
    changes: Sequence[float]
    restart: Restart


def markdown(figures: Figures) -> str:
    """A table against what was promised, and below it what else was seen."""
    lines = [f"- {key}: {text}" for key, text in figures.setting.items()]
    lines += ["", "| | measured | promised | |", "|---|---:|---:|---|"]
    lines += [
        f"| {what} | {value} | {bar} | {'yes' if kept else '**no**'} |" for what, value, bar, kept in _rows(figures)
    ]
    return "\n".join([*lines, "", *(f"- {text}" for text in _notes(figures)), ""])


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
    slow = percentile(figures.changes, 0.99)
    text = f"{1000 * percentile(figures.changes, 0.5):.0f} / {1000 * slow:.0f} ms"
    yield "change → child, p50 / p99", text, "p99 < 250 ms", slow < 0.25


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
    yield (
        f"{len(figures.changes)} changes, one after the other, half of a listener (the ConfigMap changes), half of"
        " replicas (the Deployment does), from before the change is sent until a watch shows the child; the slowest"
        f" {1000 * max(figures.changes):.0f} ms."
    )
