"""A peer that is dialled anew: the old socket stays until there is a new one."""

from typing import Any

import zmq

from rutta.errors import ConfigError
from rutta.link import wire
from rutta.link.dialled import PATIENCE, Dialled
from rutta.link.outgoing import SenderPeer


async def test_a_redial_that_fails_keeps_the_socket_and_is_tried_again_at_the_next_heartbeat() -> None:
    now, missing, tries = [100.0], [False], []
    sockets: list[Any] = []

    def dial(endpoint: str) -> Any:
        tries.append(now[0])
        if missing[0]:
            raise ConfigError("the secret file key cannot be read")
        sockets.append(wire.open_socket(zmq.DEALER, {zmq.LINGER: 0}))
        sockets[-1].connect(endpoint)
        return sockets[-1]

    wire.acquire()
    peer = SenderPeer(bytes(16), name="a", heartbeat=1.0, now=now[0])
    dialled = Dialled("tcp://127.0.0.1:9", peer, dial=dial, clock=lambda: now[0], changed=lambda: None)
    try:
        missing[0] = True
        now[0] += PATIENCE
        for _ in range(3):
            dialled.tick()
            dialled.flush()
        assert len(tries) == 2
        assert "secret file" in dialled.status()["problem"]
        assert not sockets[0].closed
        now[0] += 1.0
        dialled.tick()
        assert len(tries) == 3
        missing[0] = False
        now[0] += 1.0
        dialled.tick()
        assert sockets[0].closed
        assert not sockets[1].closed
        assert dialled.status()["problem"] == ""
    finally:
        dialled.close()
        await wire.release()
