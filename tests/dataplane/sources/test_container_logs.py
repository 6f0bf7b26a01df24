"""The source of container logs on folders as the kubelet keeps them, with and without an API server."""

import asyncio
import contextlib
import json
import shutil
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


def write(folder: Path, *texts: bytes, pod: str = "web-1", namespace: str = "shop", container: str = "app") -> None:
    place = folder / "pods" / f"{namespace}_{pod}_uid-{pod}" / container
    place.mkdir(parents=True, exist_ok=True)
    with (place / "2.log").open("ab") as file:
        file.write(b"".join(b"2026-11-22T20:00:01.5Z stdout F " + text + b"\n" for text in texts))


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
        self.is_starting = False

    async def pods(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        assert request.headers["Authorization"] == "Bearer secret"
        if self.refuses or self.is_starting:
            return web.Response(status=403 if self.refuses else 503)
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


def owned(*kinds: tuple[str, str, bool], **labels: str) -> pods_module.Pod:
    owners = [pods_module.Owner(kind, name, controller) for kind, name, controller in kinds]
    return pods_module.Pod(pods_module.Meta(labels=labels, owner_references=owners))


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        (owned(("ReplicaSet", "web-5f7", True), **{"pod-template-hash": "5f7"}), ("Deployment", "web")),
        (owned(("ReplicaSet", "alone", True)), ("ReplicaSet", "alone")),
        (owned(("DaemonSet", "agent", True), **{"controller-revision-hash": "5f7"}), ("DaemonSet", "agent")),
        (owned(("StatefulSet", "db", True)), ("StatefulSet", "db")),
        (owned(("Job", "night-29381", True)), ("Job", "night-29381")),
        (owned(("Backup", "b", False), ("Job", "night", True)), ("Job", "night")),
        (owned(("Node", "n1", False)), None),
        (owned(), None),
    ],
    ids=["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job", "controller among owners", "Node", "nobody"],
)
def test_the_owner_is_the_controller_and_a_deployment_rather_than_its_replicaset(
    pod: pods_module.Pod, owner: tuple[str, str] | None
) -> None:
    assert pod.owner == (None if owner is None else {"kind": owner[0], "name": owner[1]})


def told(pod: str, number: int, **metadata: Any) -> bytes:
    """What a watch says of a pod that was added or changed."""
    meta = {"name": pod, "namespace": "shop", "uid": f"uid-{pod}", "resourceVersion": str(number), **metadata}
    return json.dumps({"type": "MODIFIED", "object": {"metadata": meta, "spec": {"containers": []}}}).encode()


async def test_pods_are_selected_by_labels_and_not_asked_for_one_by_one(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    for number in range(30):
        write(tmp_path, b"line of %d" % number, pod=f"p-{number}")
        labels = {"team": "web", "quiet": "yes"} if number == 3 else {"team": "web" if number % 2 else "db"}
        api.events.put_nowait(told(f"p-{number}", number + 10, labels=labels))
    source = make(tmp_path, include={"labels": {"team": "web"}}, exclude={"labels": {"quiet": "yes"}})
    async with running(source, intake):
        await eventually(lambda: len(source.pods or ()) == 31 and len(intake.lines) >= 14)
        await eventually(lambda: source.tail.is_saved)
    assert sorted(intake.lines) == sorted(b"line of %d" % number for number in range(1, 30, 2) if number != 3)
    assert len(api.queries) == 2  # one list, one watch


async def test_a_pod_says_how_its_lines_are_read_and_nonsense_is_left(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    notes = {
        "text": {"codec": "plain"},
        "joined": {"multiline-start": "^START"},
        "odd": {"codec": "x", "multiline-start": "("},
    }
    for number, (pod, said) in enumerate(notes.items()):
        annotations = {f"rutta.logary.tech/{key}": value for key, value in said.items()}
        api.events.put_nowait(told(pod, number + 10, annotations=annotations))
    source = make(tmp_path, multiline={"patience": "10ms"})
    async with running(source, intake):
        await eventually(lambda: len(source.pods or ()) == 4)
        for pod in notes:
            write(tmp_path, b'START {"a":1}', b"more", pod=pod)
        await eventually(lambda: len(intake.lines) == 5)
    found = {pod: [block for block in intake.blocks if block.context["pod"] == pod] for pod in notes}
    assert {block.codec for block in found["text"]} == {"plain"}
    assert {block.codec for block in found["odd"]} == {None}
    assert b"".join(block.data for block in found["odd"]) == b'START {"a":1}\nmore\n'
    assert json.loads(b"".join(block.data for block in found["joined"])) == {"message": 'START {"a":1}\nmore'}


async def test_the_topologys_own_pods_are_known_by_their_label_whatever_they_are_called(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    api.events.put_nowait(told("odd-name", 10, labels={"app.kubernetes.io/name": "rutta"}))
    api.events.put_nowait(told("web-2", 11, labels={"app.kubernetes.io/name": "shop"}))
    write(tmp_path, b"in a circle", pod="odd-name")
    write(tmp_path, b"wanted", pod="web-2")
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"wanted"] and source.tail.is_saved)
    assert intake.lines == [b"wanted"]


async def test_with_own_logs_the_others_are_shipped_but_never_the_shippers_own(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    write(tmp_path, b"own pod", pod="me", namespace="logging", container="rutta")
    write(tmp_path, b"router", pod="main-router-abc-1", container="rutta")
    source = make(tmp_path, ownLogs=True)
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"router"] and source.tail.is_saved)
    assert intake.lines == [b"router"]


