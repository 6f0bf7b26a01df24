"""Stands in for ``rutta``: reads its config, serves /readyz and /status, logs as it does, does what its name tells."""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

role, _, path = sys.argv[1:]
config = json.loads(Path(path).read_text())
name = config["name"].partition("/")[2]
counts = {"received": 5, "delivered": 3, "dropped": 2, "held": 0, "errors": 6}
status = {
    "listeners": [{"name": "in", "received": 7, "errors": {"malformed": 3}}],
    "targets": [{"name": "out", "delivered": 4, "dropped": {"rejected": 1}, "held": 2}],
}


def log(event, message, **fields):
    line = {"ts": "2026-01-02T03:04:05.678Z", "level": "info", "event": event, **fields, "message": message}
    print(json.dumps(line), file=sys.stderr, flush=True)


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        ready = self.path != "/readyz" or name != "never"
        body = json.dumps(status).encode() if self.path == "/status" else b"ok"
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def stop():
    if name == "stubborn":
        return log("stopping", "Not yet.")
    log("stopped", "Stopped.", at=time.monotonic_ns(), **counts)
    os._exit(0)


if name == "broken":
    print("Traceback: it broke", file=sys.stderr)
    sys.exit(3)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # waited for below, so that none comes a moment too early
signal.signal(signal.SIGINT, signal.SIG_IGN)
host, _, port = config["health"]["bind"].rpartition(":")
server = ThreadingHTTPServer((host, int(port)), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
log("started", "Rutta runs as \x1b[31mfake.", config=config, mode=oct(os.stat(path).st_mode & 0o777))
print("an event of " + name, flush=True)
while True:
    signal.sigwait({signal.SIGTERM})
    stop()
