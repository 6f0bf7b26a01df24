"""``ruttactl up``: run a topology on this machine until it is stopped."""

import asyncio
import io
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rutta_operator.local import launch, paste
from rutta_operator.local.addresses import assign
from rutta_operator.local.child import Counts
from rutta_operator.local.crew import PAUSE, Crew, Seat, StartFailed
from rutta_operator.local.launch import Launch
from rutta_operator.local.screen import Screen, coloured
from rutta_operator.spec.problems import USER_ERROR, Refused
from rutta_operator.wiring.graph import Graph, Key
from rutta_operator.wiring.plan import replicas
from rutta_operator.wiring.topology import Topology

PROGRAM: Final = (sys.executable, "-m", "rutta")
START_FAILED: Final = 100  # as the data plane has it
KILLED: Final = 130
START_TIMEOUT: Final = 30.0


def up(
    topology: Topology, screen: Screen, *, bind: str, as_json: bool = False,
    program: Sequence[str] = PROGRAM, start_timeout: float = START_TIMEOUT, pause: float = PAUSE,
) -> int:  # fmt: skip
    """Run a topology until SIGINT or SIGTERM; return the exit code.

    Raises:
        Refused: a secret is missing, or a port is taken (``START_FAILED`` if it is nothing else).
    """
    graph = topology.graph()
    for finding in topology.faults(graph):
        screen.say(f"{finding}")
    with tempfile.TemporaryDirectory(prefix="rutta-") as home:  # mode 0700: secrets are in it
        launches = _prepare(topology, graph, screen, Path(home), bind)
        if not launches:
            screen.say("There is nothing to run.")
            return USER_ERROR
        run = _Run(topology, launches, screen, as_json=as_json)
        return asyncio.run(run.all(program, start_timeout=start_timeout, pause=pause))


class PortsTaken(Refused):
    """Every finding is a port that somebody has: no fault of the files."""

    exit_code = START_FAILED


def _prepare(topology: Topology, graph: Graph, screen: Screen, home: Path, bind: str) -> list[Launch]:
    """Choose addresses and write files; everything wrong at once."""
    counts: dict[Key, int] = {}
    for key, placed in topology.resources.items():
        if key.kind != "RuttaRouter" and not graph.targets(key):
            screen.say(f"{key} is not started: it has nobody to send to.")
        else:
            counts[key] = replicas(key, placed.resource, launch.SETTINGS)
    addresses = assign(topology.resources, _with_targets(counts, graph), bind)
    made = launch.plans(topology, graph, addresses, counts, home)
    missing = launch.missing_secrets(made, topology)
    if missing or addresses.findings:
        raise (Refused if missing else PortsTaken)([*missing, *addresses.findings])
    for moved in addresses.moved:
        screen.say(moved)
    return launch.write(made, topology, graph, addresses, home)


def _with_targets(counts: dict[Key, int], graph: Graph) -> dict[Key, int]:
    """Add what is sent to but not started (a proxy with nobody behind it), so that it has an address."""
    others = {target: 0 for key in counts for target in graph.targets(key) if target not in counts}
    return {**counts, **others}


class _Run:
    """One run: what is said at its begin and end."""

    def __init__(self, topology: Topology, launches: Sequence[Launch], screen: Screen, *, as_json: bool) -> None:
        self._topology, self._launches, self._screen, self._json = topology, launches, screen, as_json
        self._labels = labels(launches)

    async def all(self, program: Sequence[str], *, start_timeout: float, pause: float) -> int:
        self._screen.expect(self._labels)
        crew = Crew(self._launches, self._labels, program, self._screen, pause=pause, start_timeout=start_timeout)
        self._screen.on_closed = crew.stop
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, crew.stop)
        try:
            await crew.run(lambda: self._say_what_runs(crew), self._tell)
        except StartFailed as exc:
            self._screen.say(str(exc))
            return START_FAILED
        self._say_what_became(crew)
        return KILLED if any(seat.killed for seat in crew.seats) else 0

    def _tell(self, seat: Seat) -> None:
        """Tell a program of a process that is ready."""
        if self._json and seat.child is not None:
            one = seat.launch
            self._screen.fact(
                {
                    "resource": str(one.key),
                    "replica": one.replica,
                    "pid": seat.child.pid,
                    "health": f"http://{one.health}",
                    "listeners": dict(one.listeners),
                    **({"link": one.link} if one.link else {}),
                }
            )

    def _say_what_runs(self, crew: Crew) -> None:
        rows = [_row(seat) for seat in crew.seats]
        self._table(["resource", "process", "address", "health page"], rows)
        pasted = [
            line
            for one in self._launches
            if one.replica == 0
            for line in paste.lines(self._topology.resources[one.key], one)
        ]
        if pasted:
            self._screen.show("\n  ".join(["Send an event:", *pasted]) + "\n\n")

    def _say_what_became(self, crew: Crew) -> None:
        rows = [
            [str(seat.launch.key) + _number(seat.launch), *map(str, seat.counts), _remark(seat)] for seat in crew.seats
        ]
        self._table(["resource", *Counts._fields, ""], rows)

    def _table(self, head: list[str], rows: list[list[str]]) -> None:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in head:
            table.add_column(name, overflow="fold", justify="right" if name in Counts._fields else "left")
        for row in rows:
            table.add_row(*row)
        stream, text = self._screen.text, io.StringIO()
        width = shutil.get_terminal_size().columns if stream.isatty() else 200
        Console(file=text, force_terminal=coloured(stream), highlight=False, markup=False, width=width).print(table)
        self._screen.show(f"\n{text.getvalue()}\n")


def _row(seat: Seat) -> list[str]:
    one = seat.launch
    places = [f"{name} {address}" for name, address in one.listeners.items()]
    if one.link:
        places.append(f"link {one.link}")
    pid = seat.child.pid if seat.child is not None else 0
    return [str(one.key) + _number(one), str(pid), "\n".join(places) or "–", f"http://{one.health}/status"]


def _remark(seat: Seat) -> str:
    """Say how to read the numbers of a process: each target counts for itself, and who dies counts no more."""
    targets = len(seat.launch.plan.config["targets"])
    remarks = {
        f"to {targets} targets": targets > 1,
        "killed": seat.killed,
        f"without {seat.uncounted} that died": seat.uncounted,
    }
    return ", ".join(remark for remark, applies in remarks.items() if applies)


def _number(one: Launch) -> str:
    """Tell replicas apart where there are several."""
    return f" #{one.replica}" if one.of > 1 else ""


def labels(launches: Sequence[Launch]) -> list[str]:
    """Name processes as briefly as is clear: ``router/main``, ``router/team-a/main``, ``proxy/edge#1``."""
    several = len({one.key.namespace for one in launches}) > 1
    return [
        "/".join([one.key.kind.removeprefix("Rutta").lower(), *([one.key.namespace] if several else []), one.key.name])
        + (f"#{one.replica}" if one.of > 1 else "")
        for one in launches
    ]
