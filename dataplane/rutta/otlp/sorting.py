"""Events to the records of the three signals: which kind goes where.

Kind gauge and histogram are metrics, spans are traces, everything else (and a gauge that measures a text) is a log
record. Gauges that ride on any other event become metrics too, and stay attributes of its log record or span.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from rutta.events.event import LEVEL_WORDS, Event
from rutta.events.numbering import Numbering
from rutta.otlp import logs, metrics, spans
from rutta.otlp.metrics import Point
from rutta.otlp.requests import LOGS, METRICS, TRACES, Record, Signal, Word
from rutta.otlp.resources import Resources, Split
from rutta.rows import columns

_AT_ONCE: Final = 500  # events encoded before others have their turn: about 5 ms
Records = dict[int, Record]


class Rules(NamedTuple):
    """What is configurable."""

    signals: frozenset[Word]
    resource: Mapping[str, str]
    gauge_attributes: Sequence[str]
    numbering: Numbering
    temporality: str


class Sorted(NamedTuple):
    """The records of one send by the numbers of their events.

    ``riders`` have metrics that are not all of them; ``left`` are those whose signal is not sent, with its word.
    """

    records: Mapping[Signal, Records]
    riders: set[int]
    left: dict[int, Word]


class Sorter:
    """Remembers contexts from one send to the next."""

    def __init__(self, rules: Rules) -> None:
        """Nothing is known at first."""
        self._rules = rules
        self._resources = Resources(rules.resource)

    async def sort(self, events: Sequence[Event]) -> Sorted:
        """Encode all events; others of the loop have their turn in between."""
        found = Sorted({METRICS: {}, TRACES: {}, LOGS: {}}, set(), {})
        for at in range(0, len(events), _AT_ONCE):
            for number, event in enumerate(events[at : at + _AT_ONCE], at):
                self._sort(number, event, found)
            await asyncio.sleep(0)
        return found

    def _sort(self, number: int, event: Event, found: Sorted) -> None:
        split = self._resources.split(event.context)
        signal = _SIGNALS.get(event.kind, LOGS)
        if signal is METRICS and event.kind == "gauge" and not metrics.is_number(event):
            signal = LOGS
        if signal.word not in self._rules.signals:
            found.left[number] = signal.word
        elif signal is LOGS:
            found.records[LOGS][number] = Record(split.resource, event.name, logs.record(event, split))
        elif signal is TRACES:
            written = spans.span(event, split, self._rules.numbering)
            found.records[TRACES][number] = Record(split.resource, event.name, written)
        else:
            found.records[METRICS][number] = Record(split.resource, "", self._points(event, split))
        if event.gauges and signal is not METRICS and number not in found.left:
            self._ride(number, event, split, found)

    def _points(self, event: Event, split: Split) -> list[Point]:
        if event.kind == "gauge":
            return metrics.gauge(event, split)
        return metrics.histogram(event, split, self._rules.temporality)

    def _ride(self, number: int, event: Event, split: Split, found: Sorted) -> None:
        if "Metrics" not in self._rules.signals:
            return
        named = [(name.partition(".")[2] or name, _part(event, name)) for name in self._rules.gauge_attributes]
        points = metrics.gauges(event, [(name, value) for name, value in named if value is not None])
        if points:
            found.records[METRICS][number] = Record(split.resource, event.name, points)
            found.riders.add(number)


_SIGNALS: Final[Mapping[str, Signal]] = {"gauge": METRICS, "histogram": METRICS, "span": TRACES}


def _part(event: Event, name: str) -> Any:
    found = columns.column_of(event, name)
    return LEVEL_WORDS[event.level] if name == "level" else found
