"""The pages of the documentation name what there is, and point to what is there."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rutta import arguments, cli, components, config
from rutta.message import DROP_WORDS, ERROR_WORDS
from rutta.metrics import registry_of
from rutta.router import Router

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
SUFFIX = {"counter": "_total", "info": "_info"}
LISTENERS = ("listeners.md", "sources.md", "cluster-logs.md")
COMMANDS = ("router", "proxy", "shipper")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(page: str) -> str:
    """Leave out fenced blocks and spans of code: what looks like a link there is none."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE))


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("kind", components.KINDS)
def test_every_component_has_its_place_and_the_table_of_its_settings(kind: str) -> None:
    for name in components.names(kind):
        if kind == "codecs":  # they have no settings of their own
            assert name in anchors((DOCS / "formats.md").read_text(encoding="utf-8")), name
            continue
        pages = [DOCS / "targets" / f"{name}.md"] if kind == "targets" else [DOCS / page for page in LISTENERS]
        assert any(f"<!-- settings {kind} {name} -->" in page.read_text(encoding="utf-8") for page in pages), name


@pytest.mark.parametrize("name", components.names("targets"))
def test_the_index_of_targets_leads_to_every_one(name: str) -> None:
    assert f"[{name}]({name}.md)" in (DOCS / "targets" / "README.md").read_text(encoding="utf-8")


def metrics_page() -> str:
    return (DOCS / "metrics.md").read_text(encoding="utf-8")


def test_the_page_of_metrics_has_every_family_and_no_other() -> None:
    registry = registry_of(Router(config.Config(config.Process(), (), (), "")))
    families = {family.name + SUFFIX.get(family.type, "") for family in registry.collect()}
    ours = {family for family in families if not family.startswith(("process_", "python_gc_"))}
    assert set(re.findall(r"^\| `(rutta_\w+)` \|", metrics_page(), re.MULTILINE)) == ours


def test_the_page_of_metrics_has_every_reason() -> None:
    words = [f"| `{word}` |" for word in (*ERROR_WORDS, *DROP_WORDS)]
    assert [word for word in words if word not in metrics_page()] == []


def test_the_page_of_metrics_has_every_log_event_and_no_other() -> None:
    modules = sorted((ROOT / "dataplane" / "rutta").rglob("*.py"))
    events = {event for module in modules for event in events_of(ast.parse(module.read_text(encoding="utf-8")))}
    table = metrics_page().partition("## Log events")[2]
    rows = re.findall(r"^\| ((?:`\w+` ?)+)\|", table, re.MULTILINE)
    assert {event for row in rows for event in re.findall(r"`(\w+)`", row)} == events


def events_of(module: ast.Module) -> Iterator[str]:
    """Yield the event names of a module's log calls; a name in a variable is what callers of its function give."""
    for function in [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
        for value in [value for call in ast.walk(function) if is_log(call) for value in event_of(call)]:
            yield from [value.value] if isinstance(value, ast.Constant) else words_given(module, function.name)


def is_log(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "log"


def event_of(call: ast.Call) -> list[ast.expr]:
    extras = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
    pairs = [pair for extra in extras for pair in zip(extra.keys, extra.values, strict=True)]
    return [value for key, value in pairs if ast.literal_eval(key) == "event"]


def words_given(module: ast.Module, function: str) -> list[str]:
    """Return the first argument of every call of a function of the module."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call) and node.args]
    given = [call.args[0] for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) == function]
    assert given
    return [ast.literal_eval(one) for one in given]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_are_taken(page: Path) -> None:
    for line in "".join(blocks(page, "sh")).splitlines():
        words = shlex.split(line)
        if words[:1] == ["rutta"] and words[1] in COMMANDS and "--config" not in words:
            assert config.parse(arguments.document_of(cli.parse(cli.parser(), words[1:]), {})).targets, line


@pytest.mark.parametrize("page", [DOCS / "listeners.md", DOCS / "configuration.md"], ids=name_of)
def test_the_configurations_of_a_page_are_taken(page: Path) -> None:
    for block in blocks(page, "yaml"):
        document = {"targets": [{"noop": {}}], **yaml.safe_load(block)}
        assert config.parse(document).listeners, block
