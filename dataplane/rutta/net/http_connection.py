"""One HTTP/1.1 connection: requests in, answers out, in order."""

import asyncio
import functools
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import httptools

from rutta.net import http_message
from rutta.net.http_message import Request, Response, render

if TYPE_CHECKING:
    from rutta.net.http_server import HttpServer

LINGER: Final = 2.0  # seconds in which what a refused client still sends is thrown away, so that it reads its answer
STUCK: Final = 30.0  # seconds after which a client that does not read its answers is left
_HOP: Final = (b"upgrade", b"connection", b"http2-settings")


class Connection(asyncio.BufferedProtocol):
    """The parser calls the ``on_`` methods while it is fed; what they find is answered afterwards."""

    __slots__ = (
        "_answers", "_deaf", "_eof", "_head", "_in_body", "_lingering", "_parser", "_queue", "_reading", "_request",
        "_server", "_since", "_stuck", "_task", "_transport",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, server: "HttpServer") -> None:
        """Belongs to ``server``."""
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._request: Request | None = None  # the one that is arriving
        self._queue: deque[Request] = deque()
        self._task: asyncio.Future[Response] | None = None  # the answer that is being made
        self._head = 0  # bytes of a head that is not whole
        self._in_body = False
        self._since = 0.0  # when what we wait for began
        self._reading = True
        self._stuck = False  # the client does not read its answers
        self._deaf = False  # the last request has been refused before its end; nothing more is read as HTTP
        self._lingering = False
        self._eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet nobody: the client begins."""
        self._transport = cast(asyncio.Transport, transport)
        self._since = self._server.loop.time()
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there to read an answer."""
        if self._task is not None:
            self._task.cancel()
        for request in (*self._queue, self._request):
            self._let_go(request)
        self._queue.clear()
        self._request = None
        self._server.gone(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """All connections share one."""
        return self._server.view

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came, then answer what is whole."""
        if self._deaf:
            return
        if self._request is not None and not self._in_body:
            self._head += nbytes
            if self._head > self._server.limits.head:
                self._refuse_now(self._request, http_message.HEAD_TOO_LARGE)
        self._feed(self._server.view[:nbytes])
        self._advance()

    def eof_received(self) -> bool:
        """A client may close its side and still read: keep ours until it has its answers (not with TLS)."""
        self._eof = True
        return bool(self._queue or self._task) and self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        """Too many answers are unread."""
        self._stuck = True
        self._since = self._server.loop.time()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stuck = False
        self._since = self._server.loop.time()
        self._advance()

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._deaf:
            return
        self._request = Request()
        self._head = 0
        self._in_body = False
        self._since = self._server.loop.time()

    def on_url(self, url: bytes) -> None:
        """Part of the request target."""
        if (request := self._request) is not None and not self._deaf:
            request.target += url
            if len(request.target) > self._server.limits.target:
                self._refuse_now(request, http_message.TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """A header, or a trailer, which is of no use to anybody here."""
        if (request := self._request) is None or self._in_body or self._deaf:
            return
        headers, key, value = request.headers, name.lower(), value or b""
        headers[key] = headers[key] + b"," + value if key in headers else value
        if len(headers) > self._server.limits.headers or len(headers[key]) > self._server.limits.head:
            self._refuse_now(request, http_message.HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Judge the request before its body is read."""
        if (request := self._request) is None or self._deaf:
            return
        self._in_body = True
        request.method = self._parser.get_method().decode("ascii")
        if self._parser.should_upgrade():
            return  # it comes again, see _ignore_upgrade
        request.keep_alive = self._parser.should_keep_alive()
        request.set_target()
        length = request.headers.get(b"content-length", b"0")
        if len(length) > 15 or int(length) > self._server.limits.body:
            self._refuse_now(request, http_message.TOO_LARGE)
            return
        request.refusal = self._server.check(request)
        if b"expect" in request.headers:
            self._expect(request)

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        if (request := self._request) is None or self._deaf:
            return
        request.size += len(body)
        if request.size > self._server.limits.body:
            self._refuse_now(request, http_message.TOO_LARGE)
        elif request.refusal is None:
            request.parts.append(body)
            request.held += len(body)
            self._server.held += len(body)
            if self._server.held > self._server.limits.bodies:
                request.refusal = http_message.NO_MEMORY
                self._let_go(request)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if (request := self._request) is None or self._deaf or self._parser.should_upgrade():
            return
        self._request = None
        parts, request.parts = request.parts, []
        request.body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._queue.append(request)

    def leave(self) -> None:
        """The server stops: end an idle connection; others end with their next answer."""
        if self._idle():
            self._transport.close()

    def give_up(self) -> None:
        """End the connection unless an answer is being made."""
        if self._task is None:
            self._transport.abort()

    async def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait([task])

    def sweep(self, now: float) -> bool:
        """End what takes too long; say whether that was so."""
        limits, waited = self._server.limits, now - self._since
        if self._lingering or self._stuck:
            if waited > (LINGER if self._lingering else STUCK):
                self._transport.abort()
        elif self._task is not None:
            return False
        elif (request := self._request) is None:
            if waited > limits.idle_timeout:
                self._transport.close()
        elif waited > (limits.body_timeout if self._in_body else limits.head_timeout):
            self._refuse_now(request, http_message.TOO_SLOW)
            self._advance()
            return True
        return False

    def _idle(self) -> bool:
        return self._request is None and self._task is None and not self._queue and not self._lingering

    def _feed(self, data: memoryview | bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(bytes(data[upgrade.args[0] :]))
        except httptools.HttpParserCallbackError:
            raise  # a bug of ours
        except httptools.HttpParserError:
            self._refuse_now(self._request or Request(), http_message.MALFORMED)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read the request again as if it had not asked to upgrade (RFC 9110 §7.8 lets a server ignore that).

        The parser skips the body of such a request; Java's HttpClient sends its first one so, to try HTTP/2.
        """
        request = self._request
        if request is None or self._deaf:
            return
        if request.method == "CONNECT":
            self._refuse_now(request, Response(404, b"false"))
            return
        head = [request.method.encode() + b" " + request.target + b" HTTP/1.1"]
        head += [name + b": " + value for name, value in request.headers.items() if name not in _HOP]
        self._parser = httptools.HttpRequestParser(self)
        self._feed(b"\r\n".join(head) + b"\r\n\r\n" + rest)

    def _expect(self, request: Request) -> None:
        """Answer ``Expect: 100-continue`` at once (RFC 9110 §10.1.1), unless others are to be answered first."""
        if request.refusal is not None:
            self._refuse_now(request, request.refusal)
        elif not self._queue and self._task is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse_now(self, request: Request, refusal: Response) -> None:
        """Answer before the request is whole, and close: where the next one would begin is not known."""
        if self._deaf:
            return
        self._deaf = True
        self._request = None
        self._let_go(request)
        request.refusal, request.keep_alive = refusal, False
        self._queue.append(request)

    def _let_go(self, request: Request | None) -> None:
        """The body of a request is not needed any more."""
        if request is not None:
            self._server.held -= request.held
            request.held, request.parts, request.body = 0, [], b""

    def _advance(self) -> None:
        """Answer what is whole, as far as it goes."""
        while self._queue and self._task is None and not self._stuck and not self._lingering:
            request = self._queue.popleft()
            self._server.requests += 1
            answer = request.refusal or self._server.handle(request)
            if isinstance(answer, Response):
                self._write(request, answer)
            else:
                self._task = task = asyncio.ensure_future(answer)
                task.add_done_callback(functools.partial(self._answered, request))
        if self._eof and not self._queue and self._task is None:
            self._transport.close()
        self._read(self._task is None and not self._stuck)

    def _answered(self, request: Request, task: asyncio.Future[Response]) -> None:
        """Write an answer that took a while. A bug of the handler ends the connection and is logged by the loop."""
        self._task = None
        self._let_go(request)
        if task.cancelled():
            self._transport.abort()
        elif (exc := task.exception()) is not None:
            self._server.loop.call_exception_handler({"message": "An HTTP handler failed.", "exception": exc})
            self._transport.abort()
        else:
            self._since = self._server.loop.time()
            self._write(request, task.result())
            self._advance()

    def _write(self, request: Request, response: Response) -> None:
        self._let_go(request)
        close = not request.keep_alive or self._server.stopping
        keep = not close and b"connection" in request.headers
        self._transport.write(render(response, body=request.method != "HEAD", close=close, keep=keep))
        if close:
            self._end()

    def _end(self) -> None:
        """Close after the last answer. Closing on unread bytes would reset the connection before it is read."""
        self._queue.clear()
        if not self._deaf or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._lingering = True
        self._since = self._server.loop.time()
        self._transport.write_eof()

    def _read(self, wanted: bool) -> None:
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
