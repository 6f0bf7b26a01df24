"""Quiet files: closed, and woken when the kernel says that they were written to, or a look finds that they were."""

from collections.abc import Iterator

from rutta.tail.followed import Followed
from rutta.tail.register import Register
from rutta.tail.watch import Watcher


class Sleepers:
    """The files that sleep, by path."""

    def __init__(self, register: Register, watcher: Watcher | None) -> None:
        """Without a watcher they are looked at in turns."""
        self.is_blind = watcher is None  # not every file that sleeps could be watched
        self._register = register
        self._watcher = watcher
        self._files: dict[str, Followed] = {}

    def put(self, one: Followed) -> None:
        """Close a file, unless something of it is held, or it has grown just now."""
        if (
            one.shaper.is_holding
            or one.lost_at is not None
            or one.is_ended
            or self._register.files.get(one.key) is not one
        ):
            return
        if self._watcher is None or not self._watcher.file(one.path):
            self.is_blind = True
        if one.has_grown():
            return
        one.close()
        del self._register.awake[one.key]
        self._files[one.path] = one

    def told(self) -> Iterator[Followed]:
        """Wake those that the kernel told of; give them to be read."""
        while self._watcher is not None and self._watcher.files:
            one = self._files.pop(self._watcher.files.pop(), None)
            if one is not None and self._register.wake(one):
                yield one

    def grown(self) -> Iterator[Followed]:
        """Look at all; wake those that have grown or moved, and give them."""
        for path, one in list(self._files.items()):
            if one.lost_at is not None or one.has_grown():
                del self._files[path]
                if self._register.wake(one):
                    yield one
