"""The JSON schema of the config file: what ``rutta schema`` prints, and what CRDs and checks of resources are made of.

``$defs`` has each component under ``KIND.NAME`` (``targets.influxdb``), free of references, and the common keys of
targets under ``target``, of routes under ``route``.
"""

import json
from collections.abc import Mapping
from typing import Any

from rutta import components
from rutta.config import Process, Route
from rutta.settings import Secret, schema
from rutta.target_settings import TargetSettings

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def document() -> dict[str, Any]:
    """Return the schema; all components must be importable."""
    definitions: dict[str, Any] = {
        f"{kind}.{name}": inlined(components.config_of(kind, name))
        for kind in ("listeners", "sources", "targets")
        for name in components.names(kind)
    }
    for shape in definitions.values():
        if "codec" in shape["properties"] and "enum" not in shape["properties"]["codec"]:
            shape["properties"]["codec"]["enum"] = list(components.names("codecs"))
    definitions["target"] = inlined(TargetSettings)
    definitions["route"] = inlined(Route)
    process = inlined(Process)
    process["properties"] |= {
        "listeners": _list("what a router or proxy listens on", _members(("listeners",))),
        "sources": _list("what a shipper ships", _members(("listeners", "sources"))),
        "targets": _list("where events go", _members(("targets",), common=definitions["target"]["properties"])),
    }
    return {"$schema": DRAFT, "title": "Rutta's config file", **process, "$defs": definitions}


def text() -> str:
    """Return the schema as JSON, the same bytes for the same components."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def inlined(kind: type[Any]) -> dict[str, Any]:
    """Return the schema of a settings struct without references."""
    whole = schema(kind)
    definitions = whole.get("$defs", {})
    found: dict[str, Any] = _inline({key: value for key, value in whole.items() if key != "$defs"}, definitions)
    found.pop("title", None)
    return found


def _inline(value: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        if "$ref" in value:
            target = definitions[value["$ref"].rpartition("/")[2]]
            rest = {key: one for key, one in value.items() if key != "$ref"}
            merged = {**_inline(target, definitions), **_inline(rest, definitions)}
            merged.pop("title", None)
            return merged
        return {key: _inline(one, definitions) for key, one in value.items()}
    if isinstance(value, list | tuple):  # defaults are what JSON has
        return [_inline(one, definitions) for one in value]
    return value


def _list(description: str, items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "description": description, "items": items}


def _members(kinds: tuple[str, ...], *, common: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An entry: a name, what all have in common, and exactly one component."""
    names = [(kind, name) for kind in kinds for name in components.names(kind)]
    properties: dict[str, Any] = {"name": {"type": "string"}, **(common or {})}
    properties |= {name: {"$ref": f"#/$defs/{kind}.{name}"} for kind, name in names}
    choices = [{"required": [name]} for _, name in names]
    if common is not None:
        properties["uri"] = {**schema(Secret), "description": "the original's target URI; a secret when it holds one"}
        choices.append({"required": ["uri"]})
    return {"type": "object", "properties": properties, "oneOf": choices, "additionalProperties": False}
