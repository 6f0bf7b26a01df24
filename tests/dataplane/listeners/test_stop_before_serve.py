"""A listener that is told to stop before it serves: ``serve`` returns at once and nothing stays bound."""

import asyncio
import socket
from typing import Any

import pytest

from rutta import components, conversion


@pytest.mark.parametrize("kind", ["tcp", "http", "udp", "syslog", "pull", "sub", "link"])
@pytest.mark.parametrize("early", [False, True], ids=["after bind", "before bind"])
async def test_serve_returns_at_once_after_stop(kind: str, early: bool, intake: Any) -> None:
    module = components.module("listeners", kind)
    settings = {"connect": ["127.0.0.1:9"]} if kind == "sub" else {"bind": "127.0.0.1:0"}
    listener = module.make(conversion.convert(settings, module.Config), "in")
    if early:
        listener.stop()
    bound = await listener.bind()
    listener.stop()
    async with asyncio.timeout(5):
        await listener.serve(intake)
    listener.stop()
    assert listener.status()
    if kind != "sub":
        _assert_free(bound[0], socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)


async def test_the_file_source_returns_at_once_after_stop(intake: Any, tmp_path: Any) -> None:
    module = components.module("sources", "file")
    (tmp_path / "a.log").write_bytes(b"line\n")
    given = {"paths": [str(tmp_path / "*.log")], "startAt": "Beginning"}
    source = module.make(conversion.convert(given, module.Config), "in")
    await source.bind()
    source.stop()
    async with asyncio.timeout(5):
        await source.serve(intake)
    assert intake.blocks == []
    assert intake.blocks == []


def _assert_free(address: str, kind: socket.SocketKind) -> None:
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, int(port)))
