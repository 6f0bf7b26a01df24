"""``ruttactl status``: how the resources of a cluster are, from their statuses alone, as a tree or as data."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TextIO

import yaml

from rutta_operator.ctl.live import Cluster, Object
from rutta_operator.spec.problems import Finding, Refused
from rutta_operator.state.judgement import condition
from rutta_operator.state.reasons import REASONS
from rutta_operator.wiring.graph import Key

NOT_READY: Final = 1
_EVERY: Final = 2.0  # seconds between two looks with --watch


class Trouble(NamedTuple):
    """One thing that is wrong with a resource."""

    what: str
    message: str
    is_grave: bool
    """whether it will not mend itself"""


class Standing(NamedTuple):
    """How one resource is."""

    key: Key
    is_ready: bool
    is_stalled: bool
    summary: str
    """Ready's reason, and how many pods"""
    troubles: Sequence[Trouble]
    to: Sequence[Key]
    """whom it sends to, as it is wired"""
    status: Mapping[str, Any]


def standing(resource: Object) -> Standing:
    """Read a resource's status."""
    metadata, status = resource["metadata"], resource.get("status") or {}
    key = Key(resource["kind"], metadata.get("namespace", "default"), metadata["name"])
    to = [Key(one["kind"], one["namespace"], one["name"]) for one in (status.get("downstreams") or {}).get("items", ())]
    ready, generation = condition(status, "Ready"), metadata.get("generation", 0)
    if not ready:
        text = "it has no status yet: does the operator run, and watch this namespace?"
        return Standing(key, False, False, "Unknown", [Trouble("Unknown", text, is_grave=True)], to, status)
    is_current = status.get("observedGeneration") == generation
    found = list(_troubles(status))
    if not is_current:
        text = f"the operator has not seen generation {generation} yet; this is of {status.get('observedGeneration')}"
        found.insert(0, Trouble("Outdated", text, is_grave=False))
    if metadata.get("deletionTimestamp"):
        found.insert(0, Trouble("Deleting", "it is being deleted", is_grave=False))
    is_ready = ready["status"] == "True" and is_current
    is_stalled = condition(status, "Stalled").get("status") == "True"
    return Standing(key, is_ready, is_stalled, f"{ready['reason']}  {_pods(status)}", found, to, status)


def _pods(status: Mapping[str, Any]) -> str:
    ready, there = status.get("readyReplicas", 0), status.get("replicas", 0)
    return f"{ready}/{there} pod{'s' * (there != 1)}"


def _troubles(status: Mapping[str, Any]) -> Iterable[Trouble]:
    """Yield what is wrong, each cause once: Ready repeats what Accepted and ResolvedRefs say in full."""
    told = set()
    is_stalled = condition(status, "Stalled").get("status") == "True"
    for word in ("Accepted", "ResolvedRefs", "Ready"):
        one = condition(status, word)
        if one.get("status") == "False" and one["reason"] not in told:
            told.add(one["reason"])
            is_grave = is_stalled and _is_warning(one["reason"])
            yield Trouble(one["reason"], one.get("message", ""), is_grave)
    yield from _target_troubles(status)


def _target_troubles(status: Mapping[str, Any]) -> Iterable[Trouble]:
    for one in status.get("targets") or ():
        if one["state"] in ("Failing", "Rejecting", "NotConnected"):
            reason = f": {one['reason']}" if one.get("reason") else ""
            yield Trouble(one["state"], f"{one['name']}{reason}", is_grave=True)


def _is_warning(word: str) -> bool:
    return word not in REASONS or REASONS[word].is_warning  # type: ignore[index]


def tree(found: Sequence[Standing], out: TextIO) -> None:
    """Print a tree for each resource that nobody of them sends to; colours on a terminal only."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    known, shown = {one.key: one for one in found}, set[Key]()

    def grow(branch: Tree, key: Key) -> None:
        one = known.get(key)
        if one is None or key in shown:
            why = "(not among these)" if one is None else "(see above)"
            branch.add(Text.assemble((key.kind, "bold"), f" {key.short}  ", (why, "dim")))
            return
        shown.add(key)
        mark, style = ("✓", "green") if one.is_ready else ("✗", "red") if one.is_stalled else ("…", "yellow")
        twig = branch.add(
            Text.assemble((f"{mark} ", style), (key.kind, "bold"), f" {key.short}  ", (one.summary, style))
        )
        for trouble in one.troubles:
            colour = "red" if trouble.is_grave else "yellow"
            twig.add(Text.assemble((f"{trouble.what}: ", colour), trouble.message))
        for target in one.to:
            grow(twig, target)

    console = Console(file=out, highlight=False, soft_wrap=True, width=None if out.isatty() else 10_000)
    for key in _roots(found):
        if key in shown:
            continue
        root = Tree("", hide_root=True)
        grow(root, key)
        console.print(root)


def _roots(found: Sequence[Standing]) -> list[Key]:
    """Return first those that nobody sends to, shippers in front; then all, for statuses may be of different times."""
    reached = {target for one in found for target in one.to}
    order = {"RuttaShipper": 0, "RuttaProxy": 1}
    keys = sorted((one.key for one in found), key=lambda key: (order.get(key.kind, 2), key))
    return [*(key for key in keys if key not in reached), *keys]


def as_data(found: Sequence[Standing]) -> list[dict[str, Any]]:
    """Return the resources as data: what their statuses say, and whether they are ready."""
    return [{"resource": str(one.key), "ready": one.is_ready, "status": one.status} for one in found]


def _written(found: Sequence[Standing], output: str, out: TextIO) -> None:
    if output == "tree":
        tree(found, out)
    elif output == "json":
        print(json.dumps(as_data(found), indent=2), file=out)
    else:
        print(yaml.safe_dump(as_data(found), sort_keys=False, allow_unicode=True), end="", file=out)
    out.flush()


def status(options: Mapping[str, Any], *, rest: Callable[[float], None] = time.sleep) -> int:
    """Say how the resources are; return 0 if all are ready, else 1. ``rest`` waits between two looks.

    Raises:
        Refused: nothing could be read, or there is nothing.
    """
    cluster = Cluster(options["kubeconfig"], options["context"])
    namespace = None if options["all_namespaces"] else options["namespace"] or cluster.namespace
    found = _look(cluster, namespace)
    if not found and not options["watch"]:
        where = "the cluster" if namespace is None else f"namespace {namespace}"
        raise Refused([Finding(where, 0, (), "has no RuttaRouter, RuttaShipper or RuttaProxy")])
    _written(found, options["output"], sys.stdout)
    if options["watch"]:
        found = _watch(cluster, namespace, found, options["output"], rest)
    return 0 if all(one.is_ready for one in found) else NOT_READY


def _look(cluster: Cluster, namespace: str | None) -> list[Standing]:
    return [standing(one) for one in cluster.resources(namespace)]


def _watch(
    cluster: Cluster, namespace: str | None, found: list[Standing], output: str, rest: Callable[[float], None]
) -> list[Standing]:
    """Say it again whenever it is different, until interrupted; return how it was last."""
    try:
        while True:
            rest(_EVERY)
            now = _look(cluster, namespace)
            if now != found:
                found = now
                print("\033[2J\033[H" if sys.stdout.isatty() else {"json": "", "yaml": "---"}.get(output, "──"))
                _written(found, output, sys.stdout)
    except KeyboardInterrupt:
        return found
