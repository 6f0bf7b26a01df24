"""Units, gauges and money: every row of reference §3.5 and §4.5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.events import units
from rutta.events.event import Gauge, Unit
from rutta.events.values import Mismatch

WORDS = [
    "bits",
    "bytes",
    "seconds",
    "metres",
    "scalar",
    "amperes",
    "kelvins",
    "moles",
    "candelas",
    "percent",
    "watts",
    "hertz",
    "joules",
    "grams",
]
METRES, SECONDS = Unit("metres"), Unit("seconds")


@pytest.mark.parametrize("word", WORDS)
def test_the_words_are_read_in_any_case_and_written_back(word):
    assert units.parse(word.upper()) == Unit(word)
    assert units.parse({"type": word}) == Unit(word)  # v5
    assert units.to_json(Unit(word)) == word


@pytest.mark.parametrize("text", ["ms", "s", "%", "Requests"])
def test_any_other_text_is_a_custom_unit_in_lower_case(text):
    assert units.parse(text) == Unit("other", text=text.lower())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "currency", "currency": "sek"}, Unit("currency", text="SEK")),
        ({"type": "other", "unit": "Bytes"}, Unit("other", text="bytes")),
        ({"type": "scaled", "unit": "seconds", "value": 1e9}, Unit("scaled", (SECONDS,), 1e9)),
        ({"type": "offset", "unit": "kelvins", "value": -273.15}, Unit("offset", (Unit("kelvins"),), -273.15)),
        ({"type": "mul", "unitA": "metres", "unitB": "seconds"}, Unit("mul", (METRES, SECONDS))),
        ({"type": "pow", "base": "metres", "power": 2}, Unit("pow", (METRES,), 2)),
        ({"type": "div", "numerator": "metres", "denominator": "seconds"}, Unit("div", (METRES, SECONDS))),
        ({"type": "div", "nom": "metres", "denom": "seconds"}, Unit("div", (METRES, SECONDS))),
        ({"type": "root", "unit": "metres"}, Unit("root", (METRES,))),
        ({"type": "root", "base": "metres"}, Unit("root", (METRES,))),
        ({"type": "log10", "base": "metres"}, Unit("log10", (METRES,))),
    ],
)
def test_composite_units_are_read_in_the_keys_of_v6_and_v5_and_read_back(value, expected):
    assert units.parse(value) == expected
    assert units.parse(units.to_json(expected)) == expected


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (5, ""),
        (None, ""),
        ({}, ""),
        ({"type": "nope"}, ".type"),
        ({"type": "scaled", "unit": "bytes"}, ".value"),
        ({"type": "mul", "unitA": "bytes"}, ".unitB"),
        ({"type": "div", "numerator": 5, "denominator": "bytes"}, ".numerator"),
        ({"type": "pow", "base": "bytes", "power": "x"}, ".power"),
    ],
)
def test_what_is_no_unit_is_a_mismatch_with_its_path(value, path):
    with pytest.raises(Mismatch) as caught:
        units.parse(value)
    assert caught.value.path == path


unit = st.recursive(
    st.sampled_from([Unit(word) for word in WORDS])
    | st.builds(lambda t: Unit("other", text=t.lower()), st.text())
    | st.builds(units.currency, st.text(alphabet="abcXYZ", min_size=1)),
    lambda inner: st.one_of(
        st.builds(lambda u, n: Unit("scaled", (u,), n), inner, st.floats(allow_nan=False, allow_infinity=False)),
        st.builds(lambda u, n: Unit("offset", (u,), n), inner, st.floats(allow_nan=False, allow_infinity=False)),
        st.builds(lambda a, b: Unit("mul", (a, b)), inner, inner),
        st.builds(lambda a, b: Unit("div", (a, b)), inner, inner),
        st.builds(lambda u, n: Unit("pow", (u,), n), inner, st.integers(-5, 5)),
        st.builds(lambda u: Unit("root", (u,)), inner),
        st.builds(lambda u: Unit("log10", (u,)), inner),
    ),
    max_leaves=5,
)


@given(unit)
def test_every_unit_reads_back(one):
    assert units.parse(units.to_json(one)) == one
    assert isinstance(units.symbol(one), str)
    assert isinstance(units.display(Gauge(1.5, one)), str)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "gauge", "value": 5, "unit": "bytes"}, Gauge(5, Unit("bytes"))),
        ({"type": "gauge", "value": 5}, Gauge(5)),
        ({"type": "gauge", "value": {"type": "int64", "value": 7}, "unit": "scalar"}, Gauge(7)),
        (
            {"type": "gauge", "value": {"type": "fraction", "value": [1, 3]}},
            Gauge({"type": "fraction", "value": [1, 3]}),
        ),
        ({"type": "gauge", "value": True}, Gauge(True)),
        ({"type": "money", "amount": 12.5, "currency": "usd"}, Gauge(12.5, Unit("currency", text="USD"))),
    ],
)
def test_a_gauge_has_a_type_a_value_and_a_unit(value, expected):
    assert units.gauge(value) == expected
    assert units.gauge(units.gauge_to_json(expected)) == expected


@pytest.mark.parametrize(
    "value",
    [
        5,
        {"value": 5},
        {"type": "Gauge", "value": 5},
        {"type": "gauge"},
        {"type": "gauge", "value": []},
        {"type": "gauge", "value": None},
        {"type": "money", "amount": "x", "currency": "sek"},
        {"type": "money", "amount": 5},
        {"type": "gauge", "value": float("nan")},
    ],
)
def test_what_is_no_gauge_is_a_mismatch(value):
    with pytest.raises(Mismatch):
        units.gauge(value)


def test_money_needs_no_type():
    assert units.money({"amount": 12.5, "currency": "sek"}) == Gauge(12.5, Unit("currency", text="SEK"))
    assert (
        units.money({"type": "gauge", "value": 1, "unit": {"type": "currency", "currency": "eur"}}).unit.text == "EUR"
    )


@pytest.mark.parametrize(
    ("value", "unit_", "expected"),
    [
        (512, Unit("bytes"), "512.00 B"),
        (1536, Unit("bytes"), "1.50 KiB"),
        (3 * 2**50, Unit("bytes"), "3.00 PiB"),
        (2**70, Unit("bytes"), "1048576.00 PiB"),
        (0.5, Unit("percent"), "50.00 %"),
        (0.0123, SECONDS, "12.30 ms"),
        (5e-6, SECONDS, "5.00 µs"),
        (3e-9, SECONDS, "3.00 ns"),
        (90, SECONDS, "1.50 min"),
        (7200, SECONDS, "2.00 h"),
        (172_800, SECONDS, "2.00 days"),
        (0, SECONDS, "0.00 s"),
        (1500, METRES, "1.50 km"),
        (2e-3, METRES, "2.00 mm"),
        (5e-7, Unit("amperes"), "500.00 nA"),
        (5e6, Unit("scalar"), "5.00 M"),
        (5, Unit("scalar"), "5.00"),
        (1_500_000, Unit("scaled", (SECONDS,), 1e9), "1.50 ms"),
        (45, Unit("currency", text="USD"), "USD 45.00"),
        (1500, Unit("other", text="requests"), "1500.00 requests"),
        (1500, Unit("div", (METRES, SECONDS)), "1500.00 m/s"),
        (9, Unit("pow", (METRES,), 2), "9.00 m^(2)"),
        (1, Unit("mul", (METRES, SECONDS)), "1.00 (m*s)"),
        (True, Unit("scalar"), "1.00"),
        ({"type": "fraction", "value": [1, 4]}, METRES, "250.00 mm"),
        ({"type": "fraction", "value": [1, 0]}, METRES, "0.00 m"),
        ("fast", METRES, "fast m"),
        (10**400, METRES, "inf m"),
        ("", Unit("scalar"), ""),
    ],
)
def test_a_gauge_is_shown_scaled_with_two_decimals(value, unit_, expected):
    assert units.display(Gauge(value, unit_)) == expected
