"""Documents → a topology: the resources, the Secrets and Namespaces beside them, and everything that is wrong."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rutta_operator.spec import documents, rules
from rutta_operator.spec.documents import Document, Source
from rutta_operator.spec.models import API_VERSION, GROUP, KINDS, Reference, Resource, RuttaShipper
from rutta_operator.spec.problems import Finding, Problem, hint, written
from rutta_operator.wiring.graph import Grant, Graph, Key, Node, resolve

DEFAULT_NAMESPACE: Final = "default"


class Placed(NamedTuple):
    """A resource, its key, and the document it came in."""

    key: Key
    resource: Resource
    document: Document


class Topology(NamedTuple):
    """What some documents describe.

    ``findings`` is everything wrong with single documents; a resource that has any is not among the ``resources``.
    ``notes`` are said, and nothing more.
    """

    resources: Mapping[Key, Placed]
    secrets: Mapping[tuple[str, str], Mapping[str, bytes]]
    namespaces: Mapping[str, Mapping[str, str]]
    findings: Sequence[Finding]
    notes: Sequence[str]

    def graph(self) -> Graph:
        """Wire the resources."""
        return resolve(map(node, self.resources.values()), self.namespaces)

    def faults(self, graph: Graph) -> list[Finding]:
        """Return what the graph could not wire, each at its reference."""
        return [
            self.resources[fault.sender].document.locate(
                Problem(("spec", "to", fault.place), f"{fault.reason}: {fault.message}")
            )
            for fault in graph.faults
        ]


def load(sources: Sequence[Source], namespace: str = DEFAULT_NAMESPACE) -> Topology:
    """Read a topology; ``namespace`` is that of resources that say none."""
    read = documents.parse(sources)
    reader = _Reader(namespace, list(read.findings))
    for document in read.documents:
        reader.take(document)
    order = {source.name: number for number, source in enumerate(sources)}
    findings = sorted(reader.findings, key=lambda one: (order.get(one.file, -1), one.line))
    return Topology(reader.resources, reader.secrets, reader.namespaces, findings, reader.notes)


class _Reader:
    """Sorts documents by what they are."""

    def __init__(self, namespace: str, findings: list[Finding]) -> None:
        self.namespace, self.findings = namespace, findings
        self.resources: dict[Key, Placed] = {}
        self.secrets: dict[tuple[str, str], dict[str, bytes]] = {}
        self.namespaces: dict[str, dict[str, str]] = {}
        self.notes: list[str] = []
        self._places: dict[Key, str] = {}

    def take(self, document: Document) -> None:
        value = document.value
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            self._find(document, (), "is not a resource: it has no kind")
            return
        kind, version = value["kind"], str(value.get("apiVersion", ""))
        if kind in KINDS:
            self._resource(document)
        elif version.partition("/")[0] == GROUP:
            self._find(document, ("kind",), f"{API_VERSION} has no kind {kind!r}; {hint(kind, KINDS)}")
        elif kind == "Secret" and version == "v1":
            self._secret(document)
        elif kind == "Namespace" and version == "v1":
            self._namespace(document)
        else:
            place = f"{document.file}:{document.line(())}"
            self.notes.append(f"{place}: a {kind} is no part of a topology; it is left out.")

    def _find(self, document: Document, path: tuple[str | int, ...], message: str) -> None:
        self.findings.append(document.locate(Problem(path, message)))

    def _resource(self, document: Document) -> None:
        resource, problems = rules.examine(document.value)
        self.findings += map(document.locate, problems)
        key = self._key(document.value)
        here = f"{document.file}:{document.line(('metadata', 'name'))}"
        if key is not None and self._places.setdefault(key, here) != here:
            self._find(document, ("metadata", "name"), f"{key.kind} {key.short} is in {self._places[key]} already")
        elif key is not None and resource is not None:
            self.resources[key] = Placed(key, resource, document)

    def _key(self, value: Mapping[str, Any]) -> Key | None:
        name, namespace = self._name(value)
        return None if name is None else Key(value["kind"], namespace, name)

    def _name(self, value: Mapping[str, Any]) -> tuple[str | None, str]:
        metadata = value.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        name, namespace = metadata.get("name"), metadata.get("namespace") or self.namespace
        return (name if isinstance(name, str) else None), str(namespace)

    def _namespace(self, document: Document) -> None:
        name, _ = self._name(document.value)
        labels = (document.value.get("metadata") or {}).get("labels") or {}
        if name is None or not isinstance(labels, dict):
            self._find(document, ("metadata",), "is not a Namespace's: it has no name, or labels that are no mapping")
            return
        self.namespaces[name] = {str(label): str(value) for label, value in labels.items()}

    def _secret(self, document: Document) -> None:
        name, namespace = self._name(document.value)
        if name is None:
            self._find(document, ("metadata", "name"), "is required")
            return
        found = self.secrets.setdefault((namespace, name), {})
        for part in ("data", "stringData"):  # stringData wins, as on the API server
            values = document.value.get(part) or {}
            if not isinstance(values, dict):
                self._find(document, (part,), f"{written(values)} is not a mapping")
                continue
            for key, value in values.items():
                self._secret_value(document, found, part, key, value)

    def _secret_value(self, document: Document, found: dict[str, bytes], part: str, key: str, value: object) -> None:
        if not isinstance(value, str):
            self._find(document, (part, key), "is not a text; put it in quotes")
            return
        try:
            found[key] = (
                value.encode() if part == "stringData" else base64.b64decode("".join(value.split()), validate=True)
            )
        except binascii.Error:
            self._find(document, (part, key), "is not base64; a plain text belongs in stringData")


def node(placed: Placed) -> Node:
    """Return what the graph needs to know of a resource."""
    key, resource = placed.key, placed.resource
    if isinstance(resource, RuttaShipper):
        return Node(key, _targets(key, resource.spec.to))
    spec = resource.spec
    grants = tuple(
        Grant(frozenset(consent.kinds), consent.namespaces.from_, consent.namespaces.selector)
        for consent in spec.allowed_from
    )
    return Node(key, _targets(key, getattr(spec, "to", ())), grants, spec.link.pattern, spec.link.delivery)


def _targets(key: Key, references: Iterable[Reference]) -> tuple[Key, ...]:
    return tuple(target_of(key, one) for one in references)


def target_of(sender: Key, reference: Reference) -> Key:
    """Return the key that a reference names."""
    return Key(reference.kind, reference.namespace or sender.namespace, reference.name)
