"""Scenario 7: where nothing changes the operator writes its Lease and nothing else, also after a restart."""

import time
from collections.abc import Callable

import pytest

from harness.documents import proxy, router, shipper, to
from harness.kubectl import Kubectl
from harness.leaving import leave_out
from harness.operator import Operator, writes
from harness.traffic import Sender

RESOURCES = 50
RUNNING = 4  # of them with pods, and events going through
WINDOW = {"ci": 45.0, "all": 360.0}  # seconds; a sweep, which lists everything each five minutes, falls in the longer


def _documents() -> list[dict[str, object]]:
    """Return chains of shipper, proxy and router; the first has pods."""
    found = [
        router("r-0", replicas=2),
        proxy("p-0", to("Router", "r-0"), replicas=1),
        shipper("s-0", to("Proxy", "p-0")),
        router("broken", replicas=1, targets=[{"name": "gone", "http": {"endpoint": "http://gone.invalid/"}}]),
    ]
    assert len(found) == RUNNING
    number = 1
    while len(found) < RESOURCES:
        chain = [
            router(f"r-{number}", replicas=0),
            proxy(f"p-{number}", to("Router", f"r-{number}"), replicas=0),
            shipper(f"s-{number}", to("Proxy", f"p-{number}"), workload="Deployment", replicas=0),
        ]
        found += chain[: RESOURCES - len(found)]
        number += 1
    return found


class Watcher:
    """What the operator has written since a moment."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.seen = len(operator.requests())

    def written(self) -> list[str]:
        """Return what was written since the last call or the beginning."""
        requests = self.operator.requests()
        new, self.seen = requests[self.seen :], len(requests)
        return writes(new)


def _until_silent(watcher: Watcher, seconds: float = 25.0, limit: float = 180.0) -> None:
    """Wait until nothing was written for longer than a round of questions to pods takes (15 s)."""
    end = time.monotonic() + limit
    since = time.monotonic()
    while time.monotonic() - since < seconds:
        if found := watcher.written():
            since = time.monotonic()
        assert time.monotonic() < end, f"the operator goes on writing: {found}"
        time.sleep(1)


def _assert_silent(watcher: Watcher, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert watcher.written() == []
        time.sleep(1)


@pytest.mark.timeout(1200)
def test_nothing_is_written_in_steady_state_but_the_lease(
    request: pytest.FixtureRequest, kubectl: Kubectl, operator: Operator, suite: str, say: Callable[[str], None]
) -> None:
    if not operator.cluster.audits():
        leave_out(request.config, f"the cluster {operator.cluster.name} writes no audit log; let the suite make it")
    documents = _documents()
    kubectl.apply(*documents)
    for document in documents:
        kubectl.until_ready(str(document["kind"]), document["metadata"]["name"], seconds=240)  # type: ignore[index]
    Sender(kubectl, "steady", f"tcp://s-0-shipper.{kubectl.namespace}.svc:10001", rate=50)
    kubectl.until_condition("RuttaRouter", "r-0", "TargetsHealthy", "True", seconds=60)
    watcher = Watcher(operator)
    _until_silent(watcher)

    before = len(operator.requests())
    _assert_silent(watcher, WINDOW[suite])
    requests = operator.requests()[before:]
    leases = [one for one in requests if one.get("objectRef", {}).get("resource") == "leases"]
    assert leases, "the audit log must show the Lease's renewals, or it would show no write either"
    said = f"{len(requests)} requests, {len(leases)} of them the Lease's, no write"
    say(f"  {WINDOW[suite]:.0f} s, {RESOURCES} resources: {said}")

    operator.restart()
    _assert_silent(watcher, 20)
    say("  restarted with all in place: no write but the Lease's")
