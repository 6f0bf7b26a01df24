"""The older generations of a log file, by their names: ``app.log`` → ``app.log.1``, ``app.log-20261122.gz``.

Pure. Dates in names (kubelet, logrotate's ``dateext``) grow with time, numbers shrink.
"""

import os
import re
from collections.abc import Iterable, Sequence
from typing import Final

_SUFFIX: Final = re.compile(r"[.\-_](\d[\d.\-_T:]*?)Z?(?:\.log)?(?:\.gz)?")
_DATE: Final = 8  # digits, from which on a number is a date


def stem(live: str) -> str:
    """Return what the names of all relatives begin with."""
    return live.removesuffix(".log")


def is_related(name: str, live: str) -> bool:
    """Whether a file may be an older generation, or a copy, of the file that is called ``live``."""
    if name == live or name.endswith(".tmp"):
        return False
    return name.startswith((live + ".", live + "-", live + "_")) or _suffix(name, live) is not None


def oldest_first(names: Iterable[str], live: str) -> list[str]:
    """Put the older generations of a file in order; names that tell no order are left out."""
    found = [(age, name) for name in names if (age := _age(name, live)) is not None]
    return [name for _, name in sorted(found)]


def newer(names: Sequence[str], than: str | None) -> list[str]:
    """Return what comes after a name; all if it is not among them."""
    return list(names[names.index(than) + 1 :] if than in names else names)


def _suffix(name: str, live: str) -> str | None:
    for start in (live, stem(live)):
        if name.startswith(start) and (match := _SUFFIX.fullmatch(name[len(start) :])) is not None:
            return match[1]
    return None


def age(path: str, live: str) -> tuple[int, int] | None:
    """Return what sorts the generations of a log from old to new, by paths; None if a name tells no order."""
    return _age(os.path.basename(path), os.path.basename(live))


def _age(name: str, live: str) -> tuple[int, int] | None:
    """Return what sorts from old to new."""
    suffix = _suffix(name, live)
    if suffix is None:
        return None
    digits = re.sub(r"\D", "", suffix)
    return (1, int(digits[:20].ljust(20, "0"))) if len(digits) >= _DATE else (0, -int(digits))
