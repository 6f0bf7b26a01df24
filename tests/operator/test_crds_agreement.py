"""Values are judged by ``check`` and the models as the API server judges them by the CRDs, whatever they are."""

import re

import jsonschema
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rutta_operator.definitions import crds
from rutta_operator.definitions.structural import INT_OR_STRING, OPEN, structural
from rutta_operator.spec import components
from rutta_operator.spec.checking import PATTERNS, check
from rutta_operator.spec.models import KINDS

COMPONENTS = [
    (section, name)
    for section in ("listeners", "sources", "targets")
    for name in components.names(section)
    if section != "sources" or name not in components.names("listeners")
]


def spec_of(kind):
    return crds.schema(kind)["properties"]["spec"]


def model_of(kind):
    return KINDS[kind].model_fields["spec"].annotation


def keywords(schema):
    """Every keyword of a schema, but not the names of properties."""
    for key, one in schema.items():
        yield key
        if key == "properties":
            for inner in one.values():
                yield from keywords(inner)
        elif key in ("items", "additionalProperties"):
            yield from keywords(one)


# What the API server would say of a value, by a judge that knows JSON schema.


def judge(schema):
    """Return JSON schema for a structural one, with unknown keys refused as kubectl has them refused."""
    made = {key: one for key, one in schema.items() if not key.startswith("x-") and key not in ("description", OPEN)}
    if schema.get(INT_OR_STRING):
        made["type"] = ["integer", "string"]
    if "properties" in schema:
        made["properties"] = {key: judge(one) for key, one in schema["properties"].items()}
        made["additionalProperties"] = bool(schema.get(OPEN))
    if "additionalProperties" in schema:
        made["additionalProperties"] = judge(schema["additionalProperties"])
    elif schema.get("type") == "object" and not schema.get(OPEN):
        made["additionalProperties"] = False
    if "items" in schema:
        made["items"] = judge(schema["items"])
    if schema.get("nullable"):
        made["type"] = [schema["type"], "null"]
    return made


LETTERS = st.text("abcXYZ019.-_/:{}[] µ%MiGks", max_size=8)
SCALARS = st.one_of(LETTERS, st.integers(-2, 70000), st.booleans(), st.floats(0.1, 0.9), st.just([]), st.just({}))
WORDS = {
    "duration": st.sampled_from(["5s", "1m30s", "500ms", "2µs", "7", "1.5", "0s"]),
    "size": st.sampled_from(["64Mi", "1GiB", "12", 5, 0, "1.5k"]),
    "quantity": st.sampled_from(["500m", "2", 1, "1.5Gi", "1e3"]),
    "port": st.integers(1, 65535),
    "share": st.sampled_from([1, 7, "1%", "100%"]),
    "secretKeyRef": st.just({"secretKeyRef": {"name": "s", "key": "k"}}),
}


def good(schema, definitions=()):
    """Values that a schema of ours accepts."""
    if "$ref" in schema:
        return good(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if schema.get("format") in WORDS:
        return WORDS[schema["format"]]
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return st.one_of([good(one, definitions) for one in schema["anyOf"] if one.get("type") != "null"])
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        return objects(schema, definitions)
    if kind == "array":
        return st.lists(good(schema["items"], definitions), min_size=schema.get("minItems", 0), max_size=2)
    if kind == "string" and "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True).filter(fits(schema))
    if kind == "string":
        return LETTERS.filter(fits(schema))
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    return {
        "boolean": st.booleans(),
        "integer": st.integers(least, min(schema.get("maximum", 1000), 1000)),
        "number": st.floats(least, schema.get("maximum", 1000), exclude_min=True),
    }[kind]


def fits(schema):
    return lambda text: "\n" not in text and schema.get("minLength", 0) <= len(text) <= schema.get("maxLength", 99)


def objects(schema, definitions):
    known, required = schema.get("properties", {}), schema.get("required", ())
    if not known:
        others = schema.get("additionalProperties", True)
        values = good(others, definitions) if isinstance(others, dict) else st.just("x")
        return st.dictionaries(st.sampled_from("abc"), values, max_size=2 if others else 0)
    return st.fixed_dictionaries(
        {key: good(known[key], definitions) for key in required},
        optional={key: good(one, definitions) for key, one in known.items() if key not in required},
    )


def spoiled(value):
    """The value with one thing inside it replaced, removed or added."""
    if isinstance(value, dict) and value:
        return st.sampled_from(sorted(value)).flatmap(
            lambda key: st.one_of(
                spoiled(value[key]).map(lambda one: {**value, key: one}),
                st.just({other: one for other, one in value.items() if other != key}),
                SCALARS.map(lambda one: {**value, "unheardOf": one}),
            )
        )
    if isinstance(value, list) and value:
        return spoiled(value[0]).map(lambda one: [one, *value[1:]])
    return SCALARS


def is_open(schema):
    return OPEN in set(keywords(schema))


QUICK = {"deadline": None, "database": None, "phases": [Phase.explicit, Phase.generate]}


def hold(strategy, examples):
    """Run a property; strategies are made once for each test, for that is what costs."""
    return lambda wanted: settings(max_examples=examples, **QUICK)(given(strategy)(wanted))()


@pytest.mark.parametrize(("section", "name"), COMPONENTS)
def test_settings_are_refused_here_if_and_only_if_the_api_server_refuses_them(section, name):
    shape = components.shape(section, name)
    made = structural(shape, tell=True)
    server, right = jsonschema.Draft202012Validator(judge(made)), good(shape)

    @hold(right, 4)
    def right_ones_are_accepted(value):
        assert list(check(shape, value, ())) == []
        server.validate(value)

    @hold(right.flatmap(spoiled), 12)
    def others_are_judged_alike(value):
        here, there = not list(check(shape, value, ())), server.is_valid(value)
        assert here == there or (there and is_open(made)), value


def own_fields():
    entries = {"listeners", "sources", "targets", "to", "routes"}  # components have a test of their own
    first = {key: kind for kind in reversed(KINDS) for key in spec_of(kind)["properties"] if key not in entries}
    return [(kind, key) for key, kind in first.items()]  # what several kinds have is one model's


@pytest.mark.parametrize(("kind", "key"), own_fields())
def test_a_field_of_ours_is_refused_by_the_models_if_and_only_if_the_api_server_refuses_it(kind, key):
    model = model_of(kind)
    found = model.model_json_schema(by_alias=True)
    server = jsonschema.Draft202012Validator(judge(spec_of(kind)["properties"][key]))
    right = good(found["properties"][key], found["$defs"])

    @hold(right, 3)
    def right_ones_are_accepted(value):
        assert accepts(model, key, value)
        server.validate(value)

    @hold(right.flatmap(spoiled), 8)
    def others_are_judged_alike(value):
        assert accepts(model, key, value) == server.is_valid(value), value


def accepts(model, key, value):
    try:
        model.model_validate({key: value})
    except ValidationError as exc:
        return not any(error["loc"][0] == key for error in exc.errors())
    return True


def test_patterns_of_formats_are_read_alike_by_the_api_server():
    for pattern in PATTERNS.values():
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert not re.search(r"\(\?[=!<]|\\[bBzZ]", pattern)  # RE2 has none of these
