"""What the data plane itself says of its configs: rules that no schema holds, such as settings that exclude each other.

It is asked as a program, ``rutta check``; the two halves share no code. Where it is not installed the schema has to do.
"""

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rutta_operator.spec.models import RuttaRouter, RuttaShipper
from rutta_operator.spec.problems import Finding, Problem
from rutta_operator.spec.problems import Path as Place
from rutta_operator.wiring.plan import Cluster, Plan, Settings, link_name, plan
from rutta_operator.wiring.topology import Placed, Topology

_STEP: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_PATIENCE: Final = 60.0  # seconds
_NOT_HERE: Final = "the secret file "  # secrets are where the processes run, not where their configs are checked


def findings(topology: Topology) -> list[Finding]:
    """Return what the data plane would refuse, each at its place in the resources."""
    if importlib.util.find_spec("rutta") is None:
        return []
    graph = topology.graph()
    plans = [
        one
        for placed in topology.resources.values()
        if not (one := plan(placed, graph, topology.resources, Settings(), Cluster())).idle
    ]
    return [
        topology.resources[plans[number].key].document.locate(
            Problem(place(path, plans[number], topology.resources[plans[number].key]), message)
        )
        for number, path, message in _ask(plans)
        if _NOT_HERE not in message
    ]


def _ask(plans: Sequence[Plan]) -> list[tuple[int, str, str]]:
    """Return (number of the plan, path in its config, message) of each problem."""
    with tempfile.TemporaryDirectory(prefix="rutta-") as folder:
        files = [Path(folder, f"{number}.json") for number in range(len(plans))]
        for file, one in zip(files, plans, strict=True):
            file.write_text(json.dumps(one.config), encoding="utf-8")
        if not files:
            return []
        words = [sys.executable, "-m", "rutta", "check", "--output", "json", "--config", *map(str, files)]
        asked = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_PATIENCE)  # noqa: S603
        if asked.returncode not in (0, 22):
            return []  # it cannot say; a process that is started will
        numbers = {str(file): number for number, file in enumerate(files)}
        return [(numbers[one["file"]], one["path"], one["message"]) for one in json.loads(asked.stdout)]


def place(path: str, of: Plan, placed: Placed) -> Place:
    """Turn a path of a config into that of the resource: entries are found by their names."""
    steps: list[str | int] = [int(number) if number else word for number, word in _STEP.findall(path)]
    if not steps or steps[0] not in ("listeners", "sources", "targets"):
        return ("spec", *steps)
    section, entries = str(steps[0]), of.config.get(str(steps[0]), [])
    if len(steps) < 2:
        return ("spec", section)
    name = entries[steps[1]]["name"] if isinstance(steps[1], int) else steps[1]
    rest = ["port" if step == "bind" else step for step in steps[2:]]
    return ("spec", *_entry(section, str(name), placed.resource), *rest)


def _entry(section: str, name: str, resource: Any) -> Place:
    """Find the entry of a resource that became the entry ``name`` of a config."""
    spec = resource.spec
    if section == "targets" and not isinstance(resource, RuttaRouter):
        names = [link_name(one, spec.to) for one in spec.to]
        return ("to", names.index(name)) if name in names else ("to",)
    entries = spec.sources if isinstance(resource, RuttaShipper) else getattr(spec, section, ())
    names = [one.name for one in entries]
    if name in names:
        return (section, names.index(name))
    return ("link",)
