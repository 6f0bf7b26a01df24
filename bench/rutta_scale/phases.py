"""The measurement, step by step. Everything happens in one cluster, one step after the other."""

import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from rutta_scale import audit, bare, resources
from rutta_scale.api import Api, in_lanes, path_of
from rutta_scale.audit import Writes
from rutta_scale.place import Place
from rutta_scale.program import Memory, Program
from rutta_scale.shell import say

Object = dict[str, Any]
WORKERS = 16
_PATIENCE = 900.0
_BREATH = 0.05  # seconds between a child that was seen and the next change
_MANAGED = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Drutta-operator"


class Nothing(NamedTuple):
    """From nothing to everything."""

    bare: tuple[Writes, Writes]
    """the loop before the operator, and after it"""
    all_writes: Writes
    children: Writes
    which: str
    refused: tuple[str, ...]
    memory: Memory
    cpu: float
    seconds: float
    """until all resources are as they should be"""


class Still(NamedTuple):
    """Nothing changes."""

    seconds: float
    writes: str
    reads: str
    cpu: float
    asked: int
    """questions to pods"""


class Change(NamedTuple):
    """One change of a resource, in seconds from before it was sent."""

    answered: float
    """until the API server had taken it"""
    seen: float
    """until a watch showed the child"""


class Changes(NamedTuple):
    """Some changes, none before the child of the one before it was seen."""

    every: float
    """seconds between two of them at least"""
    seconds: float
    """all of them together"""
    made: Sequence[Change]


class Restart(NamedTuple):
    """A new process, everything in place."""

    seconds: float
    writes: str
    memory: Memory
    cpu: float


