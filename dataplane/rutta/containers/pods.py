"""What the API server knows of this node's pods: labels, annotations, images, owners. One watch, and none is needed.

Plain HTTP (https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes): a list in
pages, then a watch from its resource version with bookmarks; 410 means to begin anew. The server sees one client per
node, filtered by ``spec.nodeName``. While it is away, what was known stays known.
"""

import asyncio
import logging
import os
import random
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

log = logging.getLogger("rutta.containers")

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PAGE: Final = 100  # pods per page of a list
WATCH: Final = 300  # seconds that a watch lasts, at the server
SILENCE: Final = 330.0  # seconds without a word, after which a watch is begun anew
RETRY: Final = (1.0, 30.0)  # seconds between tries: at first, at most
_LONGEST: Final = 4 * 2**20  # bytes of one event of a watch
_HASH: Final = "kubernetes.io/config.hash"  # of a static pod: what its log's folder has for a uid


class Owner(Struct, frozen=True):
    """Who made a pod."""

    kind: str = ""
    name: str = ""
    controller: bool = False


class Meta(Struct, frozen=True, rename="camel"):
    """The metadata that is looked at."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[Owner] = []


class Container(Struct, frozen=True):
    """A container's name and image."""

    name: str = ""
    image: str = ""


class Spec(Struct, frozen=True, rename="camel"):
    """The containers of a pod, of all kinds."""

    containers: list[Container] = []
    init_containers: list[Container] = []
    ephemeral_containers: list[Container] = []


class Pod(Struct, frozen=True):
    """A pod as the API server has it."""

    metadata: Meta = field(default_factory=Meta)
    spec: Spec = field(default_factory=Spec)

    def image(self, container: str) -> str | None:
        """Return the image of a container."""
        spec = self.spec
        every = (*spec.containers, *spec.init_containers, *spec.ephemeral_containers)
        return next((one.image for one in every if one.name == container), None)

    @property
    def owner(self) -> Mapping[str, str] | None:
        """Return who made it; a Deployment where its ReplicaSet's name says so."""
        meta = self.metadata
        owner = next((one for one in meta.owner_references if one.controller), None)
        if owner is None:
            return None
        digest = meta.labels.get("pod-template-hash")
        if owner.kind == "ReplicaSet" and digest and owner.name.endswith(f"-{digest}"):
            return {"kind": "Deployment", "name": owner.name.removesuffix(f"-{digest}")}
        return {"kind": owner.kind, "name": owner.name}


