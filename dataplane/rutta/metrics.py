"""``/metrics``: the process's numbers for Prometheus, taken when asked for.

Nothing a sender writes becomes a name or a label: labels are names from the configuration and words of closed lists.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

import prometheus_client
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry

from rutta import VERSION
from rutta.router import Router
from rutta.tail.metrics import families

STATES: Final = ("Starting", "Healthy", "Retrying", "CircuitOpen")

# What links count: its key in ``status``, the family, and what it says.
_LINK_COUNTERS: Final = (
    ("blocks", "rutta_link_blocks", "Blocks sent or taken."),
    ("bytes", "rutta_link_bytes", "Bytes of these blocks."),
    ("gaps", "rutta_link_gaps", "Blocks missed by sequence (Broadcast)."),
    ("duplicates", "rutta_link_duplicates", "Blocks that came again."),
    ("possiblyLost", "rutta_link_possibly_lost", "Blocks that dead receivers had not acknowledged (AtMostOnce)."),
    ("sentAgain", "rutta_link_sent_again", "Blocks sent once more."),
)


class EngineCollector(Collector):
    """Reads one engine's counters at each scrape."""

    def __init__(self, router: Router) -> None:
        """Nothing is kept but the engine."""
        self._router = router

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield InfoMetricFamily(
            "rutta_build", "What runs here.", {"version": VERSION, "python": sys.version.partition(" ")[0]}
        )
        yield GaugeMetricFamily("rutta_ready", "1 if listeners are bound.", value=float(self._router.ready))
        yield GaugeMetricFamily(
            "rutta_config_reload_success", "0 after a reload whose configuration was broken.",
            value=float(self._router.reloads["ok"]),
        )  # fmt: skip
        yield CounterMetricFamily("rutta_config_reloads", "Reloads tried.", value=self._router.reloads["count"])
        yield from self._listeners()
        yield from self._targets()
        yield from self._links()
        yield from self._files()

    def _listeners(self) -> Iterable[Metric]:
        received = CounterMetricFamily("rutta_events_received", "Events a codec accepted.", labels=["listener"])
        size = CounterMetricFamily("rutta_bytes_received", "Bytes taken in.", labels=["listener"])
        errors = CounterMetricFamily("rutta_decode_errors", "Inputs that were no event.", labels=["listener", "reason"])
        kernel = CounterMetricFamily(
            "rutta_kernel_drops", "What the kernel dropped before it could be read.", labels=["listener"]
        )
        restarts = CounterMetricFamily("rutta_listener_restarts", "Bugs survived.", labels=["listener"])
        for ear in self._router.ears.values():
            stats = ear.stats
            received.add_metric([stats.name], stats.received)
            size.add_metric([stats.name], stats.bytes)
            kernel.add_metric([stats.name], stats.kernel_drops)
            restarts.add_metric([stats.name], stats.restarts)
            for reason, count in stats.errors.items():
                errors.add_metric([stats.name, reason], count)
        return received, size, errors, kernel, restarts

    def _targets(self) -> Iterable[Metric]:
        accepted = CounterMetricFamily("rutta_target_events_received", "Events meant for it.", labels=["target"])
        delivered = CounterMetricFamily("rutta_events_delivered", "Events delivered.", labels=["target"])
        dropped = CounterMetricFamily(
            "rutta_events_dropped", "Events given up, by reason.", labels=["component", "reason"]
        )
        held = GaugeMetricFamily("rutta_events_held", "Events waiting or being sent.", labels=["component"])
        size = GaugeMetricFamily("rutta_queue_bytes", "Bytes waiting or being sent.", labels=["component"])
        limit = GaugeMetricFamily("rutta_queue_limit_bytes", "Bytes that may wait.", labels=["component"])
        retries = CounterMetricFamily("rutta_retries", "Sends that failed and were tried again.", labels=["target"])
        restarts = CounterMetricFamily("rutta_target_restarts", "Bugs survived.", labels=["target"])
        state = GaugeMetricFamily("rutta_target_state", "1 for the state it is in.", labels=["target", "state"])
        seconds = HistogramMetricFamily("rutta_send_seconds", "Seconds that sends took.", labels=["target"])
        for lane in self._router.lanes.by_name.values():
            stats = lane.stats
            accepted.add_metric([stats.name], stats.received)
            delivered.add_metric([stats.name], stats.delivered)
            retries.add_metric([stats.name], stats.retries)
            restarts.add_metric([stats.name], stats.restarts)
            for reason, count in stats.dropped.items():
                dropped.add_metric([stats.label, reason], count)
            held.add_metric([stats.label], lane.held)
            size.add_metric([stats.label], lane.queue.bytes)
            limit.add_metric([stats.label], lane.queue.limit)
            for word in STATES:
                state.add_metric([stats.name, word], float(word == lane.delivery.breaker.state))
            seconds.add_metric([stats.name], _buckets(stats.send_seconds), stats.send_seconds.sum)
        return accepted, delivered, dropped, held, size, limit, retries, restarts, state, seconds

    def _links(self) -> Iterable[Metric]:
        """Links tell their peers and losses by ``status``; a counter that an end does not have is left out."""
        peers = GaugeMetricFamily("rutta_link_peers", "Peers connected.", labels=["component"])
        counters = {key: CounterMetricFamily(name, text, labels=["component"]) for key, name, text in _LINK_COUNTERS}
        for label, status in self._link_status():
            peers.add_metric([label], status.get("connected", status.get("senders", 0)))
            for key, family in counters.items():
                if key in status:
                    family.add_metric([label], status[key])
        return peers, *counters.values()

    def _files(self) -> Iterable[Metric]:
        ears = [ear for ear in self._router.ears.values() if ear.entry.kind == "sources"]
        return families((ear.entry.name, ear.listener.status()) for ear in ears)

    def _link_status(self) -> Iterator[tuple[str, Any]]:
        for ear in self._router.ears.values():
            if ear.entry.component == "link":
                yield f"listener/{ear.entry.name}", ear.listener.status()
        for lane in self._router.lanes.by_name.values():
            if lane.entry.component == "link":
                yield lane.stats.label, getattr(lane.delivery.target, "status", dict)()


def _buckets(histogram: Any) -> list[tuple[str, float]]:
    total = 0
    buckets = []
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets


def registry_of(router: Router) -> CollectorRegistry:
    """Return a registry with the engine's and the process's numbers."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(router))
    prometheus_client.ProcessCollector(registry=registry)
    prometheus_client.GCCollector(registry=registry)
    return registry


def page(registry: CollectorRegistry) -> bytes:
    """Render the page in Prometheus's text format."""
    return prometheus_client.generate_latest(registry)
