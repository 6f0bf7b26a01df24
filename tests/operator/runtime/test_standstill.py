"""A rollout of a DaemonSet that Kubernetes has lost sight of, and those that it has not."""

import copy

import pytest

from rutta_operator import standstill
from rutta_operator.k8s.refusals import Forbidden, Gone, Unavailable
from rutta_operator.standstill import Standstill
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

KEY = Key("RuttaShipper", "default", "edge")
AMID = {
    "observedGeneration": 3, "currentNumberScheduled": 2, "updatedNumberScheduled": 1, "numberReady": 2,
    "numberAvailable": 2,
}  # fmt: skip


def daemon_set(generation=3, surge=1, **status):
    metadata = {"name": "edge-shipper", "generation": generation}
    spec = {"minReadySeconds": 5, "updateStrategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0}}}
    return {"kind": "DaemonSet", "metadata": metadata, "spec": spec, "status": AMID | status}


class Cluster:
    """Remembers what is merged."""

    def __init__(self):
        self.merged = []
        self.trouble = None

    async def merge(self, kind, namespace, name, changes, *, manager):
        self.merged.append((kind, namespace, name, list(changes["metadata"]["annotations"]), manager))
        if self.trouble is not None:
            raise self.trouble


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


async def test_what_does_not_move_is_touched_ever_more_seldom(look, cluster):
    waits = [await look(0, daemon_set())]
    for _ in range(6):
        assert len(cluster.merged) == len(waits) - 1
        waits.append(await look(waits[-1], daemon_set()))
    assert waits == [65, 130, 260, 520, 600, 600, 600]
    assert set(map(str, cluster.merged)) == {
        str(("DaemonSet", "default", "edge-shipper", [names.TOUCHED], "rutta-operator-touch"))
    }


async def test_a_look_before_it_is_due_touches_nothing(look, cluster):
    await look(0, daemon_set())
    assert await look(60, daemon_set()) == 5
    assert cluster.merged == []


@pytest.mark.parametrize("moved", ["currentNumberScheduled", "numberReady", "numberAvailable"])
async def test_what_moves_is_given_its_time_anew_and_is_not_touched_more_often(look, cluster, moved):
    await look(0, daemon_set())
    assert await look(64, daemon_set(**{moved: 3})) == 65
    assert await look(64, daemon_set(**{moved: 3})) == 1
    assert cluster.merged == []
    assert await look(1, daemon_set(**{moved: 3})) == 130
    assert await look(100, daemon_set()) == 130
    assert len(cluster.merged) == 1


@pytest.mark.parametrize("step", [{"generation": 4, "observedGeneration": 4}, {"updatedNumberScheduled": 0}])
async def test_a_new_step_begins_anew(look, cluster, step):
    await look(0, daemon_set())
    await look(65, daemon_set())
    assert await look(0, daemon_set(**step)) == 65
    assert len(cluster.merged) == 1


@pytest.mark.parametrize(
    "workload",
    [
        None,
        daemon_set(updatedNumberScheduled=2),
        daemon_set(observedGeneration=2),
        daemon_set(surge=0),
        daemon_set(surge="0%"),
        daemon_set() | {"status": {}},
        daemon_set() | {"kind": "Deployment"},
    ],
)
async def test_what_is_no_rollout_that_may_stand_still_is_let_alone(look, cluster, workload):
    await look(0, daemon_set())
    assert await look(1000, workload) is None
    assert await look(1000, workload) is None
    assert await look(0, daemon_set()) == 65
    assert cluster.merged == []


@pytest.mark.parametrize("trouble", [Gone("gone", 404), Forbidden("a policy says no", 403), Unavailable("busy", 503)])
async def test_a_touch_that_fails_counts_as_one(look, cluster, trouble):
    cluster.trouble = trouble
    await look(0, daemon_set())
    assert await look(65, daemon_set()) == 130
    assert await look(129, daemon_set()) == 1
    assert len(cluster.merged) == 1


async def test_the_operator_touches_it_and_starts_no_rollout(api, fake, start, monkeypatch):
    monkeypatch.setattr(standstill, "_LATE", -4.8)  # so that 0.2 s are long
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
    image = "example.com/rutta:2"
    api.edit("RuttaShipper", "edge", lambda found: found["spec"].update(image=image))
    await fake.eventually(lambda: image in str(api.get("DaemonSet", "edge-shipper")["spec"]))
    assert touched(), "it is no field of ours"
    api.roll("DaemonSet", "edge-shipper")
    await operator.settled()
    operator.again()
    await operator.settled()
    before = api.writes()
    operator.again()
    await operator.settled()
    assert api.writes() == before
