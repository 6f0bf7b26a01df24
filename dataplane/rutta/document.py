"""The config file as plain data: read, and checked for what no setting may hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from rutta.errors import ConfigError, Problem

# What PyYAML lets through of values that their tag does not fit (2024-99-99, !!bool 7, an integer of 6000 digits).
_ODD: Final = (ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


def read(path: str | Path) -> dict[str, Any]:
    """Read YAML or JSON. ``ConfigError`` says what is wrong; whoever tells it says with which file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"the config file cannot be read: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise ConfigError(f"the config file is no text in UTF-8: {exc}") from exc
    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders
    except yaml.YAMLError as exc:
        raise ConfigError(f"the config file is not YAML or JSON: {_told(exc, text)}") from exc
    except _ODD as exc:
        raise ConfigError(f"the config file holds a value that cannot be read ({exc}); put text in quotes") from exc
    if not isinstance(document, dict):
        raise ConfigError("the config file must hold an object with listeners and targets")
    return document


def _told(exc: yaml.YAMLError, text: str) -> str:
    """Return one line of the several that PyYAML says."""
    if isinstance(exc, yaml.reader.ReaderError):  # libyaml counts bytes
        at = exc.position
        before = text.encode()[:at].decode(errors="ignore") if yaml.__with_libyaml__ else text[:at]
        return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}: {exc.reason}"
    if not isinstance(exc, yaml.MarkedYAMLError):
        return " ".join(str(exc).split())
    mark, what = exc.problem_mark or exc.context_mark, exc.problem or "it cannot be parsed"
    if exc.context and not exc.context.startswith("while "):  # half of the sentence
        what = f"{exc.context}, {what}"
    return f"line {mark.line + 1}, column {mark.column + 1}: {what}" if mark else what


def flaws(document: object, path: str = "") -> list[Problem]:
    """Find keys that are no text, characters that no setting may hold, and YAML that refers to itself."""
    return list(_flaws(document, path, set(), set()))


def _flaws(value: object, path: str, around: set[int], seen: set[int]) -> Iterator[Problem]:
    """``around`` are the containers this one is in; one of ``seen`` (a YAML alias) has been looked through."""
    if isinstance(value, str):
        yield from _of_text(value, path)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        yield Problem(path, "is an integer of more than 64 bits")
    if not isinstance(value, dict | list):
        return
    if id(value) in around:
        yield Problem(path, "refers to itself")
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    around.add(id(value))
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from _flaws(one, f"{path}[{index}]", around, seen)
    else:
        yield from _of_members(value, path, around, seen)
    around.discard(id(value))


def _of_members(value: dict[Any, Any], path: str, around: set[int], seen: set[int]) -> Iterator[Problem]:
    for key, one in value.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(key, str):
            yield from _of_text(key, path)
        else:
            yield Problem(here, "keys must be text; put it in quotes")
        yield from _flaws(one, here, around, seen)


def _of_text(text: str, path: str) -> Iterator[Problem]:
    if "\0" in text:
        yield Problem(path, "holds a NUL character")
    if any("\ud800" <= char <= "\udfff" for char in text):
        yield Problem(path, "holds half a character (a lone surrogate)")
