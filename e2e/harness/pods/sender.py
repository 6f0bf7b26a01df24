"""In a pod: sends numbered events at a steady rate until it is told to stop.

    sender.py NAME URL RATE COUNT      tcp://HOST:PORT or http://HOST:PORT/PATH, events per second, 0: until stopped

Over tcp it writes whole lines and looks for the peer's end of stream before each write, as a well-behaved client does.
Over http a body that was not answered with 201 is sent again. Connections are renewed every few seconds, so that pods
that are new get their share. ``GET /report`` and ``GET /stop`` on port 8080. The report's ``sent`` is how many
different events the peer has taken: with http what was answered, with tcp what was written.
"""

import http.client
import http.server
import json
import os
import select
import socket
import sys
import threading
import time
import urllib.parse

TICK = 0.02  # seconds between two writes
RENEW = 3.0  # seconds that a connection is used
PATIENCE = 0.1  # seconds after a peer that could not be reached
LINE = b'{"s":"%s","n":%%d,"message":"a numbered event, as the scenarios send them","level":"info","host":"%s"}\n'

state = {"sent": 0, "connections": 0, "again": 0, "busy": 0, "done": False, "started": 0.0, "ended": 0.0, "error": ""}
stop = threading.Event()


class Tcp:
    def __init__(self, url: urllib.parse.SplitResult) -> None:
        self.place = (url.hostname, url.port)
        self.socket: socket.socket | None = None
        self.since = 0.0

    def send(self, body: bytes) -> None:
        if self.socket is not None and (self.ended() or time.monotonic() - self.since > RENEW):
            self.close()
        if self.socket is None:
            self.socket = socket.create_connection(self.place, timeout=10)
            self.since = time.monotonic()
            self.socket.settimeout(30)
            state["connections"] += 1
        self.socket.sendall(body)

    def ended(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def close(self) -> None:
        """Say that all is said, and wait until the peer has read it."""
        if self.socket is None:
            return
        ours, self.socket = self.socket, None
        with ours:
            ours.shutdown(socket.SHUT_WR)
            ours.settimeout(5)
            while ours.recv(4096):
                pass

    def abandon(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


class Http:
    def __init__(self, url: urllib.parse.SplitResult) -> None:
        self.url = url
        self.connection: http.client.HTTPConnection | None = None
        self.since = 0.0

    def send(self, body: bytes) -> None:
        if self.connection is not None and time.monotonic() - self.since > RENEW:
            self.close()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.url.hostname or "", self.url.port, timeout=30)
            self.since = time.monotonic()
            state["connections"] += 1
        self.connection.request("POST", self.url.path or "/", body)
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.getheader("Connection", "").lower() == "close":
            self.close()
        if answer.status == 503:
            state["busy"] += 1
            raise TimeoutError("503")
        if answer.status != 201:
            raise SystemExit(f"{answer.status}: {said!r}")

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    abandon = close


def main(name: str, url: str, rate: int, count: int) -> None:
    parts = urllib.parse.urlsplit(url)
    peer = Tcp(parts) if parts.scheme == "tcp" else Http(parts)
    line = LINE % (name.encode(), os.environ.get("NODE_NAME", "").encode())
    state["started"] = began = time.time()
    sent = 0
    while not stop.is_set() and not (count and sent >= count):
        due = min(
            int((time.time() - began) * rate) - sent, max(rate // 10, 1000)
        )  # after a pause it catches up, gently
        if count:
            due = min(due, count - sent)
        if due > 0:
            deliver(peer, b"".join([line % number for number in range(sent, sent + due)]))
            sent += due
            state["sent"] = sent
        stop.wait(TICK)
    peer.close()
    state["ended"] = time.time()


def deliver(peer: Tcp | Http, body: bytes) -> None:
    while True:
        try:
            peer.send(body)
            return
        except (OSError, http.client.HTTPException) as exc:
            peer.abandon()
            state["again"] += not isinstance(exc, ConnectionRefusedError | TimeoutError)
            state["error"] = f"{type(exc).__name__}: {exc}"
            time.sleep(PATIENCE)


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/stop":
            stop.set()
        body = json.dumps(state).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


if __name__ == "__main__":
    pages = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    state["done"] = True
    threading.Event().wait()
