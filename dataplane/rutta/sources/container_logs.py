"""Source ``containerLogs``: the logs of all containers of a node, with what Kubernetes knows of them.

Whose a log is stands in its path, so nothing else is needed. Where a service account's token is mounted, one watch adds
labels, annotations, images and owners; it may be away.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from rutta.containers.multiline import StartPattern, Traces
from rutta.containers.places import Place, PodLogs, place_of
from rutta.containers.pods import Pod, Pods
from rutta.containers.selection import CODEC, MULTILINE, Choice, Contexts, Selection, node_name
from rutta.containers.shaper import ContainerLines, Settings
from rutta.errors import ConfigError
from rutta.listeners import Intake
from rutta.settings import Duration, Size, default
from rutta.tail.checkpoints import Checkpoints
from rutta.tail.reading import Manner
from rutta.tail.shaping import Shaper
from rutta.tail.tail import Tail

log = logging.getLogger("rutta.containers")

RESCAN: Final = 10.0  # seconds between looks at everything, where the kernel tells what changes
CODECS: Final = ("auto", "json", "plain")
START: Final = 30.0  # seconds that a start waits for an API server that cannot be reached, as on a node that boots
HOLD: Final = 2.0  # seconds that a new pod waits to be known, while the watch works


class Multiline(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which lines make one event."""

    traces: Annotated[bool, Meta(description="join stack traces of Python, Java, Go and .NET")] = False
    start: Annotated[str | None, Meta(description="regular expression of an event's first line; others go on")] = None
    patience: Annotated[Duration, Meta(description="how long to wait for a continuation")] = default(Duration, "1s")

    def __post_init__(self) -> None:
        """Check what one field alone does not tell."""
        if self.start is not None:
            _pattern(self.start)
            if self.traces:
                raise ValueError("multiline has either traces or start")


