"""The source of container logs on folders as the kubelet keeps them, with and without an API server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rutta.containers import pods as pods_module
from rutta.containers.places import Place, is_ours, place_of
from rutta.conversion import convert
from rutta.errors import ConfigError
from rutta.sources import container_logs

pytestmark = pytest.mark.usefixtures("hurry")


def make(folder: Path, environment: dict[str, str] | None = None, **settings: Any) -> container_logs.ContainerLogs:
    config = {"path": str(folder / "pods"), "state": str(folder / "state"), "pollInterval": "10ms", **settings}
    environment = (
        {"NODE_NAME": "n1", "POD_NAME": "me", "POD_NAMESPACE": "logging"} if environment is None else environment
    )
    return container_logs.ContainerLogs(convert(config, container_logs.Config), "pods", environment=environment)


@contextlib.asynccontextmanager
async def running(source: container_logs.ContainerLogs, intake: Any) -> AsyncIterator[None]:
    await source.bind()
    task = asyncio.create_task(source.serve(intake))
    try:
        yield
    finally:
        source.stop()
        async with asyncio.timeout(10):
            await task


def write(folder: Path, text: bytes, pod: str = "web-1", namespace: str = "shop", container: str = "app") -> None:
    place = folder / "pods" / f"{namespace}_{pod}_uid-{pod}" / container
    place.mkdir(parents=True, exist_ok=True)
    with (place / "2.log").open("ab") as file:
        file.write(b"2026-11-22T20:00:01.5Z stdout F " + text + b"\n")


async def test_the_path_says_whose_a_line_is(tmp_path: Path, intake: Any, eventually: Any) -> None:
    write(tmp_path, b"hello")
    async with running(make(tmp_path), intake):
        await eventually(lambda: intake.lines == [b"hello"])
        write(tmp_path, b"late", pod="new")
        await eventually(lambda: intake.lines == [b"hello", b"late"])
    assert intake.blocks[0].context == {
        "namespace": "shop", "pod": "web-1", "uid": "uid-web-1", "container": "app", "node": "n1", "restart": 2,
        "stream": "stdout",
    }  # fmt: skip
    assert list(intake.blocks[0].times) == [1_795_377_601_500_000_000]


async def test_what_is_not_wanted_is_not_read_nor_are_our_own_logs(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    write(tmp_path, b"own pod", pod="me", namespace="logging")
    write(tmp_path, b"own router", pod="main-router-abc-1", container="rutta")
    write(tmp_path, b"system", namespace="kube-system")
    write(tmp_path, b"sidecar", container="istio-proxy")
    write(tmp_path, b"wanted")
    write(tmp_path, b"other", pod="db-0")
    source = make(
        tmp_path, include={"pods": ["web-*", "me", "main-*"]},
        exclude={"namespaces": ["kube-*"], "containers": ["istio-proxy"]},
    )  # fmt: skip
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"wanted"])
        await eventually(lambda: source.tail.is_saved)
    assert intake.lines == [b"wanted"]
    assert source.status()["metadata"] == {"on": False, "why": "no service account's token is mounted"}


async def test_labels_cannot_be_selected_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="serviceAccountName"):
        await make(tmp_path, include={"labels": {"a": "b"}}).bind()


def test_paths_are_read_as_the_kubelet_makes_them() -> None:
    assert place_of("/var/log/pods/a_b_c/d/0.log.20261122-100000.gz") == Place("a", "b", "c", "d", 0)
    assert place_of("/var/log/pods/a_b_c/d/other.txt") is None
    assert place_of("/var/log/pods/a_b/d/0.log") is None
    assert not is_ours(Place("a", "rutta-1", "u", "rutta", 0))


class Api:
    """Tells of pods as an API server does."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.refuses = False

    async def pods(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        assert request.headers["Authorization"] == "Bearer secret"
        if self.refuses:
            return web.Response(status=403)
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": [POD]})
        answer = web.StreamResponse()
        await answer.prepare(request)
        while (event := await self.events.get()) is not None:
            await answer.write(event + b"\n")
        return answer


POD: dict[str, Any] = {
    "metadata": {
        "name": "web-1", "namespace": "shop", "uid": "uid-web-1", "resourceVersion": "3",
        "labels": {"app": "web", "pod-template-hash": "abc"}, "annotations": {"team": "x"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "controller": True}],
    },
    "spec": {"containers": [{"name": "app", "image": "shop/web:1"}]},
}  # fmt: skip


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Api]:
    made = Api()
    application = web.Application()
    application.router.add_get("/api/v1/pods", made.pods)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    (tmp_path / "token").write_text("secret")
    monkeypatch.setattr(pods_module.Pods, "_session", lambda _: aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
    monkeypatch.setattr(pods_module.Pods, "why_not", staticmethod(lambda **_: ""))
    monkeypatch.setattr(pods_module.Pods.__init__, "__kwdefaults__", {"account": tmp_path})
    monkeypatch.setattr(pods_module, "RETRY", (0.01, 0.05))
    yield made
    made.events.put_nowait(None)
    await runner.cleanup()


async def test_one_watch_tells_labels_images_and_owners(tmp_path: Path, intake: Any, eventually: Any, api: Api) -> None:
    write(tmp_path, b"hello")
    source = make(tmp_path, annotations=["te*"], labels=["app"])
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"hello"])
        assert source.status()["metadata"]["synced"]
    context = intake.blocks[0].context
    assert {key: context[key] for key in ("image", "owner", "labels", "annotations")} == {
        "image": "shop/web:1", "owner": {"kind": "Deployment", "name": "web"}, "labels": {"app": "web"},
        "annotations": {"team": "x"},
    }  # fmt: skip
    assert {query["fieldSelector"] for query in api.queries} == {"spec.nodeName=n1"}


async def test_a_pod_may_exclude_itself(tmp_path: Path, intake: Any, eventually: Any, api: Api) -> None:
    api.events.put_nowait(
        b'{"type":"ADDED","object":{"metadata":{"name":"q","uid":"uid-quiet","resourceVersion":"6",'
        b'"annotations":{"rutta.logary.tech/exclude":"true"}}}}'
    )
    write(tmp_path, b"not me", pod="quiet")
    write(tmp_path, b"me")
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: len(source.pods or ()) == 2 and intake.lines == [b"me"])


async def test_without_the_api_server_logs_are_shipped_with_what_their_path_says(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    api.refuses = True
    write(tmp_path, b"hello")
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"hello"])
        assert "403" in source.status()["metadata"]["problem"]
    assert "labels" not in intake.blocks[0].context
