"""Which events go to which targets, decided a batch at a time. Without routes all goes to all and costs nothing."""

import fnmatch
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from rutta.config import Match, Route
from rutta.events.event import LEVEL_WORDS
from rutta.message import NOTHING, Batch, Columns

Mask = list[bool]
Test = Callable[[Batch], Mask]


class Routes:
    """Routes compiled for a set of targets."""

    def __init__(self, routes: Sequence[Route], targets: Sequence[str]) -> None:
        """``targets`` are all targets' names; routes may name only these."""
        self.columns: Columns = NOTHING.union(*(columns_of(route.match) for route in routes))
        self._targets = tuple(targets)
        self._routes = [(tests_of(route.match), frozenset(route.targets)) for route in routes]

    def __bool__(self) -> bool:
        """Whether there is anything to decide."""
        return bool(self._routes)

    def split(self, batch: Batch) -> dict[str, Batch | None]:
        """Return for each target the part of the batch it gets; None for nothing. Same parts are the same batch."""
        masks = [(self._mask(tests, batch), targets) for tests, targets in self._routes]
        parts: dict[frozenset[int], Batch | None] = {}
        return {
            target: self._part(batch, [mask for mask, targets in masks if target in targets], parts)
            for target in self._targets
        }

    def _mask(self, tests: Sequence[Test], batch: Batch) -> Mask | None:
        """None: everything fits."""
        masks = [test(batch) for test in tests]
        if not masks:
            return None
        return masks[0] if len(masks) == 1 else [all(row) for row in zip(*masks, strict=True)]

    def _part(
        self, batch: Batch, masks: Sequence[Mask | None], parts: dict[frozenset[int], Batch | None]
    ) -> Batch | None:
        if None in masks:
            return batch
        fitting = [mask for mask in masks if mask is not None]
        if not fitting:
            return None
        key = frozenset(map(id, fitting))
        if key not in parts:
            merged = fitting[0] if len(fitting) == 1 else [any(row) for row in zip(*fitting, strict=True)]
            rows = [row for row, fits in enumerate(merged) if fits]
            parts[key] = batch if len(rows) == len(batch) else batch.take(rows) if rows else None
        return parts[key]


def columns_of(match: Match) -> Columns:
    """What a match reads of an event."""
    wanted = {f"fields.{key}" for key in match.fields}
    wanted |= {"level"} if match.min_level else set()
    wanted |= {"name"} if match.name is not None else set()
    wanted |= {"kind"} if match.kind else set()
    return frozenset(wanted)


def tests_of(match: Match) -> list[Test]:
    """Compile a match into tests of whole batches; all must hold."""
    tests: list[Test] = []
    if match.min_level:
        tests.append(functools.partial(_at_least, LEVEL_WORDS.index(match.min_level)))
    if match.name is not None:
        tests.append(functools.partial(_named, re.compile(fnmatch.translate(match.name)).match))
    if match.kind:
        tests.append(functools.partial(_equal, "kind", match.kind))
    tests += [functools.partial(_equal, f"fields.{key}", value) for key, value in match.fields.items()]
    return tests


def _at_least(level: int, batch: Batch) -> Mask:
    return [found is not None and found >= level for found in batch.rows.column("level")]


def _named(fits: Callable[[str], Any], batch: Batch) -> Mask:
    """Names repeat: each different one of a batch is matched once."""
    names = batch.rows.column("name")
    known = {name: name is not None and fits(name) is not None for name in set(names)}
    return [known[name] for name in names]


def _equal(column: str, value: object, batch: Batch) -> Mask:
    # True == 1 in Python, but not to a user.
    return [
        found == value and isinstance(found, bool) is isinstance(value, bool) for found in batch.rows.column(column)
    ]
