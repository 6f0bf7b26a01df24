"""What ``/metrics`` of the operator shows. Labels are kinds, verbs and outcomes; conditions are by resource."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily

from rutta_operator.store import Store

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The operator's figures."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self.seconds = Histogram(
            "rutta_operator_reconcile_seconds", "Duration of passes over a resource.", registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.errors = Counter(
            "rutta_operator_reconcile_errors_total", "Passes that failed and are tried again.", ["kind", "reason"],
            registry=registry,
        )  # fmt: skip
        self.applies = Counter(
            "rutta_operator_applies_total", "Objects applied, since they were not as wanted.", ["kind"],
            registry=registry,
        )  # fmt: skip
        self.prunes = Counter(
            "rutta_operator_prunes_total", "Objects deleted, since they were no longer wanted.", ["kind"],
            registry=registry,
        )  # fmt: skip
        self.requests = Counter(
            "rutta_operator_api_requests_total", "Requests to the API server.", ["verb", "kind", "outcome"],
            registry=registry,
        )  # fmt: skip
        self.healed = Counter(
            "rutta_operator_sweep_healed_total", "Objects that a sweep found and a watch had missed.", ["kind"],
            registry=registry,
        )  # fmt: skip
        self.leader = Gauge("rutta_operator_leader", "1 if this process holds the Lease.", registry=registry)
        self._depth = Gauge("rutta_operator_queue_depth", "Resources that wait or are at work.", registry=registry)
        self._age = Gauge(
            "rutta_operator_watch_age_seconds", "Seconds since the watches were last known to be in step.",
            registry=registry,
        )  # fmt: skip

    def count_request(self, verb: str, kind: str, outcome: str) -> None:
        """Count an answer of the API server."""
        self.requests.labels(verb, kind, outcome).inc()

    def show(self, store: Store, depth: Callable[[], float], age: Callable[[], float]) -> None:
        """Show what is known by others when somebody asks."""
        self._depth.set_function(depth)
        self._age.set_function(age)
        self.registry.register(_Conditions(store))


class _Conditions:
    """Reads the conditions of all resources out of the store when Prometheus asks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Any]:
        """Return nothing: the labels are known only when it is asked."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return 1 for the status that each condition has."""
        labels = ["kind", "namespace", "name", "type", "status"]
        family = GaugeMetricFamily("rutta_resource_condition", "1 for the status that a condition has.", labels=labels)
        for key, known in self._store.resources.items():
            for one in json.loads(known.status).get("conditions", ()):
                family.add_metric([*key, one["type"], one["status"]], 1)
        yield family
