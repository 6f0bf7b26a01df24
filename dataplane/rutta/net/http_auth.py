"""Who may post: bearer tokens (RFC 6750) and basic credentials (RFC 7617)."""

import base64
import hashlib
import hmac
import logging
import time
from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from rutta.errors import ConfigError
from rutta.settings import Secret

log = logging.getLogger("rutta.http_auth")

FRESH: Final = 10.0  # seconds for which secrets that were read are good


class User(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One user of basic authentication."""

    username: Annotated[str, Meta(min_length=1, pattern="^[^:]+$", description="name; without a colon")]
    password: Annotated[Secret, Meta(description="password")]


class Auth(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Who may post; any one of these is enough."""

    bearer: Annotated[list[Secret], Meta(description="tokens, several while one is replaced")] = []
    basic: Annotated[list[User], Meta(description="users with passwords")] = []

    def __post_init__(self) -> None:
        """Reject a lock without a key."""
        if not self.bearer and not self.basic:
            raise ValueError("auth needs a bearer token or a basic user, or nobody could post")


class Guard:
    """Compares credentials in constant time with the secrets as they are now."""

    def __init__(self, auth: Auth, *, listener: str) -> None:
        """Read the secrets; ``ConfigError`` says which cannot be read."""
        self._auth = auth
        self._listener = listener
        self._digests = _digests(auth)
        self._read_at = time.monotonic()
        offers = (['Bearer realm="rutta"'] if auth.bearer else []) + (
            ['Basic realm="rutta", charset="UTF-8"'] if auth.basic else []
        )
        self.challenge = ", ".join(offers)

    def admits(self, authorization: bytes) -> bool:
        """Say whether the value of an Authorization header is one of ours."""
        if time.monotonic() - self._read_at > FRESH:
            self._renew()
        scheme, _, credentials = authorization.partition(b" ")
        digest = _digest(scheme.lower(), credentials.strip())
        found = False
        for known in self._digests:  # all of them, so that time tells nothing
            found |= hmac.compare_digest(digest, known)
        return found

    def _renew(self) -> None:
        self._read_at = time.monotonic()
        try:
            self._digests = _digests(self._auth)
        except ConfigError as exc:
            log.warning(
                "The listener %s keeps its old credentials: %s.", self._listener, exc, extra={"event": "auth_stale"}
            )


def _digests(auth: Auth) -> Sequence[bytes]:
    tokens = [_digest(b"bearer", token.reveal().encode()) for token in auth.bearer]
    return tokens + [
        _digest(b"basic", base64.b64encode(f"{user.username}:{user.password.reveal()}".encode())) for user in auth.basic
    ]


def _digest(scheme: bytes, credentials: bytes) -> bytes:
    """Same length for all, so that a comparison does not tell the secret's."""
    return hashlib.sha256(scheme + b" " + credentials).digest()
