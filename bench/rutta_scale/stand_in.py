"""Answers for the pods of the data plane, so that the operator's questions to them cost what they cost.

kwok's pods run nothing. The operator runs in the host's network, with a hosts file in which the health Service of each
resource has an address of its own in 127.0.0.0/8; one server on all of them tells by the address who is asked.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from aiohttp import web

PORT = 9114
Object = dict[str, Any]


def _address(number: int) -> str:
    return f"127.9.{number // 250}.{number % 250 + 1}"


def hosts(resources: Sequence[Object], server: str) -> str:
    """Return the hosts file: the API server's names, and a name for each health Service."""
    return "\n".join([f"{server} kubernetes.default.svc", "127.0.0.1 localhost", *_services(resources), ""])


def _services(resources: Sequence[Object]) -> Iterator[str]:
    for number, one in enumerate(resources):
        role = one["kind"].removeprefix("Rutta").lower()
        yield f"{_address(number)} {one['metadata']['name']}-{role}-health.{one['metadata']['namespace']}.svc"


class StandIn:
    """The server; ``async with`` closes it."""

    def __init__(self, resources: Sequence[Object]) -> None:
        self._pages = {_address(number): _page(one) for number, one in enumerate(resources)}
        self.asked = 0

    async def __aenter__(self) -> "StandIn":
        app = web.Application()
        app.router.add_get("/status", self._status)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", PORT).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _status(self, request: web.Request) -> web.Response:
        self.asked += 1
        assert request.transport is not None
        address = request.transport.get_extra_info("sockname")[0]
        return web.Response(body=self._pages[address], content_type="application/json")


def _page(one: Object) -> bytes:
    metadata, spec = one["metadata"], one["spec"]
    targets = [{"name": entry["name"], "component": "console"} for entry in spec.get("targets", ())]
    targets += [{"name": entry["name"], "component": "link", "connected": 1} for entry in spec.get("to", ())]
    page = {
        "role": one["kind"].removeprefix("Rutta"),
        "name": f"{metadata['namespace']}/{metadata['name']}",
        "reload": {"ok": True},
        "targets": [{**target, "state": "Delivering", "delivered": 10, "dropped": {}} for target in targets],
    }
    return json.dumps(page).encode()
