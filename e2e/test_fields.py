"""Scenario 3: every field of each spec, changed once, changes what it is for, and nothing else. Taken back, all is as
it was.

The resources have no pods, so a change is through as soon as the operator is.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from harness.all_changes import changes
from harness.api import Object
from harness.changes import Change
from harness.children import Children, children, differences
from harness.documents import API, proxy, router, shipper, to
from harness.kubectl import Kubectl
from harness.operator import Operator
from harness.shell import ROOT, until

# what the API server chooses when it makes an object
ANEW = ("metadata.uid", "spec.clusterIP", "spec.externalTrafficPolicy")


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
        self.kubectl.patch(self.kind, "x", [{"op": "replace", "path": "/spec", "value": spec}], "json")

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
        return wrong or (
            f"{change.fields}: taken back, these are not as they were: {left}" if _kept(left, change) else ""
        )


def _kept(left: Mapping[str, list[str]], change: Change) -> dict[str, list[str]]:
    """Leave out what the API server chooses anew for an object that is made again, and what others do meanwhile."""
    found = {}
    for key, paths in left.items():
        may = (*ANEW, *change.may.get(key, ()))
        if rest := [path for path in paths if not path.startswith(may) and not path.endswith(".nodePort")]:
            found[key] = rest
    return found


def _as_expected(change: Change, found: Mapping[str, list[str]]) -> bool:
    """Every child that should change did, and every path that changed is one that should."""
    prefixes = change.expected
    for key, paths in found.items():
        allowed = [
            *(one for child, value in prefixes.items() if _is(key, child) for one in value),
            *change.may.get(key, ()),
        ]
        if not allowed or not all(any(_within(path, one) for one in allowed) for path in paths):
            return False
    for child, each in change.each.items():
        if not all(any(_within(path, one) for path in found.get(child, ())) for one in each):
            return False
    return all(any(_is(key, child) for key in found) for child in prefixes)


def _within(path: str, beginning: str) -> bool:
    """Tell whether a path is, or is under, another: ``a.b.c`` and ``a.b[c]`` are under ``a.b``, and ``a.bc`` is not."""
    return path.startswith(beginning) and (beginning.endswith(".") or path[len(beginning) :][:1] in ("", ".", "["))


def _is(key: str, child: str) -> bool:
    """``feeder`` means all children of the shipper feeder."""
    return key == child or ("/" not in child and key.partition("/")[2].startswith(child))


def fields(schema: Object, path: str = "") -> list[str]:
    """Return the leaves of a spec's schema; a reference to a Secret's key is one."""
    found: list[str] = []
    for key, value in schema.get("properties", {}).items():
        here = f"{path}.{key}" if path else key
        inner = value.get("items", value) if value.get("type") == "array" else value
        if inner.get("properties") and not here.endswith(("podTemplate.metadata", "podTemplate.spec", "secretKeyRef")):
            found += fields(inner, here)
        else:
            found.append(here)
    return found


@pytest.fixture(scope="module")
def monitoring(installed: Operator, whole_cluster: Kubectl) -> Iterator[None]:
    """Have the kinds of Prometheus' operator for these tests, without that operator.

    Ours is started anew, so that it watches them; by itself it would notice them within minutes.
    """
    stubs = ROOT / "e2e" / "stubs" / "prometheus.yaml"
    whole_cluster.apply(stubs)
    whole_cluster("wait", "--for=condition=Established", "-f", str(stubs), "--timeout=30s")
    installed.restart()
    yield
    whole_cluster("delete", "-f", str(stubs), "--ignore-not-found")
    installed.restart()


@pytest.mark.all
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", ["RuttaRouter", "RuttaProxy", "RuttaShipper"])
def test_every_field_changes_what_it_is_for_and_nothing_else(
    monitoring: None, kubectl: Kubectl, new_namespace: Callable[..., Kubectl], say: Callable[[str], None], kind: str
) -> None:
    bench = Bench(kubectl, new_namespace("elsewhere"), kind)
    kubectl.until_condition(kind, "x", "Accepted")
    role = kind.removeprefix("Rutta").lower()
    until(lambda: kubectl.find("PodMonitor", f"x-{role}"), 60, "the operator has noticed that there are PodMonitors")
    rows = changes(kind)
    wrong = [said for row in rows if (said := bench.try_change(row))]
    say(f"  {kind}: {len(rows)} changes of {sum(len(row.fields.split()) for row in rows)} fields")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", ["RuttaRouter", "RuttaProxy", "RuttaShipper"])
def test_the_changes_are_of_every_field_that_the_api_server_knows(
    installed: Operator, whole_cluster: Kubectl, kind: str
) -> None:
    crd = whole_cluster.get(
        "CustomResourceDefinition", f"{kind.lower()}s.{API.partition('/')[0]}".replace("proxys", "proxies")
    )
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    tried = {field for change in changes(kind) for field in change.fields.split()}
    assert sorted(set(fields(schema)) - tried) == []
    assert sorted(one for one in tried - set(fields(schema)) if one != "autoscaling") == []
