"""Every field of the three specs, and what follows when it changes: data for scenario 3.

A ``Change`` names the fields that it is about, how it changes a spec, and which paths of which
children may differ then.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.documents import to

TEMPLATE = "spec.template.spec"
CONTAINER = f"{TEMPLATE}.containers[rutta]"
CONFIG_NAME = f"{TEMPLATE}.volumes[config]"
NOBODY = {"kubernetes.io/hostname": "no-node-has-this-name"}


class Change(NamedTuple):
    """A change of a spec, and all that may follow: child → beginnings of the paths that differ."""

    fields: str
    """the fields that it is about, with spaces between, as paths of the schema"""
    spec: Mapping[str, Any]
    """laid over the base: mappings are merged, lists replaced, None takes away"""
    expected: Mapping[str, list[str]]
    base: Mapping[str, Any] = {}
    """laid over the base before"""


def common(role: str, workload: str) -> list[Change]:
    """Return the changes of what all three kinds have; ``workload`` is the kind of theirs."""
    child, config = f"{workload}/x-{role}", f"ConfigMap/x-{role}"
    drain = [CONFIG_NAME, f"{TEMPLATE}.terminationGracePeriodSeconds", "spec.progressDeadlineSeconds"]
    monitors = {f"PodMonitor/x-{role}": ["-"], f"PrometheusRule/x-{role}": ["-"]}
    labels = {key: ["metadata.labels.team"] for key in monitors}
    toleration = {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5}
    memory = [f"{CONTAINER}.resources", CONFIG_NAME]
    return [
        Change("image", {"image": "logary/rutta:other"}, {child: [f"{CONTAINER}.image"]}),
        Change(
            "imagePullSecrets.name", {"imagePullSecrets": [{"name": "s"}]}, {child: [f"{TEMPLATE}.imagePullSecrets"]}
        ),
        Change("resources.requests", {"resources": {"requests": {"cpu": "70m"}}}, {child: memory}),
        Change("resources.limits", {"resources": {"limits": {"memory": "300Mi"}}}, {child: memory}),
        Change(
            "priorityClassName",
            {"priorityClassName": "system-node-critical"},
            {child: [f"{TEMPLATE}.priorityClassName"]},
        ),
        Change("nodeSelector", {"nodeSelector": {"disk": "fast"}}, {child: [f"{TEMPLATE}.nodeSelector.disk"]}),
        Change(
            "tolerations.key tolerations.operator tolerations.value tolerations.effect tolerations.tolerationSeconds",
            {"tolerations": [toleration]},
            {child: [f"{TEMPLATE}.tolerations"]},
        ),
        Change("networkPolicy.enabled", {"networkPolicy": {"enabled": True}}, {f"NetworkPolicy/x-{role}": ["+"]}),
        Change("monitoring.enabled", {"monitoring": {"enabled": False}}, monitors),
        Change("monitoring.labels", {"monitoring": {"labels": {"team": "a"}}}, labels),
        Change(
            "podTemplate.metadata",
            {"podTemplate": {"metadata": {"annotations": {"a": "b"}}}},
            {child: ["spec.template.metadata.annotations"]},
        ),
        Change(
            "podTemplate.spec",
            {"podTemplate": {"spec": {"hostname": "h"}}},
            {child: [f"{TEMPLATE}.hostname"]},
        ),
        Change(
            "drain.delay",
            {"drain": {"delay": "9s"}},
            {child: [*drain, "spec.minReadySeconds"], config: ["data.drain.delay"]},
        ),
        Change("drain.timeout", {"drain": {"timeout": "50s"}}, {child: drain, config: ["data.drain.timeout"]}),
        Change("logLevel", {"logLevel": "warn"}, {config: ["data.logLevel"]}),
    ]


def pods_of_deployment(role: str) -> list[Change]:
    """Return the changes of what Deployments have."""
    child, budget = f"Deployment/x-{role}", f"PodDisruptionBudget/x-{role}"
    unscheduled = {"replicas": 2, "nodeSelector": NOBODY}
    return [
        Change("replicas", {"replicas": 1}, {child: ["spec.replicas"]}, {"replicas": 0, "nodeSelector": NOBODY}),
        Change(
            "podDisruptionBudget.maxUnavailable",
            {"podDisruptionBudget": {"maxUnavailable": "40%"}},
            {budget: ["spec.maxUnavailable"]},
            unscheduled,
        ),
    ]


def scaling(role: str) -> list[Change]:
    """Return the changes of autoscaling."""
    child, hpa = f"Deployment/x-{role}", f"HorizontalPodAutoscaler/x-{role}"
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    scaled = {"replicas": None, "nodeSelector": NOBODY, "autoscaling": {"minReplicas": 1, "maxReplicas": 1}}
    return [
        Change(
            "autoscaling",
            {"replicas": None, "autoscaling": {"minReplicas": 1, "maxReplicas": 1}},
            {hpa: ["+"], child: ["spec.replicas"]},
            {"nodeSelector": NOBODY},
        ),
        Change(
            "autoscaling.maxReplicas",
            {"autoscaling": {"maxReplicas": 3}},
            {hpa: ["spec.maxReplicas"], f"PodDisruptionBudget/x-{role}": ["+"]},
            scaled,
        ),
        Change(
            "autoscaling.minReplicas",
            {"autoscaling": {"minReplicas": 2}},
            {hpa: ["spec.minReplicas"], child: ["spec.replicas"]},
            {**scaled, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
        ),
        Change(
            "autoscaling.targetCpuPercent", {"autoscaling": {"targetCpuPercent": 60}}, {hpa: ["spec.metrics"]}, scaled
        ),
        Change("autoscaling.behavior", {"autoscaling": {"behavior": behavior}}, {hpa: ["spec.behavior"]}, scaled),
    ]


def receiving(role: str, workload: str) -> list[Change]:
    """Return the changes of what can be sent to; a shipper ``feeder`` sends to it."""
    child, config, link = f"{workload}/x-{role}", f"ConfigMap/x-{role}", f"Service/x-{role}-link"
    feeder = "ConfigMap/feeder-shipper"
    cut = {"feeder": ["-"]}
    other = [{"namespaces": {"from": "Selector", "selector": {"matchLabels": {"nobody": "has"}}}}]
    expressions = [{"key": "nobody", "operator": "In", "values": ["has"]}]
    otherwise = [{"namespaces": {"from": "Selector", "selector": {"matchExpressions": expressions}}}]
    return [
        Change(
            "link.port",
            {"link": {"port": 5556}},
            {
                child: [f"{CONTAINER}.ports", CONFIG_NAME],
                config: ["data.listeners[link].link.bind"],
                link: ["spec.ports"],
                feeder: ["data.targets[x].link.port"],
            },
        ),
        Change(
            "link.pattern",
            {"link": {"pattern": "Broadcast"}},
            {config: ["data.listeners[link].link.pattern"], feeder: ["data.targets[x].link.pattern"]},
        ),
        Change("allowedFrom.kinds", {"allowedFrom": [{"kinds": ["RuttaProxy"]}]}, cut),
        Change("allowedFrom.namespaces.from allowedFrom.namespaces.selector.matchLabels", {"allowedFrom": other}, cut),
        Change(
            "allowedFrom.namespaces.selector.matchExpressions.key"
            " allowedFrom.namespaces.selector.matchExpressions.operator"
            " allowedFrom.namespaces.selector.matchExpressions.values",
            {"allowedFrom": otherwise},
            cut,
        ),
    ]


def listening(role: str, workload: str, section: str) -> list[Change]:
    """Return the changes of listeners or sources; the base has ``lines`` at 10001."""
    child, config, service = f"{workload}/x-{role}", f"ConfigMap/x-{role}", f"Service/x-{role}"

    def one(**more: Any) -> dict[str, Any]:
        return {section: [{"name": "lines", "tcp": {"port": 10001}, **more}]}

    daemons = {"workload": "DaemonSet", "replicas": None, "nodeSelector": NOBODY}
    return [
        Change(
            f"{section}.name",
            {section: [{"name": "rows", "tcp": {"port": 10001}}]},
            {child: [f"{CONTAINER}.ports", CONFIG_NAME], config: [f"data.{section}"], service: ["spec.ports"]},
        ),
        Change(
            f"{section}.tcp",
            one(tcp={"port": 10001, "maxLineBytes": "2Mi"}),
            {config: [f"data.{section}[lines].tcp.maxLineBytes"]},
        ),
        Change(f"{section}.servicePort", one(servicePort=514), {service: ["spec.ports[lines].port"]}),
        Change(
            f"{section}.hostPort",
            one(hostPort=10077),
            {f"DaemonSet/x-{role}": [f"{CONTAINER}.ports", "spec.updateStrategy"]},
            daemons,
        ),
        Change("service.type", {"service": {"type": "NodePort"}}, {service: ["spec."]}),
        Change("service.annotations", {"service": {"annotations": {"a": "b"}}}, {service: ["metadata.annotations.a"]}),
    ]


def sending(role: str, workload: str, section: str, name: str, base: Mapping[str, Any]) -> list[Change]:
    """Return the changes of a target's or a reference's buffer, batch and retry."""
    child, config = f"{workload}/x-{role}", f"ConfigMap/x-{role}"

    def one(**more: Any) -> dict[str, Any]:
        return {section: [{**base, **more}]}

    place = f"data.targets[{name}]"
    return [
        Change(
            f"{section}.buffer.maxBytes",
            one(buffer={"maxBytes": "128Mi"}),
            {child: [f"{CONTAINER}.resources", CONFIG_NAME], config: [f"{place}.buffer"]},
        ),
        Change(f"{section}.buffer.whenFull", one(buffer={"whenFull": "DropOldest"}), {config: [f"{place}.buffer"]}),
        Change(
            f"{section}.batch.maxEvents {section}.batch.maxBytes {section}.batch.maxDelay",
            one(batch={"maxEvents": 10, "maxBytes": "1Ki", "maxDelay": "1s"}),
            {config: [f"{place}.batch"]},
        ),
        Change(
            f"{section}.retry.initial {section}.retry.max {section}.retry.budget",
            one(retry={"initial": "1s", "max": "2s", "budget": "1m"}),
            {config: [f"{place}.retry"]},
        ),
    ]


def targeting() -> list[Change]:
    """Return the changes of a router's targets and routes."""
    config = "ConfigMap/x-router"
    secret = {"secretKeyRef": {"name": "target", "key": "uri"}}
    mounted = [CONFIG_NAME, f"{TEMPLATE}.volumes", f"{CONTAINER}.volumeMounts"]
    match = {"minLevel": "warn", "name": "a.*", "kind": "event", "fields": {"a": "b"}}
    return [
        Change("targets.name", {"targets": [{"name": "other", "console": {}}]}, {config: ["data.targets"]}),
        Change(
            "targets.console",
            {"targets": [{"name": "out", "console": {"format": "plain"}}]},
            {config: ["data.targets[out].console.format"]},
        ),
        Change("targets.uri", {"targets": [{"name": "out", "uri": "noop://."}]}, {config: ["data.targets[out]"]}),
        Change(
            "targets.uriFrom.secretKeyRef",
            {"targets": [{"name": "out", "uriFrom": secret}]},
            {config: ["data.targets[out]"], "Deployment/x-router": mounted},
        ),
        Change(
            "routes.targets routes.match.minLevel routes.match.name routes.match.kind routes.match.fields",
            {"routes": [{"match": match, "targets": ["out"]}]},
            {config: ["data.routes"]},
        ),
        Change(
            "link.delivery",
            {"link": {"delivery": "AtLeastOnce"}},
            {config: ["data.listeners[link].link.delivery"]},
        ),
    ]


