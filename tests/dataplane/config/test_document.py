"""The config file as plain data: whatever YAML can hold is read or refused with a sentence."""

import pytest

from rutta.config import load, parse
from rutta.errors import ConfigError

GOOD = {"listeners": [{"tcp": {}}], "targets": [{"console": {}}]}


def problems(document):
    with pytest.raises(ConfigError) as caught:
        parse(document)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        b"name: 2024-99-99", b"name: " + b"9" * 6000, b"name: !!bool 7", b"name: !!int ''", b"name: !!timestamp x",
        b"name: \xff\xfe\xfa", b"[" * 5000, b"a: [", b"- a", b"",
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_told_in_one_line(text, tmp_path):
    path = tmp_path / "rutta.yaml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"^the config file .+\Z"):
        load(path)


def test_keys_must_be_text_wherever_they_are():
    assert problems(GOOD | {1: 2, "routes": [{"match": {"fields": {True: "x"}}, "targets": ["console"]}]}) == [
        "1: keys must be text; put it in quotes",
        "routes[0].match.fields.True: keys must be text; put it in quotes",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a\0b", "name: holds a NUL character"),
        ("\ud800", "name: holds half a character (a lone surrogate)"),
        (2**64, "name: is an integer of more than 64 bits"),
    ],
)
def test_what_no_setting_may_hold_is_refused_with_its_path(name, said):
    assert problems(GOOD | {"name": name}) == [said]


def test_a_nul_behind_a_percent_escape_is_found():
    assert problems(GOOD | {"targets": [{"uri": "file:///tmp/a%00b"}]})[0].endswith("holds a NUL character")


def test_yaml_that_refers_to_itself_is_refused(tmp_path):
    path = tmp_path / "rutta.yaml"
    path.write_text("routes: &a [*a]")
    with pytest.raises(ConfigError, match="refers to itself"):
        load(path)


def test_a_secret_uri_that_is_not_text_is_a_problem(tmp_path):
    path = tmp_path / "uri"
    path.write_bytes(b"\xff\xfe")
    assert problems(GOOD | {"targets": [{"uri": {"file": str(path)}}]})[0].startswith("targets[0].uri: the secret")


def test_a_proxy_carries_links_only():
    link = {"link": {"bind": "127.0.0.1:0"}}
    out = {"link": {"addresses": ["127.0.0.1:9"]}}
    assert parse({"role": "Proxy", "listeners": [link], "targets": [out]}).process.role == "Proxy"
    found = problems({"role": "Proxy", "listeners": [link, {"tcp": {}}], "targets": [{"uri": "console://."}, out]})
    assert found == [
        "listeners[1].tcp: a proxy carries links only; put tcp on a shipper or router",
        "targets[0].uri: a proxy carries links only; put console on a shipper or router",
    ]