async def test_what_is_known_stays_while_the_api_server_is_away_and_is_made_good_after(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    write(tmp_path, b"known")
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"known"])
        api.refuses = True
        api.events.put_nowait(None)  # the watch ends, and no other begins
        await eventually(lambda: "403" in source.status()["metadata"]["problem"])
        write(tmp_path, b"still known")
        write(tmp_path, b"unknown", pod="new")
        await eventually(lambda: len(intake.lines) == 3)
        api.refuses = False
        await eventually(lambda: source.status()["metadata"]["problem"] == "")
        api.events.put_nowait(told("new", 10, labels={"late": "yes"}))
        await eventually(lambda: len(source.pods or ()) == 2)
        write(tmp_path, b"known now", pod="new")
        await eventually(lambda: len(intake.lines) == 4)
    labels = {block.data[:-1]: block.context.get("labels", {}) for block in intake.blocks}
    assert labels[b"still known"] == labels[b"known"] != {}
    assert (labels[b"unknown"], labels[b"known now"]) == ({}, {"late": "yes"})


async def test_a_removed_pod_is_read_to_its_end_and_then_forgotten(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    write(tmp_path, b"first")
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: intake.lines == [b"first"])
        write(tmp_path, b"last words")
        shutil.rmtree(tmp_path / "pods" / "shop_web-1_uid-web-1")
        api.events.put_nowait(told("web-1", 10).replace(b"MODIFIED", b"DELETED"))
        await eventually(lambda: intake.lines == [b"first", b"last words"])
        await eventually(lambda: source.status()["count"] == 0)
        write(tmp_path, b"another", pod="new")
        await eventually(lambda: source.pods is not None and source.pods.get("uid-web-1") is None)
    assert intake.blocks[1].context["image"] == "shop/web:1"


async def test_logs_that_are_links_are_followed_to_where_the_runtime_keeps_them(
    tmp_path: Path, intake: Any, eventually: Any
) -> None:
    real, place = tmp_path / "real.log", tmp_path / "pods" / "shop_web-1_u" / "app"
    real.write_bytes(b"2026-11-22T20:00:01.5Z stdout F linked\n")
    place.mkdir(parents=True)
    (place / "0.log").symlink_to(real)
    async with running(make(tmp_path), intake):
        await eventually(lambda: intake.lines == [b"linked"])
    assert intake.blocks[0].context["pod"] == "web-1"


async def test_a_trace_is_shipped_when_nothing_follows_it(tmp_path: Path, intake: Any, eventually: Any) -> None:
    write(tmp_path, b"ERROR it failed", b"\tat frame")
    async with running(make(tmp_path, multiline={"traces": True, "patience": "10ms"}), intake):
        await eventually(
            lambda: [json.loads(line) for line in intake.lines] == [{"message": "ERROR it failed\n\tat frame"}]
        )


async def test_a_restart_goes_on_where_it_was_though_no_pod_is_known_yet(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    write(tmp_path, b"known")
    write(tmp_path, b"never listed", pod="static")
    async with running(make(tmp_path), intake):
        await eventually(lambda: len(intake.lines) == 2)
    write(tmp_path, b"meanwhile")
    write(tmp_path, b"meanwhile, too", pod="static")
    async with running(make(tmp_path), intake):
        await eventually(lambda: len(intake.lines) >= 4)
    assert sorted(intake.lines) == [b"known", b"meanwhile", b"meanwhile, too", b"never listed"]
    known = [block.context for block in intake.blocks if block.context["pod"] == "web-1"]
    assert {context["image"] for context in known} == {"shop/web:1"}


async def test_a_start_waits_for_an_api_server_that_cannot_be_reached_yet(
    tmp_path: Path, intake: Any, eventually: Any, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods_module, "RETRY", (0.02, 0.02))
    api.is_starting = True
    write(tmp_path, b"first")
    source = make(tmp_path)
    async with running(source, intake):
        await eventually(lambda: len(api.queries) > 3)
        assert "503" in source.status()["metadata"]["problem"]
        assert intake.lines == []
        api.is_starting = False
        await eventually(lambda: intake.lines == [b"first"])
    assert intake.blocks[0].context["image"] == "shop/web:1"


async def test_a_start_does_not_wait_for_ever_for_the_api_server_nor_when_it_is_stopped(
    tmp_path: Path, intake: Any, eventually: Any, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.is_starting = True
    write(tmp_path, b"first")
    async with running(source := make(tmp_path), intake):
        await eventually(lambda: "503" in source.status()["metadata"]["problem"])
    assert intake.lines == []
    monkeypatch.setattr(container_logs, "START", 0.05)
    async with running(make(tmp_path), intake):
        await eventually(lambda: intake.lines == [b"first"])


async def test_what_is_on_record_stays_so_while_it_is_not_wanted(
    tmp_path: Path, intake: Any, eventually: Any, api: Api
) -> None:
    """Labels are unknown while the API server is away: at a start as at any other time."""
    write(tmp_path, b"first")
    selected = {"include": {"labels": {"app": "web"}}}
    async with running(make(tmp_path, **selected), intake):
        await eventually(lambda: intake.lines == [b"first"])
    api.refuses = True
    write(tmp_path, b"second")
    for _ in range(2):  # and whoever comes after somebody who never knew
        source = make(tmp_path, **selected)
        async with running(source, intake):
            await eventually(lambda source=source: source.status()["metadata"]["problem"] and source.tail.is_saved)
    api.refuses = False
    async with running(make(tmp_path, **selected), intake):
        await eventually(lambda: len(intake.lines) >= 2)
    assert intake.lines == [b"first", b"second"]
