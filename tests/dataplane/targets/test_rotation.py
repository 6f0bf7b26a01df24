"""Names of rotated files, what is deleted and compressed of them, and what is left alone."""

import fcntl
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rutta.disk.rotation import Closed, Keep, Naming, compress, surplus, tidy
from rutta.settings import Duration, Size

NOW = 1_732_300_000.0  # 2024-11-22T18:26:40Z


def make(folder: Path, name: str, *, age: float = 0.0, text: bytes = b"line\n") -> Path:
    path = folder / name
    path.write_bytes(text)
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_placeholders_are_the_utc_date_and_hour(tmp_path: Path) -> None:
    naming = Naming(f"{tmp_path}/app-{{date}}T{{hour}}.log")
    assert naming.path(NOW) == tmp_path / "app-2024-11-22T18.log"
    assert naming.is_dated


@pytest.mark.parametrize("template", ["/var/{date}/x.log", "/var/log/", "x-{day}.log", "x{.log", ""])
def test_a_template_that_cannot_work_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="placeholders"):
        Naming(template)


def test_a_closed_name_is_never_one_that_is_taken(tmp_path: Path) -> None:
    naming = Naming(f"{tmp_path}/app.log")
    first = naming.closed_path(NOW)
    assert first.name == "app.20241122T182640Z.log"
    (tmp_path / "app.20241122T182640Z.log.gz").touch()
    assert naming.closed_path(NOW).name == "app.20241122T182640Z_0001.log"
    (tmp_path / "app.20241122T182640Z.log.gz").unlink()
    assert naming.closed_path(NOW).name == "app.20241122T182640Z_0002.log", "names sort by time"


def test_only_our_own_closed_files_are_found_newest_first(tmp_path: Path) -> None:
    ours = ["app.20241122T182640Z.log", "app.20241121T182640Z_0001.log.gz", "app.20241120T182640Z.log.zst"]
    for age, name in enumerate(ours):
        make(tmp_path, name, age=age)
    for name in ("app.log", "app.log.1", "app-old.log", "application.log", "app.20241122T182640Z.log.gz.part"):
        make(tmp_path, name)
    naming = Naming(f"{tmp_path}/app.log")
    assert [one.name for one in naming.closed(tmp_path / "app.log")] == ours
    assert [path.name for path in naming.unfinished()] == ["app.20241122T182640Z.log.gz.part"]


def test_dated_files_of_other_days_are_closed_ones(tmp_path: Path) -> None:
    make(tmp_path, "app-2024-11-21.log", age=86400)
    make(tmp_path, "app-2024-11-22.log")
    naming = Naming(f"{tmp_path}/app-{{date}}.log")
    assert [one.name for one in naming.closed(naming.path(NOW))] == ["app-2024-11-21.log"]


CLOSED = [Closed(int((NOW - age) * 1e9), f"f{age}", 100) for age in (10, 20, 30, 40)]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (Keep(), []),
        (Keep(files=3), ["f40"]),
        (Keep(files=0), ["f10", "f20", "f30", "f40"]),
        (Keep(age=Duration(25)), ["f30", "f40"]),
        (Keep(max_bytes=Size(200)), ["f30", "f40"]),
        (Keep(files=3, age=Duration(35), max_bytes=Size(150)), ["f20", "f30", "f40"]),
    ],
)
def test_the_oldest_go_first_by_count_age_and_size(keep: Keep, gone: list[str]) -> None:
    assert [one.name for one in surplus(CLOSED, keep, now=NOW)] == gone


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "Gzip": gzip.decompress,
    "Zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


@pytest.mark.parametrize(("how", "suffix"), [("Gzip", ".gz"), ("Zstd", ".zst")])
def test_a_compressed_file_has_the_content_time_and_mode_of_the_closed_one(
    tmp_path: Path, how: str, suffix: str
) -> None:
    text = b"".join(b"line %d\n" % number for number in range(300_000))
    path = make(tmp_path, "app.20241122T182640Z.log", age=50, text=text)
    path.chmod(0o604)
    tidy(Naming(f"{tmp_path}/app.log"), keep=Keep(), compression=how, now=NOW)  # type: ignore[arg-type]
    packed = path.with_name(path.name + suffix)
    assert not path.exists()
    assert UNPACK[how](packed.read_bytes()) == text
    assert packed.stat().st_mtime == NOW - 50
    assert packed.stat().st_mode & 0o777 == 0o604


def test_compression_that_is_stopped_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = make(tmp_path, "app.20241122T182640Z.log", text=b"line\n" * 10)
    compress(path, "Gzip", stopping=lambda: True)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_file_that_another_process_still_writes_to_is_left_for_the_next_time(tmp_path: Path) -> None:
    held = make(tmp_path, "app.20241122T182640Z.log")
    naming = Naming(f"{tmp_path}/app.log")
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        tidy(naming, keep=Keep(files=0), compression="Gzip", now=NOW)
        assert [one.name for one in tmp_path.iterdir()] == [held.name]
    tidy(naming, keep=Keep(files=0), compression="Gzip", now=NOW)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_half_compressed_is_made_anew(tmp_path: Path) -> None:
    make(tmp_path, "app.20241122T182640Z.log", text=b"whole\n")
    make(tmp_path, "app.20241122T182640Z.log.gz.part", text=b"half")
    tidy(Naming(f"{tmp_path}/app.log"), keep=Keep(), compression="Gzip", now=NOW)
    (left,) = tmp_path.iterdir()
    assert gzip.decompress(left.read_bytes()) == b"whole\n"


def test_a_folder_that_is_gone_is_said_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tidy(Naming(f"{tmp_path}/none/app.log"), keep=Keep(files=1), compression="None", now=NOW)
    assert "were not tidied up" in caplog.text
