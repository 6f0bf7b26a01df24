"""Every field of the three specs: those of links, entries, routes and references, and all of a kind together."""

from collections.abc import Mapping
from typing import Any

from harness import settings
from harness.changes import (
    CONFIG_NAME,
    CONTAINER,
    NOBODY,
    TEMPLATE,
    Change,
    common,
    moving,
    pods_of_deployment,
    scaling,
)
from harness.documents import to


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
        Change(f"{section}.servicePort", one(servicePort=514), {service: ["spec.ports[lines].port"]}),
        Change(
            f"{section}.hostPort",
            one(hostPort=10077),
            {f"DaemonSet/x-{role}": [f"{CONTAINER}.ports", "spec.updateStrategy"]},
            daemons,
            {service: ["spec.internalTrafficPolicy"]},  # while pods are replaced, other nodes' pods help out
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
        Change("targets.noop", {"targets": [{"name": "out", "noop": {}}]}, {config: ["data.targets[out]"]}),
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


def changes(kind: str) -> list[Change]:
    """Return every change of a kind."""
    if kind == "RuttaRouter":
        return [
            *common("router", "Deployment"), *pods_of_deployment("router"), *scaling("router"),
            *receiving("router", "Deployment"), *listening("router", "Deployment", "listeners"), *targeting(),
            *sending("router", "Deployment", "targets", "out", {"name": "out", "console": {}}),
            *moving("router", "DaemonSet"), *settings.changes(kind, "listeners"), *settings.changes(kind, "targets"),
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
        *moving("shipper", "DaemonSet"), *settings.changes(kind, "sources"),
        Change(
            "serviceAccountName",
            {"serviceAccountName": "reader"},
            {
                "Deployment/x-shipper": [
                    f"{TEMPLATE}.{field}"
                    for field in ("serviceAccount", "serviceAccountName", "automountServiceAccountToken")
                ],
                "ServiceAccount/x-shipper": ["-"],
            },
            {"sources": [{"name": "pods", "containerLogs": {}}]},
        ),
    ]  # fmt: skip
