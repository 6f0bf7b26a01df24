"""Who we are to Google Cloud, as Application Default Credentials look for it (https://google.aip.dev/auth/4110).

In this order: the JSON that is set (a service account's key, or a user's of ``gcloud auth application-default``), the
file that ``GOOGLE_APPLICATION_CREDENTIALS`` names, the metadata server of the machine or pod (workload identity).
A token is kept until shortly before it ends, or until the JSON changes.
"""

import asyncio
import base64
import os
import time
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from rutta.errors import ConfigError, Retry
from rutta.net.http_client import Answer, Client
from rutta.settings import Secret

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"

_EARLY: Final = 300.0  # seconds before its end that a token is no longer used; the metadata server renews as early
_TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_METADATA: Final = {"Metadata-Flavor": "Google"}
_HINT: Final = "set credentials, GOOGLE_APPLICATION_CREDENTIALS, or run where a metadata server answers"


class _Key(Struct, rename={"kind": "type"}):
    """The JSON of credentials."""

    kind: str = ""
    project_id: str = ""
    quota_project_id: str = ""
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    token_uri: str = _TOKEN_URI
    client_id: str = ""
    client_secret: str = ""
    refresh_token: str = ""


class _Token(Struct):
    access_token: str
    expires_in: float = 3600.0


class Credentials:
    """Owns a small HTTP client from ``open`` to ``close``."""

    def __init__(self, given: Secret | None, *, timeout: float = 10.0) -> None:
        """``given`` is the JSON itself, or where it is; ``timeout`` seconds for one question."""
        self._given = given
        self._client = Client(timeout=timeout, connect_timeout=timeout)
        self._one_at_a_time = asyncio.Lock()
        self._token, self._until, self._of = "", 0.0, b""
        self._project = ""

    async def open(self) -> None:
        """Prepare; asks nobody."""
        await self._client.open()

    async def close(self) -> None:
        """Let go; idempotent."""
        await self._client.close()

    def forget(self) -> None:
        """Take a new token next time: this one was refused."""
        self._until = 0.0

    async def token(self) -> str:
        """Return an access token; ``Retry`` if there is none to be had now."""
        async with self._one_at_a_time:
            text = self._json()
            if time.monotonic() >= self._until or text != self._of:
                found = await self._fetch(text)
                self._token, self._of = found.access_token, text
                self._until = time.monotonic() + max(10.0, found.expires_in - _EARLY)
            return self._token

    async def project(self, configured: str | None) -> str:
        """Return the project: as configured, the credentials', the environment's, the machine's."""
        if configured or self._project:
            return configured or self._project
        text = self._json()
        found = (_key(text).project_id if text else "") or os.environ.get("GOOGLE_CLOUD_PROJECT", "")
        self._project = found or (await self._metadata("project/project-id")).body.decode(errors="replace").strip()
        return self._project

    def hide(self, text: str) -> str:
        """Take the token out of a text that came from outside."""
        return text.replace(self._token, "***") if self._token else text

    def _json(self) -> bytes:
        path = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        given = self._given or (Secret(file=path) if path else None)
        try:
            return given.reveal().encode() if given is not None else b""
        except ConfigError as exc:  # a file that is mounted later, or just being replaced
            raise Retry(f"{exc}.") from exc

    async def _fetch(self, text: bytes) -> _Token:
        if not text:
            query = urlencode({"scopes": SCOPE})
            return _read(await self._metadata(f"instance/service-accounts/default/token?{query}"))
        key = _key(text)
        if key.kind == "service_account":
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": assertion(key, time.time()),
            }
        elif key.kind == "authorized_user":
            names = ("client_id", "client_secret", "refresh_token")
            form = {"grant_type": "refresh_token", **{name: getattr(key, name) for name in names}}
        else:
            raise Retry(
                f"Google credentials of the type {key.kind!r} are not known; there are service_account and "
                "authorized_user, and the metadata server without any."
            )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._client.request("POST", key.token_uri, urlencode(form).encode(), headers=headers)
        if not answer.is_success:
            raise Retry(f"{key.token_uri} gave no token: {answer.status} {_reason(answer)}; check the credentials.")
        return _read(answer)

    async def _metadata(self, path: str) -> Answer:
        host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        try:
            answer = await self._client.request("GET", f"http://{host}/computeMetadata/v1/{path}", headers=_METADATA)
        except Retry as exc:
            raise Retry(f"There are no Google credentials, and {exc}".rstrip(".") + f"; {_HINT}.") from exc
        if not answer.is_success:
            raise Retry(f"The metadata server {host} answered {answer.status} {answer.reason}; {_HINT}.")
        return answer


def _key(text: bytes) -> _Key:
    try:
        return msgspec.json.decode(text, type=_Key)
    except msgspec.DecodeError:
        raise Retry("The Google credentials are not the JSON of a key; check what they are read from.") from None


def _read(answer: Answer) -> _Token:
    try:
        return msgspec.json.decode(answer.body, type=_Token)
    except msgspec.DecodeError:
        raise Retry("The answer to a request for a Google token holds none.") from None


def _reason(answer: Answer) -> str:
    """What a token endpoint says is wrong (RFC 6749 §5.2): a word, and a text that holds no secret."""
    try:
        found: dict[str, Any] = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return answer.reason
    return f"{found.get('error', '')} {found.get('error_description', '')}".strip()[:200]


def assertion(key: _Key, now: float) -> str:
    """Write and sign what a service account claims (RFC 7523; RS256). ``Retry`` if the key cannot sign."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    head = {"alg": "RS256", "typ": "JWT", "kid": key.private_key_id}
    claims = {"iss": key.client_email, "scope": SCOPE, "aud": key.token_uri, "iat": int(now), "exp": int(now) + 3600}
    text = b".".join(_base64(msgspec.json.encode(part)) for part in (head, claims))
    try:
        private = load_pem_private_key(key.private_key.encode(), None)
    except (ValueError, TypeError):
        raise Retry("The private key of the Google service account cannot be read; get a new key.") from None
    if not isinstance(private, RSAPrivateKey):
        raise Retry("The private key of the Google service account is not of RSA; get a new key.")
    return b".".join((text, _base64(private.sign(text, PKCS1v15(), SHA256())))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def available() -> None:
    """Check that the packages of the extra are there; ``ConfigError`` names it."""
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError as exc:
        raise ConfigError(
            "Google Cloud's targets need the Python package cryptography; install the extra: rutta[googlecloud]"
        ) from exc
