"""The objects of one resource as they should be → as they are: apply what differs, prune what is not wanted.

An object is applied if the digest of what we want is not the one that was applied last (``names.APPLIED``), or if one
of the fields that we want is not as we want it. What belongs to somebody else is left alone, and reported.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rutta_operator import drift, log
from rutta_operator.k8s.cluster import Cluster, Object
from rutta_operator.k8s.kinds import OPTIONAL, WORKLOADS
from rutta_operator.k8s.refusals import Conflict, Forbidden, Gone, Invalid
from rutta_operator.metrics import Metrics
from rutta_operator.state.seen import Refusal
from rutta_operator.store import Child, Store, controller_of, owner_of
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

HANDOVER: Final = f"{names.MANAGER}-handover"
_NEEDED: Final = ("ServiceAccount", "ConfigMap")  # without them the workload's pods cannot start
_PACED: Final = (*WORKLOADS, "ConfigMap")  # pruned only when the new workload is wholly there


class Wanted(NamedTuple):
    """What a resource should have."""

    key: Key
    uid: str
    """the resource's"""
    objects: Sequence[Object]
    """in the order in which they are applied"""
    is_new: bool
    """whether this is the first pass over the resource: then its objects are missing for no other reason"""
    checked: bool
    """whether a user's pod template is in the workload, so that the API server should judge it first"""
    cuts: Sequence[Object] = ()
    """live ConfigMaps without what is forbidden: applied whatever becomes of the rest"""


class Applied(NamedTuple):
    """How it went."""

    refusals: tuple[Refusal, ...] = ()
    passing: bool = False
    """whether a refusal may pass without a change of the resource: quotas, policies, RBAC"""
    waiting: bool = False
    """whether an object is in the way that is being deleted, or something goes with the next pass"""

    def and_(self, other: "Applied") -> "Applied":
        """Return how both went."""
        return Applied(self.refusals + other.refusals, self.passing or other.passing, self.waiting or other.waiting)

    @property
    def is_running(self) -> bool:
        """Tell whether the pods are made, or being made, as they are wanted."""
        return not self.waiting and not any(one.kind in (*WORKLOADS, *_NEEDED) for one in self.refusals)


