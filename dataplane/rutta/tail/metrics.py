"""What sources of files tell Prometheus, read from their ``status``."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_GAUGES: Final = (
    ("behindBytes", "rutta_behind_bytes", "Bytes that are there and not read yet."),
    ("behindSeconds", "rutta_behind_seconds", "Seconds for which the oldest of them has been there, about."),
    ("count", "rutta_files_followed", "Files that are followed."),
    ("open", "rutta_files_open", "Files that are open."),
)
_COUNTERS: Final = (
    ("abandonedBytes", "rutta_bytes_abandoned", "Bytes that were gone, or given up, before they were read."),
    ("cutShort", "rutta_files_cut_short", "Files that were truncated or written anew."),
)
_LIMITED: Final = (
    ("waits", "rutta_rate_waits", "Reads that the rate held back."),
    ("droppedLines", "rutta_rate_dropped_lines", "Lines dropped above the rate."),
    ("droppedBytes", "rutta_rate_dropped_bytes", "Bytes of these lines."),
)


def families(sources: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterable[Metric]:
    """Return the families of sources: name and status. What is no source of files is left out."""
    gauges = {key: GaugeMetricFamily(name, text, labels=["listener"]) for key, name, text in _GAUGES}
    counters = {key: CounterMetricFamily(name, text, labels=["listener"]) for key, name, text in _COUNTERS}
    limited = {key: CounterMetricFamily(name, text, labels=["listener"]) for key, name, text in _LIMITED}
    for source, status in sources:
        if "behindBytes" not in status:
            continue
        for key, gauge in gauges.items():
            gauge.add_metric([source], status[key])
        for key, counter in counters.items():
            counter.add_metric([source], status[key])
        for key, counter in limited.items():
            counter.add_metric([source], status["limited"][key])
    return *gauges.values(), *counters.values(), *limited.values()
