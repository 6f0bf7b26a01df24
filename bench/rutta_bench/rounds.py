"""Run the rows: rounds interleaved (A B C, A B C, …), so that a noisy minute meets all alike."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from rutta_bench import machine, measure, results
from rutta_bench.model import Missing, Peer, Sample
from rutta_bench.results import Line, Outcome
from rutta_bench.rows import Entry, Row

Say = Callable[[str], None]


def say(text: str) -> None:
    """Report progress."""
    print(text, file=sys.stderr, flush=True)


def versions(peers: Mapping[str, Peer], say: Say = say) -> tuple[dict[str, str], dict[str, str]]:
    """Ask every peer for its version; return what is there, and why the others are not."""
    there, absent = {}, {}
    for name, peer in peers.items():
        try:
            there[name] = peer.version()
        except Missing as exc:
            absent[name] = str(exc)
            say(f"{name}: {exc}")
    return there, absent


class Manner(NamedTuple):
    """How to measure: seconds of sending a round, rounds, where files are made, how long to wait for quiet."""

    seconds: float
    rounds: int
    folder: Path | None
    patience: float


def run(
    rows: Sequence[Row], peers: Mapping[str, Peer], absent: Mapping[str, str], manner: Manner
) -> tuple[Outcome, ...]:
    """Measure all rows. Files are made in temporary folders and removed."""
    outcomes = []
    for number, row in enumerate(rows, 1):
        say(f"[{number}/{len(rows)}] {row.key}: {row.title}")
        outcomes.append(_row(row, peers, absent, manner))
    return tuple(outcomes)


def _row(row: Row, peers: Mapping[str, Peer], absent: Mapping[str, str], manner: Manner) -> Outcome:
    entries = [entry for entry in row.entries if entry.peer in peers]
    lines = [Line(label=entry.label, note=absent.get(entry.peer, ""), does_less=bool(entry.less)) for entry in entries]
    for _ in range(manner.rounds):
        for at, entry in enumerate(entries):
            if not lines[at].note:
                machine.wait_for_quiet(manner.patience)
                lines[at] = _once(lines[at], row, entry, peers[entry.peer], manner)
    return Outcome(row=row, lines=tuple(lines))


def _once(line: Line, row: Row, entry: Entry, peer: Peer, manner: Manner) -> Line:
    """Add a round to a line; a program that cannot do it (any more) gets a note, and no further round."""
    place = Path(tempfile.mkdtemp(prefix="rutta-bench-", dir=manner.folder))
    try:
        sample, started = measure.run(peer, entry.job, row.load, manner.seconds, place)
    except Missing as exc:
        say(f"    {entry.label}: {exc}")
        return msgspec.structs.replace(line, note=str(exc))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    say(f"    {entry.label}: {shown(row, sample)}")
    commands = tuple(command.replace(str(place), "DIR") for command in started.commands)
    return msgspec.structs.replace(line, commands=commands, rounds=(*line.rounds, sample), remark=started.spinning)


def shown(row: Row, sample: Sample) -> str:
    """Say what a round gave."""
    disturbed = f" (others used {sample.others:.1f} cores)" if sample.others > 0.3 else ""
    if row.measure in ("share", "idle"):
        return f"{sample.core:.1f} % of a core, {sample.rss_peak / results.MIB:.0f} MiB{disturbed}"
    per_cpu, per_second = results.short(sample.per_cpu_second), results.short(sample.per_second)
    return f"{per_cpu} events/CPU-s, {per_second} events/s{disturbed}"
