"""Whether a new file is a copy of one that is followed: beside it, by a related name, with the same beginning."""

import os
from collections.abc import Iterable
from typing import Final

from rutta.tail import generations
from rutta.tail.fingerprint import Head, head_of
from rutta.tail.followed import Followed

COPY_FROM: Final = 64  # bytes of a beginning that a copy must share at least


class Originals:
    """The followed files by their beginnings, so that thousands of new files are not compared with thousands each."""

    def __init__(self, files: Iterable[Followed]) -> None:
        """Take the files as they begin now; good for one look."""
        self._by_head: dict[Head, list[Followed]] = {}
        self._sizes: set[int] = set()
        for one in files:
            self.add(one)

    def add(self, one: Followed) -> None:
        """Take one more."""
        if one.head.size >= COPY_FROM:
            self._sizes.add(one.head.size)
            self._by_head.setdefault(one.head, []).append(one)

    def has(self, one: Followed) -> bool:
        """Whether a file, which must be open, is a copy of one of them."""
        first = one.first()
        return any(
            _may_be_copy(one, other)
            for size in self._sizes
            if size <= len(first)
            for other in self._by_head.get(head_of(first[:size]), ())
        )


def _may_be_copy(one: Followed, other: Followed) -> bool:
    folder, name = os.path.split(one.path)
    other_folder, other_name = os.path.split(other.path)
    return other is not one and other_folder == folder and generations.is_related(name, other_name)
