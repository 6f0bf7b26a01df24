"""Check a value against a JSON schema and say what is wrong in a user's words.

Covers what our schemas are made of (``KEYWORDS``; a test holds them to it), without references. Our own formats come
first: a ``port`` that is out of range is "not a port", whatever else the schema says of it.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from rutta_operator.spec.problems import Path, Problem, choice, unknown, written

Schema = Mapping[str, Any]

KEYWORDS: Final = frozenset({
    "type", "format", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items", "minItems",
    "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "minProperties", "maxProperties", "uniqueItems",
})  # fmt: skip
NOTES: Final = frozenset({"description", "default", "title", "examples", "$comment"})  # say nothing about validity

_TYPES: Final[Mapping[str, tuple[str, type | tuple[type, ...]]]] = {
    "string": ("a text", str),
    "integer": ("a whole number", int),
    "number": ("a number", (int, float)),
    "boolean": ("true or false", bool),
    "array": ("a list", list),
    "object": ("a mapping", dict),
    "null": ("null", type(None)),
}
# What our formats look like; RE2, the engine of the API server, reads them as Python does.
PATTERNS: Final[Mapping[str, str]] = {
    "duration": r"^((\d+(\.\d+)?([nuµm]?s|[mhd]))+|\d+(\.\d+)?)$",
    "size": r"^\d+(\.\d+)?([KMGT]i|[kMGT])?B?$",
    # https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    "quantity": r"^\d+(\.\d+)?([eE][-+]?\d+|[KMGTPE]i|[numkMGTPE])?$",
    "share": r"^([1-9][0-9]?|100)%$",
}
# https://kubernetes.io/docs/concepts/configuration/secret/: names of Secrets (DNS subdomains), keys in their data.
SECRET_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"  # noqa: S105 - a pattern
SECRET_KEY: Final = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"  # noqa: S105 - a pattern


def check(schema: Schema, value: Any, path: Path) -> Iterator[Problem]:
    """Yield every problem of ``value``, depth first."""
    form = _FORMATS.get(schema.get("format", ""))
    if form is not None:
        text = form(value)
        if text:
            yield Problem(path, text)
        return
    if "anyOf" in schema:
        yield from _any_of(schema["anyOf"], value, path)
        return
    text = _wrong_type(schema, value) or _wrong_value(schema, value)
    if text:
        yield Problem(path, text)
    elif isinstance(value, dict):
        yield from _object(schema, value, path)
    elif isinstance(value, list):
        yield from _list(schema, value, path)


def _any_of(options: list[Schema], value: Any, path: Path) -> Iterator[Problem]:
    """Report against the option that was probably meant: the one of the value's type."""
    outcomes = [(option, list(check(option, value, path))) for option in options]
    if not all(problems for _, problems in outcomes):
        return
    meant = [problems for option, problems in outcomes if not _wrong_type(option, value)]
    some = [problems for option, problems in outcomes if option.get("type") != "null"]
    if meant:
        yield from meant[0]
    elif len(some) == 1:
        yield from some[0]
    else:
        words = dict.fromkeys(one for option in options for one in _type_words(option))
        yield Problem(path, f"{written(value)} is not {' or '.join(words)}")


def _of_type(word: str, value: object) -> bool:
    if isinstance(value, bool):
        return word == "boolean"
    return isinstance(value, _TYPES[word][1])


def _types(schema: Schema) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _type_words(schema: Schema) -> list[str]:
    return [_TYPES[word][0] for word in _types(schema)] + [written(one) for one in schema.get("enum", ())]


def _wrong_type(schema: Schema, value: object) -> str:
    types = _types(schema)
    if not types or any(_of_type(word, value) for word in types):
        return ""
    return not_a(" or ".join(_TYPES[word][0] for word in types), value)


def not_a(what: str, value: object) -> str:
    """Say that a value is not ``what``; a number where a text belongs usually lacks its quotes."""
    quotes = "; put it in quotes" if what == "a text" and isinstance(value, int | float) else ""
    return f"{written(value)} is not {what}{quotes}"