class _ListMeta(Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = field(default="", name="continue")


class _List(Struct):
    metadata: _ListMeta = field(default_factory=_ListMeta)
    items: list[Pod] = []


class _Event(Struct):
    type: str
    object: Pod = field(default_factory=Pod)


_list = msgspec.json.Decoder(_List).decode
_event = msgspec.json.Decoder(_Event).decode


class Expired(Exception):
    """The watch must begin with a new list."""


class Forbidden(ConnectionError):
    """The service account may not; waiting does not help."""


class Pods:
    """The pods of a node. ``changed`` is told the uid of each that is new or different.

    Gone ones are remembered until they are forgotten: their logs may be read still.
    """

    def __init__(self, node: str, changed: Callable[[str], None], *, account: Path = ACCOUNT) -> None:
        """Connect nowhere yet."""
        self.node = node
        self.is_synced = False
        self.problem = ""
        self.watches = 0
        self.told = asyncio.Event()  # set when the API server has told of all pods, or that it will not
        self._account = account
        self._changed = changed
        self._pods: dict[str, Pod] = {}
        self._gone: set[str] = set()

    @staticmethod
    def why_not(account: Path = ACCOUNT, environment: Mapping[str, str] = os.environ) -> str:
        """Say why there can be no watch; empty if there can."""
        if not (account / "token").exists():
            return "no service account's token is mounted"
        missing = [one for one in ("KUBERNETES_SERVICE_HOST", "NODE_NAME") if not environment.get(one)]
        return f"the environment has no {' and no '.join(missing)}" if missing else ""

    def get(self, uid: str) -> Pod | None:
        """Return a pod, if it is known; ``uid`` as its log's folder has it."""
        return self._pods.get(uid)

    def __len__(self) -> int:
        """Count the pods that are known."""
        return len(self._pods)

    def forget(self, kept: set[str]) -> None:
        """Forget those that are gone and of which nothing is read any more."""
        for uid in self._gone - kept:
            self._pods.pop(uid, None)
        self._gone &= kept

    async def run(self) -> None:
        """Watch until cancelled."""
        delay = RETRY[0]
        errors = _errors()
        while True:
            version = ""
            try:
                async with self._session() as session:
                    version = await self._everything(session)
                    delay = RETRY[0]
                    while True:
                        version = await self._follow(session, version)
            except Expired:
                continue
            except errors as exc:
                self._failed(exc)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spreads nodes, no secret
            delay = min(RETRY[1], delay * 2)

    def _failed(self, exc: Exception) -> None:
        problem = str(exc) or type(exc).__name__
        if not self.problem:
            log.warning(
                "The API server does not tell of this node's pods (%s); what is known of them is used, and it is tried "
                "again.", problem, extra={"event": "pods_unwatched"},
            )  # fmt: skip
        self.problem = problem[:300]
        if isinstance(exc, Forbidden):
            self.told.set()

    def _session(self) -> Any:
        import ssl

        import aiohttp  # only where there is a token

        context = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        return aiohttp.ClientSession(
            f"https://{f'[{host}]' if ':' in host else host}:{port}",
            connector=aiohttp.TCPConnector(ssl=context, limit=1),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE),
            read_bufsize=_LONGEST,
        )

    def _ask(self, session: Any, **query: str) -> Any:
        token = (self._account / "token").read_text(encoding="ascii").strip()  # rotated: read each time
        query = {"fieldSelector": f"spec.nodeName={self.node}", **query}
        return session.get("/api/v1/pods", params=query, headers={"Authorization": f"Bearer {token}"})

    async def _everything(self, session: Any) -> str:
        """List all pods; return the version that a watch begins at."""
        seen: set[str] = set()
        following = ""
        while True:
            more = {"continue": following} if following else {}
            async with self._ask(session, limit=str(PAGE), **more) as answer:
                _expect(answer)
                page = _list(await answer.read())
            seen.update(self._put(pod) for pod in page.items)
            following = page.metadata.continue_
            if not following:
                break
        self._gone |= self._pods.keys() - seen
        self.is_synced, self.problem = True, ""
        self.told.set()
        return page.metadata.resource_version

    async def _follow(self, session: Any, version: str) -> str:
        """Watch once; return the version to go on from."""
        self.watches += 1
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH)}
        async with self._ask(session, resourceVersion=version, **query) as answer:
            _expect(answer)
            self.problem = ""
            async for line in _lines(answer):
                event = _event(line)
                if event.type == "ERROR":
                    raise Expired
                if event.type == "DELETED":
                    self._gone.add(_uid(event.object))
                elif event.type != "BOOKMARK":
                    self._put(event.object)
                version = event.object.metadata.resource_version or version
        return version

    def _put(self, pod: Pod) -> str:
        uid = _uid(pod)
        self._gone.discard(uid)
        before, self._pods[uid] = self._pods.get(uid), pod
        if before is None or _shown(before) != _shown(pod):
            self._changed(uid)
        return uid


def _shown(pod: Pod) -> object:
    return pod.spec, pod.metadata.labels, pod.metadata.annotations


def _uid(pod: Pod) -> str:
    """Return what the folder of a pod's logs has for its uid: of a static pod it is the hash of its file."""
    return pod.metadata.annotations.get(_HASH) or pod.metadata.uid


def _expect(answer: Any) -> None:
    if answer.status == 410:
        raise Expired
    if answer.status != 200:
        said = f"it answers {answer.status} {answer.reason}"
        if answer.status in (401, 403):
            raise Forbidden(f"{said}; may the service account list and watch pods?")
        raise ConnectionError(said)


async def _lines(answer: Any) -> AsyncIterator[bytes]:
    async for line in answer.content:
        if line.strip():
            yield line


def _errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return aiohttp.ClientError, OSError, TimeoutError, ValueError, msgspec.DecodeError
