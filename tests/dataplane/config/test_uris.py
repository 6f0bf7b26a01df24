"""Target URIs as the original took them, with what it lost on the way mended."""

import pytest

from rutta.config import parse
from rutta.errors import ConfigError
from rutta.uris import alias_of, entry_of_uri

LISTENERS = [{"tcp": {"bind": "127.0.0.1:0", "codec": "json"}}]


def target(uri, **beside):
    return parse({"listeners": LISTENERS, "targets": [{"uri": uri, **beside}]}).targets[0]


def refusal(uri):
    with pytest.raises(ConfigError) as caught:
        entry_of_uri(uri)
    return str(caught.value)


def test_the_scheme_is_the_component_and_the_query_its_settings():
    entry = entry_of_uri("influxdb://./?endpoint=http://h:8086/write&db=logs")
    assert entry == {"influxdb": {"endpoint": "http://h:8086/write", "db": "logs"}}


def test_values_are_percent_decoded_and_keep_plus_and_equals():
    settings = entry_of_uri("influxdb://.?endpoint=http%3A%2F%2Fh%3A8086%2Fwrite&db=a+b&password=p%3D%26=x")["influxdb"]
    assert settings == {"endpoint": "http://h:8086/write", "db": "a+b", "password": "p=&=x"}


def test_user_and_password_fill_their_settings():
    settings = entry_of_uri("influxdb://jo:p%40ss@./?endpoint=http://h/write")["influxdb"]
    assert (settings["username"], settings["password"]) == ("jo", "p@ss")


def test_what_every_target_has_is_set_by_dotted_keys():
    found = target(
        "noop://.?name=a&buffer.maxBytes=32Mi&buffer.whenFull=DropOldest&batch.maxEvents=500&retry.budget=10m"
    )
    assert found.name == "a"
    assert (int(found.common.buffer.max_bytes), found.common.buffer.when_full) == (32 * 2**20, "DropOldest")
    assert found.gathering.max_events == 500
    assert found.common.retry.budget == 600


def test_keys_beside_the_uri_add_to_it():
    assert target("noop://.", name="n").name == "n"


def test_an_unknown_key_names_the_nearest_known_one():
    assert "did you mean 'endpoint'?" in refusal("influxdb://./?endpont=http://h/write")
    assert "did you mean 'whenFull'?" in refusal("noop://./?buffer.whenful=Block")


def test_every_wrong_key_is_reported():
    assert refusal("noop://./?a=1&b=2").count("\n") == 1


@pytest.mark.parametrize("uri", ["", "console", "://x", "./file"])
def test_what_is_no_uri_says_what_one_looks_like(uri):
    assert "console://." in refusal(uri) or "there is no target" in refusal(uri)


def test_an_unknown_scheme_lists_the_known():
    assert refusal("carrier-pigeon://.").startswith("there is no target 'carrier-pigeon'; there are ")


def test_several_targets_of_one_scheme_are_all_there():
    config = parse({"listeners": LISTENERS, "targets": [{"uri": "noop://."}, {"uri": "noop://."}]})
    assert [one.name for one in config.targets] == ["noop", "noop-2"]


def test_a_uri_may_be_a_secret_and_is_never_quoted(tmp_path):
    file = tmp_path / "uri"
    file.write_text("noop://.?name=from-secret")
    assert parse({"listeners": LISTENERS, "targets": [{"uri": {"file": str(file)}}]}).targets[0].name == "from-secret"
    file.write_text("hunter2://pass:word@x")
    with pytest.raises(ConfigError) as caught:
        parse({"listeners": LISTENERS, "targets": [{"uri": {"file": str(file)}}]})
    assert str(caught.value) == "targets[0].uri: the secret does not hold a target URI that can be used"


@pytest.mark.parametrize("uri", ["http://[::1/in", "file://[/x", "influxdb://[::1/?db=a"])
def test_a_uri_that_cannot_be_split_is_a_config_error(uri):
    with pytest.raises(ConfigError, match="the URI cannot be read"):
        entry_of_uri(uri)


def test_keys_of_the_library_behind_a_target_pass_through_as_they_are():
    uri = "kafka://.?topicName=logs&bootstrap.servers=b:9092&compression.type=gzip&batch.size=9&batch.maxEvents=7&retries=5"
    entry = entry_of_uri(uri)
    assert entry["batch"] == {"maxEvents": 7}
    assert entry["kafka"] == {
        "topicName": "logs",
        "producer": {"bootstrap.servers": "b:9092", "compression.type": "gzip", "batch.size": "9", "retries": "5"},
    }


def test_another_scheme_stands_for_a_target_and_its_settings():
    entry = entry_of_uri("Jaeger://./?endpoint=http://h:4318&name=t")
    assert entry == {"name": "t", "otlp": {"signals": ["Traces"], "endpoint": "http://h:4318"}}
    assert target("jaeger://.").component == "otlp"


def test_what_another_scheme_does_not_take_any_more_says_what_to_write():
    said = refusal("jaeger://./?jaegerHost=h&jaegerPort=6831&packetSize=65000&endpont=x")
    assert said.count("endpoint=http://COLLECTOR:4318") == 3
    assert "did you mean 'endpoint'?" in said


def test_another_scheme_says_what_it_is():
    assert alias_of("jaeger://.").startswith("jaeger:// is the target otlp: Jaeger takes spans")
    assert alias_of("otlp://.") == alias_of("https://h/x") == alias_of("carrier-pigeon://.") == ""


def test_the_configuration_has_one_name_for_a_target():
    with pytest.raises(ConfigError) as caught:
        parse({"listeners": LISTENERS, "targets": [{"jaeger": {}}]})
    (problem,) = caught.value.problems
    assert problem.path == "targets[0].jaeger"
    assert problem.message.startswith("is written otlp here: Jaeger takes spans by OTLP")
