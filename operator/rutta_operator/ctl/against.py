"""``ruttactl check --cluster``: files together with what is in the cluster, or what is there alone.

Files stand for what is there under the same names. A reference may lead to a resource of either; what in the cluster
would be broken by the files is found, too.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rutta_operator.ctl import opinion
from rutta_operator.ctl.live import Cluster, NotAllowed, Object
from rutta_operator.spec import documents, rules
from rutta_operator.spec.documents import Document
from rutta_operator.spec.problems import Finding, Problem, Refused
from rutta_operator.wiring.graph import Fault, Graph, Key, resolve
from rutta_operator.wiring.plan import Cluster as InCluster
from rutta_operator.wiring.plan import Settings, plan
from rutta_operator.wiring.topology import Placed, Topology, load, node

_OURS = ("apiVersion", "kind", "metadata", "spec")


class There(NamedTuple):
    """What the cluster has."""

    resources: Mapping[Key, Placed]
    findings: Sequence[tuple[Key, Finding]]
    """what is wrong with single resources of it"""
    namespaces: Mapping[str, Mapping[str, str]]
    only: str | None
    """the namespace that is judged; None: all that was read"""


def check(options: Mapping[str, Any]) -> int:
    """Say everything that is wrong, or how much is fine. Raises Refused."""
    cluster = Cluster(options["kubeconfig"], options["context"])
    files = options["files"] or []
    sources, findings = documents.gather(files)
    read = load(sources, options["namespace"] or cluster.namespace)
    for note in read.notes:
        print(note, file=sys.stderr)
    findings += read.findings
    there = _there(cluster, *(_for_files(cluster, read) if files else _alone(cluster, options["namespace"] or None)))
    only = there.only
    if files and not findings:
        findings += opinion.findings(_with_targets(read, there))
    findings += _broken(read, there) if files else _standing(there)
    judged = read.resources if files else [key for key in there.resources if only in (None, key.namespace)]
    if not findings and not judged:
        place = ", ".join(files) or ("the cluster" if only is None else f"namespace {only}")
        findings.append(Finding(place, 0, (), "has no RuttaRouter, RuttaShipper or RuttaProxy"))
    if findings:
        raise Refused(findings)
    merged = {**there.resources, **read.resources}
    graph = resolve(map(node, merged.values()), {**there.namespaces, **read.namespaces})
    _absent_secrets(cluster, read, judged, graph, merged)
    links = sum(only in (None, edge.sender.namespace) for edge in graph.edges)
    _say_fine(len(read.resources), len(there.resources if files else judged), links, only)
    return 0


def _say_fine(files: int, there: int, links: int, only: str | None) -> None:
    place = "the cluster" if only is None else f"namespace {only}"
    counted = [f"{there} resource{'s' * (there != 1)} in {place}", f"{links} link{'s' * (links != 1)}"]
    if files:
        counted.insert(0, f"{files} resource{'s' * (files != 1)} in the files")
    print(f"{', '.join(counted)}: fine.")


def _with_targets(read: Topology, there: There) -> Topology:
    """Add what the files refer to, so that no sender stays idle and unjudged."""
    wanted = {one for placed in read.resources.values() for one in node(placed).to}
    found = {key: placed for key, placed in there.resources.items() if key in wanted}
    return read._replace(resources={**found, **read.resources}, namespaces={**there.namespaces, **read.namespaces})


def _there(cluster: Cluster, objects: Iterable[Object], only: str | None) -> There:
    resources: dict[Key, Placed] = {}
    findings: list[tuple[Key, Finding]] = []
    for found in objects:
        document = Document(_place(found), {part: found[part] for part in _OURS if part in found}, {})
        resource, problems = rules.examine(document.value)
        key = Key(found["kind"], found["metadata"]["namespace"], found["metadata"]["name"])
        findings += ((key, document.locate(one)) for one in problems)
        if resource is not None:
            resources[key] = Placed(key, resource, document)
    return There(resources, findings, _namespaces(cluster), only)


def _place(found: Object) -> str:
    return f"{found['kind']} {found['metadata']['namespace']}/{found['metadata']['name']} in the cluster"


def _for_files(cluster: Cluster, read: Topology) -> tuple[list[Object], None]:
    """Read all of the cluster; whoever may not gets the namespaces that the files speak of."""
    try:
        return cluster.resources(None), None
    except NotAllowed:
        own = {key.namespace for key in read.resources}
        spoken_of = {one.namespace for placed in read.resources.values() for one in node(placed).to}
        return _of(cluster, own | spoken_of or {cluster.namespace}), None


def _alone(cluster: Cluster, only: str | None) -> tuple[list[Object], str | None]:
    """Read all of it; whoever may not gets one namespace, the one asked for or the context's, and what it refers to."""
    try:
        return cluster.resources(None), only
    except NotAllowed:
        only = only or cluster.namespace
        print(f"You may not list the whole cluster: namespace {only} is checked.", file=sys.stderr)
        found = cluster.resources(only)
        more = {one.get("namespace", only) for each in found for one in each["spec"].get("to", ())}
        return found + _of(cluster, more - {only}), only


