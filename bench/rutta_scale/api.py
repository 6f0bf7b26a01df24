"""The API server as plain requests: no client library, so that nothing but the server limits a bare loop."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp

Object = dict[str, Any]
_PLURALS = {
    "Namespace": ("api/v1", "namespaces"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Service": ("api/v1", "services"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "RuttaRouter": ("apis/rutta.logary.tech/v1alpha1", "ruttarouters"),
    "RuttaProxy": ("apis/rutta.logary.tech/v1alpha1", "ruttaproxies"),
    "RuttaShipper": ("apis/rutta.logary.tech/v1alpha1", "ruttashippers"),
}
_APPLY = {"Content-Type": "application/apply-patch+yaml"}
_MERGE = {"Content-Type": "application/merge-patch+json"}


def path_of(kind: str, namespace: str = "", name: str = "") -> str:
    """Return the path of an object, or of all of its kind."""
    api, plural = _PLURALS[kind]
    return f"/{api}/{f'namespaces/{namespace}/' if namespace else ''}{plural}{f'/{name}' if name else ''}"


class Api:
    """Connections to the API server; ``async with`` closes them."""

    def __init__(self, server: str, authority: bytes, token: str) -> None:
        self._server = server
        self._tls = ssl.create_default_context(cadata=authority.decode())
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": "rutta-scale"}

    async def __aenter__(self) -> "Api":
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=300)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def _ask(self, method: str, path: str, body: bytes | None = None, headers: Object | None = None) -> bytes:
        async with self._session.request(method, self._server + path, data=body, headers=headers) as answer:
            read = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {read[:300]!r}")
            return read

    async def apply(self, path: str, body: bytes, manager: str = "rutta-scale") -> None:
        """Apply an encoded object server-side."""
        await self._ask("PATCH", f"{path}?fieldManager={manager}&force=true", body, _APPLY)

    async def merge(self, path: str, changes: Object) -> None:
        """Patch an object."""
        await self._ask("PATCH", path, json.dumps(changes).encode(), _MERGE)

    async def list(self, kind: str, query: str = "") -> Object:
        """Return all objects of a kind in the cluster, as a list object."""
        found: Object = json.loads(await self._ask("GET", f"{path_of(kind)}?{query}"))
        return found

    async def watch(self, kind: str, version: str, query: str) -> AsyncIterator[Object]:
        """Yield the objects of a kind that change after a version, as they do."""
        path = f"{self._server}{path_of(kind)}?watch=1&resourceVersion={version}&timeoutSeconds=3600&{query}"
        async with self._session.get(path, read_bufsize=2**22) as answer:
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "MODIFIED":
                    yield event["object"]

    async def apply_all(self, objects: Sequence[Object], at_once: int = 16) -> None:
        """Apply objects, some at a time."""
        await in_lanes([[prepared(one)] for one in objects], at_once, self)


Write = tuple[str, bytes]


def prepared(one: Object) -> Write:
    """Return where an object goes and what is sent there, so that a loop does nothing else."""
    metadata = one["metadata"]
    return path_of(one["kind"], metadata.get("namespace", ""), metadata["name"]), json.dumps(one).encode()


async def in_lanes(batches: Sequence[Sequence[Write]], lanes: int, api: Api) -> None:
    """Apply batches, each in order, so many at a time: as so many workers would."""
    waiting = iter(batches)

    async def lane() -> None:
        for batch in waiting:
            for path, body in batch:
                await api.apply(path, body)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(lanes):
            tasks.create_task(lane())
