"""Says in words why a connection does not come about, from ZeroMQ's socket monitor."""

from collections.abc import Callable
from typing import Any, Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from rutta.link.wire import READ_AT_ONCE, Wire

_EVENTS: Final = (
    zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_WORDS: Final = {
    zmq.EVENT_CONNECT_RETRIED: "nobody answers at this address; it is tried again",
    zmq.EVENT_DISCONNECTED: "the connection broke",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "the handshake failed: do both sides use CURVE, or neither?",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "the handshake failed: do pattern and CURVE keys of both sides fit?",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the other side does not allow this CURVE key",
}


class Watch:
    """Watches one socket; owns the monitor."""

    def __init__(self, socket: "zmq.Socket[Any]", tell: Callable[[str], None]) -> None:
        """``tell`` is called with the trouble in words, and with nothing when a connection stands."""
        self._socket = socket
        self._tell = tell
        monitor = socket.get_monitor_socket(_EVENTS)
        monitor.setsockopt(zmq.LINGER, 0)
        self._wire = Wire(monitor, self._wake)

    def _wake(self) -> bool:
        for _ in range(READ_AT_ONCE):
            frames = self._wire.receive()
            if frames is None:
                return False
            self._event(parse_monitor_message(frames))
        return True

    def _event(self, event: Any) -> None:
        kind = event["event"]
        if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._tell("")
        elif kind in _WORDS:
            self._tell(_WORDS[kind])

    def close(self) -> None:
        """Stop watching; before the socket is closed."""
        self._socket.disable_monitor()
        self._wire.close(0)
