"""The pages of the targets are as the code is: tables generated, examples that work."""

import importlib.util
import itertools
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from rutta import config, uris

DOCS = next(parent for parent in Path(__file__).resolve().parents if (parent / "pyproject.toml").exists()) / "docs"
PAGES = sorted((DOCS / "targets").glob("*.md"))
MINE = ("console", "file", "http", "influxdb", "link", "noop", "shipper")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))  # as for a script: it imports its neighbour
        spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def test_all_tables_are_as_the_types_are(generate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_a_stale_table_is_found_and_written_anew(
    generate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- settings targets file -->\nold\n<!-- end of settings -->\nafter\n")
    assert generate.main(["--check"], folder=tmp_path) == 1
    assert "page.md" in capsys.readouterr().out
    assert generate.main([], folder=tmp_path) == 0
    assert "| `rotate.maxBytes` | size |" in page.read_text()
    assert page.read_text().endswith("<!-- end of settings -->\nafter\n")
    assert generate.main(["--check"], folder=tmp_path) == 0


@pytest.mark.parametrize("name", MINE)
def test_the_page_of_a_target_has_its_table(name: str) -> None:
    assert f"<!-- settings targets {name} -->" in (DOCS / "targets" / f"{name}.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_yaml_of_a_page_is_a_configuration_that_works(page: Path) -> None:
    for block in blocks(page, "yaml"):
        document = {
            "listeners": [{"name": "in", "tcp": {"bind": "127.0.0.1:0", "codec": "json"}}],
            **yaml.safe_load(block),
        }
        assert config.parse(document).targets


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_uris_of_a_page_are_targets(page: Path) -> None:
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line)
        for word, value in itertools.pairwise(words):
            if word == "--target":
                entry = uris.entry_of_uri(value)
                document = {
                    "listeners": [{"name": "in", "tcp": {"bind": "127.0.0.1:0", "codec": "json"}}],
                    "targets": [{"name": "out", **entry}],
                }
                assert config.parse(document).targets[0].component in entry
