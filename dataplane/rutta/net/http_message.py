"""An HTTP request as a handler sees it, and its answer."""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

JSON: Final = "application/json; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"

_STATUS: Final = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n" for one in HTTPStatus}
_CLOSE: Final = "Connection: close\r\n"
_KEEP: Final = "Connection: keep-alive\r\n"


class Response(NamedTuple):
    """An answer. ``headers`` are those beside Content-Type, Content-Length, Date and Connection."""

    status: int
    body: bytes = b""
    type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


# What the server itself answers; a body is one JSON string.
TOO_LARGE: Final = Response(413, b'"the body is larger than maxBodyBytes"')
TARGET_TOO_LONG: Final = Response(414, b'"the request target is too long"')
HEAD_TOO_LARGE: Final = Response(431, b'"the headers are too large or too many"')
TOO_SLOW: Final = Response(408, b'"the request took too long to arrive"')
MALFORMED: Final = Response(400, b'"this is not an HTTP/1.1 request"')
NO_MEMORY: Final = Response(503, b'"too many bodies are on their way"', headers=(("Retry-After", "2"),))


class Request:
    """A request; ``headers`` have lower-case names, repeated ones joined by a comma. ``body`` comes last."""

    __slots__ = (
        "body",
        "headers",
        "held",
        "keep_alive",
        "method",
        "parts",
        "path",
        "query",
        "refusal",
        "size",
        "target",
    )

    def __init__(self) -> None:
        """Filled in as it arrives."""
        self.method = ""
        self.target = b""
        self.path = ""
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = False
        self.parts: list[bytes] = []
        self.size = 0  # bytes of the body that came
        self.held = 0  # bytes of the body that are kept
        self.refusal: Response | None = None

    def set_target(self) -> None:
        """Split the request target (RFC 9112 §3.2: origin form, or absolute form as proxies get it)."""
        target = self.target.decode("latin-1")
        if not target.startswith("/") and "://" in target:
            target = "/" + target.split("://", 1)[1].partition("/")[2]
        self.path, _, self.query = target.partition("?")


_date = (0, "")


def _now() -> str:
    """The Date header; made once a second."""
    global _date
    second = int(time.time())
    if _date[0] != second:
        _date = (second, f"Date: {formatdate(second, usegmt=True)}\r\n")
    return _date[1]


def render(response: Response, *, body: bool, close: bool, keep: bool) -> bytes:
    """Write an answer; ``body`` is off for HEAD. ``keep`` says that the connection stays to a client that asked."""
    head = (
        f"{_STATUS[response.status]}Content-Type: {response.type}\r\nContent-Length: {len(response.body)}\r\n{_now()}"
        f"{_CLOSE if close else _KEEP if keep else ''}"
    )
    for name, value in response.headers:
        head += f"{name}: {value}\r\n"
    return (head + "\r\n").encode("latin-1", "replace") + (response.body if body else b"")
