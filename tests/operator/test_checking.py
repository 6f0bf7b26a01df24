"""Values against schemas: the words, and that we find what a full validator finds."""

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rutta_operator.spec import components
from rutta_operator.spec.checking import KEYWORDS, NOTES, check, seconds
from rutta_operator.spec.problems import show

PORT = {"type": "integer", "format": "port", "minimum": 1, "maximum": 65535}
WORDS = {"enum": ["Block", "DropNewest", "DropOldest"]}
NESTED = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z]+$"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "ratio": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "list": {
            "type": "array", "minItems": 1, "maxItems": 3, "uniqueItems": True,
            "items": {"type": ["string", "integer"]},
        },
        "map": {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1, "maxProperties": 2},
        "maybe": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]},
        "word": WORDS,
        "fixed": {"const": "x"},
    },
}  # fmt: skip


def problems(schema, value):
    return [f"{show(one.path)}: {one.message}" if one.path else one.message for one in check(schema, value, ())]


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (PORT, 99999, "99999 is not a port (1–65535)"),
        (PORT, "80", "'80' is not a port (1–65535)"),
        (PORT, True, "true is not a port (1–65535)"),
        (WORDS, "dropnewest", "'dropnewest' is not one of Block, DropNewest, DropOldest; did you mean DropNewest?"),
        (WORDS, 3, "3 is not one of Block, DropNewest, DropOldest"),
        ({"type": "string"}, 5, "5 is not a text; put it in quotes"),
        ({"type": "string"}, None, "null is not a text"),
        ({"type": "boolean"}, "yes", "'yes' is not true or false"),
        ({"type": ["string", "integer"]}, [], "a list is not a text or a whole number"),
        (
            {"type": "string", "format": "duration"},
            "5x",
            "'5x' is not a duration; write it like 500ms, 10s, 5m or 1h30m",
        ),
        ({"format": "size"}, "64MB!", "'64MB!' is not a size; write it like 64Mi, 1Gi or 1048576"),
        ({"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]}, 2, "2 is less than 3"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, [], "a list is not a text or a whole number"),
        (NESTED, {"nam": "a", "name": "a"}, "nam: unknown setting; did you mean 'name'?"),
        (NESTED, {}, "name: is required"),
        (NESTED, {"name": ""}, "name: is empty"),
        (NESTED, {"name": "a", "list": [[]]}, "list[0]: a list is not a text or a whole number"),
        (NESTED, {"name": "a", "map": {"a.b": 1}}, "map['a.b']: 1 is not true or false"),
    ],
)
def test_what_is_wrong_is_said_in_a_users_words(schema, value, said):
    assert problems(schema, value) == [said]


def test_everything_is_found_at_once():
    value = {"name": "TOO-LONG", "count": 10, "word": "x", "strange": 1, "list": []}
    assert len(problems(NESTED, value)) == 5


def test_a_secret_in_the_text_is_refused_and_not_shown():
    (said,) = problems({"format": "secretKeyRef"}, "hunter2")
    assert "hunter2" not in said
    assert "{secretKeyRef: {name: NAME, key: KEY}}" in said


@pytest.mark.parametrize("key", ["..", "a/b", "", "."])
def test_a_secrets_key_cannot_leave_its_directory(key):
    assert problems({"format": "secretKeyRef"}, {"secretKeyRef": {"name": "a", "key": key}})
    assert problems({"format": "secretKeyRef"}, {"secretKeyRef": {"name": "../a", "key": "k"}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.floats(-1, 2) | st.text("abxB", max_size=7),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner, max_size=3),
    max_leaves=6,
)
NEAR = st.fixed_dictionaries(
    {},
    optional={key: JSON | st.sampled_from(["Block", "x", "ab", [1, "a"], {"a": True}]) for key in NESTED["properties"]},
)


@settings(max_examples=250, deadline=None)
@given(NEAR | JSON)
def test_it_finds_something_exactly_when_a_full_validator_does(value):
    # a float without a fraction is an integer to JSON schema, and none to the API server and to us
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, one: isinstance(one, int) and not isinstance(one, bool)
    )
    full = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)(NESTED)
    assert bool(problems(NESTED, value)) != full.is_valid(value)


def keywords(schema):
    yield from schema
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from keywords(schema[key])
    for one in [*schema.get("anyOf", ()), *schema.get("properties", {}).values()]:
        yield from keywords(one)


def test_the_data_planes_schema_is_made_of_keywords_that_are_checked():
    used = {word for schema in components.definitions().values() for word in keywords(schema)}
    assert used <= KEYWORDS | NOTES
    assert "anyOf" in used


@pytest.mark.parametrize(("text", "value"), [("500ms", 0.5), ("1m30s", 90), ("2", 2), ("1.5h", 5400), ("1d", 86400)])
def test_durations_are_read_in_seconds(text, value):
    assert seconds(text) == value
