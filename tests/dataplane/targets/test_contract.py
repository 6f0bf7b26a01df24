"""What every target keeps to, found by itself: a new file in ``rutta/targets`` is held to this without being named.

A target module gives ``EXAMPLE``, settings that are enough to make it (they also open its page in the docs). A setting
``endpoint`` in it is replaced by a server that accepts and never answers, a setting ``linger`` by no time at all.
"""

import asyncio
import inspect
import logging
import os
import re
import socket
import time
import types
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest
import pytest_asyncio
from msgspec import Meta, Struct

from rutta import components, conversion, settings
from rutta.errors import ConfigError, Reject, Retry
from rutta.message import Batch
from rutta.settings import Secret
from rutta.targets import Gathering

TARGETS = components.names("targets")
CANARY = "c4nary-s3cret"
VALID = "InstrumentationKey=00000000-0000-4000-8000-000000000001"  # a connection string, and a key as good as any


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of an example land here."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def secrets_of_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples name their secrets by variables; without these a target would stop before the network."""
    for name in TARGETS:
        for value in example(name).values():
            if isinstance(value, dict) and value.keys() == {"env"}:
                monkeypatch.setenv(value["env"], VALID)


def example(name: str) -> dict[str, Any]:
    module = components.module("targets", name)
    assert hasattr(module, "EXAMPLE"), f"rutta/targets of {name} must give EXAMPLE, settings that are enough to make it"
    return dict(module.EXAMPLE)


def convert(name: str, given: Mapping[str, Any]) -> Any:
    return conversion.convert(given, components.config_of("targets", name))


def parts(kind: Any) -> Iterator[Any]:
    """The types that a field's type is made of, ``Annotated`` and unions taken apart."""
    if get_origin(kind) is Annotated or get_origin(kind) in (Union, types.UnionType, tuple, list, dict):
        for one in get_args(kind):
            yield from parts(one)
    else:
        yield kind


def structs(kind: type[Struct]) -> Iterator[type[Struct]]:
    """A settings struct and those within it."""
    yield kind
    for field in msgspec.structs.fields(kind):
        for one in parts(field.type):
            if isinstance(one, type) and issubclass(one, Struct):
                yield from structs(one)


def descriptions(kind: Any) -> list[str]:
    if get_origin(kind) is Annotated:
        kind, *notes = get_args(kind)
        return [note.description for note in notes if isinstance(note, Meta) and note.description] + descriptions(kind)
    return []


@pytest.mark.parametrize("name", TARGETS)
def test_each_setting_says_what_it_is_for_in_one_style(name: str) -> None:
    for struct in structs(components.config_of("targets", name)):
        assert struct.__struct_config__.frozen, f"{struct.__name__} must be frozen"
        assert struct.__struct_config__.forbid_unknown_fields, f"{struct.__name__} must refuse unknown keys"
        for field in msgspec.structs.fields(struct):
            assert re.fullmatch(r"[a-z][a-zA-Z0-9]*", field.encode_name), f"{field.encode_name} is not camelCase"
            assert descriptions(field.type), f"{struct.__name__}.{field.name} has no description"


@pytest.mark.parametrize("name", TARGETS)
def test_an_unknown_key_is_an_error_with_its_name(name: str) -> None:
    with pytest.raises(ConfigError, match="noSuchSetting: unknown setting"):
        convert(name, {**example(name), "noSuchSetting": 1})


