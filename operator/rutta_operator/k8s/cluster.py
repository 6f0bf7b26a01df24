"""The API server, as the operator uses it: the only module that sends requests to it.

Every request has a limit in time, few are under way at once, and what may pass (429, 5xx, a broken connection) is
tried again after a while, as long as the server says or longer each time. What does not pass is one of ``refusals``.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, NamedTuple

import aiohttp
import kopf

from rutta_operator.k8s.access import Token
from rutta_operator.k8s.kinds import ALL, LEASE, Api
from rutta_operator.k8s.refusals import ApiError, Gone, Unavailable, refusal
from rutta_operator.wiring import names

Object = dict[str, Any]
STATUS_MANAGER: Final = f"{names.MANAGER}-status"
_APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
_METADATA: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
# The version that an object must have which no object has, so that applying makes one or conflicts (for all kinds since
# Kubernetes 1.23, https://github.com/kubernetes/kubernetes/issues/106745). etcd counts from 2 on.
_NOBODY: Final = "1"
_AT_ONCE: Final = 32
_TIMEOUT: Final = 15.0  # seconds for one try
_TRIES: Final = 2  # a connection may just have been closed; what lasts longer is the queue's to wait for
_PATIENT: Final = 5  # tries for what no queue comes back to
_PAUSE: Final = (0.1, 5.0)  # seconds: the first, and the longest that is not the server's wish
_LONGEST_WISH: Final = 30.0
_PAGE: Final = 250
_WATCH: Final = (280, 300)  # seconds that a watch is asked to last
_SILENCE: Final = 70.0  # seconds; the API server sends a bookmark every minute


class Request(NamedTuple):
    """One question to the API server."""

    method: str
    path: str
    verb: str
    """as RBAC says it, for the metrics"""
    kind: str
    query: Mapping[str, str] = {}
    body: Object | None = None
    content: str = "application/json"
    accept: str = "application/json"
    tries: int = _TRIES


Count = Callable[[str, str, str], None]  # verb, kind, outcome


class Page(NamedTuple):
    """A part of a list."""

    items: list[Object]
    version: str
    """the list's, from which a watch goes on"""


