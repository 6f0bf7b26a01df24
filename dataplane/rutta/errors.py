"""The five errors of the data plane, and who may catch which.

    RuttaError
    ├── ConfigError   what a user wrote cannot work; caught in ``__main__`` and by a reload
    ├── DecodeError   one input is not what its codec expects; caught by the codec's caller, counted
    ├── Retry         a target did not take a batch, a later try may; caught by ``delivery``
    └── Reject        a target will never take a batch; caught by ``delivery``

Anything else is a bug of the component that raised it.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing wrong with a configuration: where (``targets[0].file.path``) and what."""

    path: str
    message: str

    def __str__(self) -> str:
        """Say it in one line, as users read it."""
        return f"{self.path}: {self.message}" if self.path else self.message


class RuttaError(Exception):
    """The root of all errors that Rutta raises on purpose."""


class ConfigError(RuttaError):
    """A configuration that cannot work; carries every problem found, not only the first."""

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        """Take the problems, or one sentence that belongs to no path."""
        self.problems: tuple[Problem, ...] = (Problem("", problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class DecodeError(RuttaError):
    """An input that its codec cannot read. ``word`` is from a closed list (metrics label)."""

    def __init__(self, message: str, *, word: str = "malformed") -> None:
        """Say in ``message`` what is wrong; ``word`` is one of ``message.ERROR_WORDS``."""
        super().__init__(message)
        self.word = word


class Retry(RuttaError):
    """None of the batches was taken; try again, not before ``after`` seconds when given."""

    def __init__(self, message: str, *, after: float | None = None) -> None:
        """``after`` is what the other side asked for (``Retry-After``), in seconds."""
        super().__init__(message)
        self.after = after


class Reject(RuttaError):
    """None of the batches will ever be taken; they are dropped and counted."""
