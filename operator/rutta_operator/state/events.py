"""Kubernetes Events, one for each transition; one that comes again within a while becomes a series of the first.

https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

import secrets
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rutta_operator import log
from rutta_operator.k8s.cluster import Cluster
from rutta_operator.k8s.refusals import ApiError
from rutta_operator.spec.models import API_VERSION
from rutta_operator.state.status import Transition
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

_SERIES: Final = 600.0  # seconds in which the same Event counts as the same
_KEPT: Final = 1000


class _Told(NamedTuple):
    name: str
    times: int
    at: float


class Events:
    """Tells Events. They are a courtesy: what the API server does not take is logged and no more."""

    def __init__(self, cluster: Cluster, instance: str) -> None:
        """``instance`` is who tells them: the operator's identity."""
        self._cluster, self._instance = cluster, instance
        self._told: OrderedDict[tuple[str, Transition], _Told] = OrderedDict()

    async def tell(self, key: Key, uid: str, transition: Transition) -> None:
        """Tell of a transition of a resource."""
        told = self._told.pop((uid, transition), None)
        now = time.monotonic()
        try:
            if told is None or now - told.at > _SERIES:
                told = _Told(f"{key.name}.{secrets.token_hex(8)}", 0, now)
                await self._cluster.create(_event(key, uid, transition, told.name, self._instance))
            else:
                series = {"series": {"count": told.times + 1, "lastObservedTime": _now()}}
                await self._cluster.merge("Event", key.namespace, told.name, series)
        except ApiError as exc:
            log.debug("event_lost", f"An Event was not taken: {exc.message}", key=key)
            return
        self._told[uid, transition] = _Told(told.name, told.times + 1, now)
        if len(self._told) > _KEPT:
            self._told.popitem(last=False)


def _event(key: Key, uid: str, transition: Transition, name: str, instance: str) -> dict[str, Any]:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": key.namespace},
        "eventTime": _now(),
        "type": transition.type,
        "reason": transition.reason,
        "note": transition.message,
        "action": "Reconcile",
        "reportingController": f"rutta.logary.tech/{names.MANAGER}",
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": API_VERSION, "kind": key.kind, "namespace": key.namespace, "name": key.name, "uid": uid,
        },
    }  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
