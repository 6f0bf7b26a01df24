"""Every row of reference §3.4, as mended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.events.event import NO_TIME
from rutta.events.timestamps import iso, parse
from rutta.events.values import Mismatch

S = 10**9


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, NO_TIME),
        (1_600_000_000, 1_600_000_000 * S),
        (1_600_000_000_123, 1_600_000_000_123 * 10**6),
        (1_600_000_000_123_456, 1_600_000_000_123_456_000),
        (1_600_000_000_123_456_789, 1_600_000_000_123_456_789),
        (1, S),
        (-1, -S),
        (10**11 - 1, None),
        (10**11, 10**17),
        (10**14, 10**17),
        (10**17, 10**17),
        (1600000000.5, 1_600_000_000_500_000_000),
        (1.6e9, 1_600_000_000 * S),
        (1_600_000_000.123456, 1_600_000_000_123_456_001),
        (100_000_000, 100_000_000 * S),  # 1973, kept
        (4_102_444_800, 4_102_444_800 * S),  # 2100, kept
    ],
)
def test_a_number_is_read_by_its_magnitude_whenever_it_is_read(value, expected):
    if expected is None:
        with pytest.raises(Mismatch, match="1677 to 2262"):
            parse(value)
    else:
        assert abs(parse(value) - expected) <= 1000 if isinstance(value, float) else parse(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1600000000123456789", 1_600_000_000_123_456_789),
        ("0000000000000000005", 5),
        ("-1600000000123456789", -1_600_000_000_123_456_789),
        ("1600000000", 1_600_000_000 * S),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:01Z", S),
        ("1970-01-01T01:00:01+01", S),
        ("1970-01-01T01:00:01+01:00", S),
        ("1970-01-01T01:00:01+0100", S),
        ("1969-12-31T23:00:01-01:00", S),
        ("1970-01-01T01:00:01+01:00:00", S),
        ("2024-01-02 03:04:05Z", 1_704_164_645 * S),
        ("2024-01-02t03:04:05z", 1_704_164_645 * S),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * S),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * S),  # a leap second is the next one
        ("1900-01-01T00:00:00Z", -2_208_988_800 * S),
    ],
)
def test_a_text_is_nanoseconds_or_iso_8601(value, expected):
    assert parse(value) == expected


@pytest.mark.parametrize("decimals", range(1, 13))
@pytest.mark.parametrize("mark", [".", ","])
def test_nine_decimals_count_and_more_are_read(decimals, mark):
    text = "123456789012"[:decimals]
    assert parse(f"1970-01-01T00:00:00{mark}{text}Z") == int(text[:9].ljust(9, "0"))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2024-01-02",
        "2024-01-02T03:04Z",
        "2024-01-02T03:04:05",
        "2024-13-02T03:04:05Z",
        "2024-01-02T25:04:05Z",
        "2024-01-02T03:04:61Z",
        "2024-01-02T03:04:05+25",
        "2024-01-02T03:04:05+01:99",
        "9999-01-01T00:00:00Z",
        "99999999999999999999",
        "1" * 40,
        "1" * 5000,
        "x1600000000123456789",
        True,
        None,
        [],
        {},
        float("nan"),
        float("inf"),
        10**30,
        -(10**30),
        5e10,
        "２０２４-01-02T03:04:05Z",
    ],
)
def test_anything_else_is_a_mismatch_and_nothing_worse(value):
    with pytest.raises(Mismatch):
        parse(value)


@given(st.one_of(st.integers(), st.floats(), st.text(), st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")))
def test_nothing_but_a_mismatch_comes_out_and_what_is_read_fits_64_bits(value):
    try:
        found = parse(value)
    except Mismatch:
        return
    assert -(2**63) <= found < 2**63


@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_what_is_written_with_nine_decimals_is_read_again(value):
    assert parse(iso(value, digits=9)) == value


def test_decimals_are_cut_not_rounded():
    assert iso(1_704_164_645_678_999_999) == "2024-01-02T03:04:05.678Z"
    assert iso(-1, digits=0) == "1969-12-31T23:59:59Z"
