"""What is known of the cluster: our resources, their children, the namespaces' labels. No I/O.

Watches bring objects late, twice, or not at all, and our own writes answer with newer ones; so everything here goes by
uid and resourceVersion: what is older than what is known changes nothing, even if it is of another uid (whoever has a
name later has later versions), and a deletion counts for its uid only.
Children are kept as compact JSON, a tenth of what they are as Python objects.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from rutta_operator import log
from rutta_operator.k8s.kinds import NAMESPACE, RESOURCES, WORKLOADS
from rutta_operator.spec import rules
from rutta_operator.spec.documents import Document
from rutta_operator.spec.models import GROUP, KINDS, Resource
from rutta_operator.spec.problems import Problem
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key, Node
from rutta_operator.wiring.topology import Placed, node

Object = Mapping[str, Any]
NO_DOCUMENT: Final = Document("", {}, {})  # places in files, which resources of a cluster do not have
_ROLES: Final = {kind.removeprefix("Rutta").lower(): kind for kind in RESOURCES}


class Known(NamedTuple):
    """One of our resources."""

    uid: str
    version: int
    generation: int
    deleting: bool
    placed: Placed | None
    """None if it has problems"""
    problems: tuple[Problem, ...]
    shape: Resource | None
    """the resource, if at least its shape is right: what others need to know of it"""
    status: bytes
    """the live status as JSON"""


class Child(NamedTuple):
    """An object that belongs to a resource."""

    uid: str
    version: int
    owner: Key | None
    controller: str | None
    """the uid of the resource that it belongs to; None: to nobody, but it has a resource's labels"""
    body: bytes
    """without what the API server keeps of who wrote what; a status only if it is a workload's"""
    holds_replicas: bool
    """whether our last apply said ``spec.replicas``"""
    deleting: bool
    shape: int
    """the same as long as nothing but a workload's status has changed"""

    def object(self) -> dict[str, Any]:
        """Return the object."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Namespace(NamedTuple):
    """A namespace."""

    uid: str
    version: int
    labels: Mapping[str, str]


Place = tuple[str, str, str]  # kind, namespace, name


class Store:
    """The newest that is known. ``moved`` is set whenever something came."""

    def __init__(self) -> None:
        self.resources: dict[Key, Known] = {}
        self.nodes: dict[Key, Node] = {}
        self.namespaces: dict[str, Namespace] = {}
        self.moved = asyncio.Event()
        self._children: dict[Place, Child] = {}
        self._owned: dict[Key, set[tuple[str, str]]] = {}  # kind and name of a resource's children

    def put_resource(self, body: Object) -> Key | None:
        """Take what a watch or an answer brought; return its key if it is news."""
        self.moved.set()
        metadata = body["metadata"]
        key = Key(body["kind"], metadata["namespace"], metadata["name"])
        version, known = _version(metadata), self.resources.get(key)
        if known is not None and version <= known.version:
            return None
        status = _compact(body.get("status") or {})
        if known is None or (known.uid, known.generation) != (metadata["uid"], metadata.get("generation", 0)):
            known = _read(key, body)
            self._node(key, known)
        deleting = "deletionTimestamp" in metadata
        self.resources[key] = known._replace(version=version, deleting=deleting, status=status)
        return key

    def _node(self, key: Key, known: Known) -> None:
        """Keep what the graph needs; a resource that became unreadable stays what it was."""
        if known.shape is not None:
            self.nodes[key] = node(Placed(key, known.shape, NO_DOCUMENT))

    def drop_resource(self, key: Key, uid: str) -> Key | None:
        """Forget a resource that is gone; return its key if it was known."""
        self.moved.set()
        known = self.resources.get(key)
        if known is None or known.uid != uid:
            return None
        del self.resources[key]
        self.nodes.pop(key, None)
        return key

    def put_child(self, body: Object) -> tuple[Key, ...]:
        """Take an object; return the key of its resource if it is news, and that of its former one."""
        self.moved.set()
        metadata = body["metadata"]
        place = body["kind"], metadata["namespace"], metadata["name"]
        version, known = _version(metadata), self._children.get(place)
        if known is not None and version <= known.version:
            return ()
        owner, former = owner_of(metadata), None if known is None else known.owner
        self._unlink(place)
        self._children[place] = Child(
            uid=metadata["uid"],
            version=version,
            owner=owner,
            controller=controller_of(metadata).get("uid"),
            body=_child(body),
            holds_replicas=_holds_replicas(metadata),
            deleting="deletionTimestamp" in metadata,
            shape=_shape_of(body, version),
        )
        if owner is not None:
            self._owned.setdefault(owner, set()).add((place[0], place[2]))
        return tuple({one: None for one in (owner, former) if one is not None})

    def drop_child(self, place: Place, uid: str) -> Key | None:
        """Forget an object that is gone; return the key of its resource if it was known."""
        self.moved.set()
        known = self._children.get(place)
        if known is None or known.uid != uid:
            return None
        self._unlink(place)
        del self._children[place]
        return known.owner

    def _unlink(self, place: Place) -> None:
        known = self._children.get(place)
        if known is None or known.owner is None:
            return
        owned = self._owned.get(known.owner, set())
        owned.discard((place[0], place[2]))
        if not owned:
            self._owned.pop(known.owner, None)

    def children(self, key: Key) -> dict[tuple[str, str], Child]:
        """Return the children of a resource, by kind and name."""
        owned = self._owned.get(key, ())
        return {(kind, name): self._children[kind, key.namespace, name] for kind, name in owned}

    def put_namespace(self, body: Object) -> bool:
        """Take a namespace; tell whether its labels are news."""
        self.moved.set()
        metadata = body["metadata"]
        known = self.namespaces.get(metadata["name"])
        news = Namespace(metadata["uid"], _version(metadata), metadata.get("labels") or {})
        if known is not None and news.version <= known.version:
            return False
        self.namespaces[metadata["name"]] = news
        return known is None or known.labels != news.labels

    def drop_namespace(self, name: str, uid: str) -> bool:
        """Forget a namespace that is gone; tell whether it was known."""
        self.moved.set()
        known = self.namespaces.get(name)
        if known is None or known.uid != uid:
            return False
        del self.namespaces[name]
        return True

    def has(self, kind: str, namespace: str, name: str, uid: str, version: int) -> bool:
        """Tell whether what is known of an object is as new as this version of it, or newer."""
        if kind == NAMESPACE.kind:
            known: Namespace | Known | Child | None = self.namespaces.get(name)
        elif kind in RESOURCES:
            known = self.resources.get(Key(kind, namespace, name))
        else:
            known = self._children.get((kind, namespace, name))
        return known is not None and known.uid == uid and known.version >= version

    def versions(self, kind: str, namespace: str | None) -> dict[str, tuple[int, str, str]]:
        """Return version, namespace and name of all that is known of a kind, by uid."""
        return {
            uid: (version, place, name)
            for uid, version, place, name in self._all(kind)
            if namespace is None or place == namespace
        }

    def _all(self, kind: str) -> Iterator[tuple[str, int, str, str]]:
        if kind == NAMESPACE.kind:
            for name, one in self.namespaces.items():
                yield one.uid, one.version, "", name
        elif kind in RESOURCES:
            for key, known in self.resources.items():
                if key.kind == kind:
                    yield known.uid, known.version, key.namespace, key.name
        else:
            for (its, place, name), child in self._children.items():
                if its == kind:
                    yield child.uid, child.version, place, name


def controller_of(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the reference to what an object belongs to; empty if it belongs to nobody."""
    references: list[dict[str, Any]] = metadata.get("ownerReferences") or []
    return next((one for one in references if one.get("controller")), {})


