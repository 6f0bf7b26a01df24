"""YAML text → documents whose every value knows its line.

The API server reads YAML 1.1 without dates and base-60 numbers, refuses nothing that is a duplicate key only in newer
versions, and turns keys into strings; here a duplicate key is always an error, since one of the two is lost. Lists
(``kind: List``) are taken apart, as ``kubectl`` does.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Final, NamedTuple

import yaml

from rutta_operator.spec.problems import Finding, Path, Problem

STDIN: Final = "<stdin>"
_MOST_NODES: Final = 250_000  # aliases of aliases grow without bound ("billion laughs"); no topology comes near
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """Reads scalars as the API server does: no dates, no base-60 numbers."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] not in ("timestamp", "int", "float")]
    for first, resolvers in _SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?"
               r"|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)  # fmt: skip


class Source(NamedTuple):
    """A text and the name by which its user knows it."""

    name: str
    text: str


class Document(NamedTuple):
    """One YAML document (or one item of a List): its data, and the line of every value."""

    file: str
    value: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of the value at ``path``, or of the nearest thing around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def locate(self, problem: Problem) -> Finding:
        """Say in which file and line a problem is."""
        return Finding(self.file, self.line(problem.path), problem.path, problem.message)


class Read(NamedTuple):
    """What was read: the documents, and what was wrong with the text itself."""

    documents: list[Document]
    findings: list[Finding]


def gather(names: Iterable[str]) -> tuple[list[Source], list[Finding]]:
    """Read files, directories (their ``*.yaml`` and ``*.yml``) and ``-``, standard input."""
    sources: list[Source] = []
    findings: list[Finding] = []
    for name in names:
        try:
            sources += _read(name)
        except UnicodeDecodeError:
            findings.append(Finding(name, 0, (), "is not UTF-8 text"))
        except OSError as exc:
            findings.append(Finding(name, 0, (), f"cannot be read: {exc.strerror or exc}"))
    return sources, findings


def _read(name: str) -> list[Source]:
    if name == "-":
        return [Source(STDIN, sys.stdin.read())]
    path = FilePath(name)
    if not path.is_dir():
        return [Source(name, path.read_text(encoding="utf-8"))]
    files = sorted(one for one in path.iterdir() if one.suffix in (".yaml", ".yml") and one.is_file())
    if not files:
        raise FileNotFoundError(2, "the directory has no *.yaml file", name)
    return [Source(str(one), one.read_text(encoding="utf-8")) for one in files]


def parse(sources: Sequence[Source]) -> Read:
    """Parse every source; a source that is no YAML gives a finding and none of its later documents."""
    read = Read([], [])
    for source in sources:
        _parse(source, read)
    return read


def _parse(source: Source, read: Read) -> None:
    loader: Any = None
    try:
        loader = _Loader(source.text)
        while loader.check_node():
            walk = _Walk(source.name, loader, read.findings)
            document = walk.document(loader.get_node())
            read.documents.extend(_items(document))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        text = f"is not YAML: {exc.problem or exc.context}"
        read.findings.append(Finding(source.name, mark.line + 1 if mark else 0, (), text))
    except yaml.YAMLError as exc:
        read.findings.append(Finding(source.name, 0, (), f"is not YAML: {exc}"))
    finally:
        if loader is not None:
            loader.dispose()


class _TooMuch(yaml.YAMLError):
    """A document that grows without bound by its aliases."""


class _Walk:
    """Turns one tree of nodes into data, noting lines and duplicate keys."""

    def __init__(self, file: str, loader: Any, findings: list[Finding]) -> None:
        self._file, self._loader, self._findings = file, loader, findings
        self._lines: dict[Path, int] = {}
        self._above: set[int] = set()  # nodes that we are inside of: an alias to one never ends
        self._flat: set[int] = set()  # mappings whose merges are done; an alias brings us here again
        self._nodes = 0

    def document(self, node: Any) -> Document:
        value = self._value(node, ())
        return Document(self._file, value, self._lines)

    def _value(self, node: Any, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise _TooMuch(f"aliases make it more than {_MOST_NODES} values")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._above:
            raise _TooMuch("an alias refers to what it is inside of")
        self._above.add(id(node))
        try:
            return self._list(node, path) if isinstance(node, yaml.SequenceNode) else self._mapping(node, path)
        finally:
            self._above.discard(id(node))

    def _scalar(self, node: Any, path: Path) -> Any:
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self._findings.append(Finding(self._file, node.start_mark.line + 1, path, f"{node.value!r} cannot be read"))
            return node.value
        return node.value if isinstance(value, bytes) else value

    def _list(self, node: Any, path: Path) -> list[Any]:
        return [self._value(one, (*path, index)) for index, one in enumerate(node.value)]

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._duplicates(node, path)
            self._loader.flatten_mapping(node)  # ``<<``: what is merged comes first, so that own keys win
        found: dict[str, Any] = {}
        for key, value in node.value:
            here = (*path, _key(key))
            self._lines[here] = key.start_mark.line + 1
            found[_key(key)] = self._value(value, here)
        return found

    def _duplicates(self, node: Any, path: Path) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            name, line = _key(key), key.start_mark.line + 1
            if name in seen:
                text = f"is given twice, first in line {seen[name]}"
                self._findings.append(Finding(self._file, line, (*path, name), text))
            seen.setdefault(name, line)


def _key(node: Any) -> str:
    """Return a key as the text it is in JSON; a key that is no scalar gets a text that is no known key."""
    return node.value if isinstance(node, yaml.ScalarNode) else "(not a text)"


def _items(document: Document) -> Iterator[Document]:
    """Take a List apart; nothing from an empty document."""
    value = document.value
    if value is None:
        return
    items = value.get("items") if isinstance(value, dict) else None
    if not (isinstance(items, list) and str(value.get("kind", "")).endswith("List")):
        yield document
        return
    lines: list[dict[Path, int]] = [{} for _ in items]
    for path, line in document.lines.items():
        if len(path) > 1 and path[0] == "items" and isinstance(path[1], int):
            lines[path[1]][path[2:]] = line
    for item, places in zip(items, lines, strict=True):
        yield from _items(Document(document.file, item, places))