def _of(cluster: Cluster, namespaces: Iterable[str]) -> list[Object]:
    return [one for name in sorted(namespaces) for one in cluster.resources(name)]


def _namespaces(cluster: Cluster) -> Mapping[str, Mapping[str, str]]:
    try:
        return cluster.namespaces()
    except NotAllowed:
        text = "You may not list namespaces: consents by their labels (from: Selector) are judged without those."
        print(text, file=sys.stderr)
        return {}


def _broken(read: Topology, there: There) -> list[Finding]:
    """Return what cannot be wired of the files, and what in the cluster could be, but for the files."""
    merged = {**there.resources, **read.resources}
    before = {(fault.sender, fault.target) for fault in _graph(there.resources, there.namespaces).faults}
    return [
        _located(fault, merged)
        for fault in _graph(merged, {**there.namespaces, **read.namespaces}).faults
        if fault.sender in read.resources or (fault.sender, fault.target) not in before
    ]


def _standing(there: There) -> list[Finding]:
    """Return what is wrong with what is judged, and with what that refers to: it may not be there only for that."""
    all_faults = _graph(there.resources, there.namespaces).faults
    faults = [one for one in all_faults if there.only in (None, one.sender.namespace)]
    meant = {one.target for one in faults}
    own = [one for key, one in there.findings if there.only in (None, key.namespace) or key in meant]
    return own + [_located(one, there.resources) for one in faults]


def _graph(resources: Mapping[Key, Placed], namespaces: Mapping[str, Mapping[str, str]]) -> Graph:
    return resolve(map(node, resources.values()), namespaces)


def _located(fault: Fault, resources: Mapping[Key, Placed]) -> Finding:
    problem = Problem(("spec", "to", fault.place), f"{fault.reason}: {fault.message}")
    return resources[fault.sender].document.locate(problem)


def _absent_secrets(
    cluster: Cluster, read: Topology, keys: Iterable[Key], graph: Graph, resources: Mapping[Key, Placed]
) -> None:
    """Name the Secrets, and keys of them, that are neither in the files nor in the cluster: pods would wait."""
    there: dict[tuple[str, str], frozenset[str] | None] = {}
    for key in keys:
        for secret in sorted(plan(resources[key], graph, resources, Settings(), InCluster()).secrets):
            place = key.namespace, secret.name
            if secret.key in read.secrets.get(place, {}):
                continue
            if place not in there:
                try:
                    there[place] = cluster.secret_keys(*place)
                except NotAllowed:
                    print(
                        "You may not read Secrets: whether those that are needed exist was not checked.",
                        file=sys.stderr,
                    )
                    return
            if secret.key not in (there[place] or ()):
                what = f"has no key {secret.key}" if there[place] is not None else "does not exist"
                print(
                    f"The Secret {key.namespace}/{secret.name} {what}; {key.kind} {key.short} needs it.",
                    file=sys.stderr,
                )
