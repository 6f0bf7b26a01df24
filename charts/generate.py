"""Write what the charts have from elsewhere: CRDs, tables of values, schemas, rendered examples, k8s/install.yaml.

The table of the operator's rights in docs/installation.md is written, too.

    python charts/generate.py            write them (needs helm)
    python charts/generate.py --check    say which are not as their sources are; exit code 1 if any

Without helm, what it renders is left as it is, and that is said.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from rutta_operator.k8s.permissions import PERMISSIONS

ROOT: Final = Path(__file__).resolve().parents[1]
CHARTS: Final = ("rutta", "rutta-topology")
KUBERNETES: Final = "1.34.0"  # what rendering pretends to talk to; templates do not depend on it
NAMESPACE: Final = "rutta-system"
_TABLE: Final = re.compile(r"(<!-- values -->\n).*?(<!-- end of values -->)", re.DOTALL)
_RIGHTS: Final = re.compile(r"(<!-- permissions -->\n).*?(<!-- end of permissions -->)", re.DOTALL)
_HELMS: Final = re.compile(
    r"^\s*(helm\.sh/(chart|resource-policy): .*|app\.kubernetes\.io/managed-by: Helm|# Source: .*)\n",
    re.MULTILINE,
)
_INSTALL: Final = f"""\
# The operator and its CustomResourceDefinitions, as charts/rutta renders them:
#
#   kubectl apply -f k8s/install.yaml
#
# Written by `make charts`.
---
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def files(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Yield each generated file and what it should hold; those that need helm come last."""
    for crd in sorted((root / "crds").glob("*.yaml")):
        yield root / "charts/rutta/files/crds" / crd.name, crd.read_text(encoding="utf-8")
    for chart in CHARTS:
        folder = root / "charts" / chart
        readme = folder / "README.md"
        values = (folder / "values.yaml").read_text(encoding="utf-8")
        yield readme, with_table(readme.read_text(encoding="utf-8"), values)
    yield schema_of_topologies(root)
    page = root / "docs/installation.md"
    yield page, with_rights(page.read_text(encoding="utf-8"))


def rendered(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Yield what helm renders: the examples beside their values, and install.yaml."""
    for chart in CHARTS:
        for values in sorted((root / "charts" / chart / "ci").glob("*-values.yaml")):
            yield golden(values), without_crds(template(root / "charts" / chart, values))
    yield root / "k8s/install.yaml", install(root)


def golden(values: Path) -> Path:
    """Return where the rendering of an example stands."""
    return values.with_name(values.name.replace("-values.yaml", ".golden.yaml"))


def template(chart: Path, values: Path | None = None, *words: str) -> str:
    """Render a chart with a file of values."""
    given = [] if values is None else ["--values", str(values)]
    command = ["helm", "template", "rutta", str(chart), "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    done = subprocess.run([*command, *given, *words], check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout


def without_crds(manifests: str) -> str:
    """Leave out the CRDs, which are long, and stand in install.yaml."""
    return "---\n".join(one for one in manifests.split("---\n") if "\nkind: CustomResourceDefinition\n" not in one)


def install(root: Path) -> str:
    """Return the chart as plain manifests, without what only helm reads."""
    return _INSTALL + _HELMS.sub("", template(root / "charts/rutta", None, "--no-hooks"))


def with_table(page: str, values: str) -> str:
    """Return a README with the table of values as they are now."""
    rows = [f"| `{key}` | {default} | {text} |" for key, default, text in described(values)]
    table = "\n".join(["| value | default | what it is |", "|---|---|---|", *rows])
    return _TABLE.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def with_rights(page: str) -> str:
    """Return a page with the table of what the operator may do."""
    rows = []
    for scope, group, resources, verbs in PERMISSIONS:
        names = ", ".join(f"`{name}`" for name in resources)
        rows.append(f"| {scope} | {group or 'core'} | {names} | {' '.join(verbs)} |")
    table = "\n".join(["| where | group | resources | verbs |", "|---|---|---|---|", *rows])
    return _RIGHTS.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def described(values: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, default and text of every value that has a comment above it."""
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    if root is not None:
        yield from _described(root, values.splitlines(), ())


def _described(node: yaml.Node, lines: list[str], path: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        name, text = (*path, key.value), _comment(lines, key.start_mark.line)
        if text:
            plain = yaml.safe_load(yaml.serialize(value))
            yield ".".join(name), f"`{json.dumps(plain, ensure_ascii=False)}`".replace("|", "\\|"), text
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _described(value, lines, name)
        else:
            raise SystemExit(f"values.yaml: {'.'.join(name)} has no comment; say above it what it is")


def _comment(lines: list[str], line: int) -> str:
    """Return the comment right above a line."""
    found: list[str] = []
    while line > 0 and lines[line - 1].lstrip().startswith("# "):
        line -= 1
        found.insert(0, lines[line].strip().removeprefix("# "))
    return " ".join(found).replace("|", "\\|")


def schema_of_topologies(root: Path) -> tuple[Path, str]:
    """Return the topology chart's schema with the specs of the three kinds as their CRDs have them."""
    path = root / "charts/rutta-topology/values.schema.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    for crd in sorted((root / "crds").glob("*.yaml")):
        document = yaml.safe_load(crd.read_text(encoding="utf-8"))
        version = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["definitions"][document["spec"]["names"]["kind"]] = plain(version["properties"]["spec"])
    return path, json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a CRD's schema as JSON schema: nothing unknown where the API server would drop it; no texts."""
    kept = {key: value for key, value in schema.items() if not key.startswith("x-") and key not in _LEFT_OUT}
    if "properties" in kept:
        kept["properties"] = {name: plain(one) for name, one in kept["properties"].items()}
    for key in ("items", "additionalProperties", "not"):
        if isinstance(kept.get(key), Mapping):
            kept[key] = plain(kept[key])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in kept:
            kept[key] = [plain(one) for one in kept[key]]
    for end in ("Minimum", "Maximum"):  # a word beside the number in OpenAPI 3.0, the number itself in JSON schema
        if kept.pop(f"exclusive{end}", False):
            kept[f"exclusive{end}"] = kept.pop(end.lower())
    if schema.get("x-kubernetes-int-or-string"):
        kept["type"] = ["integer", "string"]
    if "properties" in schema and "type" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        kept.setdefault("additionalProperties", False)
    return kept


_LEFT_OUT: Final = frozenset({"description", "default", "format", "nullable", "example"})


def main(arguments: list[str] | None = None) -> int:
    """Write or check all files; return the exit code."""
    parser = argparse.ArgumentParser(description="Write what the charts have from elsewhere.")
    parser.add_argument("--check", action="store_true", help="only say which files are not as their sources are")
    is_check = parser.parse_args(arguments).check
    stale = _stale(files(), write=not is_check)
    if shutil.which("helm"):
        stale += _stale(rendered(), write=not is_check)
    else:
        print("helm is not on PATH: rendered examples and k8s/install.yaml are left as they are", file=sys.stderr)
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'not as its source is; run make charts' if is_check else 'written'}")
    return 1 if stale and is_check else 0


def _stale(wanted: Iterator[tuple[Path, str]], *, write: bool) -> list[Path]:
    found = []
    for path, text in wanted:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            found.append(path)
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    return found


if __name__ == "__main__":
    sys.exit(main())