class Config(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Settings of container logs."""

    path: Annotated[str, Meta(description="where the kubelet keeps logs")] = "/var/log/pods"
    state: Annotated[str, Meta(description="folder that keeps how far logs are done")] = "/var/lib/rutta"
    start_at: Annotated[Literal["End", "Beginning"], Meta(description="where to begin at the first start")] = (
        "Beginning"
    )
    include: Annotated[Selection, Meta(description="only what fits all that is given")] = Selection()
    exclude: Annotated[Selection, Meta(description="not what fits any that is given")] = Selection()
    own_logs: Annotated[bool, Meta(description="ship the logs of other pods of Rutta, too")] = False
    labels: Annotated[list[str], Meta(description="pods' labels to add; globs")] = field(default_factory=lambda: ["*"])
    annotations: Annotated[list[str], Meta(description="pods' annotations to add; globs")] = []
    codec: Annotated[
        Literal["auto", "json", "plain"], Meta(description="what the lines are; a pod's annotation wins")
    ] = "auto"
    multiline: Annotated[Multiline, Meta(description="join lines")] = Multiline()
    max_line_bytes: Annotated[Size, Meta(description="longer lines are dropped and counted")] = default(Size, "1Mi")
    poll_interval: Annotated[
        Duration, Meta(description="how often to look for new lines; up to 1s when reading takes 2 % of the time")
    ] = default(Duration, "250ms")
    max_bytes_per_second: Annotated[Size, Meta(description="of each container; 0: no bound")] = default(Size, "0")
    over_rate: Annotated[Literal["Wait", "Drop"], Meta(description="above it: Wait, or Drop lines, counted")] = "Wait"


def _pattern(text: str) -> "re.Pattern[bytes]":
    try:
        return re.compile(text.encode())
    except re.error as exc:
        raise ValueError(f"{text!r} is no regular expression: {exc}") from exc


def _say_bug(watching: "asyncio.Task[None]") -> None:
    if not watching.cancelled() and (exc := watching.exception()) is not None:
        log.error(
            "The watch of pods met a bug; labels stay as they are: %r",
            exc,
            exc_info=exc,
            extra={"event": "pods_watch_bug"},
        )


def make(config: Config, name: str) -> "ContainerLogs":
    """Build the source."""
    return ContainerLogs(config, name)


class ContainerLogs:
    """The reader of files, with what is known of containers."""

    def __init__(self, config: Config, name: str, *, environment: Mapping[str, str] = os.environ) -> None:
        """Touch nothing yet."""
        self.config = config
        self.off = Pods.why_not(environment=environment)
        self.pods = None if self.off else Pods(environment["NODE_NAME"], self._changed)
        self.contexts = Contexts(
            self.pods, node=node_name(environment), labels=config.labels, annotations=config.annotations
        )
        self._choice = Choice(config.include, config.exclude, own=config.own_logs, environment=environment)
        self._first_seen: dict[str, float] = {}
        self._stopped = asyncio.Event()
        manner = Manner(
            limit=config.max_line_bytes,
            poll=config.poll_interval,
            from_end=config.start_at == "End",
            rate=config.max_bytes_per_second,
            over=config.over_rate,
            rescan=RESCAN,
        )
        self.tail = Tail(
            PodLogs(config.path, self._wants), self._shaper, manner, checkpoints=Checkpoints(config.state, name)
        )

    async def bind(self) -> Sequence[str]:
        """Check what can be checked without reading; return where logs are looked for. ConfigError."""
        if self.off and (self.config.include.labels or self.config.exclude.labels):
            raise ConfigError(f"containerLogs cannot select by labels: {self.off}; set serviceAccountName")
        self.tail.bind()
        return [self.config.path]

    async def serve(self, intake: Intake) -> None:
        """Ship until ``stop``."""
        watching = None if self.pods is None else asyncio.ensure_future(self.pods.run())
        if watching is not None:
            watching.add_done_callback(_say_bug)
        try:
            await self._until_known(watching)
            await self.tail.serve(intake)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait({watching})

    async def _until_known(self, watching: "asyncio.Future[None] | None") -> None:
        """Wait for the pods that are there, not for ever, so that what is read first has everything."""
        if self.pods is None or watching is None:
            return
        waits: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(self.pods.told.wait()),
            asyncio.ensure_future(self._stopped.wait()),
        }
        try:
            await asyncio.wait({*waits, watching}, timeout=START, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def stop(self) -> None:
        """Make ``serve`` return."""
        self._stopped.set()
        self.tail.stop()

    def status(self) -> Mapping[str, Any]:
        """How far everything is read, and whether pods' labels are known."""
        pods = self.pods
        metadata = {"on": False, "why": self.off} if pods is None else {
            "on": True, "synced": pods.is_synced, "pods": len(pods), "watches": pods.watches,
            "problem": pods.problem, "missing": self.contexts.missing,
        }  # fmt: skip
        return {"path": self.config.path, "metadata": metadata, **self.tail.status()}

    # --- what the reader asks ---------------------------------------------------------------------------------

    def _changed(self, uid: str) -> None:
        self.contexts.forget(uid)
        self.tail.look_again()

    def _wants(self, place: Place) -> bool:
        """Whether to read a container now; a new pod is waited for a moment, for its first lines are to have all."""
        pod = None if self.pods is None else self.pods.get(place.uid)
        if self.pods is not None and pod is None and self._is_early(place.uid):
            return False
        return self._choice.takes(place, pod)

    def _is_early(self, uid: str) -> bool:
        now = time.monotonic()
        first = self._first_seen.get(uid)
        if first is None:
            self._forget_old()
            first = self._first_seen[uid] = now
            asyncio.get_running_loop().call_later(HOLD, self.tail.look_again)
        return now - first < HOLD and not (self.pods is not None and self.pods.problem)

    def _forget_old(self) -> None:
        """Keep what is known of pods as long as their logs are there."""
        uids = {place.uid for one in self.tail.catalogue.files.values() if (place := place_of(one.live)) is not None}
        long_ago = time.monotonic() - 10 * HOLD
        self._first_seen = {uid: at for uid, at in self._first_seen.items() if uid in uids or at > long_ago}
        self.contexts.keep(uids)
        if self.pods is not None:
            self.pods.forget(uids)

    def _shaper(self, path: str, live: str, refuse: Callable[[str, int], None]) -> Shaper:
        place = place_of(live)
        assert place is not None  # noqa: S101 - nothing else is found
        pod = None if self.pods is None else self.pods.get(place.uid)
        return ContainerLines(self._settings(pod), partial(self.contexts.get, place), refuse)

    def _settings(self, pod: Pod | None) -> Settings:
        """Return how a container's lines are read: as the source says, or as its pod's annotations do."""
        config, notes = self.config, {} if pod is None else pod.metadata.annotations
        codec = notes.get(CODEC, config.codec)
        if codec not in CODECS:
            codec = config.codec
        start = notes.get(MULTILINE, config.multiline.start)
        rule: Callable[[], Any] | None = Traces if config.multiline.traces else None
        if start:
            try:
                rule = partial(StartPattern, _pattern(start))
            except ValueError:
                rule = None
        return Settings(config.max_line_bytes, codec, codec != config.codec, rule, float(config.multiline.patience))
