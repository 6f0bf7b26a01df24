"""A DaemonSet whose rollout does not move is touched, for Kubernetes may have lost sight of a pod.

Its controller looks at a new pod once more when ``minReadySeconds`` have passed since the pod became ready. Of several
such appointments it keeps only the first, so where a second new pod became ready while it waited for another (the
template was changed amid a rollout), nobody looks when that one has become available: the old pod stays, until
anything at all happens to the DaemonSet. A changed annotation is enough. Only a surge has two pods on a node.
https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/daemon/daemon_controller.go (``updatePod``),
https://github.com/kubernetes/client-go/blob/v0.34.0/util/workqueue/delaying_queue.go (``insert``)
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from rutta_operator import log
from rutta_operator.k8s.cluster import Cluster
from rutta_operator.k8s.refusals import ApiError
from rutta_operator.state import rollout
from rutta_operator.state.seen import Live
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

MANAGER: Final = f"{names.MANAGER}-touch"
_LATE: Final = 60.0  # seconds beyond minReadySeconds in which something moves as a rule: an image may have to come
_LONGEST: Final = 600.0  # seconds between two touches


class _Rollout(NamedTuple):
    """How far a rollout has come."""

    step: tuple[int, int]
    """of which template it is, and how many nodes have that"""
    numbers: tuple[int, int, int]
    """what else moves: nodes with a pod, pods that are ready, that are available"""
    since: float
    """when something moved, or it was touched"""
    touched: int
    """how often, in this step"""


class Standstill:
    """Watches over the rollouts of DaemonSets, from pass to pass."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster, self._clock = cluster, clock
        self._rollouts: dict[Key, _Rollout] = {}

    def forget(self, key: Key) -> None:
        """Forget a resource that is gone."""
        self._rollouts.pop(key, None)

    async def look(self, key: Key, workload: Live | None) -> float | None:
        """Touch the DaemonSet if its rollout has not moved for long; return after how many seconds to look again.

        A touch that fails is logged and counts like one that did not help: what is wrong is told by other things.
        """
        going = None if workload is None else self._seen(key, workload)
        if workload is None or going is None:
            self.forget(key)
            return None
        self._rollouts[key] = going
        wait, now = _patience(workload, going.touched), self._clock()
        if now < going.since + wait:
            return going.since + wait - now
        self._rollouts[key] = going._replace(since=now, touched=going.touched + 1)
        await self._touch(key, workload["metadata"]["name"], wait)
        return _patience(workload, going.touched + 1)

    def _seen(self, key: Key, workload: Live) -> _Rollout | None:
        """Return how far the rollout has come; None if there is none, or none that may stand still."""
        if workload["kind"] != "DaemonSet" or "status" not in workload or not _surges(workload):
            return None
        generation = int(workload["metadata"].get("generation", 0))
        count, (_, available) = rollout.counts(workload), rollout.pods(workload)
        updated, placed = count["updatedReplicas"], count["replicas"]
        if workload["status"].get("observedGeneration", 0) < generation or updated >= placed:
            return None
        now = _Rollout((generation, updated), (placed, count["readyReplicas"], available), self._clock(), 0)
        before = self._rollouts.get(key, now)
        if before.step != now.step:
            return now
        return before if before.numbers == now.numbers else now._replace(touched=before.touched)

    async def _touch(self, key: Key, name: str, waited: float) -> None:
        """Change an annotation; that starts no rollout."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        changes = {"metadata": {"annotations": {names.TOUCHED: now}}}
        text = f"The rollout of DaemonSet {name} has not moved for {waited:.0f} s"
        try:
            await self._cluster.merge("DaemonSet", key.namespace, name, changes, manager=MANAGER)
        except ApiError as exc:
            log.info("touch_failed", f"{text}, and it cannot be touched: {exc.message}", key=key)
        else:
            log.info("touched", f"{text}: it is touched, in case Kubernetes has lost sight of a pod.", key=key)


def _patience(workload: Live, touched: int) -> float:
    """Return how many seconds nothing may move: twice as many after each touch."""
    first = int(workload["spec"].get("minReadySeconds", 0)) + _LATE
    return min(first * (1 << min(touched, 10)), max(first, _LONGEST))


def _surges(workload: Live) -> bool:
    """Tell whether a new pod comes before the old one goes."""
    rolling = (workload["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return rolling.get("maxSurge") not in (None, 0, "0", "0%")
