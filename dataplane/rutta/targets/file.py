"""Target ``file``: append events to a file, rotate it, compress and delete old ones.

A send is delivered when the bytes are written; with ``fsync: Always`` when the disk has them. A full disk or a missing
right is tried again, nothing is lost or doubled: the part that was written counts, half an event is cut off. All
writing is done on one worker thread, compression on another. ``-`` is standard output; pipes and devices are written to
as they are.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from msgspec import Meta, Struct

from rutta import formats
from rutta.disk.log_file import LogFile, explain
from rutta.disk.rotation import Compression, Keep, Naming, Rotate, tidy
from rutta.disk.worker import Worker
from rutta.disk.writing import is_by_line, outcome_of
from rutta.errors import ConfigError, Retry
from rutta.message import Batch, Columns
from rutta.net.uri import split
from rutta.settings import Duration, default
from rutta.targets import DELIVERED, Gathering, Outcome

BATCH: Final = Gathering()
EXAMPLE: Final[Mapping[str, Any]] = {"path": "events.log"}

log = logging.getLogger("rutta.targets.file")

_ROUND: Final = 5.0  # seconds between two looks at the clock when files are rotated or deleted by time
_CLOSING: Final = 10.0  # seconds a disk may take for the last write

Mode = Annotated[str, Meta(pattern="^0?[0-7]{3}$")]


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a file."""

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="file to append to; `-` is standard output; the name may hold `{date}`, `{hour}` (UTC), "
            "`{host}` and `{pid}`",
        ),
    ]
    codec: Annotated[
        formats.Word, Meta(description="ndjson is the event as it came, json always the v6 form, one line an event")
    ] = "ndjson"
    columns: Annotated[
        tuple[str, ...],
        Meta(description="with ndjson: write only these top-level keys, in this order; empty: the event as it came"),
    ] = ()
    rotate: Annotated[Rotate, Meta(description="when to begin a new file; absent: never")] = Rotate()
    keep: Annotated[Keep, Meta(description="which closed files stay; absent: all")] = Keep()
    compression: Annotated[Compression, Meta(description="what closed files are compressed with")] = "None"
    fsync: Annotated[
        Literal["Never", "Interval", "Always"],
        Meta(description="when the disk must have what was written: Always before it counts as delivered"),
    ] = "Never"
    fsync_interval: Annotated[Duration, Meta(description="with `fsync: Interval`, the longest wait")] = default(
        Duration, "1s"
    )
    file_mode: Annotated[Mode, Meta(description="permissions of new files, octal")] = "0640"
    dir_mode: Annotated[Mode, Meta(description="permissions of new folders, octal")] = "0750"

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if self.path != "-":
            Naming(self.path)
        elif self.rotate != Rotate() or self.keep != Keep() or self.compression != "None":
            raise ValueError("path '-' is standard output, which has no files to rotate, keep or compress")
        if self.columns and self.codec != "ndjson":
            raise ValueError("columns go with codec ndjson only")


def from_uri(uri: str) -> dict[str, Any]:
    """Read ``file:///var/log/x.log``, ``file://./relative.log`` and ``file://-``."""
    parts = split(uri)
    path = unquote(parts.path)
    if parts.netloc == "-" and path in ("", "/"):
        return {"path": "-"}
    if parts.netloc == ".":
        path = path.lstrip("/")
    elif parts.netloc:
        raise ConfigError(f"{uri!r} names the host {parts.netloc!r}; write file:///PATH, file://./PATH or file://-")
    return {"path": path} if path else {}


def make(config: Config, name: str) -> "File":
    """Build the target; nothing is created before ``open``."""
    return File(config, name)


