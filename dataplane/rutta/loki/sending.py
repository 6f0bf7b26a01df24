"""One send: a stream, or a few, a request; what becomes of each event.

A request of one stream, because Loki's ingester (3.7) tells what it ignored of the last stream of a request only: it
answers 204 when that one was well, whatever it left out of the others. Streams are independent, so a few requests are
under way at once, and one that Loki takes too fast does not hold the others back.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rutta.errors import Reject, Retry
from rutta.loki import refusals
from rutta.loki.requests import Entry, Writer, cut
from rutta.loki.streams import Stream
from rutta.message import Batch
from rutta.net import http_client
from rutta.net.http_client import Answer, Client
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.targets import Outcome

_AT_ONCE: Final = 4  # requests under way
_SEARCH: Final = 200  # requests to find with what Loki refuses without naming it, in one send
# Loki's own limit is 100 MB, but its ingesters take 4 MiB by gRPC, and a tenant 6 MB at once (ingestion_burst_size_mb).
_LARGEST: Final = 2 * 2**20
_TOO_LARGE: Final = ("larger than max", "too large than max", "message size too large", "request body too large")
_BLOCKED: Final = 260  # a success by its number only: nothing was taken


class Limited(Retry):
    """Loki takes no more of this stream at the moment; of others it may."""


class Sending:
    """What is known of one send."""

    def __init__(self, client: Client, url: str, writer: Writer, headers: Mapping[str, str]) -> None:
        """``headers`` are those of each request beside the writer's."""
        self._client = client
        self._url = url
        self._writer = writer
        self._headers = {**writer.headers, **headers}
        self._left = _SEARCH
        self._away: Retry | None = None

    async def run(self, batches: Sequence[Batch], entries: Sequence[Entry], *, streams: int) -> Outcome:
        """Send all entries, ``streams`` of them a request. ``Retry`` if none of them was settled."""
        self._entries = entries
        self._tally = Tally(batches)
        todo = deque(_groups(entries, streams))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(_AT_ONCE, len(todo))):
                tasks.create_task(self._work(todo))
        outcome = self._tally.outcome()
        if entries and len(outcome.retry) == len(entries):
            raise Retry(outcome.retry[0].reason, after=outcome.after)
        return outcome

    async def _work(self, todo: deque[Sequence[int]]) -> None:
        """Take groups until there are none; when Loki is away the rest is not tried."""
        while todo:
            numbers = todo.popleft()
            try:
                if self._away is not None:
                    raise self._away
                await deliver(self._tally, self._post, only=numbers)
            except Retry as exc:
                self._tally.retry(numbers, str(exc), exc.after)
                self._away = self._away if isinstance(exc, Limited) else exc
            except Reject as exc:
                self._tally.reject(numbers, str(exc))

    async def _post(self, numbers: Sequence[int]) -> Sequence[Sequence[int]]:
        pieces = cut(numbers, self._entries, _LARGEST)
        if len(pieces) > 1:
            return pieces
        several = [self._entries[number] for number in numbers]
        body, encoding = await self._writer.body(several)
        headers = {**self._headers, **encoding}
        answer = await self._client.request("POST", self._url, body, headers=headers, limit=2**22)
        if answer.status == 204 or (answer.is_success and answer.status != _BLOCKED):
            return ()
        self._refused(answer, several, numbers)
        return ()

    def _refused(self, answer: Answer, several: Sequence[Entry], numbers: Sequence[int]) -> None:
        """Note what Loki ignored, or raise what its answer means for the whole request."""
        text = answer.body.decode(errors="replace").strip()
        if answer.status in (400, 429):
            if not answer.complete:
                raise Retry(f"{self._words(answer)} The answer broke off; equal entries are one to Loki.")
            found = refusals.read(text, several)
            if found is not None:
                self._note(answer, found, numbers)
                return
        if answer.status == _BLOCKED or "ingestion blocked for user" in text:
            self._count(answer)
            raise Retry(self._words(answer))
        if "this feature is disallowed" in text:
            self._count(answer)
            raise Retry(f"{self._words(answer)} Or set structuredMetadata to [].")
        if any(one in text for one in _TOO_LARGE):
            self._count(answer)
            raise TooLarge(self._words(answer))
        self._whole(answer, text, len(numbers))

    def _whole(self, answer: Answer, text: str, count: int) -> None:
        try:
            self._client.check(self._url, answer)
        except TooLarge:
            raise
        except Retry as exc:
            if answer.status == 429 and "stream" in text:
                raise Limited(str(exc), after=exc.after) from exc
            raise
        except Reject as exc:
            if count == 1 or self._left <= 0:
                raise
            self._left -= 2
            raise TooLarge(str(exc)) from exc  # cut in halves: one entry may be to blame for all

    def _note(self, answer: Answer, found: Sequence[refusals.Ignored], numbers: Sequence[int]) -> None:
        self._count(answer)
        for places, reason, again in found:
            own = [numbers[place] for place in places]
            words = f"Loki did not take the entry: {self._client.hide(reason)[:300]}"
            if again:
                self._tally.retry(own, words, http_client.retry_after(answer.headers))
            else:
                self._tally.reject(own, words)

    def _count(self, answer: Answer) -> None:
        self._client.failures[str(answer.status)] += 1

    def _words(self, answer: Answer) -> str:
        return f"{self._url} answered {answer.status}{self._client.quote(answer.body)}."


def _groups(entries: Sequence[Entry], streams: int) -> Iterator[Sequence[int]]:
    """Yield the numbers of a request's entries, those of each stream in order of time."""
    found: dict[Stream, list[int]] = {}
    for number, entry in enumerate(entries):
        if entry.stream in found:
            found[entry.stream].append(number)
        else:
            found[entry.stream] = [number]
    own = [sorted(numbers, key=lambda number: entries[number].time) for numbers in found.values()]
    for at in range(0, len(own), streams):
        yield [number for numbers in own[at : at + streams] for number in numbers]
