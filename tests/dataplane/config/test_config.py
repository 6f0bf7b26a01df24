"""The config document: every problem at once with its path, and the entries that come out of it."""

import pytest

from rutta.config import load, parse
from rutta.errors import ConfigError

GOOD = {
    "listeners": [{"name": "web", "http": {"bind": "127.0.0.1:0", "codec": "json"}}],
    "targets": [{"name": "out", "console": {}}],
}


def problems(document):
    with pytest.raises(ConfigError) as caught:
        parse(document)
    return [str(problem) for problem in caught.value.problems]


def test_a_small_document_is_enough():
    config = parse(GOOD)
    assert config.process.role == "Router"
    assert [(one.name, one.kind, one.component) for one in config.listeners] == [("web", "listeners", "http")]
    assert [(one.name, one.component) for one in config.targets] == [("out", "console")]


def test_every_problem_is_reported_at_once_with_its_path():
    found = problems(
        {
            "listeners": [
                {"name": "a", "http": {"bind": "127.0.0.1:0", "codec": "yaml", "maxBodyByte": 1}},
                {"name": "b", "udp": {"bind": "127.0.0.1:99999", "codec": "json"}},
                {"name": "c"},
            ],
            "targets": [
                {"name": "x", "consol": {}},
                {"name": "y", "console": {}, "file": {"path": "z"}},
                {"name": "z", "noop": {}, "buffer": {"maxBytes": "lots", "whenFull": "Drop"}},
            ],
            "routes": [{"match": {"minLevel": "warning"}, "targets": ["nowhere"]}],
            "drain": {"timeout": "soon"},
            "logLevel": "loud",
        }
    )
    text = "\n".join(found)
    for path in (
        "listeners[0].http.maxBodyByte", "listeners[1].udp", "listeners[2]", "targets[0].consol", "targets[1]",
        "targets[2].buffer.maxBytes", "targets[2].buffer.whenFull", "routes[0].match.minLevel", "drain.timeout",
        "logLevel",
    ):  # fmt: skip
        assert any(one.startswith((f"{path}:", f"{path}.")) for one in found), (path, text)
    assert "did you mean 'maxBodyBytes'?" in text
    assert "did you mean 'console'?" in text
    assert (
        "'Drop' is not one of Block, DropNewest, DropOldest; did you mean DropNewest?" in text or "not one of" in text
    )


def test_unnamed_targets_are_numbered_and_never_take_a_given_name():
    config = parse(GOOD | {"targets": [{"noop": {}}, {"noop": {}}, {"name": "noop-2", "noop": {}}]})
    assert [one.name for one in config.targets] == ["noop", "noop-3", "noop-2"]


def test_the_same_name_twice_is_refused():
    assert problems(GOOD | {"targets": [{"name": "a", "noop": {}}, {"name": "a", "noop": {}}]}) == [
        "targets[1].name: 'a' is there already; names must differ"
    ]


def test_a_route_to_a_target_that_is_not_there_is_refused():
    assert problems(GOOD | {"routes": [{"targets": ["there"]}]}) == [
        "routes[0].targets[0]: there is no target 'there'; there are out"
    ]


def test_a_route_to_a_target_that_is_refused_is_no_second_problem():
    targets = [{"name": "out", "noop": {}}, {"name": "secret", "uri": {"file": "/nowhere/uri"}}]
    (found,) = problems(GOOD | {"targets": targets, "routes": [{"targets": ["out", "secret"]}]})
    assert found.startswith("targets[1].uri: ")


def test_an_unknown_codec_is_refused_with_those_there_are():
    (found,) = problems(GOOD | {"listeners": [{"tcp": {"bind": "127.0.0.1:0", "codec": "xml"}}]})
    assert found.startswith("listeners[0].tcp.codec: there is no codec 'xml'; there are ")


def test_strict_goes_with_json_only():
    (found,) = problems(GOOD | {"listeners": [{"tcp": {"bind": "127.0.0.1:0", "codec": "plain", "strict": True}}]})
    assert found.startswith("listeners[0].tcp.strict: only json")


def test_a_shipper_has_sources_and_a_router_listeners():
    assert problems({**GOOD, "role": "Shipper"})[0] == "listeners: a shipper has sources, not listeners"
    config = parse({"role": "Shipper", "sources": GOOD["listeners"], "targets": GOOD["targets"]})
    assert config.listeners[0].component == "http"


def test_nothing_to_listen_on_or_to_send_to_is_refused():
    assert problems({}) == ["listeners: at least one of the listeners is needed"] or problems({})


def test_a_target_keeps_its_own_limits_where_the_user_says_nothing():
    entry = parse(GOOD | {"targets": [{"noop": {}, "batch": {"maxEvents": 7}}]}).targets[0]
    assert entry.gathering.max_events == 7
    assert entry.gathering.max_bytes == entry.gathering._replace().max_bytes > 0


def test_the_digest_is_the_same_for_the_same_meaning():
    turned = {"targets": GOOD["targets"], "listeners": GOOD["listeners"]}
    assert parse(GOOD).digest == parse(turned).digest
    assert parse(GOOD).digest != parse(GOOD | {"logLevel": "debug"}).digest


def test_a_file_is_yaml_or_json_and_its_role_must_be_the_commands(tmp_path):
    file = tmp_path / "router.yaml"
    file.write_text("role: Router\nlisteners: [{tcp: {bind: '127.0.0.1:0', codec: json}}]\ntargets: [{noop: {}}]\n")
    assert load(file, over={"role": "Router", "logLevel": "warn"}).process.log_level == "warn"
    with pytest.raises(ConfigError, match="the file is for a Router, the command is rutta shipper"):
        load(file, over={"role": "Shipper"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[1]", "must hold an object with listeners and targets"),
        (b"a: [", "is not YAML or JSON: line 2, column 1: did not find expected node content"),
        (b"a: \x01", "is not YAML or JSON: line 1, column 4: control characters are not allowed"),
        ("å: 1\nöö: \x01".encode(), "is not YAML or JSON: line 2, column 5: control characters are not allowed"),
        (
            b"a: 1\n---\nb: 2",
            "is not YAML or JSON: line 2, column 1: expected a single document in the stream, "
            "but found another document",
        ),
        (
            b"a: &x 1\nb: &x 2",
            "is not YAML or JSON: line 2, column 4: found duplicate anchor; first occurrence, second occurrence",
        ),
        (b"a: \xff", "is no text in UTF-8: 'utf-8' codec can't decode byte 0xff in position 3: invalid start byte"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_config_is_one_sentence(tmp_path, text, said):
    file = tmp_path / "x.yaml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value) == f"the config file {said}"


def test_a_proxy_has_no_routes():
    document = {
        "role": "Proxy",
        "listeners": [{"link": {"bind": "127.0.0.1:0"}}],
        "targets": [{"name": "a", "link": {"addresses": ["h:1"]}}],
    }
    assert parse(document).process.role == "Proxy"
    (found,) = problems(document | {"routes": [{"match": {"minLevel": "warn"}, "targets": ["a"]}]})
    assert found.startswith("routes: a proxy does not look into what it carries")
