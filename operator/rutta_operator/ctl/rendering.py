"""The data plane's config of every resource, as it is in a cluster."""

import json
import sys
from typing import Literal

import yaml

from rutta_operator.plan import Cluster, Plan, Settings, plan
from rutta_operator.topology import Topology


def render(topology: Topology, output: Literal["yaml", "json"]) -> str:
    """Return the configs as YAML documents, or as a JSON list; what is not wired goes to stderr."""
    graph = topology.graph()
    for finding in topology.faults(graph):
        print(finding, file=sys.stderr)
    plans = [plan(placed, graph, topology.resources, Settings(), Cluster()) for placed in topology.resources.values()]
    if output == "json":
        return json.dumps([{"resource": str(one.key), "config": one.config} for one in plans], indent=2) + "\n"
    return "---\n".join(map(_document, plans))


def _document(one: Plan) -> str:
    text = yaml.safe_dump(dict(one.config), sort_keys=False, allow_unicode=True, width=120)
    note = "# nothing runs: it has nobody to send to\n" if one.idle else ""
    return f"# {one.key}\n{note}{text}"
