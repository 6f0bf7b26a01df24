"""``Poller`` against real HTTP servers on this machine: one pod, the same one, and only news is told."""

import asyncio
import contextlib

import pytest
import pytest_asyncio
from aiohttp import web

from rutta_operator.state import polling
from rutta_operator.state.polling import MISSES, Poller
from rutta_operator.state.seen import Report, Silence
from rutta_operator.wiring.graph import Key

MAIN, OTHER = Key("RuttaRouter", "logs", "main"), Key("RuttaRouter", "logs", "other")


class Pod:
    """Answers ``/status`` with a router of one target, at an address of its own and the port of all."""

    def __init__(self, address):
        self.address, self.asked = address, asyncio.Semaphore(0)
        self.name, self.target = "logs/main", {"name": "db", "state": "Healthy", "delivered": 1}
        self.answer = None

    def fails(self, trouble, state="CircuitOpen"):
        self.target = {"name": "db", "state": state, "trouble": trouble}

    async def page(self, request):
        self.asked.release()
        if self.answer is not None:
            return await self.answer(request)
        document = {"name": self.name, "role": "Router", "configHash": "abc", "targets": [self.target]}
        return web.json_response(document)


class Watch:
    """A poller, its pods, and what it told."""

    def __init__(self, poller, pods, resolved, told):
        self.poller, self.pods, self.resolved, self.told = poller, pods, resolved, told

    async def news(self):
        """Wait for what is told next."""
        await asyncio.wait_for(self.told.acquire(), 10)
        return self.poller.report(MAIN)

    async def rounds(self, pod, number):
        """Wait until a pod was asked so many times more."""
        while not pod.asked.locked():
            await pod.asked.acquire()
        for _ in range(number):
            await asyncio.wait_for(pod.asked.acquire(), 10)

    def told_more(self):
        return not self.told.locked()


async def _serve(stack, pod, port):
    app = web.Application()
    app.router.add_get("/status", pod.page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, pod.address, port)
    await site.start()
    return site._server.sockets[0].getsockname()[1]


