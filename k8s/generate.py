"""Write what is generated here: ``rutta.yaml`` of each overlay, and the fields that the kustomize component names.

python k8s/generate.py            write
python k8s/generate.py --check    exit with 1 if a file is not what would be written (make test asks)
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from rutta_operator.ctl.rendering import render
from rutta_operator.spec import components
from rutta_operator.spec.components import Section
from rutta_operator.spec.documents import Source
from rutta_operator.wiring.topology import load

HERE: Final = Path(__file__).parent
KINDS: Final = ("RuttaRouter", "RuttaShipper", "RuttaProxy")
SENDERS: Final = ("RuttaShipper", "RuttaProxy")
_SECTIONS: Final[tuple[tuple[str, Section], ...]] = (
    ("RuttaRouter", "listeners"), ("RuttaRouter", "targets"), ("RuttaShipper", "sources"),
)  # fmt: skip
_POD: Final = "spec/podTemplate/spec"
_CONTAINERS: Final = ("containers", "initContainers")
_SECRETS: Final = (
    "volumes/secret/secretName", "volumes/projected/sources/secret/name", "imagePullSecrets/name",
    *(f"{one}/env/valueFrom/secretKeyRef/name" for one in _CONTAINERS),
    *(f"{one}/envFrom/secretRef/name" for one in _CONTAINERS),
)  # fmt: skip
_CONFIG_MAPS: Final = (
    "volumes/configMap/name", "volumes/projected/sources/configMap/name",
    *(f"{one}/env/valueFrom/configMapKeyRef/name" for one in _CONTAINERS),
    *(f"{one}/envFrom/configMapRef/name" for one in _CONTAINERS),
)  # fmt: skip


def main() -> int:
    """Write the files, or compare them."""
    stale = {path: text for path, text in wanted() if not path.exists() or path.read_text(encoding="utf-8") != text}
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path} is not what its source gives; run: make k8s", file=sys.stderr)
        return bool(stale)
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
    return 0


def wanted() -> Iterator[tuple[Path, str]]:
    """Yield every generated file and what belongs in it."""
    for source in sorted(HERE.glob("*/router.yaml")):
        yield source.with_name("rutta.yaml"), overlay(source)
    yield HERE / "components" / "rutta-crs" / "fields.yaml", fields()


def overlay(source: Path) -> str:
    """Return the manifests of an overlay. The original's objects are called rutta, whatever runs in them."""
    topology = load([Source(str(source), source.read_text(encoding="utf-8"))])
    if topology.findings:
        raise SystemExit("\n".join(map(str, topology.findings)))
    text = render(topology, "manifests").replace("rutta-router", "rutta")
    return f"# Generated from {source.name} by make k8s.\n{text}"


def fields() -> str:
    """Return the component's configuration of kustomize's transformers."""
    found = {
        "images": [_at(kind, path) for kind in KINDS for path in _images()],
        "replicas": [_at(kind, "spec/replicas") for kind in KINDS],
        "templateLabels": [_at(kind, "spec/podTemplate/metadata/labels", create=True) for kind in KINDS],
        "nameReference": [
            *(_names(kind, [_at(sender, "spec/to") for sender in SENDERS]) for kind in ("RuttaRouter", "RuttaProxy")),
            _names("Secret", [_at(kind, path) for kind, path in _secrets()], version="v1"),
            _names("ConfigMap", [_at(kind, f"{_POD}/{path}") for kind in KINDS for path in _CONFIG_MAPS], version="v1"),
        ],
    }
    note = "# Generated from the schema of the three kinds by make k8s.\n"
    return note + yaml.safe_dump(found, sort_keys=False, width=120)


def _at(kind: str, path: str, **more: bool) -> dict[str, Any]:
    return {"path": path, "kind": kind, **more}


def _names(kind: str, places: list[dict[str, Any]], **more: str) -> dict[str, Any]:
    return {"kind": kind, **more, "fieldSpecs": places}


def _images() -> Iterator[str]:
    yield "spec/image"
    yield from (f"{_POD}/{one}/image" for one in _CONTAINERS)


def _secrets() -> Iterator[tuple[str, str]]:
    """Yield kind and path of every field that holds the name of a Secret, but for keys that users invent (headers)."""
    for kind in KINDS:
        yield kind, "spec/imagePullSecrets/name"
        yield from ((kind, f"{_POD}/{path}") for path in _SECRETS)
    yield "RuttaRouter", "spec/targets/uriFrom/secretKeyRef/name"
    for kind, section in _SECTIONS:
        for name in components.names(section):
            for path in dict.fromkeys(_walk(components.shape(section, name))):
                yield kind, f"spec/{section}/{name}{path}"


def _walk(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("format") == "secretKeyRef":
        yield "/secretKeyRef/name"
    for option in schema.get("anyOf", ()):
        yield from _walk(option)
    if "items" in schema:
        yield from _walk(schema["items"])
    if schema.get("format") == "secretKeyRef":
        return
    for key, one in schema.get("properties", {}).items():
        if key in ("secretName", "caSecretName"):
            yield f"/{key}"
        yield from (f"/{key}{path}" for path in _walk(one))


if __name__ == "__main__":
    sys.exit(main())
