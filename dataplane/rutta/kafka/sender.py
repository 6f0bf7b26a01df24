"""One producer of librdkafka, in a thread of its own: all records of a call are queued, then waited for together.

librdkafka sends from threads of its own; what blocks is waiting for it. Successes are not reported one by one
(``delivery.report.only.error``): what has not failed when nothing is left is delivered.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rutta.errors import ConfigError, Retry
from rutta.kafka.records import Record

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

log = logging.getLogger("rutta.kafka")

Failures = dict[int, "KafkaError"]
Settings = Mapping[str, Any]

_SLICE: Final = 0.1  # seconds between two looks at whether to stop
_NEW: Final = 0.5  # seconds that brokers may be away before anything was delivered
_KNOWN: Final = 5.0  # seconds that they may be away later: a restart of one is not worth a duplicate
_LAST: Final = 1.0  # seconds to hear of what was purged


class Sender:
    """Owns a producer and a thread from ``open`` to ``close``; a producer that failed is made anew by the next call.

    ``settings`` are read for each call: changed ones (a rotated secret) make a new producer. ``prepare`` is called in
    the thread with each new producer and a function that says whether to stop.
    """

    def __init__(self, settings: Callable[[], Settings], prepare: Callable[["Producer", Callable[[], bool]], None]):
        """Nothing is made before ``open``."""
        self._settings = settings
        self._prepare = prepare
        self._thread: ThreadPoolExecutor | None = None
        self._producer: Producer | None = None
        self._made_with: Settings = {}
        self._stop = threading.Event()
        self._proven = False
        self._away_since: float | None = None
        self.trouble = ""

    async def open(self) -> None:
        """Start the thread; connects nowhere."""
        await self.close()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka")

    async def send(self, records: Sequence[Record]) -> Failures:
        """Send records; return what failed, by number. ``Retry`` if no producer can be made or prepared.

        Cancelled, the records that are not sent yet are thrown away; ``close`` waits for that.
        """
        if self._thread is None:
            raise Retry("The Kafka client is not open.")
        self._stop = stop = threading.Event()
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._send, records, stop)
        job.add_done_callback(lambda done: done.cancelled() or done.exception())  # looked at, also when we are gone
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            stop.set()
            raise

    async def close(self) -> None:
        """Let go of producer and thread; idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        await asyncio.get_running_loop().run_in_executor(thread, self._drop)
        thread.shutdown()

    # --- in the thread ------------------------------------------------------------------------------------------

    def _send(self, records: Sequence[Record], stop: threading.Event) -> Failures:
        producer = self._connected(stop)
        failed: Failures = {}
        for number, record in enumerate(records):
            self._queue(producer, record, partial(_note, failed, number), stop)
        while producer.flush(_SLICE):
            if stop.is_set() or self._is_away():
                producer.purge()
                left = producer.flush(_LAST)
                self._drop()
                if left:
                    raise Retry(f"{left} records are neither delivered nor failed.")
                return failed
        if len(failed) < len(records):
            self._proven, self._away_since, self.trouble = True, None, ""
        if any(error.fatal() for error in failed.values()):
            self._drop()
        return failed

    def _queue(
        self,
        producer: "Producer",
        record: Record,
        note: Callable[..., None],
        stop: threading.Event,
    ) -> None:
        """Queue one record; wait while the client's own queue is full."""
        from confluent_kafka import KafkaError, KafkaException

        topic, value, key, timestamp, headers = record
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=note, timestamp=timestamp, headers=headers)
            except BufferError:
                if not (stop.is_set() or self._is_away()):
                    producer.poll(_SLICE)
                    continue
                note(KafkaError(KafkaError._QUEUE_FULL), None)
            except KafkaException as exc:
                note(exc.args[0], None)
            return

    def _connected(self, stop: threading.Event) -> "Producer":
        try:
            settings = self._settings()
        except ConfigError as exc:  # a file that is mounted later, or just being replaced
            raise Retry(f"{exc}.") from exc
        if self._producer is None or settings != self._made_with:
            self._drop()
            self._producer = self._make(settings)
            self._made_with = settings
            self._prepare(self._producer, lambda: stop.is_set() or self._is_away())
        return self._producer

    def _make(self, settings: Settings) -> "Producer":
        from confluent_kafka import KafkaException, Producer

        self._proven, self._away_since = False, None
        try:
            return Producer({**settings, "error_cb": self._heard}, logger=log_quietly())
        except KafkaException as exc:
            raise Retry(f"The Kafka client cannot be made: {exc.args[0].str()}.") from exc

    def _heard(self, error: "KafkaError") -> None:
        """Note what librdkafka says of its connections, from within ``poll`` and ``flush``."""
        from confluent_kafka import KafkaError

        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._away_since = self._away_since or time.monotonic()
        else:
            self.trouble = error.str()

    def _is_away(self) -> bool:
        since = self._away_since
        return since is not None and time.monotonic() - since > (_KNOWN if self._proven else _NEW)

    def _drop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.close()


def _note(failed: Failures, number: int, error: "KafkaError", message: object) -> None:
    failed[number] = error


class _Quiet(logging.Filter):
    """What librdkafka logs of itself is for who debugs it: its errors are in the target's own state."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        record.event = "kafka_client"
        return log.isEnabledFor(logging.DEBUG)


def log_quietly() -> logging.Logger:
    """Return the logger for the client's own lines: all of them at level debug."""
    logger = logging.getLogger("rutta.kafka.client")
    if not logger.filters:
        logger.addFilter(_Quiet())
    return logger
