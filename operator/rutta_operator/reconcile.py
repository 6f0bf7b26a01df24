"""One pass over one resource: plan → apply → prune → status. Level-triggered: all that counts is what is now.

A pass may be cut off anywhere and begun again; a second one over an unchanged cluster writes nothing.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from rutta_operator import last, log
from rutta_operator.apply import Applied, Applier, OwnerGone, Wanted
from rutta_operator.cluster import Cluster, Object
from rutta_operator.edges import Edges
from rutta_operator.events import Events
from rutta_operator.graph import Graph, Key
from rutta_operator.kinds import WORKLOADS
from rutta_operator.metrics import Metrics
from rutta_operator.models import API_VERSION
from rutta_operator.plan import Cluster as InCluster
from rutta_operator.plan import Links, Plan, Settings, plan
from rutta_operator.refusals import ApiError, Forbidden, Gone
from rutta_operator.render import Context, Owner
from rutta_operator.render.objects import objects
from rutta_operator.seen import Report, Seen, Silence
from rutta_operator.status import changed, look_again, status, transitions
from rutta_operator.store import Known, Store
from rutta_operator.topology import Placed
from rutta_operator.work import Work

SETTINGS: Final = Settings(drain_delay="5s")  # listeners stay open until the endpoints have followed
_LIMIT: Final = 60.0  # seconds for one pass
_LOUD: Final = 4  # failures of a resource in a row from which on they are a warning


class Reports(Protocol):
    """What the pods of resources say."""

    def follow(self, key: Key) -> None:
        """Ask the pods of a resource from now on."""

    def forget(self, key: Key) -> None:
        """Ask them no more."""

    def report(self, key: Key) -> Report | Silence | None:
        """Return the last report of a resource's pods."""


class _Pass(NamedTuple):
    """What one pass found out."""

    known: Known
    graph: Graph
    last: Links
    plan: Plan | None
    applied: Applied
    trouble: ApiError | None


