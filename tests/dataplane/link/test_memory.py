"""What the receiver remembers, in bounded memory, against sets that remember everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta import memory
from rutta.link.numbers import Numbers, within
from rutta.link.seen import Seen
from rutta.message import Origin


@given(st.lists(st.integers(1, 40)))
def test_numbers_are_a_set_told_as_ranges(added: list[int]) -> None:
    numbers, model = Numbers(), set()
    for number in added:
        assert numbers.add(number) == (number not in model)
        model.add(number)
    ranges = numbers.ranges()
    for number in range(1, 43):
        assert (number in numbers) == (number in model)
        assert (number <= numbers.upto or within(number, ranges)) == (number in model)
    assert numbers.upto + 1 not in model
    assert list(ranges) == sorted(ranges)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.integers(1, 60))))
def test_an_origin_is_new_once(added: list[tuple[bytes, int]]) -> None:
    seen, model = Seen(window=100), set()
    for pair in added:
        assert seen.add(Origin(*pair)) == (pair not in model)
        model.add(pair)


@given(st.lists(st.integers(1, 200)))
def test_only_what_is_older_than_the_window_is_forgotten(added: list[int]) -> None:
    seen, model = Seen(window=16), set()
    for number in added:
        new = seen.add(Origin(b"m", number))
        assert new or number in model
        if number in model and number > max(model) - 16:
            assert not new
        model.add(number)


def test_the_longest_silent_maker_is_forgotten_first() -> None:
    seen = Seen(makers=2)
    for maker in (b"a", b"b", b"a2", b"b"):
        seen.add(Origin(maker, 1))
    assert len(seen) == 2
    assert not seen.add(Origin(b"b", 1))
    assert seen.add(Origin(b"a", 1))


def test_what_the_user_set_for_the_allocator_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    assert not memory.keep()


def test_a_c_library_without_these_limits_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    assert not memory.keep()
