"""What is wrong with one resource: its shape, its components' settings, and the rules between its fields.

Everything is found at once. What is refused here is refused by the API server too, when the resource is applied there:
the CRDs come from the same models, and ``cel`` has the rules of ``relations``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rutta_operator.spec import components, relations
from rutta_operator.spec.checking import not_a
from rutta_operator.spec.components import Section
from rutta_operator.spec.components import protocol as protocol
from rutta_operator.spec.models import API_VERSION, KINDS, SHAPES, Resource
from rutta_operator.spec.problems import Path, Problem, choice, unknown, written
from rutta_operator.spec.relations import entries

_OWN: Final[Mapping[Section, tuple[str, ...]]] = {
    "listeners": ("name", "servicePort", "hostPort"),
    "sources": ("name", "servicePort", "hostPort"),
    "targets": ("name", "uri", "uriFrom"),
}
_NOT_A: Final = {
    "int_type": "a whole number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def examine(document: Mapping[str, Any]) -> tuple[Resource | None, list[Problem]]:
    """Read one document of a known kind; with problems there is no resource."""
    found = _version(document) + _shape(document)
    spec = document.get("spec")
    if isinstance(spec, dict):
        found += [*_components(spec), *relations.problems(document, spec)]
        places = {one.path for one in found}
        # kubectl apply leaves a null out, kubectl apply --server-side has it refused: neither means it
        found += [Problem(path, "is null; leave it out") for path in _nulls(spec, ("spec",)) if path not in places]
    if found:
        return None, _without_doubles(found)
    return KINDS[document["kind"]].model_validate(document), []


def _version(document: Mapping[str, Any]) -> list[Problem]:
    version = document.get("apiVersion")
    right = version == API_VERSION or "apiVersion" not in document
    return [] if right else [Problem(("apiVersion",), f"{written(version)} is not {API_VERSION}")]


def _shape(document: Mapping[str, Any]) -> list[Problem]:
    """Return what the models find."""
    model = KINDS[document["kind"]]
    try:
        model.model_validate(document)
    except ValidationError as exc:
        return [_translate(one, model) for one in exc.errors(include_url=False)]
    return []


def _translate(error: ErrorDetails, model: Any) -> Problem:
    """Say one of pydantic's errors in a user's words."""
    path, kind, context = tuple(error["loc"]), error["type"], error.get("ctx", {})
    value: Any = error.get("input")
    text = error["msg"]
    if kind == "missing":
        text = "is required"
    elif kind == "extra_forbidden":
        text = unknown(str(path[-1]), _siblings(model, path))
    elif kind == "literal_error":
        text = choice(value, _words(context))
    elif kind == "value_error":
        text = str(context["error"])
    elif kind in _NOT_A:
        text = not_a(_NOT_A[kind], value)
    elif kind == "greater_than_equal":
        text = f"{value} is less than {context['ge']}"
    elif kind in ("too_short", "string_too_short"):
        text = "is empty"
    elif kind == "too_long":
        text = f"has {len(value)} entries; {context['max_length']} are the most"
    elif kind == "string_pattern_mismatch":
        text = f"{written(value)} is not a name: {SHAPES[context['pattern']]}"
    elif kind == "string_too_long":
        text = f"{written(value)} has {len(value)} characters; {context['max_length']} are the most"
    return Problem(path, text)


def _words(context: Mapping[str, Any]) -> list[str]:
    """Take the words out of pydantic's ``'A', 'B' or 'C'``."""
    return str(context["expected"]).replace(" or ", ", ").replace("'", "").split(", ")


def _siblings(model: Any, path: Path) -> list[str]:
    """Return the keys that the mapping around ``path`` may have, by walking the models."""
    here = model
    for step in path[:-1]:
        if isinstance(step, str):
            field = next((one for one in here.model_fields.values() if one.alias == step), None)
            here = _model_in(field.annotation) if field is not None else _model_in(here.model_fields[step].annotation)
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """Return the model that an annotation is, or is a list or an optional of."""
    if hasattr(annotation, "model_fields"):
        return annotation
    return next((found for one in getattr(annotation, "__args__", ()) if (found := _model_in(one)) is not None), None)


def _nulls(value: object, path: Path) -> Iterator[Path]:
    """Find every null, but where Kubernetes' own fields begin."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, one in value.items():
            if key not in ("podTemplate", "behavior"):
                yield from _nulls(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _nulls(one, (*path, index))


def _components(spec: Mapping[str, Any]) -> Iterator[Problem]:
    for section, own in _OWN.items():
        for path, entry in entries(spec, section):
            yield from components.problems(section, entry, path, own)
    for path, entry in entries(spec, "to"):
        known = ("kind", "name", "namespace", *components.common("targets"))
        yield from (Problem((*path, key), unknown(key, known)) for key in entry if key not in known)
        yield from components.common_problems("targets", entry, path)
    for path, route in entries(spec, "routes"):
        yield from components.route_problems(route, path)


def _without_doubles(found: list[Problem]) -> list[Problem]:
    """Keep one problem for each place and text."""
    return list(dict.fromkeys(found))
