"""The health page: which path says what, and that it notices a loop that stands still."""

import asyncio
import time

import pytest

from rutta import admin
from rutta.config import Config, Process
from rutta.net.http_message import Request
from rutta.router import Router


@pytest.fixture
def ask():
    """Ask the page of an engine that is not running."""
    router = Router(Config(Process(), (), (), ""))
    lag = admin.LoopLag()
    handle = admin.handler_of(admin.pages_of(router, lag))

    def get(path, method="GET"):
        request = Request()
        request.method, request.path = method, path
        return handle(request)

    get.lag = lag
    return get


def test_the_originals_path_leads_to_health(ask):
    assert ask("/health") == ask("/healthz")
    assert ask("/healthz").status == 200


def test_the_root_leads_to_the_status(ask):
    answer = ask("/")
    assert (answer.status, answer.headers) == (302, (("Location", "/status"),))


def test_what_is_not_there_tells_what_is(ask):
    answer = ask("/metric")
    assert answer.status == 404
    assert b"/metrics" in answer.body


def test_nothing_can_be_posted(ask):
    assert ask("/status", "POST").status == 405
    assert ask("/status", "HEAD").status == 200


def test_a_process_is_not_ready_before_its_listeners_are_bound(ask):
    assert ask("/readyz").status == 503


async def test_a_loop_that_stands_still_is_unhealthy_and_well_again_later(ask, monkeypatch):
    monkeypatch.setattr(admin, "LAG_LIMIT", 0.05)
    monkeypatch.setattr(admin, "LAG_EVERY", 0.001)
    watching = asyncio.create_task(ask.lag.watch())
    try:
        await asyncio.sleep(0)  # it begins to look
        time.sleep(0.1)  # noqa: ASYNC251 - the very thing that it is to notice
        async with asyncio.timeout(10):
            while ask("/healthz").status != 503:
                await asyncio.sleep(0)
            assert b"the event loop was late by " in ask("/healthz").body
            while ask("/healthz").status != 200:
                await asyncio.sleep(0)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
