"""Target ``console``: print events to standard output or standard error, for people and for container logs.

A send is one write, so lines of several writers do not mix. When nobody reads the output any more (a closed pipe) the
events stay in the target's queue and its state says why; what was printed is not printed again. On a terminal the
level is coloured, unless ``NO_COLOR`` is set (https://no-color.org).
"""

import errno
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from rutta import VERSION, formats
from rutta.disk.log_file import explain
from rutta.disk.worker import Worker
from rutta.disk.writing import Written, is_by_line, outcome_of, whole_events, write_all
from rutta.message import Batch, Columns
from rutta.targets import DELIVERED, Gathering, Outcome

BATCH: Final = Gathering()
EXAMPLE: Final[Mapping[str, Any]] = {}

_LEVEL: Final = re.compile(rb"^lvl=(\w+)", re.MULTILINE)
_COLOURS: Final = {b"warn": b"33", b"error": b"31", b"fatal": b"1;31", b"debug": b"2", b"verbose": b"2"}
_DESCRIPTORS: Final = {"Stdout": 1, "Stderr": 2}


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of the console."""

    format: Annotated[
        formats.Word,
        Meta(description="logfmt for people; ndjson is the event as it came, json always the v6 form"),
    ] = "logfmt"
    output: Annotated[Literal["Stdout", "Stderr"], Meta(description="where to print")] = "Stdout"
    colour: Annotated[
        Literal["Auto", "Always", "Never"],
        Meta(description="colour the level of logfmt lines; Auto: on a terminal, unless NO_COLOR is set"),
    ] = "Auto"
    flush: Annotated[
        bool,
        Meta(description="when the output was redirected to a file, wait until the disk has what was printed"),
    ] = False
    include_resource: Annotated[
        bool, Meta(description="end every logfmt line with this process's service, hostname and version")
    ] = False

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if self.include_resource and self.format != "logfmt":
            raise ValueError("includeResource goes with format logfmt only")
        if self.colour == "Always" and self.format != "logfmt":
            raise ValueError("colour goes with format logfmt only")


def make(config: Config, name: str) -> "Console":
    """Build the target; nothing is printed before ``send``."""
    return Console(config, name)


class Console:
    """Owns a thread; the output belongs to the process and stays open."""

    def __init__(self, config: Config, name: str) -> None:
        """Take the settings."""
        self._config = config
        self._name = name
        self._format = formats.Format(config.format)
        self._fd = _DESCRIPTORS[config.output]
        self._worker = Worker(f"console-{name}")
        self._torn = False
        self._suffix = _resource() if config.include_resource else b""

    @property
    def columns(self) -> Columns:
        """What the format reads."""
        return formats.columns_of(self._format)

    async def open(self) -> None:
        """Look whether the output is a terminal."""
        if self._worker.has_ended:
            self._worker = Worker(f"console-{self._name}")
        self._paint = self._config.format == "logfmt" and is_coloured(self._config.colour, self._fd)

    async def send(self, batches: Sequence[Batch]) -> Outcome:
        """Print the batches with one write; what could not be printed is to be tried again."""
        buffers = [self._dress(formats.encode(batch, self._format)) for batch in batches]
        by_line = is_by_line(batches, buffers, self._format)
        written = await self._worker.run(partial(self._print, buffers, by_line=by_line))
        if written.error is None:
            return DELIVERED
        kept = whole_events(buffers, written.size, by_line=by_line)
        return outcome_of(batches, buffers, kept, explain(written.error, f"The console ({self._config.output})"))

    def _dress(self, data: bytes) -> bytes:
        if self._suffix:
            data = data.replace(b"\n", self._suffix)
        return _LEVEL.sub(_painted, data) if self._paint else data

    def _print(self, buffers: Sequence[bytes], *, by_line: bool) -> Written:
        """Write, on the worker's thread; a line torn by the last failure is ended first."""
        lead = b"\n" if self._torn else b""
        written = write_all(self._fd, [lead + b"".join(buffers)], stopping=self._worker.stopping.is_set)
        written = written._replace(size=max(0, written.size - len(lead)))
        if written.error is not None:
            self._torn = by_line and (self._torn or written.size > whole_events(buffers, written.size, by_line=True))
            return written
        self._torn = False
        return self._flush(written) if self._config.flush else written

    def _flush(self, written: Written) -> Written:
        try:
            os.fdatasync(self._fd)
        except OSError as exc:
            if exc.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):  # terminals and pipes have no disk
                return Written(0, exc)
        return written

    async def close(self) -> None:
        """End the thread; what it is printing is printed."""
        self._worker.stop()


def is_coloured(wish: str, fd: int, is_terminal: Callable[[int], bool] = os.isatty) -> bool:
    """Decide whether to colour."""
    if wish != "Auto":
        return wish == "Always"
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and is_terminal(fd)


def _painted(match: re.Match[bytes]) -> bytes:
    colour = _COLOURS.get(match[1])
    return b"\x1b[%bm%b\x1b[0m" % (colour, match[0]) if colour else match[0]


def _resource() -> bytes:
    """What the original calls the resource of its own process, as the end of a logfmt line."""
    return f' service="Logary Rutta" hostname={socket.gethostname()} version={VERSION}\n'.encode()