class Cluster:
    """A connection to the API server; close it."""

    def __init__(self, info: kopf.ConnectionInfo, count: Count) -> None:
        """``count`` is told of every request that was answered."""
        self._server = info.server.rstrip("/")
        self._token = Token(info)
        self._count = count
        self._places = asyncio.Semaphore(_AT_ONCE)
        tls = info.as_ssl_context() if self._server.startswith("https") else False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT, sock_connect=5),
            headers={"User-Agent": names.MANAGER},
            proxy=info.proxy_url,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def apply(
        self, wanted: Object, *, manager: str = names.MANAGER, dry_run: bool = False, is_new: bool = False
    ) -> Object:
        """Apply an object on the server's side; what it says becomes ours, whoever had it. Returns the live object.

        One that ``is_new`` is made, or nothing is done: raises Conflict if there is one of the name.
        """
        api, metadata = ALL[wanted["kind"]], wanted["metadata"]
        if is_new:
            wanted = {**wanted, "metadata": {**metadata, "resourceVersion": _NOBODY}}
        query = {"fieldManager": manager, "force": "true", "fieldValidation": "Strict"}
        path = api.path(metadata["namespace"], metadata["name"])
        dry = {"dryRun": "All"} if dry_run else {}
        return await self._ask(Request("PATCH", path, "patch", api.kind, query | dry, wanted, _APPLY))

    async def apply_status(self, wanted: Object) -> Object:
        """Apply the status of one of our resources. Returns the live resource."""
        api, metadata = ALL[wanted["kind"]], wanted["metadata"]
        path = f"{api.path(metadata['namespace'], metadata['name'])}/status"
        query = {"fieldManager": STATUS_MANAGER, "force": "true", "fieldValidation": "Strict"}
        return await self._ask(Request("PATCH", path, "patch", f"{api.kind}/status", query, wanted, _APPLY))

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete the object that has this uid; that there is none is fine."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._ask(Request("DELETE", ALL[kind].path(namespace, name), "delete", kind, {}, body))
        except Gone:
            return

    async def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return an object; None if there is none, or no such kind.

        It is a list of one name, which the API server reads as it reads one object: so the operator needs no ``get``.
        """
        found = await self._named(kind, namespace, name, "application/json")
        if found is not None and "kind" not in found:  # a list of a built-in kind says it only once
            found |= {"apiVersion": ALL[kind].api_version, "kind": kind}
        return found

    async def metadata(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return the metadata of an object; None if there is none, or no such kind."""
        found = await self._named(kind, namespace, name, _METADATA.format("List"))
        return None if found is None else dict(found["metadata"])

    async def _named(self, kind: str, namespace: str, name: str, accept: str) -> Object | None:
        query = {"fieldSelector": f"metadata.name={name}"}
        try:
            found = await self._ask(Request("GET", ALL[kind].path(namespace), "list", kind, query, accept=accept))
        except Gone:
            return None
        return next(iter(found["items"] or ()), None)

    async def can_list(self, api: Api, namespace: str | None) -> bool:
        """Tell whether a kind can be listed, by a list that ends after one object."""
        query, accept = {"limit": "1"}, _METADATA.format("List")
        try:
            await self._ask(Request("GET", api.path(namespace), "list", api.kind, query, accept=accept))
        except Gone:
            return False
        return True

    async def pages(
        self, api: Api, namespace: str | None, selector: str, accept: str = "application/json"
    ) -> AsyncIterator[Page]:
        """Yield the objects of a kind, in a namespace or all of them. Raises Gone if the list got too old meanwhile."""
        query = {"limit": str(_PAGE)} | _selected(selector)
        while True:
            request = Request("GET", api.path(namespace), "list", api.kind, query, accept=accept, tries=_PATIENT)
            found = await self._ask(request)
            yield Page(found["items"] or [], found["metadata"]["resourceVersion"])
            if not (token := found["metadata"].get("continue")):
                return
            query["continue"] = token

    async def all_metadata(self, api: Api, namespace: str | None, selector: str) -> AsyncIterator[Object]:
        """Yield the metadata of every object of a kind, in a namespace or all of them."""
        async for page in self.pages(api, namespace, selector, _METADATA.format("List")):
            for item in page.items:
                yield item["metadata"]

    async def watch(self, api: Api, namespace: str | None, selector: str, version: str) -> AsyncIterator[Object]:
        """Yield the events after a version, bookmarks too, until the server ends the watch, in some minutes.

        Raises:
            Gone: the version is too old, or the kind is not there.
            Unavailable: the connection broke, or nothing came for longer than the server is ever silent.
        """
        seconds = str(random.randint(*_WATCH))  # noqa: S311 - not all at once
        query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        path, headers = self._server + api.path(namespace), {"Accept": "application/json", **self._token.headers()}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE)
        try:
            async with self._session.get(
                path, params=query | _selected(selector), headers=headers, timeout=timeout
            ) as response:
                if response.status >= 300:
                    raise self._refusal(response, await response.read(), "watch", api.kind)
                self._count("watch", api.kind, "Done")
                async for line in _lines(response.content):
                    yield _event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Unavailable(f"the watch broke: {exc or type(exc).__name__}") from exc

    async def served(self, group: str, version: str) -> set[str]:
        """Return the kinds of a group that the server serves, by discovery, which everybody may ask."""
        try:
            found = await self._ask(Request("GET", f"/apis/{group}/{version}", "get", "APIResourceList"))
        except Gone:
            return set()
        return {one["kind"] for one in found["resources"] if "/" not in one["name"]}

    async def create(self, wanted: Object) -> Object:
        """Create an object. Raises Conflict if it is there."""
        api = ALL[wanted["kind"]]
        path = api.path(wanted["metadata"].get("namespace"))
        query = {"fieldManager": names.MANAGER}
        return await self._ask(Request("POST", path, "create", api.kind, query, wanted, tries=_PATIENT))

    async def merge(
        self, kind: str, namespace: str, name: str, changes: Object, *, manager: str = names.MANAGER
    ) -> Object:
        """Patch an object; lists are replaced."""
        path, content = ALL[kind].path(namespace, name), "application/merge-patch+json"
        query = {"fieldManager": manager}
        return await self._ask(Request("PATCH", path, "patch", kind, query, changes, content))

    async def allowed(self, attributes: Mapping[str, str]) -> bool:
        """Tell whether we may: ``group``, ``resource``, ``subresource``, ``verb``, ``namespace``."""
        review = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
            "spec": {"resourceAttributes": dict(attributes)},
        }  # fmt: skip
        return bool((await self.create(review))["status"]["allowed"])

    async def lease(self, namespace: str, name: str) -> Object | None:
        """Return a Lease; None if there is none. One try only: who holds a Lease has no time to lose."""
        request = Request("GET", LEASE.path(namespace, name), "get", "Lease", tries=1)
        try:
            return await self._ask(request)
        except Gone:
            return None

    async def put_lease(self, lease: Object) -> Object:
        """Create a Lease that has no resourceVersion, else replace it. Raises Conflict if it changed meanwhile."""
        namespace, name = lease["metadata"]["namespace"], lease["metadata"]["name"]
        if "resourceVersion" in lease["metadata"]:
            request = Request("PUT", LEASE.path(namespace, name), "update", "Lease", {}, lease, tries=1)
        else:
            request = Request("POST", LEASE.path(namespace), "create", "Lease", {}, lease, tries=1)
        return await self._ask(request)

    async def _ask(self, request: Request) -> Object:
        """Send a request, several times if need be."""
        pause, longest = _PAUSE
        for left in reversed(range(request.tries)):
            try:
                return await self._once(request)
            except _Later as exc:
                if not left:
                    raise Unavailable(exc.message, exc.status) from exc.__cause__
                wish = min(exc.after, _LONGEST_WISH)
            await asyncio.sleep(max(wish, pause * random.uniform(0.5, 1.0)))  # noqa: S311
            pause = min(pause * 3, longest)
        raise AssertionError("no tries")

    async def _once(self, request: Request) -> Object:
        """Send a request once. Raises _Later for what may pass."""
        data = None if request.body is None else json.dumps(request.body, separators=(",", ":")).encode()
        headers = {"Accept": request.accept, "Content-Type": request.content, **self._token.headers()}
        try:
            async with (
                contextlib.nullcontext() if request.kind == LEASE.kind else self._places,  # a Lease never waits
                self._session.request(
                    request.method, self._server + request.path, params=request.query, data=data, headers=headers
                ) as response,
            ):
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            self._count(request.verb, request.kind, "Unanswered")
            raise _Later(f"the API server does not answer: {exc or type(exc).__name__}") from exc
        if response.status < 300:
            self._count(request.verb, request.kind, "Done")
            found: Object = json.loads(raw)
            return found
        error = self._refusal(response, raw, request.verb, request.kind)
        if isinstance(error, Unavailable) or response.status == 401:
            raise _Later(error.message, error.status, _seconds(response.headers.get("Retry-After", "")))
        raise error

    def _refusal(self, response: aiohttp.ClientResponse, raw: bytes, verb: str, kind: str) -> ApiError:
        """Count an answer that is none, and return what it says."""
        error = refusal(response.status, _message(raw, response.reason or ""))
        self._count(verb, kind, type(error).__name__)
        if response.status == 401:
            self._token.renew()
        return error


class _Later(ApiError):
    """What may pass; ``after`` is the seconds that the server asks us to wait."""

    def __init__(self, message: str, status: int = 0, after: float = 0.0) -> None:
        super().__init__(message, status)
        self.after = after


def _selected(selector: str) -> dict[str, str]:
    return {"labelSelector": selector} if selector else {}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Cut a stream into lines of any length."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def _event(line: bytes) -> Object:
    """Read an event. Raises what an ERROR event says (410: Gone), Unavailable for what is none."""
    try:
        found: Object = json.loads(line)
        what, status = found["type"], found["object"]
    except (ValueError, KeyError, TypeError) as exc:  # what stands before the API server sends other things
        raise Unavailable("the watch brought what is no event") from exc
    if what == "ERROR":
        raise refusal(int(status.get("code") or 500), str(status.get("message") or "the watch failed"))
    return found


def _seconds(text: str) -> float:
    """Read Retry-After; a date, which no API server sends, counts as nothing."""
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _message(raw: bytes, reason: str) -> str:
    """Return the message of a Status; what stands before the API server sends other things."""
    try:
        found = json.loads(raw)
    except ValueError:
        return reason
    return str(found.get("message") or reason) if isinstance(found, dict) else reason
