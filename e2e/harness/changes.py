"""Every field of the three specs, and what follows when it changes: data for scenario 3.

A ``Change`` names the fields that it is about, how it changes a spec, and which paths of which
children may differ then.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

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
    may: Mapping[str, list[str]] = {}
    """what others may make of it meanwhile: an autoscaler scales when it likes"""
    each: Mapping[str, list[str]] = {}
    """child → beginnings of paths of which each must differ; of ``expected`` one is enough"""


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
        Change("nodeSelector", {"nodeSelector": {"disk": "fast"}}, {child: [f"{TEMPLATE}.nodeSelector"]}),
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
    alerts = f"PrometheusRule/x-{role}"  # nothing is missing of what has no pods on purpose
    unscheduled = {"replicas": 2, "nodeSelector": NOBODY}
    return [
        Change(
            "replicas", {"replicas": 1}, {child: ["spec.replicas"], alerts: ["spec.groups"]}, {"nodeSelector": NOBODY}
        ),
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
    scaler = {child: ["spec.replicas"]}
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    scaled = {"replicas": None, "nodeSelector": NOBODY, "autoscaling": {"minReplicas": 1, "maxReplicas": 1}}
    return [
        Change(
            "autoscaling",
            {"replicas": None, "autoscaling": {"minReplicas": 1, "maxReplicas": 1}},
            {hpa: ["+"], **scaler, f"PrometheusRule/x-{role}": ["spec.groups"]},
            {"nodeSelector": NOBODY},
        ),
        Change(
            "autoscaling.maxReplicas",
            {"autoscaling": {"maxReplicas": 3}},
            {hpa: ["spec.maxReplicas"], f"PodDisruptionBudget/x-{role}": ["+"]},
            scaled,
            scaler,
        ),
        Change(
            "autoscaling.minReplicas",
            {"autoscaling": {"minReplicas": 2}},
            {hpa: ["spec.minReplicas"]},
            {**scaled, "autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
            scaler,
        ),
        Change(
            "autoscaling.targetCpuPercent", {"autoscaling": {"targetCpuPercent": 60}}, {hpa: ["spec.metrics"]}, scaled
        ),
        Change("autoscaling.behavior", {"autoscaling": {"behavior": behavior}}, {hpa: ["spec.behavior"]}, scaled),
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
                f"PrometheusRule/x-{role}": ["spec.groups"],
            },
            {"nodeSelector": NOBODY},
        )
    ]
