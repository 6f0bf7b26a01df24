"""A DaemonSet whose rollout stands still is touched, so that Kubernetes looks at it again.

Its controller looks at a new pod once more when ``minReadySeconds`` have passed since the pod became ready. Of several
such appointments it keeps only the first, so where a second new pod became ready while it waited for another (the
template was changed amid a rollout), nobody looks when that one has become available: the old pod stays, until
anything at all happens to the DaemonSet. A changed annotation is enough.
https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/controller/daemon/daemon_controller.go (``updatePod``),
https://github.com/kubernetes/client-go/blob/v0.34.0/util/workqueue/delaying_queue.go (``insert``)
"""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from rutta_operator import log
from rutta_operator.k8s.cluster import Cluster
from rutta_operator.k8s.refusals import Gone
from rutta_operator.state.seen import Live
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

MANAGER: Final = f"{names.MANAGER}-touch"
_LATE: Final = 30.0  # seconds beyond minReadySeconds in which something should have moved
_TIMES: Final = 5  # so often; what does not move then has another cause, which the status tells


class _Rollout(NamedTuple):
    """How far a rollout has come."""

    numbers: tuple[int, ...]
    since: float
    touched: int


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

        Raises ApiError.
        """
        numbers = _numbers(workload)
        if workload is None or not numbers:
            self.forget(key)
            return None
        rollout = self._rollouts.get(key)
        if rollout is None or rollout.numbers != numbers:
            rollout = self._rollouts[key] = _Rollout(numbers, self._clock(), 0)
        if rollout.touched >= _TIMES:
            return None
        due = rollout.since + (int(workload["spec"].get("minReadySeconds", 0)) + _LATE) * (1 << rollout.touched)
        if self._clock() >= due:
            await self._touch(key, workload["metadata"]["name"])
            self._rollouts[key] = rollout._replace(since=self._clock(), touched=rollout.touched + 1)
            return await self.look(key, workload)
        return due - self._clock()

    async def _touch(self, key: Key, name: str) -> None:
        """Change an annotation; that starts no rollout."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            changes = {"metadata": {"annotations": {names.TOUCHED: now}}}
            await self._cluster.merge("DaemonSet", key.namespace, name, changes, manager=MANAGER)
        except Gone:
            return
        text = f"The rollout of DaemonSet {name} stands still: it is touched, so that Kubernetes looks at it again."
        log.info("touched", text, key=key, child=f"DaemonSet/{name}")


def _numbers(workload: Live | None) -> tuple[int, ...]:
    """Return what moves in a rollout; nothing if there is none, or Kubernetes does not know of it yet."""
    if workload is None or workload["kind"] != "DaemonSet":
        return ()
    status, generation = workload.get("status") or {}, workload["metadata"].get("generation", 0)
    keys = ("updatedNumberScheduled", "currentNumberScheduled", "numberReady", "numberAvailable")
    updated, placed, *others = (int(status.get(key, 0)) for key in keys)
    if status.get("observedGeneration", 0) < generation or updated >= placed:
        return ()
    return generation, updated, placed, *others
