"""Routes: which events go to which targets; a batch at a time, and only the columns that are asked for."""

import pytest

from rutta.config import Match, Route
from rutta.message import NOTHING
from rutta.routes import Routes, columns_of


def names(part):
    return None if part is None else part.rows.names


def test_a_level_takes_itself_and_all_above(make_batch):
    routes = Routes([Route(["t"], Match(min_level="error"))], ["t"])
    assert names(routes.split(make_batch("a.3", "b.5", "c.6", "d.1"))["t"]) == ["b.5", "c.6"]


def test_a_name_is_a_glob(make_batch):
    routes = Routes([Route(["t"], Match(name="shop.*"))], ["t"])
    assert names(routes.split(make_batch("shop.1", "bank.1", "shop.api.2"))["t"]) == ["shop.1", "shop.api.2"]


def test_all_that_a_match_says_must_hold(make_batch):
    routes = Routes([Route(["t"], Match(name="shop.*", min_level="error"))], ["t"])
    assert names(routes.split(make_batch("shop.1", "bank.6", "shop.6"))["t"]) == ["shop.6"]


def test_a_target_gets_what_any_of_its_routes_takes_and_each_event_once(make_batch):
    routes = Routes([Route(["t"], Match(name="shop.*")), Route(["t"], Match(min_level="error"))], ["t"])
    assert names(routes.split(make_batch("shop.6", "shop.1", "bank.6", "bank.1"))["t"]) == [
        "shop.6",
        "shop.1",
        "bank.6",
    ]


def test_a_match_of_nothing_takes_everything_uncut(make_batch):
    routes = Routes([Route(["t"])], ["t", "u"])
    batch = make_batch("a.1", "b.2")
    parts = routes.split(batch)
    assert parts["t"] is batch
    assert parts["u"] is None


def test_a_batch_of_which_everything_fits_is_not_copied(make_batch):
    batch = make_batch("shop.1", "shop.2")
    assert Routes([Route(["t"], Match(name="shop.*"))], ["t"]).split(batch)["t"] is batch


def test_targets_with_the_same_routes_share_one_part(make_batch):
    routes = Routes([Route(["t", "u"], Match(name="shop.*"))], ["t", "u"])
    parts = routes.split(make_batch("shop.1", "bank.1"))
    assert parts["t"] is parts["u"]


@pytest.mark.parametrize(
    ("match", "columns"),
    [
        (Match(), set()),
        (Match(min_level="warn"), {"level"}),
        (Match(name="*"), {"name"}),
        (Match(kind="span"), {"kind"}),
        (Match(fields={"user.id": 3}), {"fields.user.id"}),
        (Match(min_level="warn", kind="event", fields={"a": "b"}), {"level", "kind", "fields.a"}),
    ],
)
def test_a_match_asks_for_the_columns_it_reads_and_no_other(match, columns):
    assert columns_of(match) == columns
    assert Routes([Route(["t"], match)], ["t"]).columns == columns


def test_no_routes_ask_for_nothing():
    routes = Routes([], ["t"])
    assert not routes
    assert routes.columns == NOTHING