def referring(role: str, workload: str) -> list[Change]:
    """Return the changes of references; a router ``main``, a proxy ``main`` and a router elsewhere are there."""
    config = f"ConfigMap/x-{role}"
    return [
        Change("to.kind", {"to": [to("Proxy", "main")]}, {config: ["data.targets[main].link.dns"]}),
        Change("to.name", {"to": [to("Router", "second")]}, {config: ["data.targets"]}),
        Change("to.namespace", {"to": [to("Router", "main", "ELSEWHERE")]}, {config: ["data.targets"]}),
        *sending(role, workload, "to", "main", to("Router", "main")),
    ]


def moving(role: str, back: str) -> list[Change]:
    """Return the change of the workload to a DaemonSet or back."""
    now = "Deployment" if back == "DaemonSet" else "DaemonSet"
    return [
        Change(
            "workload",
            {"workload": back, "replicas": 0 if back == "Deployment" else None},
            {
                f"{now}/x-{role}": ["-"],
                f"{back}/x-{role}": ["+"],
                f"Service/x-{role}": ["spec.internalTrafficPolicy"],
            },
            {"nodeSelector": NOBODY},
        )
    ]


def changes(kind: str) -> list[Change]:
    """Return every change of a kind."""
    if kind == "RuttaRouter":
        return [
            *common("router", "Deployment"), *pods_of_deployment("router"), *scaling("router"),
            *receiving("router", "Deployment"), *listening("router", "Deployment", "listeners"), *targeting(),
            *sending("router", "Deployment", "targets", "out", {"name": "out", "console": {}}),
            *moving("router", "DaemonSet"),
        ]  # fmt: skip
    if kind == "RuttaProxy":
        return [
            *common("proxy", "Deployment"), *pods_of_deployment("proxy"), *scaling("proxy"),
            *receiving("proxy", "Deployment"), *referring("proxy", "Deployment"),
            Change(
                "link.delivery",
                {"link": {"delivery": "AtLeastOnce"}, "to": [to("Router", "sure")]},
                {"ConfigMap/x-proxy": ["data.listeners[link].link.delivery"]},
                {"to": [to("Router", "sure")]},
            ),
        ]  # fmt: skip
    return [
        *common("shipper", "Deployment"), *pods_of_deployment("shipper"),
        *listening("shipper", "Deployment", "sources"), *referring("shipper", "Deployment"),
        *moving("shipper", "DaemonSet"),
    ]  # fmt: skip