class Bench:
    """What all steps share."""

    def __init__(self, place: Place, api: Api, program: Program, count: int) -> None:
        self.place, self.api, self.program, self.count = place, api, program, count
        self.resources = resources.make(count, "bench")
        self._numbers = itertools.count()

    async def create(self) -> None:
        """Create the resources, with no operator there."""
        await self.api.apply_all(resources.namespaces(self.count, "bench"))
        await self.api.apply_all(self.resources)

    async def bare(self, prefix: str) -> Writes:
        """Apply the children of a quarter of the resources in a loop; wait until the cluster is quiet."""
        count = max(self.count // 4, min(self.count, 100))
        await self.api.apply_all(resources.namespaces(count, prefix))
        batches = bare.writes(resources.make(count, prefix))
        began = time.monotonic()
        await in_lanes(batches, WORKERS, self.api)
        done = Writes(sum(map(len, batches)), time.monotonic() - began)
        say(f"A bare loop: {done.number} applies, {done.rate:.0f} per second.")
        await self._quiet(prefix)
        return done

    async def _quiet(self, prefix: str) -> None:
        """Wait until every Deployment of some namespaces is available: the controllers are through with them."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = await self.api.list("Deployment", "resourceVersion=0")
                ours = [one for one in found["items"] if one["metadata"]["namespace"].startswith(f"{prefix}-")]
                if all(_is_available(one) for one in ours):
                    return
                await asyncio.sleep(2)

    async def from_nothing(self) -> Nothing:
        """Start the operator with nothing in place, between two bare loops."""
        before, place = await self.bare("before"), self.place.audited()
        self.program.start()
        await self._caught_up()
        await self._ready()
        seconds = time.time() - self.program.started
        memory, cpu = self.program.memory(), self.program.cpu()
        entries = self.place.audit(place, self.place.account)
        all_writes, children = audit.until_the_last_child(entries)
        say(f"From nothing: {all_writes.number} writes, {all_writes.rate:.0f} per second; Ready after {seconds:.0f} s.")
        which, refused = audit.described(audit.writes(entries)), tuple(audit.failures(entries))
        after = await self.bare("after")
        return Nothing((before, after), all_writes, children, which, refused, memory, cpu, seconds)

    async def _caught_up(self, pause: float = 5.0) -> None:
        """Look at the operator's metrics until it is; a look costs it some 50 ms, for they tell of every resource."""
        async with asyncio.timeout(_PATIENCE):
            while not await asyncio.to_thread(self.program.is_caught_up, self.count):  # noqa: ASYNC110
                await asyncio.sleep(pause)

    async def _ready(self) -> None:
        """Wait until all resources say Ready."""
        async with asyncio.timeout(_PATIENCE):
            for kind in ("RuttaRouter", "RuttaProxy", "RuttaShipper"):
                while not await self._all_ready(kind):  # noqa: ASYNC110
                    await asyncio.sleep(1)

    async def _all_ready(self, kind: str) -> bool:
        return all(map(_is_ready, (await self.api.list(kind, "resourceVersion=0"))["items"]))

    async def still(self, seconds: float, asked: "Asked") -> Still:
        """Let nothing change for a while, once the figures of targets are in."""
        await asyncio.sleep(60)
        place, cpu, questions, began = self.place.audited(), self.program.cpu(), asked(), time.monotonic()
        await asyncio.sleep(seconds)
        took, entries = time.monotonic() - began, self.place.audit(place, self.place.account)
        written = audit.writes(entries)
        reads = [one for one in entries if one not in written and one["objectRef"]["resource"] != "leases"]
        cores = (self.program.cpu() - cpu) / took
        return Still(took, audit.described(written), audit.described(reads), cores, asked() - questions)

    async def changes(self, count: int, every: float) -> Changes:
        """Change one resource after the other, one in so many seconds; take the time until its child says so."""
        made: list[Change] = []
        began = time.monotonic()
        async with Seen(self.api, "ConfigMap") as configs, Seen(self.api, "Deployment") as workloads:
            for _ in range(count):
                next_one = time.monotonic() + every
                made.append(await self._change(configs, workloads))
                await asyncio.sleep(max(_BREATH, next_one - time.monotonic()))
        return Changes(every, time.monotonic() - began, made)

    async def _change(self, configs: "Seen", workloads: "Seen") -> Change:
        number = next(self._numbers)
        is_config = number % 2 == 0
        among, seen = (self._of("RuttaRouter"), configs) if is_config else (self._of("RuttaProxy"), workloads)
        one, turn = among[number // 2 % len(among)], number // 2 // len(among)
        change = {"logLevel": ("debug", "warn")[turn % 2]} if is_config else {"replicas": 2 + turn % 2}
        began = time.monotonic()
        await self.api.merge(_path(one), {"spec": change})
        answered = time.monotonic() - began
        return Change(answered, await seen.next_of(one, began) - began)

    def _of(self, kind: str) -> list[Object]:
        return [one for one in self.resources if one["kind"] == kind]

    async def settled(self) -> None:
        """Wait until what was changed is rolled out."""
        await self._quiet("bench")
        await self._caught_up()
        await asyncio.sleep(20)

    async def restart(self) -> Restart:
        """Stop it and start it anew; whatever it writes in the first half minute is seen."""
        self.program.stop()
        place = self.place.audited()
        self.program.start()
        await self._caught_up(pause=0.4)
        seconds, memory, cpu = time.time() - self.program.started, self.program.memory(), self.program.cpu()
        await asyncio.sleep(30)
        entries = self.place.audit(place, self.place.account)
        say(f"Restarted: caught up after {seconds:.1f} s.")
        return Restart(seconds, audit.described(audit.writes(entries)), memory, cpu)


class Asked:
    """How often pods were asked."""

    def __init__(self, stand_in: Any) -> None:
        self._stand_in = stand_in

    def __call__(self) -> int:
        return int(self._stand_in.asked)


class Seen:
    """Children of one kind, as they change."""

    def __init__(self, api: Api, kind: str) -> None:
        self._api, self._kind = api, kind
        self._changes: asyncio.Queue[tuple[str, str, float]] = asyncio.Queue()

    async def __aenter__(self) -> "Seen":
        version = (await self._api.list(self._kind, f"{_MANAGED}&limit=1"))["metadata"]["resourceVersion"]
        self._task = asyncio.create_task(self._watch(self._api.watch(self._kind, version, _MANAGED)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _watch(self, changes: AsyncIterator[Object]) -> None:
        generations: dict[str, int] = {}
        async for one in changes:
            uid, generation = one["metadata"]["uid"], one["metadata"].get("generation", 0)
            if not generation or generations.get(uid) != generation:  # a Deployment's status is no change of it
                generations[uid] = generation
                of = one["metadata"]["labels"]["rutta.logary.tech/instance"]
                self._changes.put_nowait((one["metadata"]["namespace"], of, time.monotonic()))

    async def next_of(self, one: Object, after: float) -> float:
        """Return when the child of a resource changed. Raises TimeoutError if it does not."""
        wanted = (one["metadata"]["namespace"], one["metadata"]["name"])
        async with asyncio.timeout(30):
            while True:
                namespace, name, when = await self._changes.get()
                if (namespace, name) == wanted and when > after:
                    return when


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def _path(one: Object) -> str:
    return path_of(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"])


def _is_available(one: Object) -> bool:
    return bool(one.get("status", {}).get("availableReplicas", 0) == one["spec"].get("replicas", 1))


def _is_ready(one: Object) -> bool:
    conditions = one.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
