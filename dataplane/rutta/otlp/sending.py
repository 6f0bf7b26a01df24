"""One send: up to three signals' requests, and what becomes of each event.

Metrics go first: an event whose gauges are to be sent again is held back whole, so no log record or span goes twice.
A gauge that does go twice is the same point of the same series.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from rutta.errors import Reject, Retry
from rutta.message import Batch
from rutta.net.splitting import Tally, TooLarge, deliver
from rutta.otlp.exchange import Exchange, Refused
from rutta.otlp.requests import METRICS, Record, Signal, partial_success, request
from rutta.otlp.sorting import Records, Sorted
from rutta.targets import Lost, Outcome

_SEARCH: Final = 200  # requests to find refused events with, in one send


class Sending:
    """What is known of one send."""

    def __init__(self, exchange: Exchange, batches: Sequence[Batch], found: Sorted) -> None:
        """``found`` are the records of the batches' events."""
        self._exchange = exchange
        self._batches = batches
        self._found = found
        self._left = _SEARCH
        self.warning = ""

    async def run(self) -> Outcome:
        """Send all signals; the failure of one does not hold the others back."""
        whole = Tally(self._batches)
        for number, word in self._found.left.items():
            whole.reject([number], f"The event is of {word}, which is not among signals.")
        again: dict[tuple[int, int], Lost] = {}
        rejected: list[Lost] = list(whole.outcome().rejected)
        riders = {whole.place(number) for number in self._found.riders}
        after: float | None = None
        for signal, records in self._found.records.items():
            numbers = [number for number in records if not again or whole.place(number) not in again]
            outcome = await self._send(signal, records, numbers)
            again |= {(one.batch, one.row): one for one in outcome.retry}
            rejected += [one for one in outcome.rejected if signal is not METRICS or (one.batch, one.row) not in riders]
            after = max(filter(None, (after, outcome.after)), default=None)
        return Outcome(retry=tuple(again.values()), rejected=tuple(rejected), after=after)

    async def _send(self, signal: Signal, records: Records, numbers: Sequence[int]) -> Outcome:
        tally = Tally(self._batches)
        try:
            return await deliver(tally, partial(self._post, signal, records, tally), only=numbers)
        except Retry as exc:
            tally.retry(numbers, str(exc), exc.after)
        except Reject as exc:
            tally.reject(numbers, str(exc))
        return tally.outcome()

    async def _post(
        self, signal: Signal, records: Records, tally: Tally, numbers: Sequence[int]
    ) -> Sequence[Sequence[int]]:
        several: list[Record] = [records[number] for number in numbers]
        try:
            answer = await self._exchange.export(signal, request(several))
        except Refused as exc:
            if len(numbers) == 1 or self._left <= 0:
                raise
            self._left -= 2
            raise TooLarge(str(exc)) from exc  # cut in halves: one event may be to blame for all
        said = partial_success(answer)
        if said.rejected:
            self._exchange.failures["rejected"] += said.rejected
            own = [number for number in numbers if signal is not METRICS or number not in self._found.riders]
            tally.reject(own[max(0, len(own) - said.rejected) :], self._words(signal, said.rejected, said.message))
        elif said.message:
            self._exchange.failures["warning"] += 1
            self.warning = self._exchange.hide(said.message)[:200]
        return ()

    def _words(self, signal: Signal, count: int, message: str) -> str:
        text = self._exchange.hide(message)[:200] or "no reason given"
        return f"The server refused {count} {signal.records} of a request, it does not say which: {text}"
