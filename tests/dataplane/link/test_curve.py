"""CURVE: who has no key, a wrong one or one that is not allowed does not get in."""

import asyncio
from typing import Any

import pytest
import zmq

from rutta import conversion
from rutta.errors import ConfigError
from rutta.listeners import link as link_listener
from rutta.targets import DELIVERED


def keys() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


async def test_a_sender_with_the_right_keys_is_served(links: Any) -> None:
    server, client = keys(), keys()
    here = await links.receive(curve={"publicKey": server[0], "secretKey": server[1]})
    mine = {"serverKey": server[0], "publicKey": client[0], "secretKey": client[1]}
    target = await links.send_to(here.address, curve=mine)
    assert await target.send([links.batch([b"1"])]) == DELIVERED


@pytest.mark.parametrize("pattern", ["Balance", "Broadcast"])
async def test_only_allowed_keys_are_served(links: Any, pattern: str) -> None:
    server, friend, stranger = keys(), keys(), keys()
    here = await links.receive(
        pattern=pattern, curve={"publicKey": server[0], "secretKey": server[1], "allow": [friend[0]]}
    )
    shut_out = await links.send_to(
        here.address,
        pattern=pattern,
        curve={"serverKey": server[0], "publicKey": stranger[0], "secretKey": stranger[1]},
    )
    waiting = asyncio.create_task(shut_out.send([links.batch([b"no"])]))
    await links.until(lambda: here.listener.status().get("denied"))
    await links.until(lambda: any("allow" in peer["problem"] for peer in shut_out.status()["peers"]))
    let_in = await links.send_to(
        here.address, pattern=pattern, curve={"serverKey": server[0], "publicKey": friend[0], "secretKey": friend[1]}
    )
    assert await let_in.send([links.batch([b"yes"])]) == DELIVERED
    await links.until(lambda: here.intake.events == [b"yes"])
    assert not waiting.done()


async def test_a_sender_without_keys_is_kept_out_and_reads_why(links: Any) -> None:
    server = keys()
    here = await links.receive(curve={"publicKey": server[0], "secretKey": server[1]})
    target = await links.send_to(here.address)
    await links.until(lambda: any("CURVE" in peer["problem"] for peer in target.status()["peers"]))


async def test_a_key_that_is_none_is_one_sentence(links: Any) -> None:
    with pytest.raises(ConfigError, match="secretKey is not a CURVE key"):
        await links.receive(curve={"publicKey": keys()[0], "secretKey": "short"})


def test_a_secret_key_never_shows() -> None:
    public, secret = keys()
    given = {"curve": {"publicKey": public, "secretKey": secret}}
    assert secret not in repr(conversion.convert(given, link_listener.Config))
