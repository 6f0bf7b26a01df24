"""``make bench``: measure Rutta on this machine, beside rsyslog, syslog-ng and Logprep, and print a table."""

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rutta_bench import machine, marks, report, rounds, targets
from rutta_bench.model import Peer
from rutta_bench.peers import logprep, otelcol, rsyslog, rutta, syslog_ng
from rutta_bench.rows import BY_KEY, ROWS, TARGETS, Row

PEERS = {"rsyslog": rsyslog.make, "syslog-ng": syslog_ng.make, "Logprep": logprep.make, "otelcol": otelcol.make}
OK, BROKEN, USAGE = 0, 1, 2

EXAMPLES = """\
examples:
  bench/run.py                                    everything (about 40 minutes)
  bench/run.py --rows json,plain --seconds 2      two rows, quickly
  bench/run.py --rows json --peers none           Rutta alone, nothing is fetched
  bench/run.py --targets                          what each target costs, no rows
  bench/run.py --targets kafka,http --rows json   two targets and a row
  bench/run.py --output markdown > table.md       the table for a document; progress goes to stderr
  bench/run.py --into docs/performance.md         put it there

rows:
{rows}

Every row starts each program anew, sends it as much as it takes (or 10 000 events/s), waits until it has done all, and
reads the CPU time of all its processes and threads from /proc. Programs take turns; the table shows the median of the
rounds and the spread (highest - lowest, in percent of the median). Peers that are missing are fetched into the cache
(rsyslog and syslog-ng by apt-get download, unpacked without installing; Logprep by pip into its own environment);
otelcol takes part in the rows of log files if it is on PATH.

A target is measured in a process of its own that decodes and delivers as the engine does; a server in another process
takes everything at once. Only the CPU time of the first is counted. noop is always among them: it checks events only.

exit codes: 0 the table was made, 1 Rutta could not be measured, 2 the arguments are wrong.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    options = _parser().parse_args(arguments)
    cache = options.cache / "rutta-bench"
    rows, wanted = _wanted(options.rows, options.targets)
    peers: dict[str, Peer] = {"Rutta": rutta.make(cache, offline=options.offline)}
    peers |= {name: PEERS[name](cache, offline=options.offline) for name in (options.peers if rows else ())}
    versions, absent = rounds.versions(peers)
    if "Rutta" in absent:
        return BROKEN
    began, load = datetime.datetime.now(datetime.UTC), machine.load()
    try:
        manner = rounds.Manner(options.seconds, options.rounds, options.folder, options.patience)
        outcomes = rounds.run(rows, peers, absent, manner)
        if wanted:
            outcomes = (*outcomes, targets.run(wanted, manner))
    except KeyboardInterrupt:
        print("Interrupted; no table.", file=sys.stderr)
        return 130
    run = report.Run(
        command=" ".join(["bench/run.py", *(sys.argv[1:] if arguments is None else arguments)]),
        date=began.strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine.describe(),
        versions=versions,
        load_average=load,
        seconds=options.seconds,
        rounds=options.rounds,
        outcomes=outcomes,
    )
    if options.into:
        options.into.put(report.markdown(run))
    _print(run, options.output)
    return OK if all(outcome.lines[0].rounds for outcome in outcomes) else BROKEN


def _wanted(rows: tuple[Row, ...] | None, names: tuple[str, ...] | None) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Everything if nothing is asked for; who asks for rows only gets no targets, and the other way round."""
    if rows is None and not names:
        return ROWS, targets.names() if names is None else ()
    return rows or (), names or ()


def _print(run: report.Run, form: str) -> None:
    if form == "json":
        print(report.json(run))
    elif form == "markdown":
        print(report.markdown(run), end="")
    else:
        report.terminal(run, Console(width=None if sys.stdout.isatty() else 160))


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {row.key:<17} {row.title}" for row in (*ROWS, TARGETS))
    parser = argparse.ArgumentParser(
        prog="bench/run.py",
        description="Measure how many events Rutta moves per CPU-second, beside others in the same run.",
        epilog=EXAMPLES.format(rows=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser.add_argument("--rows", type=_rows, metavar="a,b", help="only these rows (default: all, and the targets)")
    parser.add_argument(
        "--targets",
        type=_targets,
        nargs="?",
        const=targets.names(),
        metavar="a,b",
        help="only the row targets, of all or some; with --rows these, too; none: all rows and no targets",
    )
    parser.add_argument(
        "--peers", type=_peers, default=tuple(PEERS), metavar="a,b", help=f"all, none, or some of {','.join(PEERS)}"
    )
    parser.add_argument("--seconds", type=_seconds, default=4.0, metavar="S", help="how long to send per round (4)")
    parser.add_argument("--rounds", type=_count, default=3, metavar="N", help="how often each is measured (3)")
    parser.add_argument(
        "--patience",
        type=_patience,
        default=10.0,
        metavar="S",
        help="wait so long for other programs to be quiet before each round (10)",
    )
    parser.add_argument("--output", choices=("terminal", "markdown", "json"), default="terminal", help="form of stdout")
    parser.add_argument(
        "--into",
        type=lambda text: marks.place(text, "bench"),
        metavar="FILE[#PLACE]",
        help="also put the Markdown between the marks of this document (<!-- PLACE: begin -->; default: bench)",
    )
    parser.add_argument("--offline", action="store_true", help="fetch no peers; what is missing becomes a note")
    parser.add_argument("--cache", type=Path, default=cache, metavar="DIR", help=f"where peers are kept ({cache})")
    parser.add_argument("--folder", type=_folder, metavar="DIR", help="disk to write on (default: the system's temp)")
    return parser


def _rows(text: str) -> tuple[Row, ...]:
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if unknown := [key for key in keys if key not in BY_KEY]:
        raise argparse.ArgumentTypeError(f"no row {unknown[0]!r}; there are {', '.join(BY_KEY)}")
    return tuple(BY_KEY[key] for key in keys)


def _peers(text: str) -> tuple[str, ...]:
    if text in ("all", "none"):
        return tuple(PEERS) if text == "all" else ()
    by_name = {name.lower(): name for name in PEERS}
    wanted = [one.strip().lower() for one in text.split(",") if one.strip()]
    if unknown := [one for one in wanted if one not in by_name]:
        raise argparse.ArgumentTypeError(f"no peer {unknown[0]!r}; there are all, none, {', '.join(PEERS)}")
    return tuple(by_name[one] for one in wanted)


def _targets(text: str) -> tuple[str, ...]:
    known = targets.names()
    if text in ("all", "none"):
        return known if text == "all" else ()
    wanted = tuple(one.strip() for one in text.split(",") if one.strip())
    if unknown := [one for one in wanted if one not in known]:
        raise argparse.ArgumentTypeError(f"no target {unknown[0]!r}; there are all, none, {', '.join(known)}")
    return wanted


def _seconds(text: str) -> float:
    if not 0.1 <= (value := float(text)) <= 600:
        raise argparse.ArgumentTypeError("must be 0.1 to 600")
    return value


def _patience(text: str) -> float:
    if not 0 <= (value := float(text)) <= 3600:
        raise argparse.ArgumentTypeError("must be 0 to 3600")
    return value


def _count(text: str) -> int:
    if not 1 <= (value := int(text)) <= 99:
        raise argparse.ArgumentTypeError("must be 1 to 99")
    return value


def _folder(text: str) -> Path:
    if not (folder := Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is no folder")
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
