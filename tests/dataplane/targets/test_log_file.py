"""The file that grows: rotation, what others do to it, and failures half-way."""

import itertools
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rutta.disk import log_file
from rutta.disk.log_file import LogFile
from rutta.disk.rotation import Naming, Rotate
from rutta.disk.writing import whole_events
from rutta.settings import Duration, Size

NOW = 1_732_300_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., LogFile]]:
    made: list[LogFile] = []

    def build(rotate: Rotate | None = None, name: str = "app.log") -> LogFile:
        made.append(LogFile(Naming(f"{tmp_path}/{name}"), rotate=rotate or Rotate(), clock=clock))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at every write whether the file is still there."""
    monkeypatch.setattr(log_file, "_LOOK", 0.0)


def contents(folder: Path) -> list[bytes]:
    """All files, oldest first, the growing one last."""
    paths = sorted(folder.iterdir(), key=lambda path: (path.name == "app.log", path.name))
    return [path.read_bytes() for path in paths]


def test_what_is_written_twice_stands_in_order(make: Callable[..., LogFile], tmp_path: Path) -> None:
    log = make()
    assert log.append([b"a\n", b"b\n"], by_line=True) == (4, None)
    assert log.append([b"c\n"], by_line=True) == (2, None)
    assert contents(tmp_path) == [b"a\nb\nc\n"]


def test_more_buffers_than_one_call_of_the_kernel_takes_are_all_written(
    make: Callable[..., LogFile], tmp_path: Path
) -> None:
    buffers = [b"%d\n" % number for number in range(3000)]
    assert make().append(buffers, by_line=True).error is None
    assert contents(tmp_path) == [b"".join(buffers)]


@given(
    lines=st.lists(st.integers(0, 30).map(lambda size: b"x" * size + b"\n"), max_size=40),
    cuts=st.integers(1, 7),
    limit=st.integers(1, 60),
)
def test_no_file_exceeds_its_size_unless_one_line_does_and_no_line_is_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: int, limit: int
) -> None:
    folder = tmp_path_factory.mktemp("rotated")
    log = LogFile(Naming(f"{folder}/app.log"), rotate=Rotate(max_bytes=Size(limit)), clock=lambda: NOW)
    buffers = [b"".join(lines[at : at + cuts]) for at in range(0, len(lines), cuts)]
    written = log.append(buffers, by_line=True)
    log.close()
    files = contents(folder)
    assert written == (sum(map(len, lines)), None)
    assert b"".join(files) == b"".join(lines)
    for file in files:
        assert len(file) <= limit or file.count(b"\n") == 1
        assert file.endswith(b"\n") or not file
    for before, after in itertools.pairwise(files):
        assert len(before) + after.index(b"\n") + 1 > limit, "rotated though the next line had room"


def test_msgpack_objects_are_rotated_between_buffers_only(make: Callable[..., LogFile], tmp_path: Path) -> None:
    log = make(Rotate(max_bytes=Size(4)))
    assert log.append([b"\n\n\n", b"\n\n\n", b"\n" * 9], by_line=False) == (15, None)
    assert contents(tmp_path) == [b"\n\n\n", b"\n\n\n", b"\n" * 9]


def test_a_file_is_rotated_when_its_time_is_over(make: Callable[..., LogFile], tmp_path: Path, clock: Clock) -> None:
    log = make(Rotate(every=Duration(3600)))
    log.append([b"first\n"], by_line=True)
    clock.now += 3600
    log.append([b"second\n"], by_line=True)
    assert contents(tmp_path) == [b"first\n", b"second\n"]
    assert log.rotations == 1


def test_time_rotates_also_when_nothing_is_written_but_never_an_empty_file(
    make: Callable[..., LogFile], tmp_path: Path, clock: Clock
) -> None:
    log = make(Rotate(every=Duration(3600)))
    log.append([b"first\n"], by_line=True)
    for _ in range(3):
        clock.now += 3600
        log.tend()
    assert contents(tmp_path) == [b"first\n", b""]


def test_a_restart_rotates_what_an_earlier_hour_left(
    make: Callable[..., LogFile], tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"old\n")
    os.utime(path, (NOW - 7200, NOW - 7200))
    make(Rotate(every=Duration(3600))).append([b"new\n"], by_line=True)
    assert contents(tmp_path) == [b"old\n", b"new\n"]


def test_the_date_in_the_name_changes_the_file_at_midnight(
    make: Callable[..., LogFile], tmp_path: Path, clock: Clock
) -> None:
    log = make(name="app-{date}.log")
    log.append([b"today\n"], by_line=True)
    clock.now += 86400
    log.append([b"tomorrow\n"], by_line=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "app-2024-11-22.log": b"today\n",
        "app-2024-11-23.log": b"tomorrow\n",
    }


@pytest.mark.usefixtures("looking_often")
@pytest.mark.parametrize("how", ["moved", "deleted", "folder deleted"])
def test_a_file_that_others_took_away_is_opened_anew(make: Callable[..., LogFile], tmp_path: Path, how: str) -> None:
    log = make(name="sub/app.log")
    log.append([b"before\n"], by_line=True)
    path = tmp_path / "sub" / "app.log"
    if how == "moved":
        path.rename(tmp_path / "app.log.1")
    else:
        path.unlink()
    if how == "folder deleted":
        path.parent.rmdir()
    assert log.append([b"after\n"], by_line=True) == (6, None)
    assert path.read_bytes() == b"after\n"


def test_a_file_that_others_cut_to_nothing_goes_on_from_there(make: Callable[..., LogFile], tmp_path: Path) -> None:
    log = make(Rotate(max_bytes=Size(20)))
    log.append([b"before " * 2 + b"\n"], by_line=True)
    os.truncate(tmp_path / "app.log", 0)
    log.append([b"after " * 2 + b"\n"], by_line=True)
    assert contents(tmp_path) == [b"after after \n"]


@pytest.mark.usefixtures("looking_often")
def test_two_writers_that_rotate_one_path_lose_no_line(make: Callable[..., LogFile], tmp_path: Path) -> None:
    logs = [make(Rotate(max_bytes=Size(50))), make(Rotate(max_bytes=Size(50)))]
    lines = [b"%03d\n" % number for number in range(200)]
    for number, line in enumerate(lines):
        assert logs[number % 2].append([line], by_line=True).error is None
    assert sorted(b"".join(contents(tmp_path)).splitlines(keepends=True)) == lines


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Let the kernel refuse files above a size, after writing up to it, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_failed_half_way_is_cut_back_to_whole_lines_and_goes_on(
    make: Callable[..., LogFile], tmp_path: Path, small_files: Callable[[int], None]
) -> None:
    log = make()
    small_files(10)
    size, error = log.append([b"one\ntwo\n", b"three\n"], by_line=True, sync=True)
    small_files(resource.RLIM_INFINITY)
    assert size == 8
    assert error is not None
    assert contents(tmp_path) == [b"one\ntwo\n"]
    assert log.append([b"three\n"], by_line=True) == (6, None)
    assert contents(tmp_path) == [b"one\ntwo\nthree\n"]


def test_half_a_line_that_somebody_else_wrote_behind_is_ended_not_cut_off(
    make: Callable[..., LogFile], tmp_path: Path, small_files: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make()
    log.append([b"one\n"], by_line=True)
    fstat = os.fstat

    def other_wrote_first(fd: int) -> os.stat_result:  # between our failed write and our look at the size
        small_files(resource.RLIM_INFINITY)
        with (tmp_path / "app.log").open("ab") as other:
            other.write(b"!\n")
        monkeypatch.setattr(os, "fstat", fstat)
        return fstat(fd)

    log.tend()
    small_files(6)
    monkeypatch.setattr(log, "tend", lambda: monkeypatch.setattr(os, "fstat", other_wrote_first))
    assert log.append([b"three\n"], by_line=True)[0] == 0
    monkeypatch.undo()
    log.append([b"three\n"], by_line=True)
    assert contents(tmp_path) == [b"one\nth!\n\nthree\n"]


def test_half_a_line_that_a_killed_process_left_is_ended_first(make: Callable[..., LogFile], tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"whole\nha")
    make().append([b"new\n"], by_line=True)
    assert contents(tmp_path) == [b"whole\nha\nnew\n"]


def test_a_full_device_is_an_error_in_the_result() -> None:
    log = LogFile(Naming("/dev/full"), rotate=Rotate(max_bytes=Size(1)))
    size, error = log.append([b"x\n"], by_line=True)
    log.close()
    assert (size, "full" in log_file.explain(error or OSError(), "/dev/full")) == (0, True)
    assert not log.is_regular


def test_modes_are_as_set_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        log = LogFile(Naming(f"{tmp_path}/a/b/app.log"), rotate=Rotate(), modes=(0o664, 0o775), durable=True)
        log.append([b"x\n"], by_line=True, sync=True)
        log.close()
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/app.log")] == [
        0o775, 0o775, 0o664,
    ]  # fmt: skip


def test_a_sync_that_fails_counts_nothing_as_written(
    make: Callable[..., LogFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    log = make()
    monkeypatch.setattr(os, "fdatasync", broken)
    assert log.append([b"x\n"], by_line=True, sync=True)[0] == 0


@given(st.lists(st.binary(max_size=5).map(lambda data: data + b"\n"), max_size=8), st.integers(0, 60))
def test_the_part_that_counts_ends_at_an_event(buffers: list[bytes], size: int) -> None:
    joined = b"".join(buffers)
    size = min(size, len(joined))
    whole = whole_events(buffers, size, by_line=True)
    assert whole <= size
    assert joined[:whole] == joined[:size][: joined.rfind(b"\n", 0, size) + 1]
    ends = [sum(map(len, buffers[:count])) for count in range(len(buffers) + 1)]
    assert whole_events(buffers, size, by_line=False) == max(end for end in ends if end <= size)
