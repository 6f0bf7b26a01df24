"""Who a file is: heads at every length, generations in order, finished ones known again whatever became of them."""

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rutta.tail import generations
from rutta.tail.checkpoints import Entry
from rutta.tail.fingerprint import LENGTH, first_bytes, goes_on, head_of
from rutta.tail.finished import Finished, is_finished

CONTENT = st.binary(min_size=1, max_size=3 * LENGTH)


@given(content=CONTENT, more=st.binary(max_size=100))
def test_a_head_fits_what_begins_so_however_it_grows(content: bytes, more: bytes) -> None:
    assert head_of(content).fits((content + more)[:LENGTH])


@given(content=CONTENT, at=st.integers(0, LENGTH - 1))
def test_a_head_fits_nothing_that_differs_in_a_byte_of_it_or_is_shorter(content: bytes, at: int) -> None:
    at %= min(len(content), LENGTH)
    other = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    assert not head_of(content).fits(other)
    assert not head_of(content).fits(content[:at])


def test_a_head_of_nothing_fits_nothing() -> None:
    assert not head_of(b"").fits(b"")
    assert not head_of(b"").fits(b"anything")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(content=CONTENT, at=st.integers(0, 3 * LENGTH))
def test_compressed_or_not_a_file_has_the_same_beginning_and_goes_on_at_every_offset(
    content: bytes, at: int, tmp_path: Path
) -> None:
    plain, packed = tmp_path / "a.log", tmp_path / "a.log.gz"
    plain.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    assert first_bytes(str(plain)) == first_bytes(str(packed)) == content[:LENGTH]
    at %= len(content) + 1
    last = content[max(0, at - 64) : at]
    assert goes_on(str(plain), at, last)
    assert not at or not goes_on(str(plain), at, bytes([last[0] ^ 1]) + last[1:])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(content=CONTENT, more=st.binary(min_size=1, max_size=9))
def test_a_finished_file_is_known_by_beginning_and_length_plain_or_compressed(
    content: bytes, more: bytes, tmp_path: Path
) -> None:
    head = head_of(content)
    entry = Entry("a.log", 1, 2, (len(content),), (head.size, head.digest), ended=True)
    plain, packed = tmp_path / "a.log.1", tmp_path / "a.log.1.gz"
    for text, expected in ((content, True), (content + more, False)):
        plain.write_bytes(text)
        packed.write_bytes(gzip.compress(text))
        assert (is_finished(entry, str(plain)), is_finished(entry, str(packed))) == (expected, expected)
    packed.write_bytes(b"no gz at all")
    assert not is_finished(entry, str(packed))
    assert not is_finished(entry, str(tmp_path / "nowhere"))


def test_no_more_finished_generations_are_kept_than_there_are_files() -> None:
    finished = Finished()
    for number in range(5):
        finished.add(Entry("a.log", 1, number, (9,), ended=True), generations=3)
    assert [entry.inode for entry in finished] == [2, 3, 4]
    finished.keep("a.log", 1)
    assert [entry.inode for entry in finished] == [4]
    finished.keep("a.log", 0)
    assert finished.lives() == []
    assert list(finished.lines()) == []


@pytest.mark.parametrize(
    ("live", "names"),
    [
        ("app.log", ["app.log.10", "app.log.9.gz", "app.log.2", "app.log.1"]),
        ("0.log", ["0.log.20261122-100000.gz", "0.log.20261122-100001", "0.log.20261123-000000"]),
        ("app.log", ["app.log-20261121.gz", "app.log-20261122"]),
        ("app.log", ["app-2026-11-21.log.gz", "app-2026-11-22.log"]),
        ("app.log", ["app.2.log", "app.1.log"]),
    ],
    ids=["numbers", "kubelet", "dateext", "dates inside", "numbers inside"],
)
def test_names_tell_the_order_of_generations(live: str, names: list[str]) -> None:
    assert generations.oldest_first(reversed(names), live) == names
    assert all(generations.is_related(name, live) for name in names)
    assert all(name.startswith(generations.stem(live)) for name in names)


NAMES = st.text(alphabet="ab.-_019log", min_size=1, max_size=14)


@given(name=NAMES, live=NAMES)
def test_a_relative_begins_with_the_stem_and_is_never_the_file_itself(name: str, live: str) -> None:
    if generations.is_related(name, live):
        assert name != live
        assert name.startswith(generations.stem(live))
    assert not generations.is_related(live, live)
    assert os.path.basename(name) == name