def _wrong_value(schema: Schema, value: Any) -> str:
    words = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if words is not None and not any(type(word) is type(value) and word == value for word in words):
        return choice(value, map(str, words))
    if isinstance(value, str):
        return _wrong_text(schema, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _wrong_number(schema, value)
    return ""


def _wrong_text(schema: Schema, value: str) -> str:
    if len(value) < schema.get("minLength", 0):
        return "is empty" if not value else f"{written(value)} is shorter than {schema['minLength']} characters"
    if len(value) > schema.get("maxLength", len(value)):
        return f"{written(value)} is longer than {schema['maxLength']} characters"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{written(value)} does not match {schema['pattern']}"
    return ""


def _wrong_number(schema: Schema, value: float) -> str:
    if value < schema.get("minimum", value):
        return f"{value} is less than {schema['minimum']}"
    if value > schema.get("maximum", value):
        return f"{value} is more than {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return f"{value} is not more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        return f"{value} is not less than {schema['exclusiveMaximum']}"
    return ""


def _object(schema: Schema, value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for key, one in value.items():
        if key in properties:
            yield from check(properties[key], one, (*path, key))
        elif others is False:
            yield Problem((*path, key), unknown(key, properties))
        elif isinstance(others, Mapping):
            yield from check(others, one, (*path, key))
    for key in schema.get("required", ()):
        if key not in value:
            yield Problem((*path, key), "is required")
    if len(value) < schema.get("minProperties", 0):
        yield Problem(path, "is empty")
    if len(value) > schema.get("maxProperties", len(value)):
        yield Problem(path, f"has more than {schema['maxProperties']} keys")


def _list(schema: Schema, value: list[Any], path: Path) -> Iterator[Problem]:
    items = schema.get("items", {})
    for index, one in enumerate(value):
        yield from check(items, one, (*path, index))
    if len(value) < schema.get("minItems", 0):
        yield Problem(path, "is empty" if not value else f"has less than {schema['minItems']} items")
    if len(value) > schema.get("maxItems", len(value)):
        yield Problem(path, f"has more than {schema['maxItems']} items")
    if schema.get("uniqueItems") and any(one in value[:index] for index, one in enumerate(value)):
        yield Problem(path, "has an item twice")


def _fits(form: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(PATTERNS[form], value, re.ASCII) is not None


def wrong_port(value: object) -> str:
    """Say why a value is not a port; empty if it is one."""
    good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535
    return "" if good else f"{written(value)} is not a port (1–65535)"


def wrong_duration(value: object) -> str:
    """Say why a value is not a duration; empty if it is one."""
    good = _fits("duration", value)
    return "" if good else f"{written(value)} is not a duration; write it like 500ms, 10s, 5m or 1h30m"


def wrong_quantity(value: object) -> str:
    """Say why a value is not a Kubernetes quantity; empty if it is one."""
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    good = number or (_fits("quantity", value) and len(str(value)) <= 32)
    return "" if good else f"{written(value)} is not a quantity; write it like 500m, 2 or 256Mi"


def wrong_share(value: object) -> str:
    """Say why a value is not a number of pods, nor a percentage of them; empty if it is one."""
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    good = number or _fits("share", value)
    return "" if good else f"{written(value)} is not a number of pods; write it like 1 or 25%"


def _wrong_size(value: object) -> str:
    number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    good = number or _fits("size", value)
    return "" if good else f"{written(value)} is not a size; write it like 64Mi, 1Gi or 1048576"


def _wrong_secret(value: object) -> str:
    """The value is never shown: it may be the secret itself."""
    ref = value.get("secretKeyRef") if isinstance(value, dict) and len(value) == 1 else None
    if (
        not isinstance(ref, dict)
        or set(ref) != {"name", "key"}
        or not all(isinstance(one, str) for one in ref.values())
    ):
        return "is a secret; keep it in a Secret and write {secretKeyRef: {name: NAME, key: KEY}}"
    for part, pattern in (("name", SECRET_NAME), ("key", SECRET_KEY)):
        if not re.search(pattern, ref[part]):
            return f"{written(ref[part])} is not the {part} of a Secret" + ("'s value" if part == "key" else "")
    return ""


_FORMATS: Final = {
    "port": wrong_port,
    "duration": wrong_duration,
    "size": _wrong_size,
    "secretKeyRef": _wrong_secret,
}


_POWERS: Final[Mapping[str, Decimal]] = {
    **{unit: Decimal(10) ** (3 * power) for power, unit in enumerate("num", -3)},
    **{unit: Decimal(10) ** (3 * power) for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def amount(quantity: str | int) -> Decimal:
    """Return what a Kubernetes quantity that has passed its check comes to."""
    number, unit = re.fullmatch(r"(.*?)([a-zA-Z]*)", str(quantity)).groups()  # type: ignore[union-attr]
    return Decimal(number) * _POWERS[unit] if unit else Decimal(number)


_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: str) -> float:
    """Return the length of a duration that has passed its check; one without a unit is in seconds."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)", duration)
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else float(duration)