class File:
    """Owns the file and two threads, from ``open`` to ``close``."""

    def __init__(self, config: Config, name: str) -> None:
        """Take the settings."""
        self._config = config
        self._name = name
        self._format = formats.Format(config.codec, config.columns)
        self._naming = None if config.path == "-" else Naming(config.path)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._begin()

    @property
    def columns(self) -> Columns:
        """What the format reads."""
        return formats.columns_of(self._format)

    def _begin(self) -> None:
        self._writer = Worker(f"file-{self._name}")
        self._tidier = Worker(f"tidy-{self._name}")
        self._log = LogFile(
            self._naming,
            rotate=self._config.rotate,
            modes=(int(self._config.file_mode, 8), int(self._config.dir_mode, 8)),
            durable=self._config.fsync != "Never",
            on_closed=self._tidy,
            stopping=self._writer.stopping.is_set,
        )

    async def open(self) -> None:
        """Create and open the file; ``Retry`` says why it cannot be."""
        if self._writer.has_ended:
            self._begin()
        try:
            await self._writer.run(self._log.open)
        except OSError as exc:
            raise Retry(explain(exc, self._config.path)) from exc
        self._tidy()
        if self._config.rotate.every or self._config.keep.age or (self._naming and self._naming.is_dated):
            self._later("round", _ROUND, self._go_round)

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Write the batches; what of them did not fit is to be tried again."""
        buffers = [formats.encode(batch, self._format) for batch in batches]
        by_line = is_by_line(batches, buffers, self._format)
        written = await self._writer.run(
            partial(self._log.append, buffers, by_line=by_line, sync=self._config.fsync == "Always")
        )
        if self._config.fsync == "Interval" and written.size and "sync" not in self._timers:
            self._later("sync", self._config.fsync_interval, self._sync_soon)
        if written.error is None:
            return DELIVERED
        return outcome_of(batches, buffers, written.size, explain(written.error, self._log.path))

    async def close(self) -> None:
        """Write the last of it to the disk (unless ``fsync: Never``) and close; safe to call without ``open``."""
        if self._writer.has_ended:
            return
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._writer.stopping.set()
        self._tidier.stop()
        try:
            await asyncio.wait_for(self._writer.run(self._finish), _CLOSING)
        except TimeoutError:
            log.warning("%s did not close in %g s.", self._log.path, _CLOSING, extra={"event": "file_close_slow"})
        finally:
            self._writer.stop()

    def _finish(self) -> None:
        try:
            self._log.close()
        except OSError as exc:
            log.error("%s", explain(exc, self._log.path), extra={"event": "file_sync_failed"})

    def _later(self, key: str, delay: float, what: Any) -> None:
        self._timers[key] = asyncio.get_running_loop().call_later(delay, what)

    def _sync_soon(self) -> None:
        del self._timers["sync"]
        self._writer.submit(self._sync)

    def _sync(self) -> None:
        try:
            self._log.sync()
        except OSError as exc:
            log.error("%s", explain(exc, self._log.path), extra={"event": "file_sync_failed"})

    def _go_round(self) -> None:
        """Rotate and delete by time also when nothing is written."""
        self._writer.submit(self._tend)
        self._tidy()
        self._later("round", _ROUND, self._go_round)

    def _tend(self) -> None:
        try:
            self._log.tend()
        except OSError as exc:
            log.warning("%s", explain(exc, self._log.path), extra={"event": "file_tend_failed"})

    def _tidy(self) -> None:
        """Have the closed files looked after; called from any thread."""
        config = self._config
        wanted = config.keep != Keep() or config.compression != "None"
        if self._naming is None or not wanted or not self._log.is_regular:
            return
        job = partial(
            tidy,
            self._naming,
            keep=config.keep,
            compression=config.compression,
            now=time.time(),
            stopping=self._tidier.stopping.is_set,
        )
        with suppress(RuntimeError):  # being closed: the next start goes on with it
            self._tidier.submit(job)

    def status(self) -> Mapping[str, Any]:
        """Say what file it writes to, how large it is, and how many were closed."""
        return {"path": str(self._log.path), "bytes": self._log.size, "rotations": self._log.rotations}
