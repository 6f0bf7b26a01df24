"""Cross-origin requests: which pages in a browser may post (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from rutta.net.http_message import TEXT, Request, Response

Headers = tuple[tuple[str, str], ...]

_ANY: Final = (("Access-Control-Allow-Origin", "*"),)
_VARY: Final = (("Vary", "Origin"),)


class Cors(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which pages in a browser may post."""

    enabled: Annotated[bool, Meta(description="off: no CORS header at all, and OPTIONS is 404")] = True
    origins: Annotated[
        tuple[str, ...], Meta(min_length=1, description="origins that may post, as browsers write them; * is any")
    ] = ("*",)


def headers(cors: Cors, request: Request) -> Headers:
    """Return what every answer to a POST carries."""
    if not cors.enabled:
        return ()
    if "*" in cors.origins:
        return _ANY
    origin = request.headers.get(b"origin", b"").decode("latin-1")
    return (("Access-Control-Allow-Origin", origin), *_VARY) if origin in cors.origins else _VARY


def preflight(cors: Cors, request: Request, *, methods: str = "POST") -> Response | None:
    """Answer OPTIONS; None if the origin may not use these methods."""
    allowed = headers(cors, request)
    if not allowed or allowed == _VARY:
        return None
    asked = request.headers.get(b"access-control-request-headers", b"").decode("latin-1")
    names = ", ".join(name.strip() for name in asked.split(",") if name.strip()) or "Content-Type"
    return Response(
        200,
        b"",
        TEXT,
        (
            *allowed,
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", names),
            ("Access-Control-Max-Age", "86400"),
        ),
    )
