"""Resources as text → the objects that they become."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from rutta_operator.render import Context, Owner
from rutta_operator.render.objects import objects
from rutta_operator.spec.documents import Source
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Cluster, Plan, Settings, plan
from rutta_operator.wiring.topology import load

Rendered = dict[str, dict[str, Any]]
OWNER = Owner("rutta.logary.tech/v1alpha1", "RuttaRouter", "main", "0-1-2")


def document(kind: str, spec: dict[str, Any], name: str = "main", namespace: str = "here") -> str:
    metadata = {"name": name, "namespace": namespace}
    resource = {"apiVersion": "rutta.logary.tech/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
    return yaml.safe_dump(resource)


def _plans(text: str) -> dict[Key, tuple[Plan, Any, frozenset[Key]]]:
    topology = load([Source("test.yaml", text)])
    assert list(map(str, topology.findings)) == []
    graph, settings = topology.graph(), Settings(drain_delay="5s")
    return {
        key: (
            plan(placed, graph, topology.resources, settings, Cluster()),
            placed.resource,
            frozenset(graph.senders(key)),
        )
        for key, placed in topology.resources.items()
    }


@pytest.fixture
def render() -> Callable[..., Rendered]:
    """Render the first resource of a text; objects by ``Kind/name``, in order. Keywords are of the context."""

    def rendered(text: str, **context: Any) -> Rendered:
        made, resource, senders = next(iter(_plans(text).values()))
        found = objects(made, resource, Context(**{"senders": senders, **context}))
        return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}

    return rendered


@pytest.fixture
def plan_of() -> Callable[[str], Plan]:
    """Plan the first resource of a text."""
    return lambda text: next(iter(_plans(text).values()))[0]


@pytest.fixture
def written() -> Callable[..., str]:
    """Write a resource."""
    return document


@pytest.fixture
def router() -> Callable[..., str]:
    """Write a router with a listener for each protocol; keywords are fields of its spec."""

    def write(**spec: Any) -> str:
        standard = {
            "listeners": [
                {"name": "web", "http": {"port": 8080, "codec": "json"}},
                {"name": "dgram", "udp": {"port": 14001, "codec": "json"}},
            ],
            "targets": [{"name": "out", "console": {}}],
        }
        return document("RuttaRouter", {**standard, **spec})

    return write


def _targets() -> list[str]:
    """Two routers that everybody may send to, whatever their promise."""
    spec = {"targets": [{"name": "out", "console": {}}], "link": {"delivery": "AtLeastOnce"}}
    return [document("RuttaRouter", spec, name) for name in ("main", "other")]


@pytest.fixture
def shipper() -> Callable[..., str]:
    """Write a shipper of files with the router that it sends to, and another one; keywords are fields of its spec."""

    def write(**spec: Any) -> str:
        standard = {
            "sources": [{"name": "files", "file": {"paths": ["/var/log/app.log"]}}],
            "to": [{"kind": "RuttaRouter", "name": "main"}],
        }
        return "---\n".join((document("RuttaShipper", {**standard, **spec}, "node"), *_targets()))

    return write


@pytest.fixture
def proxy() -> Callable[..., str]:
    """Write a proxy with the router that it sends to, another one, and a shipper that sends to it."""

    def write(**spec: Any) -> str:
        standard = {"to": [{"kind": "RuttaRouter", "name": "main"}]}
        sender = {
            "sources": [{"name": "files", "file": {"paths": ["/var/log/app.log"]}}],
            "to": [{"kind": "RuttaProxy", "name": "edge"}],
        }
        return "---\n".join(
            (
                document("RuttaProxy", {**standard, **spec}, "edge"),
                *_targets(),
                document("RuttaShipper", sender, "node"),
            )
        )

    return write
