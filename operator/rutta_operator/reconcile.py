"""One pass over one resource: plan → apply → prune → status. Level-triggered: all that counts is what is now.

A pass may be cut off anywhere and begun again; a second one over an unchanged cluster writes nothing, except that it
touches a DaemonSet whose rollout does not move.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, Protocol

from rutta_operator import last, log
from rutta_operator.apply import Applied, Applier, OwnerGone, Wanted, is_rolled_out
from rutta_operator.clean import Clean
from rutta_operator.edges import Edges
from rutta_operator.k8s.cluster import Cluster, Object
from rutta_operator.k8s.kinds import WORKLOADS
from rutta_operator.k8s.refusals import ApiError, Forbidden, Gone
from rutta_operator.metrics import Metrics
from rutta_operator.render import Context, Owner, config
from rutta_operator.render.objects import objects
from rutta_operator.spec.models import API_VERSION
from rutta_operator.standstill import Standstill
from rutta_operator.state.events import Events
from rutta_operator.state.seen import Report, Seen, Silence
from rutta_operator.state.status import changed, judge, status, transitions
from rutta_operator.store import Known, Store
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Graph, Key
from rutta_operator.wiring.plan import Cluster as InCluster
from rutta_operator.wiring.plan import Links, Plan, Settings, plan
from rutta_operator.wiring.topology import Placed
from rutta_operator.work import Work

SETTINGS: Final = Settings(drain_delay="5s")  # listeners stay open until the endpoints have followed
_LIMIT: Final = 60.0  # seconds for one pass
_LOUD: Final = 4  # failures of a resource in a row from which on they are a warning


class Reports(Protocol):
    """What the pods of resources say."""

    def follow(self, key: Key, well: Collection[str] = ()) -> None:
        """Ask the pods of a resource from now on; ``well`` are targets that were Healthy by its status."""

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
        self._applier, self._clean = Applier(cluster, store, metrics), Clean(store, edges)
        self._standstill = Standstill(cluster)
        self._events = events
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
            except Exception as exc:  # noqa: BLE001 - one resource that we are not up to never holds up the others
                self._metrics.errors.labels(key.kind, "Bug").inc()
                log.crash("bug", "A mistake in the operator: this resource is tried again, later.", exc, key=key)
                self._work.failed(key)
            else:
                self._work.done(key)
                if again is not None:
                    self._work.add_after(key, again)

    def _failed(self, key: Key, reason: str, text: str) -> None:
        self._work.failed(key)
        count = self._work.failures(key)
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
        self._applier.forget(key)
        self._clean.forget(key)
        self._standstill.forget(key)
        self._links.pop(key, None)
        self.refused.discard(key)

    async def _realise(self, key: Key, known: Known, graph: Graph) -> _Pass:
        """Plan a resource and apply what the plan needs; one with problems stays as it is."""
        wiring = self._last(key)
        found = _Pass(known, graph, wiring, None, Applied(), None)
        if known.placed is not None:
            planned = plan(known.placed, graph, self._edges.placed, SETTINGS, InCluster(), wiring)
            found = found._replace(plan=planned)
            applying = self._apply(known, known.placed, planned, graph)
        else:
            applying = self._cut_only(key, known, graph)
        try:
            applied = await applying
        except ApiError as exc:
            return found._replace(trouble=exc)
        (self.refused.add if applied.refusals else self.refused.discard)(key)
        if known.placed is not None and applied.is_running:
            self._edges.applied(known.placed)
        return found._replace(applied=applied)

    async def _apply(self, known: Known, placed: Placed, planned: Plan, graph: Graph) -> Applied:
        """Make the objects of a plan and apply them, unless all is as the last pass left it."""
        key = placed.key
        before = self._clean.inputs(placed, self._context_of(key, known))
        if self._clean.has(before):
            return Applied()
        wanted = self._wanted(known, placed, planned, graph, before.context)
        applied = await self._applier.apply(wanted)
        after = self._clean.inputs(placed, self._context_of(key, known))
        self._clean.judge(before, after, wanted.objects, well=applied == Applied() and not wanted.cuts)
        return applied

    async def _cut_only(self, key: Key, known: Known, graph: Graph) -> Applied:
        """Cut what is forbidden, and nothing else; with nobody left to send to, nothing is left to run."""
        cuts = self._cuts(key, graph, last.mounted(self._store.children(key)), self._context_of(key, known))
        wanted = Wanted(key, known.uid, (), is_new=False, checked=False, cuts=cuts or ())
        return await (self._applier.apply if cuts is None else self._applier.cut)(wanted)

    def _last(self, key: Key) -> Links:
        live = last.mounted(self._store.children(key))
        return self._links.get(key, {}) if live is None else last.links(live)

    def _context_of(self, key: Key, known: Known) -> Context:
        owner = Owner(API_VERSION, key.kind, key.name, known.uid)
        is_local = self._is_local(key, known.uid)
        return self._context()._replace(owner=owner, senders=self._edges.admitted(key), is_local=is_local)

    def _is_local(self, key: Key, uid: str) -> bool:
        """Tell whether each node has a pod, so that senders need no other: once they had, a rollout keeps it so."""
        live = self._workloads(key, uid)
        if live.keys() != {"DaemonSet"}:
            return False
        service = self._store.children(key).get(("Service", names.workload(key)))
        was = service is not None and service.object()["spec"].get("internalTrafficPolicy") == "Local"
        return was or is_rolled_out(live["DaemonSet"])

    def _wanted(self, known: Known, placed: Placed, planned: Plan, graph: Graph, context: Context) -> Wanted:
        key = placed.key
        template = placed.resource.spec.pod_template
        made = objects(planned, placed.resource, context)
        newest = next((one for one in made if one["kind"] == "ConfigMap"), None)
        self._links[key] = last.links(newest)
        cuts = None if newest is None else self._cuts(key, graph, newest, context)
        is_new, checked = known.status == b"{}", bool(template.metadata or template.spec)
        return Wanted(key, known.uid, made, is_new, checked, cuts or ())

    def _cuts(self, key: Key, graph: Graph, newest: Mapping[str, Any] | None, context: Context) -> list[Object] | None:
        """Return the live configs that lead to what is forbidden, without that; None if no target is left.

        Pods read them until a rollout has replaced them, and as long as what is wanted is not valid.
        """
        forbidden = {one.target for one in graph.faults_of(key) if one.reason == "RefNotPermitted"}
        if not forbidden:
            return []
        configs = [child.object() for (kind, _), child in self._store.children(key).items() if kind == "ConfigMap"]
        texts = last.without(configs, forbidden, newest)
        if "" in texts.values():
            return None
        return [config.holding(key, text, context, name) for name, text in texts.items()]

    async def _tell(self, key: Key, done: _Pass) -> float | None:
        """Write the status if its meaning changed, and an Event for each transition."""
        known = self._store.resources.get(key)
        if known is None or known.uid != done.known.uid:
            return None
        seen = self._seen(key, known, done)
        if seen.workload is None:
            self._reports.forget(key)
        else:
            self._reports.follow(key, _well(seen.previous))
        judgement = judge(seen)
        before, after = seen.previous, status(seen, judgement)
        if changed(before, after):
            await self._write(key, known, after)
            log.info("status", "The status changed.", key=key, **_conditions(after))
            for transition in transitions(before, after):
                await self._events.tell(key, known.uid, transition)
        if done.trouble is not None:
            return judgement.again
        return _sooner(judgement.again, await self._standstill.look(key, seen.workload))

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


def _sooner(one: float | None, other: float | None) -> float | None:
    """Return the shorter of two waits; None is none."""
    return min((wait for wait in (one, other) if wait is not None), default=None)


def _conditions(after: Mapping[str, Any]) -> dict[str, str]:
    """Return the conditions as fields of a log line."""
    return {one["type"]: f"{one['status']}/{one['reason']}" for one in after["conditions"]}


def _well(status: Mapping[str, Any]) -> list[str]:
    """Return the targets that were Healthy when the status was written."""
    return [one["name"] for one in status.get("targets", ()) if one.get("state") == "Healthy"]
