"""The types that settings are made of, and the words for what is wrong with them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.conversion import convert
from rutta.errors import ConfigError
from rutta.settings import Duration, Secret, Size, Tls, enc_hook


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("5m", 300),
        ("1h30m", 5400),
        ("7d", 604800),
        ("3", 3),
        (2.5, 2.5),
        (0, 0),
        ("250us", 0.00025),
    ],
)
def test_durations(text, seconds):
    assert Duration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1x", "-1s", "1 s", "1s2", True, None, -3, "1e3s"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="is not a duration; write it like"):
        Duration.parse(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64Mi", 64 * 2**20), ("1Gi", 2**30), ("500k", 500_000), ("1.5Ki", 1536), (7, 7), ("7", 7), ("2MiB", 2**21)],
)
def test_sizes(text, size):
    assert Size.parse(text) == size


@pytest.mark.parametrize("text", ["", "Mi", "1 Mi", "-1", "1mi", 1.5, True, None])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="is not a size; write it like"):
        Size.parse(text)


@given(st.floats(0, 1e9, allow_nan=False))
def test_a_duration_that_is_written_can_be_read(seconds):
    assert Duration.parse(enc_hook(Duration(round(seconds, 3)))) == pytest.approx(round(seconds, 3), rel=1e-4)


def test_a_secret_is_read_when_it_is_used_and_never_shown(tmp_path, monkeypatch):
    file = tmp_path / "password"
    file.write_text("one\n")
    secret = Secret.parse({"file": str(file)})
    assert secret.reveal() == "one"
    file.write_text("two")
    assert secret.reveal() == "two"
    monkeypatch.setenv("A_PASSWORD", "three")
    assert Secret.parse({"env": "A_PASSWORD"}).reveal() == "three"
    assert Secret.parse("four").reveal() == "four"
    assert "four" not in repr(Secret.parse("four")) + str(enc_hook(Secret.parse("four")))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"file": "/nowhere/at/all"}, "the secret file /nowhere/at/all cannot be read"),
        ({"env": "NOT_SET_AT_ALL"}, "NOT_SET_AT_ALL of a secret is not set"),
    ],
)
def test_a_secret_that_is_not_there_is_named(value, said):
    with pytest.raises(ConfigError, match=said):
        Secret.parse(value).reveal()


@pytest.mark.parametrize("value", [{}, {"file": ""}, {"file": "a", "env": "b"}, {"fil": "a"}, 3, None])
def test_what_is_no_secret(value):
    with pytest.raises(ValueError, match="is not a secret; write a string"):
        Secret.parse(value)


def test_all_problems_of_a_struct_have_their_paths():
    with pytest.raises(ConfigError) as caught:
        convert({"certFile": 1, "keyfile": "k"}, Tls, path="tls")
    assert [str(one) for one in caught.value.problems] == [
        "tls.certFile: Expected `str`, got `int`, got 1",
        "tls.keyfile: unknown setting; did you mean 'keyFile'?",
        "tls.keyFile: is required",
    ]


def test_a_list_that_is_too_short_has_its_path():
    from rutta.config import Route

    with pytest.raises(ConfigError, match=r"^routes\[0\]\.targets: Expected `array` of length >= 1"):
        convert({"targets": []}, Route, path="routes[0]")
