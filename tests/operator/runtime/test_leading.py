"""Who works: the Lease, its release, its loss; and what is asked before anybody works."""

import asyncio
import re

import pytest

from rutta_operator.k8s import lease


async def test_only_the_holder_of_the_lease_writes(api, fake, start):
    first = await start()
    second = await start(ready=False)
    await fake.eventually(lambda: second.in_step_once)
    api.apply(fake.router())
    await fake.eventually(lambda: api.names("Deployment"))
    assert first.leads
    assert not second.leads
    assert holder(api) == "operator-0"


async def test_a_clean_stop_hands_over(api, fake, start, condition):
    first = await start()
    second = await start(ready=False)
    await fake.eventually(lambda: second.in_step_once)
    assert await first.stop() == 0
    assert holder(api) in ("", "operator-1")
    await fake.eventually(lambda: second.leads)
    api.apply(fake.router())
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")


async def test_a_holder_that_died_is_followed_when_its_time_is_over(api, fake, start, monkeypatch):
    monkeypatch.setattr(lease, "DURATION", 1)
    first = await start()
    second = await start(ready=False)
    await fake.eventually(lambda: second.in_step_once)
    await first.kill()
    assert holder(api) == "operator-0"
    await fake.eventually(lambda: second.leads)
    assert api.get("Lease", "rutta-operator")["spec"]["leaseTransitions"] == 2


async def test_a_lease_that_somebody_took_ends_the_process(api, fake, start):
    operator = await start()
    api.edit("Lease", "rutta-operator", lambda found: found["spec"].update(holderIdentity="another"))
    await fake.eventually(operator.task.done)
    assert operator.task.result() == 1
    assert holder(api) == "another"


async def test_a_lease_that_cannot_be_renewed_ends_the_process(api, fake, start, monkeypatch):
    monkeypatch.setattr(lease, "_DEADLINE", 0.3)
    operator = await start()
    api.trouble.append(lambda verb, plural, name: 503 if plural == "leases" else None)
    await fake.eventually(operator.task.done)
    assert operator.task.result() == 1


class Slow:
    """A cluster whose Lease can be taken, and then neither read nor written: no answer comes."""

    def __init__(self):
        self.asked = []

    async def lease(self, namespace, name):
        return None

    async def put_lease(self, wanted):
        self.asked.append(asyncio.get_running_loop().time())
        if len(self.asked) > 1:
            await asyncio.Event().wait()
        await asyncio.sleep(0.2)  # what others see may be as old as this
        return wanted


async def test_the_lease_is_given_up_in_time_though_a_try_may_take_longer(monkeypatch):
    monkeypatch.setattr(lease, "_ANSWER", 60.0)
    monkeypatch.setattr(lease, "_RETRY", 0.0)
    monkeypatch.setattr(lease, "_DEADLINE", 0.4)
    cluster, limits, real = Slow(), [], asyncio.timeout_at
    monkeypatch.setattr(asyncio, "timeout_at", lambda when: limits.append(when) or real(when))
    one = lease.Lease(cluster, "default", "x", "me")
    await one.acquire()
    with pytest.raises(lease.Lost):
        await asyncio.wait_for(one.keep(), 30)
    assert len(cluster.asked) == 2
    assert limits == [pytest.approx(cluster.asked[0] + 0.4, abs=0.05)]


async def test_every_missing_verb_is_said_at_once(api, fake, start, caplog):
    api.denied.update(
        {("patch", "services"), ("delete", "deployments"), ("update", "leases"), ("list", "ruttarouters")}
    )
    operator = await start(ready=False)
    await fake.eventually(operator.task.done)
    assert operator.task.result() == 22
    said = caplog.text
    of_the_lease = "update leases.coordination.k8s.io in namespace default"
    for verb in ("patch services", "delete deployments.apps", of_the_lease, "list ruttarouters.rutta.logary.tech"):
        assert verb in said


@pytest.mark.parametrize("where", ["missing", "unshown"])
async def test_the_kinds_are_waited_for(api, fake, start, condition, caplog, monkeypatch, where):
    """Also until discovery shows them: they can be listed a moment before their definitions are established."""
    from rutta_operator.k8s import preflight

    monkeypatch.setattr(preflight, "_PAUSE", 0.05)
    lacking = getattr(api, where)
    lacking.add("RuttaProxy")
    operator = await start(ready=False)
    await fake.eventually(lambda: "RuttaProxy (rutta.logary.tech/v1alpha1) is not served yet" in caplog.text)
    assert await operator.page("/readyz") == (503, "the cluster is not known yet\n")
    assert await operator.page("/healthz") == (200, "ok\n")
    lacking.clear()
    api.apply(fake.router())
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    assert await operator.page("/readyz") == (200, "ok\n")


async def test_the_kinds_are_looked_for_where_the_operator_may_look(api, fake, start):
    operator = await start(namespaces=("team",))
    await operator.settled()
    looks = [(one[1], one[4]) for one in api.requests if one[0] == "list" and one[3].get("limit") == "1"]
    assert looks == [("ruttarouters", "team"), ("ruttashippers", "team"), ("ruttaproxies", "team")]


async def test_an_api_server_that_does_not_let_us_ask_yet_is_waited_for(api, fake, start, condition, monkeypatch):
    from rutta_operator.k8s import preflight

    monkeypatch.setattr(preflight, "_PAUSE", 0.05)
    answers = iter([403, 401, 403])
    discover = api.discover
    api.discover = lambda root: fake.refuse(status, "no") if (status := next(answers, None)) else discover(root)
    api.apply(fake.router())
    await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    assert next(answers, None) is None


async def test_the_metrics_tell_of_conditions_and_work(api, fake, start, condition):
    api.apply(fake.router())
    operator = await start()
    await fake.eventually(lambda: condition("RuttaRouter", "main", "Ready") == "True")
    await operator.settled()
    _, text = await operator.page("/metrics")
    labels = 'kind="RuttaRouter",name="main",namespace="default",status="True",type="Ready"'
    assert f"rutta_resource_condition{{{labels}}} 1.0" in text
    assert 'rutta_operator_applies_total{kind="Deployment"} 1.0' in text
    assert "rutta_operator_leader 1.0" in text
    assert "rutta_operator_queue_depth 0.0" in text
    figures = dict(re.findall(r"^(rutta_operator_\w+) (\S+)$", text, re.MULTILINE))
    assert float(figures["rutta_operator_reconcile_seconds_count"]) >= 1
    assert float(figures["rutta_operator_reconcile_seconds_sum"]) > 0
    assert 0 <= float(figures["rutta_operator_watch_age_seconds"]) < 300
    api.trouble.append(lambda verb, plural, name: 500 if (verb, plural) == ("patch", "configmaps") else None)
    api.edit("RuttaRouter", "main", lambda found: found["spec"].update(logLevel="debug"))

    async def failures():
        _, text = await operator.page("/metrics")
        return 'rutta_operator_reconcile_errors_total{kind="RuttaRouter",reason="Unavailable"}' in text

    while not await failures():
        await asyncio.sleep(0.05)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(lease, "_ANSWER", 1.0)


def holder(api):
    return api.get("Lease", "rutta-operator")["spec"]["holderIdentity"]
