"""Files → a topology, or everything that is wrong with them."""

import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from rutta_operator.ctl import opinion
from rutta_operator.spec import documents
from rutta_operator.spec.problems import Finding, Refused
from rutta_operator.wiring.plan import Cluster, Settings, plan
from rutta_operator.wiring.topology import Topology, load

_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def topology(options: Mapping[str, Any], *, wired: bool = False, judged: bool = False) -> Topology:
    """Read the topology of a command line; say what was left out.

    ``wired`` counts what cannot be wired as wrong too, ``judged`` what the data plane itself would refuse. Raises:
        Refused: with every finding.
    """
    namespace = options["namespace"]
    if not _NAMESPACE.fullmatch(namespace):
        raise Refused([Finding("--namespace", 0, (), f"{namespace!r} is not the name of a namespace")])
    sources, findings = documents.gather(options["files"])
    read = load(sources, namespace)
    findings += read.findings
    if judged and not findings:
        findings += opinion.findings(read)
    if wired:
        findings += read.faults(read.graph())
    for note in read.notes:
        print(note, file=sys.stderr)
    if not findings and not read.resources:
        findings.append(Finding(", ".join(options["files"]), 0, (), "has no RuttaRouter, RuttaShipper or RuttaProxy"))
    if findings:
        raise Refused(findings)
    return read


def check(options: Mapping[str, Any]) -> int:
    """Say everything that is wrong, or how much is fine."""
    read = topology(options, wired=True, judged=True)
    for note in _absent_secrets(read):
        print(note, file=sys.stderr)
    number, graph = len(read.resources), read.graph()
    links = len(graph.edges)
    print(f"{number} resource{'s' * (number != 1)}, {links} link{'s' * (links != 1)}: fine.")
    return 0


def _absent_secrets(read: Topology) -> list[str]:
    """Name the secrets that are not in the files: no mistake, they may be in the cluster."""
    graph = read.graph()
    absent = {
        f"The Secret {key.namespace}/{secret.name} (key {secret.key}) is not in these files; the cluster must have it."
        for key, placed in read.resources.items()
        for secret in plan(placed, graph, read.resources, Settings(), Cluster()).secrets
        if secret.key not in read.secrets.get((key.namespace, secret.name), {})
    }
    return sorted(absent)
