"""One thread that does the blocking work of one target, in order, so that a slow disk or reader never holds the loop.

Not ``ThreadPoolExecutor``: its threads are joined when the interpreter ends, and one that hangs in a write to a pipe
nobody reads would keep a stopped process alive. This one is a daemon.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

log = logging.getLogger("rutta.worker")


class _Asked(Generic[_T]):
    """A job somebody awaits: its result goes back to the loop it came from."""

    def __init__(self, job: Callable[[], _T]) -> None:
        self._job = job
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[_T] = self._loop.create_future()

    def __call__(self) -> None:
        if self.future.cancelled():  # given up before its turn: nothing was done, so nothing will be doubled
            return
        try:
            result = self._job()
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to the one who waits, on the other thread
            self._tell(self._fail, exc)
        else:
            self._tell(self._finish, result)

    def _tell(self, report: Callable[[Any], None], value: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(report, value)
        except RuntimeError:  # the loop has ended: nobody waits any more
            log.debug("The loop ended before a job did.")

    def _finish(self, result: _T) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def _fail(self, exc: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(exc)


class Worker:
    """Runs jobs one after the other on its own thread, which starts with the first job."""

    def __init__(self, name: str) -> None:
        """``name`` is the thread's."""
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self.stopping = threading.Event()
        self.has_ended = False

    async def run(self, job: Callable[[], _T]) -> _T:
        """Return what ``job`` returns, or raise what it raises.

        Cancelled before the job's turn, the job is not run; cancelled during it, the job runs to its end unseen.
        """
        asked = _Asked(job)
        self.submit(asked)
        return await asked.future

    def submit(self, job: Callable[[], None]) -> None:
        """Run ``job`` in its turn; nobody waits for it, so it must handle its own errors. Thread-safe."""
        if self.has_ended:
            raise RuntimeError(f"the worker {self._name} has ended")
        self._jobs.put(job)
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread after the jobs it was given; those that look at ``stopping`` end early. Does not wait."""
        self.has_ended = True
        self.stopping.set()
        self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
