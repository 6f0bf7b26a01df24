"""Write the tables of settings into the pages of this folder, from the types that read the settings.

    python docs/generate.py            write them
    python docs/generate.py --check    say which pages are not as the types are; exit code 1 if any

A table stands between two comments, the first of which names the struct: ``<!-- settings targets file -->`` for a
component, ``<!-- settings rutta.target_settings TargetSettings -->`` for any other; ``<!-- end of settings -->``.
``reference`` has those of the three kinds.
"""

import argparse
import importlib
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
import reference
from msgspec import Meta, Struct

from rutta import components
from rutta.settings import Duration, Secret, Size, enc_hook

FOLDER: Final = Path(__file__).resolve().parent
_TABLE: Final = re.compile(r"(<!-- settings (\S+) (\S+) -->\n).*?(<!-- end of settings -->)", re.DOTALL)
_WORDS: Final = {
    str: "text", int: "number", float: "number", bool: "true or false", Duration: "duration", Size: "size",
    Secret: "secret", type(None): "null",
}  # fmt: skip


def render(page: str) -> str:
    """Return the page with its tables as the types are now."""
    page = reference.FIELDS.sub(lambda found: f"{found[1]}\n{reference.table(found[2])}\n{found[3]}", page)
    return _TABLE.sub(lambda found: f"{found[1]}\n{table(struct_of(found[2], found[3]))}\n{found[4]}", page)


def struct_of(kind: str, name: str) -> type[Struct]:
    """Find the struct that a comment names."""
    if kind in components.KINDS:
        return components.config_of(kind, name)
    found: type[Struct] = getattr(importlib.import_module(kind), name)
    return found


def table(struct: type[Struct]) -> str:
    """Write one table, the keys of inner structs dotted."""
    rows = [f"| `{key}` | {kind} | {default} | {text} |" for key, kind, default, text in lines(struct, "")]
    if not rows:
        return "It has no settings of its own.\n"
    return "\n".join(["| setting | type | default | what it does |", "|---|---|---|---|", *rows]) + "\n"


def lines(struct: type[Struct], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, type, default and text of each setting."""
    for field in msgspec.structs.fields(struct):
        key = prefix + field.encode_name
        inner = next((one for one in parts(field.type) if isinstance(one, type) and issubclass(one, Struct)), None)
        if inner is not None and get_origin(bare(field.type)) not in (list, tuple, dict):
            yield from lines(inner, f"{key}.")
        else:
            yield key, kind_of(field.type), default_of(field), description(field.type).replace("|", "\\|")


def bare(kind: Any) -> Any:
    """Take off ``Annotated`` and an optional's ``None``."""
    if get_origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    rest = [one for one in get_args(kind) if one is not type(None)]
    return bare(rest[0]) if get_origin(kind) in (Union, types.UnionType) and len(rest) == 1 else kind


def parts(kind: Any) -> list[Any]:
    """The alternatives of a type."""
    kind = bare(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return [part for one in get_args(kind) for part in parts(one)]
    return [kind]


def kind_of(kind: Any) -> str:
    """Say what to write, in a user's words."""
    return " or ".join(_kind(one) for one in parts(kind))


def _kind(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    if origin in (list, tuple):
        return f"list of {kind_of(get_args(kind)[0])}"
    if origin is dict:
        return f"map of {kind_of(get_args(kind)[1])}"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def description(kind: Any) -> str:
    """The text of a setting."""
    if get_origin(kind) is not Annotated:
        return ""
    inner, *notes = get_args(kind)
    texts = [note.description for note in notes if isinstance(note, Meta) and note.description]
    return texts[-1] if texts else description(inner)


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Write a default as a user would."""
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None or value == () or value == [] or value == {}:
        return ""
    if isinstance(value, Size):
        return f"`{size(value)}`"
    plain = msgspec.to_builtins(value, enc_hook=enc_hook)
    if isinstance(plain, list):
        return ", ".join(f"`{one}`" for one in plain)
    return f"`{str(plain).lower() if isinstance(plain, bool) else plain}`"


def size(value: int) -> str:
    """Write a size with the largest suffix that leaves a whole number."""
    for suffix, factor in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if value and value % factor == 0:
            return f"{value // factor}{suffix}"
    return str(int(value))


def main(arguments: list[str] | None = None, *, folder: Path = FOLDER) -> int:
    """Write or check all pages; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the tables of settings into the pages of docs/.")
    parser.add_argument("--check", action="store_true", help="only say which pages are not as the types are")
    is_check = parser.parse_args(arguments).check
    stale = []
    for path in sorted(folder.rglob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = render(before)
        if after != before:
            stale.append(path.relative_to(folder))
            if not is_check:
                path.write_text(after, encoding="utf-8")
    for page in stale:
        print(f"docs/{page}: {'not as the types are; run make docs' if is_check else 'written'}")
    return 1 if stale and is_check else 0


if __name__ == "__main__":
    sys.exit(main())
