"""Scenario 3: every field of each spec, changed once, changes what it is for, and nothing else. Taken back, all is as
it was.

The resources have no pods, so a change is through as soon as the operator is.
"""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from harness.api import Object
from harness.children import Children, children, differences
from harness.documents import API, proxy, router, shipper, to
from harness.kubectl import Kubectl
from harness.shell import ROOT, until

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


def base(kind: str) -> Object:
    """Return the resource that is changed."""
    lines = {"name": "lines", "tcp": {"port": 10001}}
    if kind == "RuttaRouter":
        return router("x", replicas=0, listeners=[lines])
    if kind == "RuttaProxy":
        return proxy("x", to("Router", "main"), replicas=0)
    return shipper("x", to("Router", "main"), workload="Deployment", replicas=0, sources=[lines])


def laid_over(under: Any, over: Any) -> Any:
    """Merge mappings; None takes away."""
    if not (isinstance(under, Mapping) and isinstance(over, Mapping)):
        return copy.deepcopy(over)
    merged = {key: laid_over(under.get(key), value) for key, value in over.items() if value is not None}
    return {**{key: value for key, value in under.items() if key not in over}, **merged}


class Bench:
    """The resource under change, and what is around it."""

    def __init__(self, kubectl: Kubectl, elsewhere: Kubectl, kind: str) -> None:
        self.kubectl, self.kind, self.elsewhere = kubectl, kind, elsewhere.namespace
        anyone = [{"namespaces": {"from": "All"}}]
        elsewhere.apply(router("main", replicas=0, allowedFrom=anyone))
        self.document = base(kind)
        around = [
            router("main", replicas=0),
            router("second", replicas=0),
            router("sure", replicas=0, link={"delivery": "AtLeastOnce"}),
            proxy("main", to("Router", "second"), replicas=0),
        ]
        if kind != "RuttaShipper":
            around.append(shipper("feeder", to(kind.removeprefix("Rutta"), "x"), workload="Deployment", replicas=0))
        kubectl.apply(self.document, *around)

    def set(self, spec: Object) -> None:
        """Give the resource another spec, and wait until the operator has seen it."""
        self.kubectl.patch(self.kind, "x", [{"op": "replace", "path": "/spec", "value": spec}], "json")  # type: ignore[arg-type]

        def seen() -> bool:
            one = self.kubectl.get(self.kind, "x")
            assert one.get("status", {}).get("observedGeneration") == one["metadata"]["generation"], one.get("status")
            return True

        until(seen, 30, f"the operator has seen the change of {self.kind} x", pause=0.1)

    def settled(self) -> Children:
        """Return the children when nothing has changed for a moment."""
        last: list[Children] = [{}]

        def same() -> Children | None:
            before, last[0] = last[0], children(self.kubectl)
            return last[0] if before and not differences(before, last[0]) else None

        return until(same, 30, "the children come to rest", pause=0.3)

    def try_change(self, change: Change) -> str:
        """Make a change and take it back; returns what is wrong, "" if nothing."""
        spec = laid_over(self.document["spec"], change.base)
        self.set(spec)
        before = self.settled()
        changed = laid_over(spec, change.spec)
        for entry in changed.get("to", []):
            entry |= {"namespace": self.elsewhere} if entry.get("namespace") == "ELSEWHERE" else {}
        self.set(changed)
        try:
            until(lambda: _as_expected(change, differences(before, children(self.kubectl))), 20, "", pause=0.2)
            self.settled()
        except AssertionError:
            pass
        found = differences(before, children(self.kubectl))
        wrong = "" if _as_expected(change, found) else f"{change.fields}: changed {found}, expected {change.expected}"
        self.set(spec)
        left = differences(before, self.settled())
        return wrong or (f"{change.fields}: taken back, these are not as they were: {left}" if _kept(left) else "")


def _kept(left: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Leave out what is the same object anew: its uid is another."""
    return {key: paths for key, paths in left.items() if paths != ["metadata.uid"] and not _freed(paths)}


def _freed(paths: list[str]) -> bool:
    """Numbers that the API server chose stay chosen."""
    return all("nodePort" in path or "externalTrafficPolicy" in path for path in paths)


def _as_expected(change: Change, found: Mapping[str, list[str]]) -> bool:
    """Every child that should change did, and every path that changed is one that should."""
    prefixes = change.expected
    for key, paths in found.items():
        allowed = next((value for child, value in prefixes.items() if _is(key, child)), None)
        if allowed is None or not all(any(path.startswith(one) for one in allowed) for path in paths):
            return False
    return all(any(_is(key, child) for key in found) for child in prefixes)


def _is(key: str, child: str) -> bool:
    """``feeder`` means all children of the shipper feeder."""
    return key == child or ("/" not in child and key.partition("/")[2].startswith(child))


def fields(schema: Object, path: str = "") -> list[str]:
    """Return the leaves of a spec's schema; the settings of one component stand for those of all."""
    found: list[str] = []
    for key, value in schema.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        inner = value.get("items", value) if value.get("type") == "array" else value
        is_entry = here in ("listeners", "sources", "targets")
        if inner.get("properties") and not here.endswith(("podTemplate.metadata", "podTemplate.spec", "secretKeyRef")):
            found += _of_entry(inner, here) if is_entry else fields(inner, here)
        else:
            found.append(here)
    return found


def _of_entry(schema: Object, path: str) -> list[str]:
    component = "console" if path == "targets" else "tcp"
    ours = ("name", "servicePort", "hostPort", "uri", "uriFrom", "buffer", "batch", "retry")
    kept = {key: value for key, value in schema["properties"].items() if key in ours}
    return [*fields({"properties": kept}, path), f"{path}.{component}"]


@pytest.fixture(scope="module", autouse=True)
def _monitoring(whole_cluster: Kubectl):
    """Have the kinds of Prometheus' operator for these tests, without that operator."""
    stubs = ROOT / "e2e" / "stubs" / "prometheus.yaml"
    whole_cluster.apply(stubs)
    whole_cluster("wait", "--for=condition=Established", "-f", str(stubs), "--timeout=30s")
    yield
    whole_cluster("delete", "-f", str(stubs), "--ignore-not-found")


@pytest.mark.all
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["RuttaRouter", "RuttaProxy", "RuttaShipper"])
def test_every_field_changes_what_it_is_for_and_nothing_else(kubectl: Kubectl, new_namespace, say, kind: str) -> None:
    bench = Bench(kubectl, new_namespace("elsewhere"), kind)
    kubectl.until_condition(kind, "x", "Accepted")
    role = kind.removeprefix("Rutta").lower()
    until(lambda: kubectl.find("PodMonitor", f"x-{role}"), 60, "the operator has noticed that there are PodMonitors")
    rows = changes(kind)
    wrong = [said for row in rows if (said := bench.try_change(row))]
    say(f"  {kind}: {len(rows)} changes of {sum(len(row.fields.split()) for row in rows)} fields")
    assert wrong == []


@pytest.mark.parametrize("kind", ["RuttaRouter", "RuttaProxy", "RuttaShipper"])
def test_the_changes_are_of_every_field_that_the_api_server_knows(operator, whole_cluster: Kubectl, kind: str) -> None:
    crd = whole_cluster.get(
        "CustomResourceDefinition", f"{kind.lower()}s.{API.partition('/')[0]}".replace("proxys", "proxies")
    )
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    tried = {field for change in changes(kind) for field in change.fields.split()}
    assert sorted(set(fields(schema)) - tried) == []
    assert sorted(one for one in tried - set(fields(schema)) if one != "autoscaling") == []
