"""Source ``file``: the lines that are appended to files, as ``tail -F`` shows them, through rotation and restarts.

Files are found by glob; ``tail`` reads them and knows them again. With ``state`` it goes on after a restart where all
was done; without, it begins where ``startAt`` says.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from rutta.listeners import Intake
from rutta.net import framing
from rutta.settings import Duration, Size, default
from rutta.tail.checkpoints import Checkpoints
from rutta.tail.globs import Globs
from rutta.tail.reading import Manner
from rutta.tail.shaping import Frames, Lines, Shaper
from rutta.tail.tail import Tail

Over = Literal["Wait", "Drop"]


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of a file source."""

    paths: Annotated[
        list[Annotated[str, Meta(min_length=1)]],
        Meta(min_length=1, description="files to follow; globs, ** for any depth"),
    ]
    exclude: Annotated[list[str], Meta(description="globs of files to leave out")] = []
    start_at: Annotated[
        Literal["End", "Beginning"],
        Meta(description="where to begin in files that are there at the first start; later ones: at the beginning"),
    ] = "End"
    state: Annotated[
        str | None, Meta(description="folder that keeps how far files are done; absent: every start is the first")
    ] = None
    codec: Annotated[str, Meta(description="what the lines are: auto, json, plain, syslog, log4jxml, binary")] = "auto"
    strict: Annotated[bool, Meta(description="check every event against the schema")] = False
    max_line_bytes: Annotated[Size, Meta(description="longer lines are dropped and counted")] = default(Size, "1Mi")
    poll_interval: Annotated[
        Duration, Meta(description="how often to look for new lines; up to 1s when reading takes 2 % of the time")
    ] = default(Duration, "250ms")
    max_bytes_per_second: Annotated[Size, Meta(description="of each file; 0: no bound")] = default(Size, "0")
    over_rate: Annotated[Over, Meta(description="above it: Wait, or Drop lines, counted")] = "Wait"


def make(config: Config, name: str) -> "Files":
    """Build the source."""
    return Files(config, name)


class Files:
    """The reader of files, with what is found by glob."""

    def __init__(self, config: Config, name: str) -> None:
        """Touch nothing yet."""
        self.config = config
        manner = Manner(
            limit=config.max_line_bytes,
            poll=config.poll_interval,
            from_end=config.start_at == "End",
            rate=config.max_bytes_per_second,
            over=config.over_rate,
            last_look=True,
        )
        self.tail = Tail(
            Globs(config.paths, config.exclude),
            partial(_shaper, config),
            manner,
            checkpoints=None if config.state is None else Checkpoints(config.state, name),
        )

    async def bind(self) -> Sequence[str]:
        """Find the files that are there, and mark where to begin; return the globs. ConfigError for ``state``."""
        self.tail.bind()
        return self.config.paths

    async def serve(self, intake: Intake) -> None:
        """Follow the files until ``stop``. What a last line lacks of its newline then is not read."""
        await self.tail.serve(intake)

    def stop(self) -> None:
        """Make ``serve`` return."""
        self.tail.stop()

    def status(self) -> Mapping[str, Any]:
        """Which files are followed, how far, and how much of them is not read yet."""
        return {"paths": self.config.paths, **self.tail.status()}


_LINES: Final = framing.LINES


def _shaper(config: Config, path: str, live: str, refuse: Callable[[str, int], None]) -> Shaper:
    context = {"file": live}
    if config.codec in _LINES:
        return Lines(context, refuse, config.max_line_bytes)
    return Frames(context, refuse, framing.for_codec(config.codec, max_bytes=config.max_line_bytes))
