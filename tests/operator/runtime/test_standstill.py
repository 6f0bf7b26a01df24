"""A rollout of a DaemonSet that Kubernetes has lost sight of, and those that it has not."""

import copy

import pytest

from rutta_operator import standstill
from rutta_operator.k8s.refusals import Gone
from rutta_operator.standstill import Standstill
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

KEY = Key("RuttaShipper", "default", "edge")
AMID = {
    "observedGeneration": 3, "currentNumberScheduled": 2, "updatedNumberScheduled": 1, "numberReady": 2,
    "numberAvailable": 2,
}  # fmt: skip


def daemon_set(**status):
    metadata = {"name": "edge-shipper", "generation": 3}
    spec = {"minReadySeconds": 5}
    return {"kind": "DaemonSet", "metadata": metadata, "spec": spec, "status": AMID | status}


class Cluster:
    """Remembers what is merged."""

    def __init__(self):
        self.merged = []
        self.is_gone = False

    async def merge(self, kind, namespace, name, changes, *, manager):
        if self.is_gone:
            raise Gone("gone", 404)
        self.merged.append((kind, namespace, name, list(changes["metadata"]["annotations"]), manager))


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def look(cluster, clock):
    """Look at a workload, some seconds after the last look."""
    found = Standstill(cluster, clock)

    async def after(seconds, workload):
        clock.now += seconds
        return await found.look(KEY, workload)

    return after


async def test_what_does_not_move_is_touched_ever_more_seldom_and_not_for_ever(look, cluster):
    wait = await look(0, daemon_set())
    assert (wait, cluster.merged) == (35, [])
    waits = []
    while wait is not None:
        wait = await look(wait, daemon_set())
        waits.append(wait)
    assert waits == [70, 140, 280, 560, None]
    assert len(cluster.merged) == len(waits)
    assert set(map(str, cluster.merged)) == {
        str(("DaemonSet", "default", "edge-shipper", [names.TOUCHED], "rutta-operator-touch"))
    }


async def test_a_look_before_it_is_due_touches_nothing(look, cluster):
    await look(0, daemon_set())
    assert await look(30, daemon_set()) == 5
    assert cluster.merged == []


@pytest.mark.parametrize("moved", ["updatedNumberScheduled", "numberReady", "numberAvailable"])
async def test_what_moves_is_given_its_time_anew(look, cluster, moved):
    await look(0, daemon_set())
    assert await look(34, daemon_set(**{moved: 0})) == 35
    assert await look(34, daemon_set(**{moved: 0})) == 1
    assert cluster.merged == []


@pytest.mark.parametrize(
    "workload",
    [
        None,
        daemon_set(updatedNumberScheduled=2),
        daemon_set(observedGeneration=2),
        daemon_set() | {"status": {}},
        daemon_set() | {"kind": "Deployment"},
    ],
)
async def test_what_is_no_rollout_of_a_daemon_set_is_let_alone(look, cluster, workload):
    await look(0, daemon_set())
    assert await look(1000, workload) is None
    assert await look(1000, workload) is None
    assert await look(0, daemon_set()) == 35
    assert cluster.merged == []


async def test_a_daemon_set_that_is_gone_meanwhile_is_no_trouble(look, cluster):
    await look(0, daemon_set())
    cluster.is_gone = True
    assert await look(35, daemon_set()) == 70


async def test_the_operator_touches_it_and_starts_no_rollout(api, fake, start, monkeypatch):
    monkeypatch.setattr(standstill, "_LATE", -4.8)
    api.apply(fake.router(), fake.shipper())
    operator = await start()
    await operator.settled()
    before = copy.deepcopy(api.get("DaemonSet", "edge-shipper"))
    assert before["spec"]["minReadySeconds"] == 5
    with api.lock:
        api.objects.rolls = False
    api.edit("DaemonSet", "edge-shipper", lambda found: found["status"].update(updatedNumberScheduled=1))
    touched = lambda: api.get("DaemonSet", "edge-shipper")["metadata"]["annotations"].get(names.TOUCHED)  # noqa: E731
    await fake.eventually(touched)
    after = api.get("DaemonSet", "edge-shipper")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    api.roll("DaemonSet", "edge-shipper")
    await operator.settled()
    operator.again()
    await operator.settled()
    assert touched()
