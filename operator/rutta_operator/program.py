"""The operator as a whole: what runs, in which order it begins, and in which it ends."""

import asyncio
import contextlib
import gc
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import kopf

from rutta_operator import handlers, log
from rutta_operator.edges import Edges
from rutta_operator.handlers import Feed, Watching
from rutta_operator.k8s import preflight
from rutta_operator.k8s.cluster import Cluster
from rutta_operator.k8s.kinds import CHILDREN, NAMESPACE, RESOURCES, Api
from rutta_operator.k8s.lease import Lease, Lost
from rutta_operator.metrics import Metrics
from rutta_operator.options import Options
from rutta_operator.pages import Pages
from rutta_operator.reconcile import Reconciler
from rutta_operator.reflector import Reflector
from rutta_operator.render import Context
from rutta_operator.spec.problems import USER_ERROR
from rutta_operator.state.events import Events
from rutta_operator.state.polling import Poller
from rutta_operator.store import Store
from rutta_operator.sweep import Sweep
from rutta_operator.work import Work

_RECHECK: Final = 600.0  # seconds between two looks for optional kinds
_FIRST_PAUSE: Final = 0.5  # seconds until the watches begin again
_LONGEST_PAUSE: Final = 30.0
_NEVER: Final = 1_000_000_000  # collections of the young before one of all
_PATIENCE: Final = 5.0  # seconds that kopf may take to end its watches


class Program:
    """Everything that one process has; ``run`` it once."""

    def __init__(self, options: Options, login: Callable[[], kopf.ConnectionInfo]) -> None:
        """``login`` says how the API server is reached, as often as it is asked. Raises what ``login`` raises."""
        self._options, self._login = options, login
        self._metrics = Metrics()
        self._cluster = Cluster(login(), self._metrics.count_request)
        self._store, self._work = Store(), Work()
        self._edges = Edges(self._store, self._work.extend, whole_cluster=not options.namespaces)
        self._feed = Feed(self._store, self._edges, self._work)
        self._poller = Poller(self._work.add, every=options.poll)
        self._reconciler = Reconciler(
            self._store, self._work, self._edges, self._cluster, self._metrics, self._poller,
            Events(self._cluster, options.identity), self._context,
        )  # fmt: skip
        self._lease = Lease(self._cluster, options.lease_namespace, options.lease_name, options.identity)
        self._pages = Pages(self._metrics.registry, unhealthy=self._unhealthy, unready=self._unready)
        self._stop = asyncio.Event()
        self._sweep: Sweep | None = None
        self._optional: dict[str, Api] = {}
        self._in_step = False

    async def run(self) -> int:
        """Run until a signal or an end that nobody wanted; return the exit code."""
        self._on_signals()
        try:
            await self._pages.open(*self._options.bind)
            stopping = asyncio.create_task(self._stop.wait(), name="signals")
            working = asyncio.create_task(self._run(), name="operator")
            await asyncio.wait((stopping, working), return_when=asyncio.FIRST_COMPLETED)
            return await _ended(stopping, working)
        finally:
            await self._cluster.close()
            await self._pages.close()

    def stop(self) -> None:
        """Let ``run`` come to its end: the Lease is released, nothing else waits."""
        self._stop.set()

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self.stop)

    async def _run(self) -> int:
        """Prepare, watch and lead; returns only if it cannot."""
        await preflight.kinds(self._cluster, self._options.namespaces)
        self._optional = await preflight.optional(self._cluster)
        lacking = await preflight.missing_verbs(
            self._cluster, self._options.namespaces, self._options.lease_namespace, monitoring=bool(self._optional)
        )
        if lacking:
            log.error("rbac", f"RBAC does not allow: {', '.join(lacking)}; grant it (the chart's rbac.create does).")
            return USER_ERROR
        apis = [*RESOURCES.values(), *CHILDREN.values(), *self._optional.values()]
        apis += [] if self._options.namespaces else [NAMESPACE]
        self._sweep = self._new_sweep(apis)
        self._metrics.show(self._store, lambda: len(self._work), self._sweep.age)
        watching = asyncio.create_task(self._watch(self._sweep, apis), name="watches")
        leading = asyncio.create_task(self._follow(self._sweep), name="leading")
        return await _first_end(watching, leading)

    def _new_sweep(self, apis: list[Api]) -> Sweep:
        return Sweep(
            self._cluster, self._store, self._feed, self._metrics, apis, self._options.namespaces,
            every=self._options.sweep,
        )  # fmt: skip

    async def _watch(self, sweep: Sweep, apis: Iterable[Api]) -> None:
        """Watch everything. Never returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_resources(sweep))
            for api in apis:
                for namespace in () if api.kind in RESOURCES else self._options.namespaces or (None,):
                    tasks.create_task(Reflector(self._cluster, self._store, self._feed, api, namespace).run())

    async def _watch_resources(self, sweep: Sweep) -> None:
        """Watch, again and again: some answers of the API server end kopf, and none should end us. Never returns."""
        pause, watching = _FIRST_PAUSE, Watching(self._login, self._options.namespaces)
        while True:
            began = time.monotonic()
            try:
                await handlers.watch(self._feed, watching, self._on_signals)
            except Exception as exc:  # noqa: BLE001 - kopf passes on whatever ended it; we begin again
                log.warn("watches_ended", f"The watches ended and begin again: {_leaf(exc)}")
            pause = _FIRST_PAUSE if time.monotonic() - began > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            sweep.soon()  # what was deleted meanwhile, no watch will tell

    async def _follow(self, sweep: Sweep) -> None:
        """Know everything, then wait for the Lease and work. Never returns. Raises Lost."""
        with _read_once():
            await sweep.first()
        self._in_step = True
        log.info("in_step", "All that there is is known.", resources=len(self._store.resources))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sweep.run(self._again))
            tasks.create_task(self._recheck(sweep))
            tasks.create_task(self._lead())

    async def _lead(self) -> None:
        await self._lease.acquire()
        self._metrics.leader.set(1)
        self._work.extend(self._store.resources)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lease.keep())
                tasks.create_task(self._poller.run())
                for _ in range(self._options.workers):
                    tasks.create_task(self._reconciler.work())
        finally:
            self._metrics.leader.set(0)
            await self._lease.release()

    def _again(self) -> None:
        """After a sweep: try again what was refused, for the cause may be gone."""
        self._work.extend(self._reconciler.refused)

    async def _recheck(self, sweep: Sweep) -> None:
        """Look for optional kinds that came or went."""
        watched = dict(self._optional)
        while True:
            await asyncio.sleep(_RECHECK)
            now = await preflight.optional(self._cluster)
            if now.keys() != self._optional.keys():
                log.info("optional_kinds", "The optional kinds changed.", now=", ".join(sorted(now)) or "none")
                self._optional = now
                sweep.unwatched = tuple(api for kind, api in now.items() if kind not in watched)
                self._work.extend(self._store.resources)

    def _context(self) -> Context:
        options = self._options
        return Context(
            image=options.dataplane_image,
            image_pull_secrets=options.image_pull_secrets,
            monitoring=bool(self._optional),
        )

    def _unhealthy(self) -> str:
        return "" if self._sweep is None else self._sweep.frozen()

    def _unready(self) -> str:
        return "" if self._in_step else "the cluster is not known yet"


@contextlib.contextmanager
def _read_once() -> Iterator[None]:
    """Let no collection search all of the heap while everything is read, and none ever search what was read: it stays.

    As the heap grows, Python would do so again and again, and later, now and then, for a sixth of a second.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(*thresholds[:2], _NEVER)
    try:
        yield
        gc.freeze()
    finally:
        gc.set_threshold(*thresholds)


