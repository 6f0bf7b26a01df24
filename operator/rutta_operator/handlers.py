"""kopf: login, and the watches of our resources. A handler puts what it was told into the store, and keys on the queue.

Only ``on.event``: other handlers write annotations and finalizers, and are told of changes instead of states. What
kopf would do beside that (a copy of each object to find differences, Events, peering, scans) is switched off.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final, NamedTuple

import kopf

from rutta_operator.edges import Edges
from rutta_operator.k8s.kinds import NAMESPACE, RESOURCES
from rutta_operator.spec.models import GROUP
from rutta_operator.store import Store
from rutta_operator.wiring.graph import Key
from rutta_operator.work import Work

Body = Mapping[str, Any]


class Feed:
    """What watches and sweeps bring → store, graph and queue."""

    def __init__(self, store: Store, edges: Edges, work: Work) -> None:
        self._store, self._edges, self._work = store, edges, work
        self.brought: Counter[str] = Counter()
        """how many objects the watches brought, by kind"""

    def come(self, kind: str, body: Body) -> None:
        """Take an object that a watch brought, new or changed."""
        self.brought[kind] += 1
        self.take(kind, body)

    def take(self, kind: str, body: Body) -> None:
        """Take an object that is new or changed, whoever brought it."""
        if kind == NAMESPACE.kind:
            if self._store.put_namespace(body):
                self._edges.touch()
        elif kind in RESOURCES:
            self._resource(self._store.put_resource({**body, "kind": kind}))
        else:
            self._work.extend(self._store.put_child({**body, "kind": kind}))

    def go(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Forget an object that is gone."""
        if kind == NAMESPACE.kind:
            if self._store.drop_namespace(name, uid):
                self._edges.touch()
        elif kind in RESOURCES:
            self._resource(self._store.drop_resource(Key(kind, namespace, name), uid))
        else:
            owner = self._store.drop_child((kind, namespace, name), uid)
            self._work.extend(() if owner is None else (owner,))

    def keep(self, kind: str, known: Mapping[str, tuple[int, str, str]], found: Set[str]) -> None:
        """Forget what was ``known`` (``Store.versions``) before a list that found these uids only."""
        for uid in known.keys() - found:
            _, namespace, name = known[uid]
            self.go(kind, namespace, name, uid)

    def _resource(self, key: Key | None) -> None:
        if key is not None:
            self._edges.touch_node(key)
            self._work.add(key)


class Watching(NamedTuple):
    """What is watched, and how."""

    login: Callable[[], kopf.ConnectionInfo]
    """asked again when the API server does not take a token any more"""
    namespaces: tuple[str, ...]
    """empty: the whole cluster"""


async def watch(feed: Feed, watching: Watching, begun: Callable[[], None]) -> None:
    """Watch until cancelled; ``begun`` is called once kopf has put its handlers of signals in place.

    Raises whatever a watch does not survive: an API server that is away for long, a right that was taken away.
    """
    tasks = await kopf.spawn_tasks(
        registry=_registry(feed, watching),
        settings=_settings(),
        clusterwide=not watching.namespaces,
        namespaces=watching.namespaces,
        standalone=True,
    )
    begun()
    await kopf.run_tasks(tasks, ignored=_Everything())


class _Everything:
    """The tasks that kopf is not to cancel when it ends: all that are not its own."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _registry(feed: Feed, watching: Watching) -> kopf.OperatorRegistry:
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return watching.login()

    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    for api in RESOURCES.values():
        kopf.on.event(api.group, api.version, api.plural, registry=registry, id=api.plural)(_handler(feed, api.kind))
    return registry


def _handler(feed: Feed, kind: str) -> Callable[..., Any]:
    async def on_event(event: Any, **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            metadata = body["metadata"]
            feed.go(kind, metadata.get("namespace", ""), metadata["name"], metadata["uid"])
        else:
            feed.come(kind, body)

    return on_event


class _NoDifferences(kopf.DiffBaseStorage):
    """Spares kopf a copy of each object: it has no handler that wants to know what changed."""

    def build(self, **_: Any) -> Any:
        """Return nothing to compare."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Return nothing to compare with."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


_PREFIX: Final = f"kopf.{GROUP}"


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = f"{GROUP}/never-used"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=_PREFIX)
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.request_timeout = 15
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = [0.5, 1, 2, 4, 8]
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = 70  # the API server sends a bookmark every minute
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 0.5
    settings.process.ultimate_exiting_timeout = 25
    return settings
