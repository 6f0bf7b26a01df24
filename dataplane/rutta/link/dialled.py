"""One dialled receiver of a Balance link: the state machine ``SenderPeer`` on its own DEALER socket."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import zmq

from rutta.errors import ConfigError
from rutta.link.outgoing import SenderPeer, State
from rutta.link.protocol import decode
from rutta.link.watch import Watch
from rutta.link.wire import LINGER, READ_AT_ONCE, Wire

HELLOS: Final = 4  # unsent messages that a peer which is away may pile up
PATIENCE: Final = 8  # heartbeats; ZeroMQ itself never tries again where a handshake failed (libzmq 4.3.5)

Dial = Callable[[str], "zmq.Socket[Any]"]


class Dialled:
    """Owns the socket; a new one after the peer died, so that nothing old is left in it."""

    def __init__(
        self, endpoint: str, peer: SenderPeer, *, dial: Dial, clock: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        """``changed`` is called when messages came in; then the owner spreads, and flushes every peer."""
        self.endpoint = endpoint
        self.peer = peer
        self._dial = dial
        self._clock = clock
        self._changed = changed
        self._died = peer.died
        self._trouble = ""
        self._problem = ""  # why there is no new socket
        self._outlived = False  # the socket belongs to a session that is over
        self._watch, self._wire = self._connect()
        self._since = self._clock()

    def _connect(self) -> tuple[Watch, Wire]:
        socket = self._dial(self.endpoint)
        try:
            return Watch(socket, self._heard_of), Wire(socket, self._wake)
        except BaseException:  # whatever it is goes on, and leaves no socket behind
            socket.close(0)
            raise

    def tick(self) -> None:
        """Let time pass. Reads first: after a long pause of this process the answers are here already."""
        self.read()
        now = self._clock()
        self.peer.tick(now)
        if self.peer.state is not State.DIALLING and not self._outlived:
            self._since = now
        elif now - self._since >= PATIENCE * self.peer.heartbeat:
            self._replace()

    def _heard_of(self, trouble: str) -> None:
        self._trouble = trouble

    def _wake(self) -> bool:
        more = self.read()
        self._changed()
        return more

    def read(self) -> bool:
        """Take what has come; say whether there may be more."""
        if self._outlived:
            return False
        now = self._clock()
        for _ in range(READ_AT_ONCE):
            frames = self._wire.receive()
            if frames is None:
                return False
            self.peer.receive(decode(frames[0]), now)
        return True

    def flush(self) -> None:
        """Send what the state machine said, in order; what finds no room stays until there is."""
        if self.peer.died != self._died:
            self._died = self.peer.died
            self._outlived = True
            self._replace()
        out = self.peer.out
        sent = 0
        for frames in () if self._outlived else out:
            if not self._wire.send(frames):
                break
            sent += 1
        del out[:sent]
        if len(out) > HELLOS and self.peer.state in (State.DIALLING, State.REFUSED):
            del out[:-1]

    def _replace(self) -> None:
        """Only what belongs to the new session is said to the new socket: its hello comes last.

        Without a new socket (a key file is missing) the old one stays, and the next heartbeat tries again.
        """
        now = self._clock()
        try:
            watch, wire = self._connect()
        except (ConfigError, OSError, zmq.ZMQError) as exc:
            self._problem = str(exc)
            self._since = now - (PATIENCE - 1) * self.peer.heartbeat
            return
        self._close(0)
        del self.peer.out[:-1]
        self._watch, self._wire, self._since = watch, wire, now
        self._problem, self._outlived = "", False

    def close(self) -> None:
        """Let go of the socket; the last words are still sent."""
        self.flush()
        self._close(LINGER)

    def _close(self, linger: int) -> None:
        self._watch.close()
        self._wire.close(linger)

    def status(self) -> Mapping[str, Any]:
        """Say what ``/status`` shows of this peer."""
        peer = self.peer
        return {
            "address": self.endpoint,
            "name": peer.peer_name,
            "state": peer.state.value,
            "delivery": peer.delivery,
            "problem": peer.problem or self._problem or self._trouble,
            "inFlight": peer.in_flight,
            "inFlightBytes": peer.flying_size,
            "creditBlocks": max(0, peer.limit_blocks - peer.sequence),
            "creditBytes": max(0, peer.limit_size - peer.sent_size),
            "died": peer.died,
        }