def owner_of(metadata: Mapping[str, Any]) -> Key | None:
    """Return whose an object is: who controls it, or, if nobody does, whose labels it has."""
    namespace, controller = metadata["namespace"], controller_of(metadata)
    if controller:
        ours = controller["apiVersion"].partition("/")[0] == GROUP
        return Key(controller["kind"], namespace, controller["name"]) if ours else None
    labels = metadata.get("labels") or {}
    kind, name = _ROLES.get(labels.get(names.COMPONENT, "")), labels.get(names.INSTANCE)
    if kind is None or name is None or labels.get(names.MANAGED_BY) != names.MANAGER:
        return None
    return Key(kind, namespace, name)


def _read(key: Key, body: Object) -> Known:
    """Judge a resource's document."""
    metadata = body["metadata"]
    document = {**body, "metadata": {"name": key.name, "namespace": key.namespace}, "status": None}
    try:
        resource, problems = rules.examine(document)
        shape = resource if resource is not None else _shape(document)
    except Exception as exc:  # noqa: BLE001 - one document that we are not up to never holds up the others
        log.crash("bug", "A mistake in the operator: this resource cannot be read, and stays as it is.", exc, key=key)
        text = f"the operator cannot read it ({type(exc).__name__}), which is the operator's mistake; please report it"
        resource, shape, problems = None, None, [Problem((), text)]
    placed = None if resource is None else Placed(key, resource, NO_DOCUMENT)
    generation = metadata.get("generation", 0)
    return Known(metadata["uid"], 0, generation, False, placed, tuple(problems), shape, b"{}")


def _shape(document: Object) -> Resource | None:
    try:
        return KINDS[document["kind"]].model_validate(document)
    except ValueError:
        return None


def _version(metadata: Mapping[str, Any]) -> int:
    """Return the resourceVersion, which counts up (Kubernetes 1.35 promises what was always so)."""
    return int(metadata["resourceVersion"])


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _child(body: Object) -> bytes:
    kept = {key: value for key, value in body.items() if key != "status" or body["kind"] in WORKLOADS}
    kept["metadata"] = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    return _compact(kept)


def _shape_of(body: Object, version: int) -> int:
    if body["kind"] not in WORKLOADS:
        return version
    metadata = {
        key: value for key, value in body["metadata"].items() if key not in ("managedFields", "resourceVersion")
    }
    return hash(_compact([metadata, body.get("spec")]))


def _holds_replicas(metadata: Mapping[str, Any]) -> bool:
    return any(
        entry.get("manager") == names.MANAGER
        and entry.get("operation") == "Apply"
        and "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in metadata.get("managedFields", ())
    )