class Reconciler:
    """Brings resources up to their specs, one pass at a time for each, as many at once as there are workers."""

    def __init__(
        self, store: Store, work: Work, edges: Edges, cluster: Cluster, metrics: Metrics, reports: Reports,
        events: Events, context: Callable[[], Context],
    ) -> None:  # fmt: skip
        """``context`` is what all resources have in common, as it is now."""
        self._store, self._work, self._edges, self._cluster = store, work, edges, cluster
        self._metrics, self._reports, self._context = metrics, reports, context
        self._applier = Applier(cluster, store, metrics)
        self._events = events
        self._failures: dict[Key, int] = {}
        self._links: dict[Key, Links] = {}  # as planned last: a ConfigMap may be deleted while a reference is broken
        self.refused: set[Key] = set()
        """resources of which something was refused: a sweep tries again, for causes may be elsewhere"""

    async def work(self) -> None:
        """Take keys and work on them until cancelled. Whatever one of them does, the others go on."""
        while True:
            key = await self._work.take()
            try:
                with self._metrics.seconds.time():
                    async with asyncio.timeout(_LIMIT):
                        again = await self.reconcile(key)
            except (ApiError, TimeoutError) as exc:
                self._failed(key, type(exc).__name__, str(exc) or f"it took longer than {_LIMIT:g} s")
                self._work.failed(key)
            except Exception as exc:  # noqa: BLE001 - one resource that we are not up to never holds up the others
                self._metrics.errors.labels(key.kind, "Bug").inc()
                log.crash("bug", "A mistake in the operator: this resource is tried again, later.", exc, key=key)
                self._work.failed(key)
            else:
                self._failures.pop(key, None)
                self._work.done(key)
                if again is not None:
                    self._work.add_after(key, again)

    def _failed(self, key: Key, reason: str, text: str) -> None:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        self._metrics.errors.labels(key.kind, reason).inc()
        level = logging.WARNING if count >= _LOUD else logging.INFO
        log.say(level, "retry", f"It is tried again: {text}", key=key, reason=reason, failures=count)

    async def reconcile(self, key: Key) -> float | None:
        """Make one pass; return after how many seconds to look again though nothing happens.

        Raises:
            ApiError: not all is as it should be, and may be the next time.
        """
        graph = await self._edges.graph()
        known = self._store.resources.get(key)
        if known is None:  # the garbage collector takes what it had
            self._forget(key)
            return None
        if known.deleting:
            return None
        try:
            done = await self._realise(key, known, graph)
        except OwnerGone:
            return None
        again = await self._tell(key, done)
        if done.trouble is not None:
            raise done.trouble
        if done.applied.passing:
            raise Forbidden("; ".join(f"{one.kind} {one.name}: {one.message}" for one in done.applied.refusals))
        return 1.0 if done.applied.waiting else again

    def _forget(self, key: Key) -> None:
        self._work.forget(key)
        self._reports.forget(key)
        self._failures.pop(key, None)
        self._links.pop(key, None)
        self.refused.discard(key)

    async def _realise(self, key: Key, known: Known, graph: Graph) -> _Pass:
        """Plan a resource and apply what the plan needs; one with problems stays as it is."""
        wiring = self._last(key)
        found = _Pass(known, graph, wiring, None, Applied(), None)
        if known.placed is None:
            return found
        planned = plan(known.placed, graph, self._edges.placed, SETTINGS, InCluster(), wiring)
        try:
            applied = await self._applier.apply(self._wanted(known, known.placed, planned, graph))
        except ApiError as exc:
            return found._replace(plan=planned, trouble=exc)
        (self.refused.add if applied.refusals else self.refused.discard)(key)
        return found._replace(plan=planned, applied=applied)

    def _last(self, key: Key) -> Links:
        configs = self._configs(key)
        return last.links(configs) if configs else self._links.get(key, {})

    def _configs(self, key: Key) -> list[Object]:
        children = self._store.children(key)
        return [child.object() for (kind, _), child in children.items() if kind == "ConfigMap"]

    def _wanted(self, known: Known, placed: Placed, planned: Plan, graph: Graph) -> Wanted:
        key = placed.key
        owner = Owner(API_VERSION, key.kind, key.name, known.uid)
        context = self._context()._replace(owner=owner, senders=frozenset(self._edges.senders(key)))
        template = placed.resource.spec.pod_template
        made = objects(planned, placed.resource, context)
        self._links[key] = last.links(one for one in made if one["kind"] == "ConfigMap")
        made = self._cut(key, graph, made)
        is_new, checked = known.status == b"{}", bool(template.metadata or template.spec)
        return Wanted(key, known.uid, made, is_new, checked)

    def _cut(self, key: Key, graph: Graph, made: list[Object]) -> list[Object]:
        """Cut what is forbidden out of the configs of pods that a rollout has not replaced, too."""
        forbidden = {one.target for one in graph.faults_of(key) if one.reason == "RefNotPermitted"}
        newest = next((one for one in made if one["kind"] == "ConfigMap"), None)
        if not forbidden or newest is None:
            return made
        return [*last.without(self._configs(key), forbidden, newest), *made]

    async def _tell(self, key: Key, done: _Pass) -> float | None:
        """Write the status if its meaning changed, and an Event for each transition."""
        known = self._store.resources.get(key)
        if known is None or known.uid != done.known.uid:
            return None
        seen = self._seen(key, known, done)
        (self._reports.forget if seen.workload is None else self._reports.follow)(key)
        before, after = seen.previous, status(seen)
        if changed(before, after):
            await self._write(key, known, after)
            log.info("status", "The status changed.", key=key, **_conditions(after))
            for transition in transitions(before, after):
                await self._events.tell(key, known.uid, transition)
        return look_again(seen)

    async def _write(self, key: Key, known: Known, after: Mapping[str, Any]) -> None:
        metadata = {"name": key.name, "namespace": key.namespace, "uid": known.uid}
        wanted = {"apiVersion": API_VERSION, "kind": key.kind, "metadata": metadata, "status": after}
        try:
            answer = await self._cluster.apply_status(wanted)
        except Gone:
            return  # deleted meanwhile
        now = self._store.resources.get(key)
        if now is None or now.uid != known.uid:
            return  # deleted meanwhile, as the watch has told already: nobody would take it out of the store again
        self._store.put_resource(answer)
        if self._store.resources[key].generation != now.generation:
            self._edges.touch_node(key)  # its spec came with the answer, and what the watch says of it is old by then
            self._work.add(key)

    def _seen(self, key: Key, known: Known, done: _Pass) -> Seen:
        live = self._workloads(key, known.uid)
        current = done.plan.workload if done.plan is not None else next(iter(live), None)
        faults = done.graph.faults_of(key)
        kept = {one.target for one in faults if one.reason != "RefNotPermitted"} & done.last.keys()
        return Seen(
            key=key,
            generation=done.known.generation,
            resource=None if done.known.placed is None else done.known.placed.resource,
            problems=done.known.problems,
            faults=faults,
            kept=frozenset(kept),
            plan=done.plan,
            refusals=done.applied.refusals,
            trouble="" if done.trouble is None else done.trouble.message,
            workload=live.get(current or ""),
            old=next((one for kind, one in live.items() if kind != current), None),
            senders=self._edges.senders(key),
            targets=done.graph.targets(key) if key in done.graph.nodes else [],
            report=self._reports.report(key),
            previous=json.loads(known.status),
            now=time.time(),
            unsupported=self._edges.unsupported(key),
        )

    def _workloads(self, key: Key, uid: str) -> dict[str, dict[str, Any]]:
        """Return the live workloads; those of a former resource of the name are none of ours."""
        children = self._store.children(key)
        return {
            kind: child.object()
            for (kind, _), child in children.items()
            if kind in WORKLOADS and child.controller in (uid, None)
        }


def _conditions(after: Mapping[str, Any]) -> dict[str, str]:
    """Return the conditions as fields of a log line."""
    return {one["type"]: f"{one['status']}/{one['reason']}" for one in after["conditions"]}
