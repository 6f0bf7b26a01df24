"""A topology as a picture: a tree for the terminal, dot, Mermaid, and JSON for programs."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from rutta_operator.spec import components
from rutta_operator.spec.components import Section
from rutta_operator.spec.models import Entry, RuttaRouter, RuttaShipper, Target
from rutta_operator.wiring.graph import Fault, Graph, Key
from rutta_operator.wiring.plan import ports
from rutta_operator.wiring.topology import Placed, Topology


def tree(topology: Topology, out: TextIO) -> None:
    """Print a tree for each resource that nobody sends to, from where events come in to where they go out."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    graph = topology.graph()
    shown: set[Key] = set()

    def grow(branch: Tree, key: Key) -> None:
        again = key in shown
        twig = branch.add(Text.assemble((key.kind, "bold"), f" {key.short}", (_about(topology, key, again), "dim")))
        if again:
            return
        shown.add(key)
        for name, kind in _ways_out(topology.resources[key]):
            twig.add(Text(f"{name} → {kind}", style="green"))
        for target in graph.targets(key):
            grow(twig, target)
        for fault in graph.faults_of(key):
            twig.add(Text(f"✗ {fault.target.kind} {fault.target.short}: {fault.message}", style="red"))

    console = Console(file=out, highlight=False, soft_wrap=True, width=None if out.isatty() else 400)
    for key in _roots(topology, graph):
        root = Tree("", hide_root=True)
        grow(root, key)
        console.print(root)


def _about(topology: Topology, key: Key, again: bool) -> str:
    if again:
        return "  (see above)"
    ways = [
        f"{name} {component}{f':{port}' if port else ''}" for name, component, port in _ways_in(topology.resources[key])
    ]
    return "  " + ", ".join(ways) if ways else ""


def _roots(topology: Topology, graph: Graph) -> list[Key]:
    """Return the resources that nobody sends to; the wired edges have no cycle, so every resource is below one."""
    reached = {edge.target for edge in graph.edges}
    return [key for key in topology.resources if key not in reached]


def _ways_in(placed: Placed) -> Iterator[tuple[str, str, int]]:
    """Yield name, component and port (0: none) of what a resource listens on or reads."""
    section: Section = "sources" if isinstance(placed.resource, RuttaShipper) else "listeners"
    numbers = {port.name: port.number for port in ports(placed.resource)}
    entries: list[Entry] = getattr(placed.resource.spec, section, [])
    for entry in entries:
        yield entry.name, components.component(section, entry.extra()) or "", numbers.get(entry.name, 0)


def _ways_out(placed: Placed) -> Iterator[tuple[str, str]]:
    """Yield name and kind of a router's targets."""
    if isinstance(placed.resource, RuttaRouter):
        for target in placed.resource.spec.targets:
            yield target.name, _kind(target)


def _kind(target: Target) -> str:
    if target.uri is not None:
        return target.uri.partition(":")[0]
    return components.component("targets", target.extra()) or "a URI in a Secret"


def dot(topology: Topology) -> str:
    """Return the topology in Graphviz' language."""
    graph = topology.graph()
    lines = ["digraph rutta {", "  rankdir=LR; node [shape=box, style=rounded, fontname=sans-serif];"]
    for key, placed in topology.resources.items():
        lines.append(f"  {_quoted(str(key))} [label={_quoted(f'{key.kind} {key.short}')}];")
        for name, kind in _ways_out(placed):
            here = _quoted(f"{key}/{name}")
            lines += [
                f"  {here} [label={_quoted(f'{name} ({kind})')}, shape=plain];",
                f"  {_quoted(str(key))} -> {here};",
            ]
    lines += [
        f"  {_quoted(str(one))} -> {_quoted(str(two))} [label={_quoted(_promise(graph, two))}];"
        for one, two in _edges(graph)
    ]
    for fault in graph.faults:
        style = f"[style=dashed, color=red, label={_quoted(fault.reason)}]"
        lines.append(f"  {_quoted(str(fault.sender))} -> {_quoted(str(fault.target))} {style};")
    return "\n".join([*lines, "}"])


def mermaid(topology: Topology) -> str:
    """Return the topology as a Mermaid flowchart."""
    graph = topology.graph()
    keys = [*topology.resources, *sorted({fault.target for fault in graph.faults} - topology.resources.keys())]
    names = {key: f"r{number}" for number, key in enumerate(keys)}
    lines = ["flowchart LR"]
    for key, name in names.items():
        lines.append(f'  {name}["{key.kind} {key.short}"]')
        ways = _ways_out(topology.resources[key]) if key in topology.resources else ()
        lines += [f'  {name} --> {name}t{number}(["{way} ({kind})"])' for number, (way, kind) in enumerate(ways)]
    lines += [f"  {names[one]} -->|{_promise(graph, two)}| {names[two]}" for one, two in _edges(graph)]
    lines += [f"  {names[one.sender]} -. {one.reason} .-x {names[one.target]}" for one in graph.faults]
    return "\n".join(lines)


def as_json(topology: Topology) -> str:
    """Return the topology as JSON: resources, edges, faults."""
    graph = topology.graph()
    found = {
        "resources": [_as_data(placed) for placed in topology.resources.values()],
        "edges": [
            {
                "from": str(one),
                "to": str(two),
                "pattern": graph.nodes[two].pattern,
                "delivery": graph.nodes[two].delivery,
            }
            for one, two in _edges(graph)
        ],
        "faults": [_fault_as_data(fault) for fault in graph.faults],
    }
    return json.dumps(found, indent=2)


def _as_data(placed: Placed) -> dict[str, Any]:
    ways = [
        {"name": name, "component": component, **({"port": port} if port else {})}
        for name, component, port in _ways_in(placed)
    ]
    targets = [{"name": name, "component": kind} for name, kind in _ways_out(placed)]
    section = "sources" if isinstance(placed.resource, RuttaShipper) else "listeners"
    return {
        "resource": str(placed.key),
        **({section: ways} if ways else {}),
        **({"targets": targets} if targets else {}),
    }


def _fault_as_data(fault: Fault) -> dict[str, Any]:
    return {
        "resource": str(fault.sender),
        "path": f"spec.to[{fault.place}]",
        "to": str(fault.target),
        "reason": fault.reason,
        "message": fault.message,
    }


def _edges(graph: Graph) -> list[tuple[Key, Key]]:
    return [(edge.sender, edge.target) for edge in sorted(graph.edges)]


def _promise(graph: Graph, target: Key) -> str:
    node = graph.nodes[target]
    return f"{node.pattern}, {node.delivery}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
