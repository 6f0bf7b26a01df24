"""What Prometheus' operator reads: a PodMonitor, and the alerts of one resource.

https://prometheus-operator.dev/docs/api-reference/api/. The metrics are those of docs/metrics.md. A PodMonitor's job is
``NAMESPACE/NAME`` of the PodMonitor, and by it each alert finds the series of its own resource only.
"""

from typing import Any, Final, NamedTuple

from rutta_operator.render import Context, Object
from rutta_operator.render.identity import named
from rutta_operator.render.pods import HEALTH
from rutta_operator.spec.models import Resource
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Plan

_API: Final = "monitoring.coreos.com/v1"


class Alert(NamedTuple):
    """An alert; ``JOB`` in its expression stands for the matcher of the resource's series."""

    name: str
    severity: str
    lasting: str
    expression: str
    summary: str


_ALL: Final = (
    Alert(
        "RuttaGone", "critical", "5m",
        "absent(up{JOB} == 1)",
        "No pod of {what} can be scraped: nothing is received here.",
    ),
    Alert(
        "RuttaEventsDropped", "warning", "0m",
        'sum by (component, reason) (increase(rutta_events_dropped_total{JOB,reason!="unrouted"}[10m])) > 0',
        "{what} gives events up at {{{{ $labels.component }}}}: {{{{ $labels.reason }}}}.",
    ),
    Alert(
        "RuttaQueueFilling", "warning", "10m",
        "max by (component) (rutta_queue_bytes{JOB} / rutta_queue_limit_bytes{JOB}) > 0.8",
        "The queue of {what} for {{{{ $labels.component }}}} is filling: {{{{ $value | humanizePercentage }}}}.",
    ),
    Alert(
        "RuttaTargetDown", "warning", "10m",
        'max by (target) (rutta_target_state{JOB,state="CircuitOpen"}) == 1',
        "The target {{{{ $labels.target }}}} of {what} refuses or cannot be reached.",
    ),
    Alert(
        "RuttaDecodeErrors", "warning", "10m",
        "sum by (listener) (rate(rutta_decode_errors_total{JOB}[10m]))"
        " > 0.01 * sum by (listener) (rate(rutta_events_received_total{JOB}[10m]))",
        "More than 1 % of what the listener {{{{ $labels.listener }}}} of {what} gets are no events.",
    ),
    Alert(
        "RuttaReloadFailed", "warning", "5m",
        "min by (pod) (rutta_config_reload_success{JOB}) == 0",
        "The pod {{{{ $labels.pod }}}} of {what} cannot take its new configuration; the old one goes on.",
    ),
)  # fmt: skip
_KERNEL: Final = Alert(
    "RuttaKernelDrops", "warning", "0m",
    "sum by (listener) (increase(rutta_kernel_drops_total{JOB}[10m])) > 0",
    "Datagrams for the listener {{{{ $labels.listener }}}} of {what} come faster than they are read.",
)  # fmt: skip
_PEERS: Final = Alert(
    "RuttaLinkWithoutPeers", "critical", "5m",
    'max by (component) (rutta_link_peers{JOB,component=~"link/.+"}) == 0',
    "No pod of {what} reaches anybody by {{{{ $labels.component }}}}; its events wait.",
)  # fmt: skip


def monitors(plan: Plan, resource: Resource, context: Context) -> list[Object]:
    """Return PodMonitor and PrometheusRule, if the cluster knows them and the resource does not object."""
    settings = resource.spec.monitoring
    if not (context.monitoring and settings.enabled):
        return []
    key, name = plan.key, names.workload(plan.key)
    monitor = {
        "selector": {"matchLabels": dict(names.selector(key))},
        "podMetricsEndpoints": [{"port": HEALTH, "path": "/metrics"}],
    }
    rules = [_rule(key, alert) for alert in alerts(plan)]
    return [
        named(_API, "PodMonitor", name, key, context, settings.labels) | {"spec": monitor},
        named(_API, "PrometheusRule", name, key, context, settings.labels)
        | {"spec": {"groups": [{"name": f"{key.namespace}.{name}", "rules": rules}]}},
    ]


def alerts(plan: Plan) -> list[Alert]:
    """Return the alerts that can fire for a plan. Nothing is missing of what has no pods on purpose."""
    found = [alert for alert in _ALL if plan.replicas or alert.name != "RuttaGone"]
    if any(port.protocol == "UDP" for port in plan.ports):
        found.append(_KERNEL)
    return [*found, _PEERS] if plan.role != "Router" else found


def _rule(key: Key, alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression.replace("JOB", f'job="{key.namespace}/{names.workload(key)}"'),
        "for": alert.lasting,
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary.format(what=f"{key.kind} {key.short}")},
    }