@pytest_asyncio.fixture
async def watch():
    """Start pods and a poller that follows router main; give None as an address for a name that has none."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(number=1, *, clock=None):
            pods, port = [Pod(f"127.0.0.{2 + one}") for one in range(number)], 0
            for pod in pods:
                port = await _serve(stack, pod, port)
            names, told, addresses = [], asyncio.Semaphore(0), [pod.address for pod in pods]
            elsewhere, others = {}, asyncio.Semaphore(0)

            async def resolve(name):
                names.append(name)
                if name in elsewhere:
                    return elsewhere[name]
                if not addresses:
                    raise OSError("no such name")
                return list(addresses)

            def changed(key):
                (told if key == MAIN else others).release()

            given = {"clock": clock} if clock else {}
            poller = Poller(changed, every=0.02, port=port, resolve=resolve, **given)
            running = asyncio.create_task(poller.run())

            async def stop():
                running.cancel()
                await asyncio.wait([running])

            stack.push_async_callback(stop)
            found = Watch(poller, pods, names, told)
            found.addresses, found.elsewhere, found.others = addresses, elsewhere, others
            assert poller.report(MAIN) is None
            poller.follow(MAIN)
            poller.follow(MAIN)
            return found

        yield start


def state(report):
    return [(one.name, one.state, one.reason) for one in report.targets]


async def test_news_is_told_once_and_the_same_is_not_told_again(watch):
    seen = await watch()
    assert state(await seen.news()) == [("db", "Healthy", "")]
    await seen.rounds(seen.pods[0], 3)
    assert not seen.told_more()
    seen.pods[0].fails("http://db answered 401 Unauthorized")
    assert state(await seen.news()) == [("db", "Failing", "http://db answered 401 Unauthorized")]
    await seen.rounds(seen.pods[0], 3)
    assert not seen.told_more()
    seen.pods[0].target = {"name": "db", "state": "Healthy", "delivered": 2}
    assert state(await seen.news()) == [("db", "Healthy", "")]


async def test_a_first_failure_is_told_when_a_second_look_says_so_too(watch):
    seen = await watch()
    await seen.news()
    pod, looks = seen.pods[0], 0

    async def once(request):
        nonlocal looks
        looks += 1
        pod.fails("timeout", "Retrying")
        pod.answer = None
        answer = await pod.page(request)
        pod.target = {"name": "db", "state": "Healthy", "delivered": 3}
        return answer

    pod.answer = once
    await seen.rounds(pod, 4)
    assert looks == 1
    assert not seen.told_more()
    pod.fails("timeout", "Retrying")
    assert state(await seen.news()) == [("db", "Failing", "timeout")]


async def test_other_words_for_the_same_are_told_once_a_minute(watch):
    now = [0.0]
    seen = await watch(clock=lambda: now[0] + asyncio.get_running_loop().time())
    seen.pods[0].fails("timeout")
    await seen.news()
    seen.pods[0].fails("connection refused")
    await seen.rounds(seen.pods[0], 3)
    assert not seen.told_more()
    now[0] = polling.WORDS
    assert state(await seen.news()) == [("db", "Failing", "connection refused")]


async def test_the_same_pod_is_asked_and_its_name_looked_up_once(watch):
    seen = await watch(3)
    await seen.news()
    await seen.rounds(seen.pods[0], 4)
    assert seen.resolved == ["main-router-health.logs.svc"]
    assert seen.pods[1].asked.locked()
    assert seen.pods[2].asked.locked()


async def test_a_pod_that_has_sent_nothing_is_left_for_one_that_has(watch):
    seen = await watch(2)
    seen.pods[0].target = {"name": "db", "state": "Healthy", "delivered": 0}
    seen.pods[1].fails("401")
    while (told := state(await seen.news())) != [("db", "Failing", "401")]:
        assert told == [("db", "Idle", "")]
    await seen.rounds(seen.pods[1], 3)
    assert not seen.told_more()


async def test_an_address_that_is_another_resource_by_now_is_left(watch):
    seen = await watch(2)
    await seen.news()
    seen.pods[0].name = "logs/other"
    seen.pods[1].fails("401")
    assert state(await seen.news()) == [("db", "Failing", "401")]


async def test_silence_is_told_after_some_rounds_and_ends_with_an_answer(watch):
    seen = await watch()
    await seen.news()
    pod = seen.pods[0]

    async def broken(request):
        return web.Response(status=500)

    pod.answer = broken
    assert await seen.news() == Silence("the health port answered 500.")
    seen.addresses.clear()
    lookups = len(seen.resolved)
    async with asyncio.timeout(10):
        while len(seen.resolved) < lookups + MISSES:
            await asyncio.sleep(0.005)
    assert not seen.told_more()
    pod.answer = None
    seen.addresses.append(pod.address)
    assert isinstance(await seen.news(), Report)


async def test_a_name_that_does_not_resolve_is_silence(watch):
    seen = await watch()
    seen.addresses.clear()
    told = await seen.news()
    if isinstance(told, Report):
        seen.poller.forget(MAIN)
        seen.poller.follow(MAIN)
        told = await seen.news()
    assert told == Silence("the health Service has no pods, or its name cannot be resolved here.")


@pytest.mark.parametrize("how", ["endless", "redirect"])
async def test_a_page_without_end_and_a_redirect_are_no_answer(watch, monkeypatch, how):
    monkeypatch.setattr(polling, "_LARGEST", 10_000)
    seen = await watch()
    await seen.news()

    async def endless(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await answer.write(b"[" * 1_000)
        return answer

    async def redirect(request):
        raise web.HTTPFound("/metrics")

    seen.pods[0].answer = {"endless": endless, "redirect": redirect}[how]
    told = await seen.news()
    assert isinstance(told, Silence)
    assert {"endless": "too large", "redirect": "answered 302"}[how] in told.reason


async def test_a_pod_that_does_not_answer_in_time_does_not_hold_up_the_others(watch, monkeypatch):
    monkeypatch.setattr(polling, "_TIMEOUT", polling.aiohttp.ClientTimeout(total=0.2))
    seen = await watch(2)
    await seen.news()
    never = asyncio.Event()

    async def silent(request):
        await never.wait()

    seen.pods[0].answer = silent
    seen.addresses.pop()
    await seen.rounds(seen.pods[0], 1)  # it hangs now
    seen.pods[1].name = "logs/other"
    seen.elsewhere["other-router-health.logs.svc"] = [seen.pods[1].address]
    seen.poller.follow(OTHER)
    await asyncio.wait_for(seen.others.acquire(), 10)
    assert state(seen.poller.report(OTHER)) == [("db", "Healthy", "")]
    assert await seen.news() == Silence("no answer at the health port within 3 s.")
    never.set()


async def test_what_is_forgotten_is_asked_no_more(watch):
    seen = await watch()
    await seen.news()
    seen.poller.forget(MAIN)
    seen.poller.forget(MAIN)
    assert seen.poller.report(MAIN) is None
    seen.pods[0].name = "logs/other"
    seen.poller.follow(OTHER)  # rounds go on, for it alone
    await asyncio.wait_for(seen.others.acquire(), 10)
    await seen.rounds(seen.pods[0], 2)
    assert seen.poller.report(MAIN) is None
    assert not seen.told_more()
