"""What a user of ``ruttactl up`` sees: every process's output with a coloured prefix, and what we say ourselves.

What processes write to stdout (console targets) goes to ours as it is; their logs, and our own words, go to stderr.
With ``--output json`` stdout belongs to the lines that tell of processes, so everything else goes to stderr.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Final, TextIO

_COLOURS: Final = (36, 35, 34, 32, 33, 96, 95, 94, 92, 93)  # ANSI foregrounds that read on dark and on light
_LEVELS: Final = {"warn": 33, "error": 31, "fatal": 31}
_OURS: Final = "ruttactl"


def coloured(stream: TextIO) -> bool:
    """Tell whether a stream takes colours: a terminal, and no NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Screen:
    """Writes lines; a reader that went away (a closed pipe) is told once to ``on_closed``."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool = False) -> None:
        """Lines go to ``out`` and ``err``, which stay their owner's."""
        self._json = as_json
        self._out, self._err = out, err
        self._colours = {id(stream): coloured(stream) for stream in (out, err)}
        self._labels: dict[str, int] = {_OURS: 0}
        self._width = len(_OURS)
        self._closed: set[int] = set()
        self.on_closed: Callable[[], None] = lambda: None

    @property
    def text(self) -> TextIO:
        """Where text for people goes: stdout, or stderr if stdout is for programs."""
        return self._err if self._json else self._out

    def expect(self, labels: Iterable[str]) -> None:
        """Give every label its colour, and all prefixes the width of the longest."""
        for label in labels:
            self._labels.setdefault(label, _COLOURS[(len(self._labels) - 1) % len(_COLOURS)])
        self._width = max(map(len, self._labels))

    def say(self, message: str) -> None:
        """Say something of our own."""
        for line in message.splitlines():
            self._write(self._err, self._prefix(self._err, _OURS) + line.encode() + b"\n")

    def show(self, text: str) -> None:
        """Show text for people, as it is."""
        self._write(self.text, text.encode())

    def fact(self, value: Any) -> None:
        """Tell a program something: one line of JSON on stdout."""
        self._write(self._out, json.dumps(value).encode() + b"\n")

    def output(self, label: str, lines: Iterable[bytes]) -> None:
        """Show lines of a process's stdout as they are."""
        prefix = self._prefix(self.text, label)
        self._write(self.text, b"".join([prefix + line + b"\n" for line in lines]))

    def log(self, label: str, line: bytes, told: dict[str, Any] | None) -> None:
        """Show a line of a process's log; ``told`` is what it says, if it is one of ours."""
        text = line if told is None else self._pretty(told).encode()
        self._write(self._err, self._prefix(self._err, label) + text + b"\n")

    def _pretty(self, told: dict[str, Any]) -> str:
        rest = {
            key: value for key, value in told.items() if key not in ("ts", "level", "event", "message", "traceback")
        }
        level, clock = str(told.get("level", "")), str(told.get("ts", ""))[11:19]
        fields = " ".join(f"{key}={_plain(value)}" for key, value in rest.items())
        text = _printable(f"{told.get('message', '')}  {fields}".rstrip())
        trace = "".join("\n    " + _printable(line) for line in str(told.get("traceback", "")).splitlines())
        return f"{clock} {self._paint(self._err, f'{level:<5}', _LEVELS.get(level, 0))} {text}{trace}"

    def _prefix(self, stream: TextIO, label: str) -> bytes:
        return (self._paint(stream, f"{label:<{self._width}} │", self._labels.get(label, 0)) + " ").encode()

    def _paint(self, stream: TextIO, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._colours[id(stream)] else text

    def _write(self, stream: TextIO, data: bytes) -> None:
        if id(stream) in self._closed:
            return
        try:
            stream.flush()  # what was printed to the text layer before stands before this
            _binary(stream).write(data)
            _binary(stream).flush()
        except (BrokenPipeError, ConnectionResetError):
            self._closed.add(id(stream))
            self.on_closed()


def _binary(stream: TextIO) -> BinaryIO:
    return stream.buffer


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if " " in text and isinstance(value, str) else text


def _printable(text: str) -> str:
    """Escape what could steer a terminal: a log may quote what a stranger sent."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    )
