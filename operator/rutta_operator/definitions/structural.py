"""JSON schemas → the structural schemas that a CustomResourceDefinition is made of. Pure.

Rules: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
There are no references, and no ``anyOf`` between types: numbers or text are ``x-kubernetes-int-or-string``, what else
has several types stays open (``x-kubernetes-preserve-unknown-fields``) and is checked by the operator. ``null`` needs
no word: the API server takes it for "not there". Every byte counts, for a CRD should be small (``crds``).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rutta_operator.spec.checking import PATTERNS, Schema

Structural = dict[str, Any]

OPEN: Final = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_KEPT: Final = (
    "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "minProperties",
    "maxProperties",
)  # fmt: skip
_FORMATS: Final[Mapping[str, Structural]] = {
    **{form: {"pattern": pattern} for form, pattern in PATTERNS.items()},
    "quantity": {"pattern": PATTERNS["quantity"], "maxLength": 32},  # rules compare them, and must know their cost
    "port": {"minimum": 1, "maximum": 65535},
}


def structural(schema: Schema, definitions: Mapping[str, Schema] | None = None, *, tell: bool = False) -> Structural:
    """Return the structural schema of ``schema``, whose references are to ``definitions``.

    Defaults become the API server's, or with ``tell`` words of the description only.
    """
    return _Maker(definitions or {}, tell).make(schema)


class _Maker:
    """What one schema and all inside it have in common."""

    def __init__(self, definitions: Mapping[str, Schema], tell: bool) -> None:
        self._definitions, self._tell = definitions, tell

    def make(self, schema: Schema) -> Structural:
        schema = self._flat(schema)
        made = _type(schema)
        made |= {key: schema[key] for key in _KEPT if key in schema and key not in made}
        made |= _exclusive(schema)
        if made.get("type") == "object":
            made |= self._object(schema)
        if made.get("type") == "array":
            made["items"] = self.make(schema.get("items", {}))
        if text := self._text(schema):
            made = {"description": text, **made}
        default = _without_nulls(schema.get("default"))
        if default not in (None, [], {}) and not self._tell:
            made["default"] = default
        return made

    def _flat(self, schema: Schema) -> Schema:
        """Follow references and take ``null`` out of an anyOf; what stands beside a reference wins."""
        while True:
            if "$ref" in schema:
                inner: Schema = self._definitions[schema["$ref"].rpartition("/")[2]]
            elif len(options := _options(schema)) == 1:
                inner = options[0]
            else:
                return schema
            schema = {**inner, **{key: one for key, one in schema.items() if key not in ("$ref", "anyOf")}}

    def _object(self, schema: Schema) -> Structural:
        made: Structural = {}
        if schema.get("required"):
            made["required"] = list(schema["required"])
        if schema.get("properties"):
            made["properties"] = {key: self.make(one) for key, one in schema["properties"].items()}
        elif isinstance(schema.get("additionalProperties"), Mapping):
            made["additionalProperties"] = self.make(schema["additionalProperties"])
        elif schema.get("additionalProperties", True):
            made[OPEN] = True
        return made

    def _text(self, schema: Schema) -> str:
        text = str(schema.get("description", "")).replace("``", "").replace("`", "")
        default = schema.get("default")
        is_told = self._tell or not isinstance(default, list)
        if default in (None, [], {}, False) or isinstance(default, Mapping) or not is_told:
            return text
        return f"{text} (default {said(default, schema)})"


def _without_nulls(value: Any) -> Any:
    """Return a default without what is empty, which says nothing."""
    if isinstance(value, Mapping):
        found = {key: _without_nulls(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one not in (None, [], {})}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def said(default: object, schema: Schema) -> str:
    """Write a default as a user would."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Sequence) and not isinstance(default, str):
        return ", ".join(map(str, default))
    return size(default) if isinstance(default, int) and schema.get("format") == "size" else str(default)


def size(value: int) -> str:
    """Write a size with the largest suffix that leaves a whole number."""
    for suffix, factor in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if value and value % factor == 0:
            return f"{value // factor}{suffix}"
    return str(value)


def _options(schema: Schema) -> list[Schema]:
    return [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]


def _type(schema: Schema) -> Structural:
    """Return the type, and what our formats say of a value."""
    rest = _FORMATS.get(schema.get("format", ""), {})
    types = sorted(_types(schema))
    if types == ["integer", "string"]:
        return {INT_OR_STRING: True, "minimum": schema.get("minimum", 0), **rest}
    if len(types) != 1:
        return {OPEN: True}
    return {"type": types[0], **rest}


def _types(schema: Schema) -> set[str]:
    if options := _options(schema):
        return {one for option in options for one in _types(option)}
    if "type" in schema:
        return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    words = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
    return {"string"} if words and all(isinstance(one, str) for one in words) else set()


def _exclusive(schema: Schema) -> Structural:
    """Return open bounds as OpenAPI 3.0 writes them, and a constant as an enum of one."""
    made: Structural = {"enum": [schema["const"]]} if "const" in schema else {}
    for side in ("Minimum", "Maximum"):
        if f"exclusive{side}" in schema:
            made |= {side.lower(): schema[f"exclusive{side}"], f"exclusive{side}": True}
    if schema.get("uniqueItems"):
        made["x-kubernetes-list-type"] = "set"
    return made
