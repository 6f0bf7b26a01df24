"""Quantities, as the API server writes them (each pair was read from a real one)."""

from decimal import Decimal

import pytest

from rutta_operator.render.quantity import canonical, value

PAIRS = {
    "1024Mi": "1Gi", "1.5Gi": "1536Mi", "1000m": "1", "0.5": "500m", "1500m": "1500m", "100Mi": "100Mi", "2": "2",
    "1000": "1k", "1234": "1234", "0.5Ki": "512", "1.5Ki": "1536", "1e3": "1e3", "1500e3": "1500e3",
    "1E": "1E", "1E3": "1E3", "0": "0", "0Mi": "0", "128974848": "128974848", "100u": "1m", "0.1n": "1m",
    "2000Ki": "2000Ki", "1024": "1024", "1.0001Ki": "1024103m", "12e6": "12e6", "10000000": "10M", "1.50": "1500m",
}  # fmt: skip


@pytest.mark.parametrize("given", PAIRS)
def test_a_quantity_is_written_as_the_api_server_does(given):
    assert canonical(given) == PAIRS[given]


def test_a_number_is_a_quantity_and_writing_rounds_up_to_a_thousandth_at_most():
    assert canonical(2) == "2"
    assert value("1.5Gi") == Decimal(1536 * 2**20)
    for given, written in PAIRS.items():
        assert 0 <= value(written) - value(given) < Decimal("0.001")


def test_what_is_no_quantity_is_refused():
    with pytest.raises(ValueError, match="'much' is not a quantity"):
        canonical("much")


@pytest.mark.parametrize("given", [10**30, "9E9999999999999", "1" * 40 + "Ei"])
def test_what_is_more_than_there_can_be_is_left_to_the_api_server(given):
    assert canonical(given) == str(given)
