"""What is sent: distinct events of one length that mean what the rows say."""

import json

import pytest
from rutta_bench import samples


@pytest.mark.parametrize("shape", ["json", "plain"])
def test_events_are_distinct_and_of_one_length(shape):
    made = list(samples.events(shape, 20_000))
    assert len(set(made)) == len(made)
    assert {len(one) for one in made} == {samples.SIZE}
    assert all(one.endswith(b"\n") and one.count(b"\n") == 1 for one in made)


def test_json_events_hold_every_key_that_the_ten_columns_name():
    event = json.loads(next(samples.events("json", 1)))
    for key in samples.KEYS:
        group, _, name = key.rpartition(".")
        assert name in (event[group] if group else event)
    assert len(samples.KEYS) == len(samples.COLUMNS) == 10


def test_chunks_hold_whole_events_and_about_the_bytes_asked_for():
    made = samples.chunks("plain", chunk=10_000, total=100_000)
    assert {len(one) for one in made} == {10_000 // samples.SIZE * samples.SIZE}
    assert 90_000 < sum(map(len, made)) <= 100_000


def test_a_chunk_smaller_than_an_event_is_one_event():
    assert {len(one) for one in samples.chunks("json", chunk=1, total=2770)} == {samples.SIZE}


def test_container_lines_are_events_behind_a_time_that_grows():
    made = list(samples.container_lines(20_001))
    assert {len(one) for one in made} == {samples.SIZE + samples.PREFIX}
    assert [one[: samples.PREFIX] for one in made] == sorted({one[: samples.PREFIX] for one in made})
    assert all(one[29:40] == b"Z stdout F " and json.loads(one[40:]) for one in made)
    assert {one.count(b"\n") for one in samples.container_chunks(lines=10, total=100_000)} == {10}
