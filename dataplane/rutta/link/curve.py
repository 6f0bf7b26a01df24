"""CURVE on our links: keys of either side, and which keys a listener allows (ZAP, RFC 27).

A context has one place where its sockets ask who may connect; the allow-lists of all listeners of the process stand
behind it, each under its own domain.
"""

from typing import Annotated, Any, Final

import zmq
from msgspec import Meta, Struct
from zmq.utils import z85

from rutta.errors import ConfigError
from rutta.link.wire import READ_AT_ONCE, Wire, open_socket
from rutta.settings import Secret

ZAP: Final = "inproc://zeromq.zap.01"
_KEY: Final = Meta(description="CURVE key, 40 characters of Z85", min_length=40, max_length=40)


class CurveServer(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """CURVE keys of a listener, and whom it lets in."""

    public_key: Annotated[str, _KEY]
    secret_key: Annotated[Secret, Meta(description="the CURVE secret key that belongs to publicKey")]
    allow: Annotated[
        list[Annotated[str, _KEY]] | None,
        Meta(description="public keys that may connect; absent: every client that knows this listener's public key"),
    ] = None


class CurveClient(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """CURVE keys of a target: its own, and the listener's public one."""

    server_key: Annotated[str, _KEY]
    public_key: Annotated[str, _KEY]
    secret_key: Annotated[Secret, Meta(description="the CURVE secret key that belongs to publicKey")]


def serve(socket: "zmq.Socket[Any]", keys: CurveServer, *, owner: str) -> "Domain | None":
    """Make a socket ask for CURVE before it is bound; the caller closes what is returned, after the socket."""
    _set(socket, keys.public_key, keys.secret_key, owner)
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    if keys.allow is None:
        return None
    domain = Domain(frozenset(keys.allow))
    socket.setsockopt_string(zmq.ZAP_DOMAIN, domain.name)
    return domain


def dial(socket: "zmq.Socket[Any]", keys: CurveClient, *, owner: str) -> None:
    """Make a socket show its key before it connects."""
    _set(socket, keys.public_key, keys.secret_key, owner)
    _option(socket, zmq.CURVE_SERVERKEY, keys.server_key, f"{owner}: serverKey")


def _set(socket: "zmq.Socket[Any]", public: str, secret: Secret, owner: str) -> None:
    _option(socket, zmq.CURVE_PUBLICKEY, public, f"{owner}: publicKey")
    _option(socket, zmq.CURVE_SECRETKEY, secret.reveal(), f"{owner}: secretKey")


def _option(socket: "zmq.Socket[Any]", option: int, value: str, what: str) -> None:
    try:
        socket.setsockopt(option, value.encode("ascii"))
    except (zmq.ZMQError, ValueError) as exc:
        raise ConfigError(f"the {what} is not a CURVE key: 40 characters of Z85 are needed") from exc


class Domain:
    """One listener's allow-list; while there is any, the process answers ZAP."""

    _all: Final[dict[str, "Domain"]] = {}
    _count = 0
    _wire: Wire | None = None

    def __init__(self, allowed: frozenset[str]) -> None:
        """Take the allowed public keys (Z85)."""
        Domain._count += 1
        self.name = f"rutta-{Domain._count}"
        self.allowed = allowed
        self.denied = 0
        self._all[self.name] = self
        if Domain._wire is None:
            socket = open_socket(zmq.ROUTER, {zmq.LINGER: 0})
            socket.bind(ZAP)
            Domain._wire = Wire(socket, _answer)

    def close(self) -> None:
        """Forget the list; the last one stops answering."""
        self._all.pop(self.name, None)
        if not self._all and Domain._wire is not None:
            Domain._wire.close(0)
            Domain._wire = None

    @classmethod
    def reply(cls, frames: list[bytes]) -> list[bytes]:
        """Answer one request: version, id, domain, address, identity, mechanism, credentials."""
        at = frames.index(b"") + 1
        version, request, domain, _address, _identity, mechanism, *credentials = frames[at:]
        known = cls._all.get(domain.decode("utf-8", "replace"))
        fine = known is None or (
            mechanism == b"CURVE" and bool(credentials) and z85.encode(credentials[0]).decode() in known.allowed
        )
        if not fine and known is not None:
            known.denied += 1
        answer = [b"200", b"OK"] if fine else [b"400", b"this key is not allowed"]
        return [*frames[:at], version, request, *answer, b"", b""]


def _answer() -> bool:
    for _ in range(READ_AT_ONCE):
        wire = Domain._wire
        frames = None if wire is None else wire.receive()
        if wire is None or frames is None:
            return False
        wire.send(Domain.reply(frames))
    return True
