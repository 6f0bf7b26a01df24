"""What the kernel tells of folders and files (inotify): that something came or went, that an idle file is written to.

Where there is no inotify, or no watch left (``fs.inotify.max_user_watches``), the reader looks by itself.
"""

import errno
import logging
from collections.abc import Callable
from typing import Any, Final

log = logging.getLogger("rutta.tail")

# <sys/inotify.h>
_MODIFY: Final = 0x2
_FOLDER: Final = 0x010003C0 | 0x400  # created, moved, deleted inside; itself deleted; only if it is a folder
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONCE: Final = 0x80000000
_LIMITS: Final = (errno.EMFILE, errno.ENOSPC, errno.ENOMEM)


class Watcher:
    """One inotify instance. ``folders`` and ``files`` hold what changed; whoever deals with it takes it out."""

    def __init__(self, inotify: Any) -> None:
        """Owns the instance."""
        self.folders: set[str] = set()
        self.files: set[str] = set()
        self.missed = False  # the kernel's queue was full: anything may have changed
        self._inotify = inotify
        self._paths: dict[int, tuple[str, bool]] = {}  # number → path, and whether it is a folder
        self._folders: dict[str, int] = {}
        self._is_short = False  # the system gives no more watches

    @property
    def descriptor(self) -> int:
        """Readable when there is news."""
        return int(self._inotify.fileno())

    def folder(self, path: str) -> bool:
        """Watch who comes and goes in a folder; False if that cannot be had."""
        if path not in self._folders:
            number = self._add(path, _FOLDER)
            if number is None:
                return False
            self._folders[path] = number
            self._paths[number] = path, True
        return True

    def file(self, path: str) -> bool:
        """Tell once when a file is written to; False if that cannot be had."""
        number = self._add(path, _MODIFY | _ONCE)
        if number is not None:
            self._paths[number] = path, False
        return number is not None

    def _add(self, path: str, mask: int) -> int | None:
        try:
            return int(self._inotify.add_watch(path, mask))
        except OSError as exc:
            if exc.errno in _LIMITS and not self._is_short:
                self._is_short = True
                log.warning(
                    "The system gives no more watches (%s), so some files are looked at every second instead; "
                    "raise fs.inotify.max_user_watches.",
                    exc.strerror,
                    extra={"event": "watches_used_up"},
                )
            return None

    def take(self) -> None:
        """Read the news."""
        for number, mask, _, _ in self._inotify.read(timeout=0):
            if mask & _OVERFLOW:
                self.missed = True
            path, is_folder = self._paths.get(number, ("", False))
            if path:
                (self.folders if is_folder else self.files).add(path)
            if path and mask & _IGNORED:  # it is gone, or was told once
                del self._paths[number]
                if is_folder:
                    self._folders.pop(path, None)

    def leave(self, folder: str) -> None:
        """Watch a folder no more."""
        number = self._folders.pop(folder, None)
        if number is not None:
            self._paths.pop(number, None)
            try:
                self._inotify.rm_watch(number)
            except OSError:
                return  # it was gone already

    def close(self) -> None:
        """End it."""
        self._inotify.close()


def watcher() -> Watcher | None:
    """Make a watcher; None where there is no inotify."""
    try:
        from inotify_simple import INotify

        return Watcher(INotify(nonblocking=True))
    except (ImportError, AttributeError, OSError) as exc:  # another system than Linux, or no instance left
        log.warning(
            "There is no inotify (%s); new files are looked for every second.", exc, extra={"event": "no_inotify"}
        )
        return None


Make = Callable[[], Watcher | None]
