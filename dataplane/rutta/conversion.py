"""From what a user wrote to settings: every problem at once, with its path, in a user's words."""

import difflib
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from rutta.errors import ConfigError, Problem
from rutta.settings import bare, dec_hook

_T = TypeVar("_T")


def unknown(key: str, known: Sequence[str]) -> str:
    """Say that a key is unknown, and name the nearest known one."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known)) or 'none'}"
    return f"unknown setting; {hint}"


def convert(value: object, kind: type[_T], *, path: str = "", strict: bool = True) -> _T:
    """Convert ``value`` to ``kind``; raise ``ConfigError`` with every problem and its path.

    ``strict=False`` reads numbers and booleans from strings (target URIs).
    """
    try:
        return msgspec.convert(value, kind, strict=strict, dec_hook=dec_hook)
    except msgspec.ValidationError:
        raise ConfigError(problems(value, kind, path=path, strict=strict)) from None


def problems(value: object, kind: Any, *, path: str, strict: bool = True) -> list[Problem]:
    """Collect what is wrong with ``value`` as a ``kind``, depth first; empty if nothing is."""
    core = bare(kind)
    if isinstance(core, type) and issubclass(core, Struct) and isinstance(value, Mapping):
        return _struct_problems(value, core, path=path, strict=strict)
    if get_origin(core) in (list, tuple, Sequence) and isinstance(value, list):
        item = get_args(core)[0]
        wrong = [
            found
            for index, one in enumerate(value)
            for found in problems(one, item, path=f"{path}[{index}]", strict=strict)
        ]
        if wrong:
            return wrong
    try:
        msgspec.convert(value, kind, strict=strict, dec_hook=dec_hook)
    except msgspec.ValidationError as exc:
        return [Problem(path, explain(value, kind, exc))]
    return []


def _struct_problems(value: Mapping[Any, Any], kind: type[Struct], *, path: str, strict: bool) -> list[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found: list[Problem] = []
    for key, one in value.items():
        here = f"{path}.{key}" if path else str(key)
        if key not in fields:
            if kind.__struct_config__.forbid_unknown_fields:
                found.append(Problem(here, unknown(str(key), list(fields))))
            continue
        found += problems(one, fields[key].type, path=here, strict=strict)
    found += [
        Problem(f"{path}.{name}" if path else name, "is required")
        for name, field in fields.items()
        if field.required and name not in value
    ]
    if not found:  # a rule between fields (``__post_init__``)
        try:
            msgspec.convert(value, kind, strict=strict, dec_hook=dec_hook)
        except msgspec.ValidationError as exc:
            found.append(Problem(path, _without_place(str(exc))))
    return found


def _metas(kind: Any) -> list[Meta]:
    if get_origin(kind) is Annotated:
        args = get_args(kind)
        return [one for one in args[1:] if isinstance(one, Meta)] + _metas(args[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [meta for one in get_args(kind) for meta in _metas(one)]
    return []


def explain(value: object, kind: Any, exc: Exception) -> str:
    """Say in a user's words why ``value`` is no ``kind``."""
    if any((meta.extra_json_schema or {}).get("format") == "port" for meta in _metas(kind)):
        return f"{value!r} is not a port (1–65535)"
    core = bare(kind)
    if get_origin(core) is Literal:
        words = [str(word) for word in get_args(core)]
        near = difflib.get_close_matches(str(value), words, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{value!r} is not one of {', '.join(words)}{hint}"
    text = _without_place(str(exc))
    return text if repr(value) in text else f"{text}, got {value!r}" if isinstance(value, int | float) else text


def _without_place(text: str) -> str:
    return text.split(" - at `$", 1)[0]