class Applier:
    """Applies and prunes; keeps in mind what the API server will not have as we want it."""

    def __init__(self, cluster: Cluster, store: Store, metrics: Metrics) -> None:
        self._cluster, self._store, self._metrics = cluster, store, metrics
        self._settled: dict[Key, dict[tuple[str, str], tuple[str, dict[str, str]]]] = {}

    def forget(self, key: Key) -> None:
        """Forget a resource that is gone."""
        self._settled.pop(key, None)

    async def apply(self, wanted: Wanted) -> Applied:
        """Apply what differs, then prune. Raises OwnerGone, and what may pass: Unavailable, Conflict, Gone."""
        await self._alive(wanted, self._store.children(wanted.key))
        cut = await self.cut(wanted)
        live = self._store.children(wanted.key)
        marked = [_mark(one) for one in wanted.objects]
        found = await self._checked(wanted, marked, live)
        if found.refusals:
            return cut.and_(found)
        found = cut.and_(await self._all(wanted, marked, live))
        return found._replace(waiting=await self._prune(wanted, found) or found.waiting)

    async def cut(self, wanted: Wanted) -> Applied:
        """Apply the ``cuts`` only. Raises what may pass."""
        return await self._all(wanted, [_mark(one) for one in wanted.cuts], self._store.children(wanted.key))

    async def _alive(self, wanted: Wanted, live: Mapping[tuple[str, str], Child]) -> None:
        """See that a resource is still there if objects of it are gone: the watch of those may be the faster one.

        Else we would make anew what the garbage collector takes away. Raises OwnerGone.
        """
        if wanted.is_new or all((one["kind"], one["metadata"]["name"]) in live for one in wanted.objects):
            return
        key = wanted.key
        metadata = await self._cluster.metadata(key.kind, key.namespace, key.name)
        if metadata is None or metadata["uid"] != wanted.uid or "deletionTimestamp" in metadata:
            raise OwnerGone

    async def _checked(
        self, wanted: Wanted, marked: Sequence[Object], live: Mapping[tuple[str, str], Child]
    ) -> Applied:
        """Let the API server judge a workload with a user's pod template before anything is applied."""
        workload = next((one for one in marked if one["kind"] in WORKLOADS), None)
        if workload is None or not wanted.checked:
            return Applied()
        child = live.get((workload["kind"], workload["metadata"]["name"]))
        if child is not None and _digest_of(child.object()) == _digest_of(workload):
            return Applied()
        try:
            await self._cluster.apply(workload, dry_run=True)
        except (Invalid, Forbidden) as exc:
            return Applied((_refusal(workload, exc.status, exc.message),), passing=isinstance(exc, Forbidden))
        return Applied()

    async def _all(self, wanted: Wanted, marked: Sequence[Object], live: Mapping[tuple[str, str], Child]) -> Applied:
        refusals: list[Refusal] = []
        passing = waiting = False
        for one in marked:
            if one["kind"] in WORKLOADS and any(refusal.kind in _NEEDED for refusal in refusals):
                continue
            try:
                waiting |= not await self._one(wanted, one, live.get((one["kind"], one["metadata"]["name"])))
            except Gone:
                if one["kind"] not in OPTIONAL:  # else its definition is gone: that is noticed by itself
                    raise
            except _Taken as exc:
                refusals.append(_refusal(one, 409, str(exc)))
            except (Invalid, Forbidden) as exc:
                refusals.append(_refusal(one, exc.status, exc.message))
                passing |= isinstance(exc, Forbidden)
        return Applied(tuple(refusals), passing, waiting)

    async def _one(self, wanted: Wanted, one: Object, child: Child | None) -> bool:
        """Apply an object if it differs; False if one is in the way that is about to go."""
        if child is None:
            return await self._new(wanted, one)
        live = child.object()
        if child.deleting or not _ours(wanted, live["metadata"], one["kind"]):
            return False
        if self._as_wanted(wanted.key, one, live):
            return True
        await self._hand_over(one, live, child)
        await self._make_room(one, live)
        await self._apply(wanted.key, one)
        return True

    async def _new(self, wanted: Wanted, one: Object) -> bool:
        """Make an object that is not known, unless its name is taken: by one of ours, or by somebody's."""
        try:
            await self._apply(wanted.key, one, is_new=True)
        except Conflict:
            metadata = await self._cluster.metadata(one["kind"], wanted.key.namespace, one["metadata"]["name"])
            if metadata is None:
                raise
            if not _ours(wanted, metadata, one["kind"]):
                return False
            await self._apply(wanted.key, one)
        return True

    def _as_wanted(self, key: Key, one: Object, live: Object) -> bool:
        if _digest_of(live) != _digest_of(one):
            return False
        found = drift.differences(one, live)
        return not found or self._settled.get(key, {}).get(_place(one)) == (_digest_of(one), found)

    async def _hand_over(self, one: Object, live: Object, child: Child) -> None:
        """Give the number of pods to whoever scales, before we stop saying it: without an owner it would become 1.

        None become one, for an autoscaler leaves alone what was scaled to zero.
        https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership
        """
        if one["kind"] != "Deployment" or "replicas" in one["spec"] or not child.holds_replicas:
            return
        kept = {key: one["metadata"][key] for key in ("name", "namespace")}
        number = {
            "apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": kept,
            "spec": {"replicas": max(1, live["spec"]["replicas"])},
        }  # fmt: skip
        self._store.put_child(await self._cluster.apply(number, manager=HANDOVER))

    async def _make_room(self, one: Object, live: Object) -> None:
        """Take away ports of a Service that are not ours: a port whose number somebody changed is another port, that
        keeps the name which ours must have. The list is replaced, for a strategic merge would take two ports of one
        number, TCP and UDP, for one. What stays is said as it is, so that nobody owns it anew; a Service must have a
        port, so if none of them is ours we say what ours are.
        """
        if one["kind"] != "Service" or not drift.extra_ports(one, live):
            return
        ports = {"spec": {"ports": drift.our_ports(one, live) or one["spec"]["ports"]}}
        namespace, name = one["metadata"]["namespace"], one["metadata"]["name"]
        answer = await self._cluster.merge("Service", namespace, name, ports, manager=HANDOVER)
        self._store.put_child(answer)

    async def _apply(self, key: Key, one: Object, *, is_new: bool = False) -> None:
        live = await self._cluster.apply(one, is_new=is_new)
        self._store.put_child(live)
        self._metrics.applies.labels(one["kind"]).inc()
        name = one["metadata"]["name"]
        log.info("applied", f"Applied {one['kind']} {name}.", key=key, child=f"{one['kind']}/{name}")
        left = drift.differences(one, live)
        self._unsettle(key, _place(one))
        if left:
            # Somebody changes what we apply as it comes in (a mutating webhook): insisting would never end.
            self._settled.setdefault(key, {})[_place(one)] = _digest_of(one), left
            text = f"{one['kind']} {name} is not as it was applied; an admission webhook changes it"
            log.warn("changed_on_arrival", f"{text}: {', '.join(sorted(left))}.", key=key)

    def _unsettle(self, key: Key, place: tuple[str, str]) -> None:
        settled = self._settled.get(key, {})
        settled.pop(place, None)
        if not settled:
            self._settled.pop(key, None)

    async def _prune(self, wanted: Wanted, applied: Applied) -> bool:
        """Delete what is ours and not wanted; the old workload and old configs only when the new one is there.

        True if the old workload was deleted: what waits for that has no other news of it.
        """
        names_wanted = {(one["kind"], one["metadata"]["name"]) for one in wanted.objects}
        children = self._store.children(wanted.key)
        paced = bool(wanted.objects) and (bool(applied.refusals) or not is_there(children, wanted.objects))
        old = any(kind in WORKLOADS and (kind, name) not in names_wanted for kind, name in children)
        gone = False
        for kind, name in sorted(children.keys() - names_wanted, key=_latest_first):
            child = children[kind, name]
            if child.deleting or (paced and kind in _PACED) or child.controller != wanted.uid:
                continue
            if kind == "ConfigMap" and old and wanted.objects:
                continue  # pods of the old workload read it until they are gone: it goes with the next pass
            await self._delete(wanted.key, kind, name, child.uid)
            gone |= kind in WORKLOADS
        return gone and bool(wanted.objects)

    async def _delete(self, key: Key, kind: str, name: str, uid: str) -> None:
        try:
            await self._cluster.delete(kind, key.namespace, name, uid)
        except Conflict:
            return  # another object has the name by now; the watch will tell
        self._store.drop_child((kind, key.namespace, name), uid)
        self._unsettle(key, (kind, name))
        self._metrics.prunes.labels(kind).inc()
        log.info("pruned", f"Deleted {kind} {name}, which is no longer wanted.", key=key, child=f"{kind}/{name}")


