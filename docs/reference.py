"""Write the tables of the three kinds, from the CustomResourceDefinitions that are made of the models.

A table stands between ``<!-- fields WHAT -->`` and ``<!-- end of fields -->``. WHAT is a kind, for the fields of its
spec that are its own; ``common`` for those that all have; ``targets``, ``to`` or ``listeners`` for the keys of an
entry; ``listener`` or ``target`` for the settings of each; ``status``; ``rules`` for what is refused.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rutta_operator.definitions import cel, crds
from rutta_operator.definitions.structural import INT_OR_STRING, OPEN
from rutta_operator.spec import components
from rutta_operator.spec.checking import PATTERNS
from rutta_operator.spec.constraints import constraints
from rutta_operator.spec.models import KINDS, Common, Kind

Row = tuple[str, str, str, str]
FIELDS: Final = re.compile(r"(<!-- fields (\w+) -->\n).*?(<!-- end of fields -->)", re.DOTALL)
_COMMON: Final = frozenset(field.alias or name for name, field in Common.model_fields.items())
_DEFAULT: Final = re.compile(r" \(default (.+)\)$")
_FORMAT: Final = {pattern: name for name, pattern in PATTERNS.items()} | {
    PATTERNS["share"]: "number or percentage",
    PATTERNS["quantity"]: "quantity",
}
_TYPES: Final = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}


def table(what: str) -> str:
    """Return the Markdown that stands between two comments."""
    if what in KINDS:
        return _table(_own(what))  # type: ignore[arg-type]
    if what == "rules":
        return _rules()
    if what in ("listener", "target"):
        return _components("sources" if what == "listener" else "targets")
    if what == "status":
        return _table(_rows(crds.schema("RuttaRouter")["properties"]["status"], ""))
    if what == "common":
        spec = crds.schema("RuttaProxy")["properties"]["spec"]
        return _table(_rows(_only(spec, _COMMON), ""))
    return _table(_entry(what))


def _table(rows: Iterator[Row]) -> str:
    lines = [f"| `{key}` | {kind} | {default} | {text} |" for key, kind, default, text in rows]
    return "\n".join(["| field | type | default | what it is |", "|---|---|---|---|", *lines]) + "\n"


def _own(kind: Kind) -> Iterator[Row]:
    """A kind's own fields; what has a section of its own is one row."""
    spec = crds.schema(kind)["properties"]["spec"]
    lists = {"listeners", "sources", "targets", "to", "routes"}
    for row in _rows(_only(spec, frozenset(spec["properties"]) - _COMMON), ""):
        if row[0].partition("[")[0] not in lists or row[0] in lists:
            yield row


def _only(schema: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {**schema, "properties": {key: one for key, one in schema["properties"].items() if key in names}}


def _entry(section: str) -> Iterator[Row]:
    """The keys of a list's entries, but for the components."""
    kind: Kind = "RuttaShipper" if section == "to" else "RuttaRouter"
    items = crds.schema(kind)["properties"]["spec"]["properties"][section]["items"]
    found = components.names(section) if section in ("listeners", "targets") else ()  # type: ignore[arg-type]
    yield from _rows(_only(items, frozenset(items["properties"]) - set(found)), "")


def _rows(schema: Mapping[str, Any], prefix: str) -> Iterator[Row]:
    required = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        key = prefix + name
        inner = one.get("items", one) if one.get("type") == "array" else one
        deep = bool(inner.get("properties")) and "secretKeyRef" not in inner["properties"]
        if not deep or inner is not one:
            yield key, _kind(one), _default(one, is_required=name in required), _text(one)
        if deep:
            yield from _rows(inner, f"{key}." if inner is one else f"{key}[].")


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("type") == "array":
        inner = schema["items"]
        return (
            "list" if inner.get("properties") and "secretKeyRef" not in inner["properties"] else f"list: {_kind(inner)}"
        )
    if "secretKeyRef" in schema.get("properties", {}):
        return "`secretKeyRef`"
    if "additionalProperties" in schema:
        return f"map: {_kind(schema['additionalProperties'])}"
    if schema.get("pattern") in _FORMAT:
        return _FORMAT[schema["pattern"]]
    if schema.get(OPEN):
        return "mapping" if schema.get("type") == "object" else "any"
    return "number or text" if schema.get(INT_OR_STRING) else _TYPES.get(schema["type"], "mapping")


def _default(schema: Mapping[str, Any], *, is_required: bool) -> str:
    if is_required:
        return "required"
    told = _DEFAULT.search(schema.get("description", ""))
    if told:
        return f"`{told[1]}`"
    default = schema.get("default")
    if isinstance(default, list) and all(isinstance(one, str) for one in default):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{str(default).lower()}`" if isinstance(default, bool | int) else ""


def _text(schema: Mapping[str, Any]) -> str:
    return _DEFAULT.sub("", schema.get("description", "")).replace("|", "\\|")


def _components(section: str) -> str:
    kind: Kind = "RuttaShipper" if section == "sources" else "RuttaRouter"
    entry = crds.schema(kind)["properties"]["spec"]["properties"][section]["items"]["properties"]
    parts = []
    for name in components.names(section):  # type: ignore[arg-type]
        rows = [*_rows(entry[name], "")]
        parts.append(f"### {section.removesuffix('s')} {name}\n")
        parts.append(_table(iter(rows)) if rows else "It has no settings of its own.\n")
    return "\n".join(parts)


def _rules() -> str:
    by_message: dict[tuple[str, str], list[str]] = {}
    for rule in cel.rules():
        place = ".".join(rule.path).replace(".[]", "[]") + rule.field
        by_message.setdefault((place.lstrip("."), rule.message), []).extend(rule.kinds)
    for component, _, one in constraints("targets"):
        if one.one_of:  # the schema's own; the API server says it in its words
            by_message[f"spec.targets[].{component}", one.message] = ["RuttaRouter"]
    lines = [
        f"| `{place}` | {message.replace('|', chr(92) + '|')} | {_kinds(kinds)} |"
        for (place, message), kinds in by_message.items()
    ]
    return "\n".join(["| where | what is said | of |", "|---|---|---|", *lines]) + "\n"


def _kinds(kinds: list[Kind]) -> str:
    return "all" if len(set(kinds)) == len(KINDS) else ", ".join(one.removeprefix("Rutta") for one in kinds)