@pytest.mark.parametrize("name", TARGETS)
def test_its_settings_have_a_schema_and_the_example_fits(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(example(name), settings.schema(components.config_of("targets", name)))


@pytest.mark.parametrize("name", TARGETS)
def test_making_one_opens_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("make() must not reach for the network")

    module, config = components.module("targets", name), convert(name, example(name))
    for forbidden in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, forbidden, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    before = descriptors()
    target = module.make(config, name)
    assert descriptors() == before
    assert isinstance(target.columns, frozenset)
    assert all(inspect.iscoroutinefunction(getattr(target, method)) for method in ("open", "send", "close"))
    assert isinstance(getattr(module, "BATCH", Gathering()), Gathering)
    assert module.__doc__
    assert not list(Path().iterdir()), "make() must not touch the disk"


@pytest.mark.parametrize("name", TARGETS)
async def test_closing_what_was_never_opened_is_no_error(name: str) -> None:
    target = components.module("targets", name).make(convert(name, example(name)), name)
    async with asyncio.timeout(5):
        await target.close()


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()


def opened() -> list[str]:
    """What the descriptors are of."""
    paths = [f"/proc/self/fd/{number}" for number in descriptors()]
    return [os.readlink(path) for path in paths if os.path.exists(path)]


class Hole:
    """A server that accepts, reads, and never answers; it lets go when the other side does."""

    def __init__(self) -> None:
        self.met = asyncio.Event()

    async def swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(65536):
                self.met.set()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture
async def given() -> AsyncIterator[Callable[[str], dict[str, Any]]]:
    """``given(name)``: the example, with a server that never answers and nothing to wait for at the end."""
    listening = await asyncio.start_server(Hole().swallow, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]

    def settings_of(name: str) -> dict[str, Any]:
        found = example(name)
        if "endpoint" in found:
            found["endpoint"] = re.sub(r"//[^/]*", f"//127.0.0.1:{port}", found["endpoint"])
        fields = msgspec.structs.fields(components.config_of("targets", name))
        if "linger" in [field.encode_name for field in fields]:
            found["linger"] = "0s"
        return found

    yield settings_of
    listening.close()
    await listening.wait_closed()


async def settled(tasks: set[asyncio.Task[Any]], files: int) -> None:
    """Wait, bounded, until no task and no descriptor is left that was not there before."""
    try:
        async with asyncio.timeout(5):
            while asyncio.all_tasks() - tasks or len(descriptors()) > files:
                await asyncio.sleep(0.002)
    except TimeoutError:
        pytest.fail(f"left behind: {asyncio.all_tasks() - tasks}, {opened()}")


@pytest.mark.usefixtures("capfd")  # what a console prints
@pytest.mark.parametrize("name", TARGETS)
async def test_a_send_cancelled_at_any_point_leaves_nothing_behind(
    name: str,
    given: Callable[[str], dict[str, Any]],
    batch: Callable[..., Batch],
) -> None:
    module, config = components.module("targets", name), convert(name, given(name))
    one = batch({"event": "a"}, {"event": "b"})
    warm = module.make(config, name)  # what a library keeps for the process is not a leak
    await attempt(warm, one, steps=0)
    before, files = asyncio.all_tasks(), len(descriptors())
    for steps in (*range(12), 20, 40):
        await attempt(module.make(config, name), one, steps=steps)
        await settled(before, files)


async def attempt(target: Any, one: Batch, *, steps: int) -> None:
    """Open, send, cancel after some turns of the loop, close; all bounded."""
    async with asyncio.timeout(10):
        try:
            await asyncio.wait_for(target.open(), 0.5)
        except (Retry, TimeoutError):
            await target.close()
            return
        sending = asyncio.create_task(target.send([one]))
        for _ in range(steps):
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait([sending])
        if not sending.cancelled():
            assert sending.exception() is None or isinstance(sending.exception(), Retry | Reject)
        await target.close()


# --- what every target with an endpoint makes of answers that mean the same everywhere ---

ENDPOINTS = [name for name in TARGETS if "endpoint" in example(name)]
FOUR = [{"event": f"e{number}", "timestamp": time.time_ns()} for number in range(4)]


async def sent(name: str, url: str, batches: list[Batch]) -> tuple[list[tuple[int, int]], list[tuple[int, int]], Any]:
    """Send to a server; returns the places to retry, those rejected, and after how many seconds."""
    found = example(name)
    found["endpoint"] = re.sub(r"https?://[^/]*", url, found["endpoint"])
    target = components.module("targets", name).make(convert(name, found), name)
    every = [(at, row) for at, batch in enumerate(batches) for row in range(len(batch))]
    try:
        async with asyncio.timeout(20):
            await target.open()
            outcome = await target.send(batches)
    except Retry as exc:
        return every, [], exc.after
    except Reject:
        return [], every, None
    finally:
        await target.close()
    places = [[(one.batch, one.row) for one in lost] for lost in (outcome.retry, outcome.rejected)]
    return places[0], places[1], outcome.after


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_server_that_is_away_or_breaks_off_is_a_retry_of_everything(
    name: str, server: Any, batch: Callable[..., Batch]
) -> None:
    batches = [batch(*FOUR[:3]), batch(*FOUR[3:])]
    every = [(0, 0), (0, 1), (0, 2), (1, 0)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert (await sent(name, nobody, batches))[:2] == (every, [])
    for broken in (server.reset, server.half):
        server.usual = broken
        assert (await sent(name, server.url, batches))[:2] == (every, [])


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_busy_server_is_given_the_time_that_it_asks_for(
    name: str, server: Any, batch: Callable[..., Batch]
) -> None:
    from aiohttp import web

    async def busy(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=503, headers={"Retry-After": "7"})

    server.usual = busy
    again, rejected, after = await sent(name, server.url, [batch(*FOUR)])
    assert (sorted(again), rejected) == ([(0, 0), (0, 1), (0, 2), (0, 3)], [])
    if server.seen:  # it speaks HTTP/1
        assert after == 7


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_what_is_too_large_is_sent_in_parts_until_each_event_has_been_alone(
    name: str, server: Any, batch: Callable[..., Batch]
) -> None:
    from aiohttp import web

    async def too_large(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=413)

    server.usual = too_large
    again, rejected, _ = await sent(name, server.url, [batch(*FOUR)])
    if not server.seen:
        return  # it does not speak HTTP/1, and found nobody
    assert (again, sorted(rejected)) == ([], [(0, 0), (0, 1), (0, 2), (0, 3)])
    assert len(server.seen) >= 4


def secret_fields(name: str) -> list[str]:
    return [
        field.encode_name
        for field in msgspec.structs.fields(components.config_of("targets", name))
        if Secret in parts(field.type) and dict not in {get_origin(one) for one in alternatives(field.type)}
    ]


def alternatives(kind: Any) -> list[Any]:
    if get_origin(kind) is Annotated:
        return alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [found for one in get_args(kind) for found in alternatives(one)]
    return [kind]


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in TARGETS for field in secret_fields(name)])
async def test_a_secret_is_never_shown(
    name: str,
    field: str,
    server: Any,
    batch: Callable[..., Batch],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not by the settings, nor by status, log or error, also when the server says it back."""
    from aiohttp import web

    async def echo(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(status=401, text=f"I know {CANARY} and {dict(request.headers)}")

    caplog.set_level(logging.DEBUG)
    server.usual = echo
    config = with_secret(name, field, server.url)
    target = components.module("targets", name).make(config, name)
    said = [repr(config), str(config), repr(target)]
    try:
        await target.open()
        await target.send([batch({"event": "a"})])
    except (Retry, Reject) as exc:
        said.append(str(exc))
    said.append(repr(target.status() if hasattr(target, "status") else ""))
    await target.close()
    assert CANARY not in "".join(said) + caplog.text


def with_secret(name: str, field: str, url: str) -> Any:
    """The example with a secret in one field, and what else that field needs of the usual companions."""
    base = example(name)
    if "endpoint" in base:
        base["endpoint"] = url
    alone = {
        key: value for key, value in base.items() if not isinstance(value, dict) or not value.keys() & {"env", "file"}
    }
    usual = ({}, {"username": "ann"}, {"org": "o", "bucket": "b"}, {"username": "ann", "projectId": "p"})
    problems = []
    for start in (base, alone):  # a secret may exclude another one
        for companions in usual:
            try:
                return convert(name, {**start, field: CANARY, **companions})
            except ConfigError as exc:
                problems.append(str(exc))
    pytest.fail(f"no example makes {name}.{field} valid: {problems}")
