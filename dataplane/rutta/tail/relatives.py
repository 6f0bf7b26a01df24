"""The other generations of a log: what stands beside it under a related name."""

import bisect
import operator
import os
from collections.abc import Iterator
from typing import Final

from rutta.tail import generations
from rutta.tail.fingerprint import Key
from rutta.tail.folders import Folders, Inside

_name: Final = operator.attrgetter("name")


class Relatives:
    """Looks them up in folders. A log is named by its path; what is returned are names in its folder."""

    def __init__(self, folders: Folders) -> None:
        """Look at nothing yet."""
        self._folders = folders

    def older(self, live: str) -> list[str]:
        """Return the older generations of a log, oldest first; names that tell no order are left out."""
        folder, name = os.path.split(live)
        return generations.oldest_first((one.name for one in _related(self._folders.inside(folder), name)), name)

    def all_now(self, live: str) -> list[str]:
        """Return whatever may be a generation or a copy of a log at this moment, newest first."""
        folder, name = os.path.split(live)
        related = [one.name for one in _related(self._folders.inside_now(folder), name)]
        ordered = generations.oldest_first(related, name)
        return [*reversed(ordered), *(one for one in related if one not in ordered)]

    def keys(self, live: str) -> Iterator[Key]:
        """Return who they are."""
        folder, name = os.path.split(live)
        return (one.key for one in _related(self._folders.inside(folder), name))

    def name_of(self, folder: str, key: Key) -> str | None:
        """Return what a file is called in a folder now; None if it is not there."""
        return next((one.name for one in self._folders.inside(folder) if one.key == key), None)


def _related(inside: tuple[Inside, ...], live: str) -> Iterator[Inside]:
    """Look only where names begin alike: a folder, which is in order of names, may have thousands of logs."""
    stem = generations.stem(live)
    for at in range(bisect.bisect_left(inside, stem, key=_name), len(inside)):
        one = inside[at]
        if not one.name.startswith(stem):
            return
        if generations.is_related(one.name, live):
            yield one
