"""Join lines that belong together: stack traces of Python, Java, Go and .NET, or what follows a start pattern.

A rule says of each line, in order, whether it goes on what came before. It keeps a little state, no lines.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol

# Lines that go on whatever came before: frames (all four indent them), causes, the glue between two traces.
_FOLLOWS: Final = re.compile(
    rb"[ \t]+\S|Caused by: |Suppressed: |Traceback \(most recent call last\):|--- End of |created by "
)
_PYTHON: Final = b"Traceback (most recent call last):"
_PYTHON_GLUE: Final = re.compile(
    rb"During handling of the above exception|The above exception was the direct cause|Traceback \(most recent"
)
_GO: Final = re.compile(rb"panic: |fatal error: |goroutine \d+ ")
_GO_FRAME: Final = re.compile(
    rb"\r?\n?$|goroutine \d+ |\[signal |exit status \d|[\w./*()\-\[\]{}]+\(.*\)\r?\n?$|\s|created by "
)


class Rule(Protocol):
    """Tells continuations; one per stream."""

    def continues(self, line: bytes) -> bool:
        """Whether a line belongs to the one before."""


class StartPattern:
    """An event begins with a line that has the pattern; all others go on."""

    def __init__(self, pattern: "re.Pattern[bytes]") -> None:
        """The pattern is searched for, so anchor it to mean the beginning."""
        self._starts = pattern.search

    def continues(self, line: bytes) -> bool:
        """Whether a line has no start in it."""
        return self._starts(line) is None


class Traces:
    """Stack traces; the line before the first frame (the message) is part of them."""

    def __init__(self) -> None:
        """Outside of any trace."""
        self._step: Callable[[bytes], bool] = self._outside

    def continues(self, line: bytes) -> bool:
        """Whether a line is part of the trace before it."""
        return self._step(line)

    def _outside(self, line: bytes) -> bool:
        if line.startswith(_PYTHON):
            self._step = self._python
            return True
        if _GO.match(line):
            self._step = self._go
            return False
        return _FOLLOWS.match(line) is not None

    def _python(self, line: bytes) -> bool:
        """Between ``Traceback`` and the line that names the exception, which is not indented."""
        if not line[:1].isspace() or not line.strip():
            self._step = self._after_python
        return True

    def _after_python(self, line: bytes) -> bool:
        """Another trace may follow after a blank line, or an indented rest of the message."""
        if not line.strip():
            self._step = self._blank_after_python
            return True
        self._step = self._outside
        return self._outside(line)

    def _blank_after_python(self, line: bytes) -> bool:
        if not line.strip():
            return True
        if _PYTHON_GLUE.match(line):
            self._step = self._python if line.startswith(_PYTHON) else self._after_python
            return True
        self._step = self._outside
        return self._outside(line)

    def _go(self, line: bytes) -> bool:
        if _GO_FRAME.match(line):
            return True
        self._step = self._outside
        return self._outside(line)
