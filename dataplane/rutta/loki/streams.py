"""Streams of Loki: a set of labels, as Loki writes it.

https://grafana.com/docs/loki/latest/get-started/labels/: each set of values is a stream with chunks of its own, so
labels are few and of few values. Limits by default: 15 names of a stream, names of 1024 bytes, values of 2048.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from rutta.events import flat

SERVICE: Final = "service_name"  # Loki derives this one itself ("unknown_service") where it is missing
_LONGEST: Final = 1024  # bytes of a value; the line has it whole
_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
_MOST: Final = 4096  # streams remembered
_encode: Final = msgspec.json.Encoder().encode


def name_of(key: str) -> str:
    """Make a label name of any key: letters, digits and ``_``, no digit first; ``a.b-c`` is ``a_b_c``.

    A name of nothing but ``_`` fails the whole request (500), so such a key is written in hex: ``é`` is ``key_c3a9``.
    """
    name = _NO_NAME.sub("_", key)
    if not name.strip("_"):
        return f"key_{key.encode(errors='replace').hex()}"
    return f"_{name}" if name[0].isdigit() else name


class Stream:
    """One set of labels. ``text`` is Loki's notation, ``object`` JSON's."""

    __slots__ = ("object", "text")

    def __init__(self, labels: Mapping[str, str]) -> None:
        """Write the labels in order of their names; a value is quoted as in Go, of which JSON's way is a part."""
        ordered = dict(sorted(labels.items()))
        self.object = _encode(ordered)
        self.text = "{" + ", ".join(f"{name}={_encode(value).decode()}" for name, value in ordered.items()) + "}"


class Streams:
    """The streams of a target, each made once."""

    def __init__(self, names: Sequence[str], *, fixed: Mapping[str, str], service: str) -> None:
        """``names`` are those of the values that ``of`` takes; ``fixed`` labels are on all, ``service`` if none is."""
        self._names = tuple(names)
        self._fixed = {SERVICE: service, **fixed}
        self._known: dict[tuple[Any, ...], Stream] = {}

    def of(self, values: tuple[Any, ...]) -> Stream:
        """Return the stream of these values; null and the empty text are no label."""
        try:
            found = self._known.get(values)
        except TypeError:  # a list or object
            return self.of(tuple(None if value is None else flat.shown(value) for value in values))
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            named = zip(self._names, values, strict=True)
            own = {name: _short(flat.shown(value)) for name, value in named if value not in (None, "")}
            found = self._known[values] = Stream({**self._fixed, **own})
        return found


def _short(value: str) -> str:
    return value if len(value) * 4 <= _LONGEST else value.encode(errors="replace")[:_LONGEST].decode(errors="ignore")
