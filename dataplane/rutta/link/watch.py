"""Says in words why a connection does not come about, from ZeroMQ's socket monitor."""

from collections.abc import Callable
from typing import Any, Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from rutta.link.wire import READ_AT_ONCE, Wire

_EVENTS: Final = (
    zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_WORDS: Final = {
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "the handshake failed: do both sides use CURVE, or neither?",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "the handshake failed: do pattern and CURVE keys of both sides fit?",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "the other side does not allow this CURVE key",
}

_AWAY: Final = "nobody answers at this address; it is tried again"
_BROKE: Final = "the connection broke"
_HUNG_UP: Final = "the other side hangs up at once: do pattern and CURVE keys of both sides fit?"


class Watch:
    """Watches one socket; owns the monitor."""

    def __init__(self, socket: "zmq.Socket[Any]", tell: Callable[[str], None]) -> None:
        """``tell`` is called with the trouble in words, and with nothing when a connection stands."""
        self._socket = socket
        self._tell = tell
        self._reached = False  # the address, since the last try
        self._stands = False
        self._failed = False
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
        if kind == zmq.EVENT_CONNECTED:
            self._reached, self._failed = True, False
        elif kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._stands = True
            self._tell("")
        elif kind == zmq.EVENT_DISCONNECTED:
            if not self._failed:
                self._tell(_BROKE if self._stands else _HUNG_UP)
            self._stands = False
        elif kind == zmq.EVENT_CONNECT_RETRIED:
            if not self._reached:
                self._tell(_AWAY)
            self._reached = False
        elif kind in _WORDS:
            self._failed = True
            self._tell(_WORDS[kind])

    def close(self) -> None:
        """Stop watching; before the socket is closed."""
        self._socket.disable_monitor()
        self._wire.close(0)
