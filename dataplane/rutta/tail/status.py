"""What a reader of files says of itself on ``/status``."""

from collections.abc import Mapping
from typing import Any, Final

from rutta.tail.catalogue import Catalogue
from rutta.tail.reading import Reader

SHOWN: Final = 100  # files that are shown: those that are furthest behind


def status(catalogue: Catalogue, reader: Reader, problem: str, now: float) -> Mapping[str, Any]:
    """Say how many files there are, how far behind they are, what was lost or held back; ``now``: of the wall clock."""
    files, limited = list(catalogue.files.values()), reader.limited
    for one in catalogue.awake.values():
        one.look(now)
    behind = [(one.behind(now), one) for one in files if not one.is_copy]
    behind.sort(key=lambda pair: -pair[0][0])
    return {
        "count": len(files),
        "open": sum(one.is_open for one in files),
        "behindBytes": sum(size for (size, _), _ in behind),
        "behindSeconds": round(max((seconds for (_, seconds), _ in behind), default=0.0), 3),
        "abandonedBytes": catalogue.register.abandoned,
        "cutShort": catalogue.rotation.cuts,
        "limited": {"waits": limited["waits"], "droppedLines": limited["lines"], "droppedBytes": limited["bytes"]},
        "stateProblem": problem,
        "files": [one.status() for _, one in behind[:SHOWN]],
    }
