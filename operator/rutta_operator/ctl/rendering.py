"""What resources become in a cluster: the data plane's configs, or Kubernetes manifests that need no operator."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import yaml

from rutta_operator.render import Context, Object
from rutta_operator.render.objects import objects
from rutta_operator.wiring.plan import Cluster, Plan, Settings, plan
from rutta_operator.wiring.topology import Topology

Output = Literal["yaml", "json", "manifests"]
MANAGER: Final = "ruttactl"
SETTINGS: Final = Settings(drain_delay="5s")  # as the operator's: so long load balancers may take to notice


def render(topology: Topology, output: Output) -> str:
    """Return configs as YAML documents or a JSON list, or manifests; what is not wired goes to stderr."""
    graph = topology.graph()
    for finding in topology.faults(graph):
        print(finding, file=sys.stderr)
    plans = [plan(placed, graph, topology.resources, SETTINGS, Cluster()) for placed in topology.resources.values()]
    if output == "manifests":
        return "---\n".join(_manifests(topology, plans))
    if output == "json":
        return json.dumps([{"resource": str(one.key), "config": one.config} for one in plans], indent=2) + "\n"
    return "---\n".join(_document(one, one.config) for one in plans)


def _manifests(topology: Topology, plans: Sequence[Plan]) -> Iterator[str]:
    """Yield the namespaces that came with the resources, then each resource's objects; Secrets are left where they are.

    Nobody keeps these objects: what a change no longer needs has to be deleted (kubectl apply --prune).
    """
    graph = topology.graph()
    for name, labels in topology.namespaces.items():
        metadata = {"name": name} | ({"labels": dict(labels)} if labels else {})
        yield as_yaml({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    for one in plans:
        context = Context(manager=MANAGER, senders=frozenset(graph.senders(one.key)))
        found: list[Object] = objects(one, topology.resources[one.key].resource, context)
        yield from map(as_yaml, found)
        if one.idle:
            print(f"{one.key} has nobody to send to, so nothing runs.", file=sys.stderr)


def _document(one: Plan, value: Mapping[str, Any]) -> str:
    note = "# nothing runs: it has nobody to send to\n" if one.idle else ""
    return f"# {one.key}\n{note}{as_yaml(value)}"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, as people do, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        """Say so of everything."""
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def as_yaml(value: Mapping[str, Any]) -> str:
    """Write one document."""
    return yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