class OwnerGone(Exception):
    """The resource is gone, or about to go; the watch has not told yet."""


class _Taken(Exception):
    """The object belongs to somebody else; says to whom."""


def is_there(children: Mapping[tuple[str, str], Child], wanted: Sequence[Object]) -> bool:
    """Tell whether the wanted workload is wholly there: every pod is of its newest template, and available.

    A Deployment that an autoscaler will scale begins with one pod: as many as it keeps at least must be there.
    """
    least = max((one["spec"]["minReplicas"] for one in wanted if one["kind"] == "HorizontalPodAutoscaler"), default=0)
    live = [children.get(_place(one)) for one in wanted if one["kind"] in WORKLOADS]
    return all(one is not None and is_rolled_out(one.object(), least) for one in live)


def is_rolled_out(workload: Mapping[str, Any], least: int = 0) -> bool:
    """Tell whether every pod of a workload is of its newest template, and available; a Deployment's are ``least``."""
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "DaemonSet":
        number = status.get("desiredNumberScheduled", 0)
        return bool(status.get("updatedNumberScheduled", 0) >= number <= status.get("numberAvailable", 0))
    asked = workload["spec"].get("replicas", 1)
    number = max(asked, least) if asked else 0  # an autoscaler leaves alone what was scaled to zero
    return bool(
        status.get("updatedReplicas", 0) >= number <= status.get("availableReplicas", 0)
        and status.get("replicas", 0) <= number
    )


def _latest_first(place: tuple[str, str]) -> tuple[bool, bool, str, str]:
    """Order what is deleted: first what makes pods, last what they need."""
    kind, name = place
    return kind in _NEEDED, kind not in WORKLOADS, kind, name


def _ours(wanted: Wanted, metadata: Mapping[str, Any], kind: str) -> bool:
    """Tell whether we may apply; False if it will go by itself, since its resource is gone. Raises _Taken."""
    controller = controller_of(metadata)
    if owner_of({"namespace": wanted.key.namespace, **metadata}) != wanted.key:
        raise _Taken(
            f"it belongs to {controller['kind']} {controller['name']}" if controller else "it belongs to nobody"
        )
    return controller.get("uid", wanted.uid) == wanted.uid and "deletionTimestamp" not in metadata


def _mark(one: Object) -> Object:
    """Return an object with the digest of what it says."""
    digest = hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest()[:16]
    annotations = {**one["metadata"].get("annotations", {}), names.APPLIED: digest}
    return {**one, "metadata": {**one["metadata"], "annotations": annotations}}


def _digest_of(one: Object) -> str:
    return str((one["metadata"].get("annotations") or {}).get(names.APPLIED, ""))


def _place(one: Object) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def _refusal(one: Object, code: int, message: str) -> Refusal:
    return Refusal(one["kind"], one["metadata"]["name"], code, message)
