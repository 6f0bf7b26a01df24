"""Resources, live workloads and ``Seen``s to make statuses of."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from rutta_operator.graph import Fault, Graph, Key, resolve
from rutta_operator.plan import Cluster, Settings, plan
from rutta_operator.rules import examine
from rutta_operator.seen import Report, Seen, TargetReport
from rutta_operator.topology import Placed, node

NOW = 1_800_000_000.0
MAIN = Key("RuttaRouter", "logs", "main")
NODE = Key("RuttaShipper", "logs", "node")
ROUTER: Mapping[str, Any] = {
    "listeners": [{"name": "web", "http": {"port": 8080, "codec": "json"}, "servicePort": 80},
                  {"name": "sys", "udp": {"port": 5514, "codec": "plain"}}],
    "targets": [{"name": "db", "influxdb": {"endpoint": "http://db:8086/write", "db": "logs",
                                           "username": "jo",
                                           "password": {"secretKeyRef": {"name": "influx", "key": "p"}}}},
                {"name": "out", "console": {}}],
}  # fmt: skip
SHIPPER: Mapping[str, Any] = {
    "sources": [{"name": "in", "udp": {"port": 5514, "codec": "plain"}}],
    "to": [{"kind": "RuttaRouter", "name": "main"}],
}


def deployment(**status: Any) -> dict[str, Any]:
    """A Deployment of three pods, all of them there; ``conditions`` and numbers may be others."""
    done = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    numbers = {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "main-router", "generation": 3},
        "spec": {"replicas": status.pop("wanted", 3)}, "status": {**numbers, "conditions": [done], **status},
    }  # fmt: skip


def daemon_set(**status: Any) -> dict[str, Any]:
    """A DaemonSet on three nodes."""
    numbers = {
        "observedGeneration": 3, "desiredNumberScheduled": 3, "currentNumberScheduled": 3,
        "updatedNumberScheduled": 3, "numberReady": 3, "numberAvailable": 3,
    }  # fmt: skip
    metadata = {"name": "node-shipper", "generation": 3}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "status": {**numbers, **status}}


def _placed(key: Key, spec: Mapping[str, Any]) -> Placed:
    metadata = {"name": key.name, "namespace": key.namespace}
    resource, problems = examine({
        "apiVersion": "rutta.logary.tech/v1alpha1", "kind": key.kind, "metadata": metadata, "spec": spec,
    })  # fmt: skip
    assert resource is not None, problems
    return Placed(key, resource, None)  # type: ignore[arg-type] - plans need no document


def _seen(key: Key, graph: Graph, placed: Mapping[Key, Placed], live: Mapping[str, Any] | None, **other: Any) -> Seen:
    given = {
        "key": key, "generation": 2, "resource": placed[key].resource, "problems": (), "faults": graph.faults_of(key),
        "kept": frozenset(), "plan": plan(placed[key], graph, placed, Settings(), Cluster()), "refusals": (),
        "trouble": "", "workload": live, "old": None, "senders": graph.senders(key), "targets": graph.targets(key),
        "report": Report("abc", "", ()), "previous": {}, "now": NOW,
    }  # fmt: skip
    return Seen(**{**given, **other})  # type: ignore[arg-type]


def router(spec: Mapping[str, Any] = ROUTER, **other: Any) -> Seen:
    """Router main, rolled out, both of its targets healthy."""
    placed = {MAIN: _placed(MAIN, spec), NODE: _placed(NODE, SHIPPER)}
    well = Report("abc", "", (TargetReport("db", "Healthy"), TargetReport("out", "Healthy")))
    live = other.pop("workload", deployment())
    return _seen(MAIN, resolve(map(node, placed.values()), {}), placed, live, **{"report": well, **other})


def shipper(**other: Any) -> Seen:
    """Shipper node, rolled out, wired and connected to router main."""
    placed = {MAIN: _placed(MAIN, ROUTER), NODE: _placed(NODE, SHIPPER)}
    well = Report("abc", "", (TargetReport("main", "Healthy"),))
    live = other.pop("workload", daemon_set())
    return _seen(NODE, resolve(map(node, placed.values()), {}), placed, live, **{"report": well, **other})


def lonely(reason: str = "TargetNotFound", **other: Any) -> Seen:
    """Shipper node whose only reference is broken."""
    placed = {NODE: _placed(NODE, SHIPPER)}
    fault = Fault(NODE, 0, MAIN, reason, "RuttaRouter logs/main does not exist")  # type: ignore[arg-type]
    graph = resolve(map(node, placed.values()), {})
    return _seen(NODE, graph, placed, other.pop("workload", None), **{"faults": [fault], **other})


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + seconds))


class Made:
    """What tests make statuses of."""

    now = NOW
    router, shipper, lonely = staticmethod(router), staticmethod(shipper), staticmethod(lonely)
    deployment, daemon_set = staticmethod(deployment), staticmethod(daemon_set)
    main, node = MAIN, NODE
    at = staticmethod(at)


@pytest.fixture
def made() -> type[Made]:
    return Made


@pytest.fixture(scope="session")
def made_once() -> type[Made]:
    return Made
