"""Sign requests to Log Service: https://www.alibabacloud.com/help/en/sls/developer-reference/request-signatures.

``V1``: ``LOG ID:SIGNATURE``, HMAC-SHA1 over method, MD5 of the body, type, date, own headers and the resource.
``V4``: ``SLS4-HMAC-SHA256``, with a key that is made for a day and a region.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Final, NamedTuple
from urllib.parse import quote

_EMPTY: Final[Mapping[str, str]] = {}


class Keys(NamedTuple):
    """An access key; ``token`` belongs to one of STS, which is good for a while."""

    id: str
    secret: str
    token: str = ""


class Request(NamedTuple):
    """What is signed. ``headers`` are the service's own (``x-log-…``) and Content-Type."""

    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


def v1(request: Request, keys: Keys, *, now: float | None = None) -> dict[str, str]:
    """Return all headers of a POST, signed."""
    headers = {
        **request.headers,
        "x-log-signaturemethod": "hmac-sha1",
        "Content-MD5": hashlib.md5(request.body, usedforsecurity=False).hexdigest().upper(),
        "Date": formatdate(time.time() if now is None else now, usegmt=True),
        "Host": request.host,
        **({"x-acs-security-token": keys.token} if keys.token else _EMPTY),
    }
    query = "&".join(f"{key}={value}" for key, value in sorted(request.query.items()))
    resource = f"{request.path}?{query}" if query else request.path
    return {**headers, "Authorization": authorization(headers, resource, keys)}


def authorization(headers: Mapping[str, str], resource: str, keys: Keys) -> str:
    """Return what goes with the headers of a POST in ``V1``."""
    named = [headers[name] for name in ("Content-MD5", "Content-Type", "Date")]
    own = [f"{name}:{value}" for name, value in _own(headers).items()]
    digest = hmac.digest(keys.secret.encode(), "\n".join(("POST", *named, *own, resource)).encode(), hashlib.sha1)
    return f"LOG {keys.id}:{base64.b64encode(digest).decode()}"


def v4(request: Request, keys: Keys, region: str, *, now: float | None = None) -> dict[str, str]:
    """Return all headers of a POST, signed for a region."""
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {
        **request.headers,
        "x-log-date": moment,
        "x-log-content-sha256": digest,
        "Host": request.host,
        **({"x-acs-security-token": keys.token} if keys.token else _EMPTY),
    }
    signed = _own(headers, "content-type", "host")
    query = "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in sorted(request.query.items()))
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in signed.items())
    canonical = "\n".join(("POST", request.path, query, lines, ";".join(signed), digest))
    scope = f"{moment[:8]}/{region}/sls/aliyun_v4_request"
    text = f"SLS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"aliyun_v4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return {**headers, "Authorization": f"SLS4-HMAC-SHA256 Credential={keys.id}/{scope},Signature={signature}"}


def _own(headers: Mapping[str, str], *more: str) -> dict[str, str]:
    """The service's own headers, and those named, in lower case and sorted."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name] for name in sorted(lower) if name.startswith(("x-log-", "x-acs-")) or name in more}