async def _ended(stopping: asyncio.Task[bool], working: asyncio.Task[int]) -> int:
    """Stop what still runs; return the exit code."""
    stopping.cancel()
    if working.done():
        return working.result()
    log.info("stopping", "Told to stop.")
    working.cancel()
    await asyncio.wait((working,))
    return 0


async def _first_end(watching: asyncio.Task[None], leading: asyncio.Task[None]) -> int:
    """Wait until one of two ends, which neither should; cancelled, end both, first the one that holds the Lease."""
    try:
        await asyncio.wait((watching, leading), return_when=asyncio.FIRST_COMPLETED)
        return _why(watching, leading)
    finally:
        for task in (leading, watching):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((task,), timeout=_PATIENCE)


def _why(watching: asyncio.Task[None], leading: asyncio.Task[None]) -> int:
    """Say which of two ended, and why; return the exit code."""
    for name, task in (("watches", watching), ("work", leading)):
        exc = task.exception() if task.done() and not task.cancelled() else None
        if exc is None and task.done():
            log.error("ended", f"The {name} ended.")
        elif isinstance(exc, BaseExceptionGroup) and (lost := exc.subgroup(Lost)) is not None:
            log.error("lease_lost", f"This process ends: {_leaf(lost)}.")
        elif exc is not None:
            log.crash("ended", f"The {name} failed: this process ends.", exc)
    return 1


def _leaf(group: BaseException) -> BaseException:
    return _leaf(group.exceptions[0]) if isinstance(group, BaseExceptionGroup) else group
