"""The sending process: builds its events, says ``ready``, waits for a line, sends, says what it did as JSON.

Run as ``python -m rutta_bench.sender ORDER`` with an ``Order`` as JSON. It does nothing but system calls while the
clock runs: whole buffers are built before.
"""

import itertools
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from rutta_bench import samples
from rutta_bench.model import Load

TOTAL = 16 << 20  # bytes of distinct events that are sent over and over
UDP_SEGMENT = 103  # linux/udp.h: the kernel cuts one send into datagrams of this length
SEGMENTS = 60  # datagrams a send; one send may be 64 KiB

Step = Callable[[], int]
"""Sends the next piece and returns how many events it held."""


class Order(Struct, frozen=True, kw_only=True):
    """What to send, to which port, or into the files of which folder, how long (seconds)."""

    load: Load
    port: int
    seconds: float
    logs: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """What was sent (and taken, where the receiver answers), in how many seconds and CPU-seconds."""

    sent: int
    seconds: float
    cpu: float


def main() -> None:
    """Prepare, wait for the line that starts the clock, send, report."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    step = _prepared(order)
    print("ready", flush=True)
    sys.stdin.readline()
    before, began = _cpu(), time.perf_counter()
    sent = _run(step, order)
    seconds = time.perf_counter() - began
    report = Report(sent=sent, seconds=seconds, cpu=_cpu() - before)
    print(msgspec.json.encode(report).decode(), flush=True)


def _prepared(order: Order) -> Step:
    if order.load.transport == "files":
        return _files(order.load, order.logs)
    return PREPARE[order.load.transport](order.load, order.port)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _run(step: Step, order: Order) -> int:
    end = time.perf_counter() + order.seconds
    limit = order.load.limit or sys.maxsize
    if order.load.rate:
        return _run_paced(step, order.load.rate, end, limit)
    sent = 0
    while sent < limit and time.perf_counter() < end:
        sent += step()
    return sent


def _run_paced(step: Step, rate: int, end: float, limit: int) -> int:
    """Send by an absolute timetable: a late piece is followed by the next at once, so the mean rate holds."""
    began, sent = time.perf_counter(), 0
    while sent < limit:
        due = began + sent / rate
        if due >= end:
            break
        if (early := due - time.perf_counter()) > 0:
            time.sleep(early)
        sent += step()
    return sent


def _tcp(load: Load, port: int) -> Step:
    """Give each connection a chunk in turn; the kernel's buffers are left as they are."""
    pieces = itertools.cycle(samples.chunks(load.shape, chunk=load.chunk, total=TOTAL))
    turns = itertools.cycle(_connections(load.connections, port))
    per_piece = max(1, load.chunk // samples.SIZE)

    def step() -> int:
        next(turns).sendall(next(pieces))
        return per_piece

    return step


def _connections(count: int, port: int) -> list[socket.socket]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if count + 100 > soft else soft, hard))
    opened = []
    for _ in range(count):
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=60))
        opened[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(0.0005)  # a receiver's backlog may be short: connections that overflow it look open, and are not
    return opened


def _udp(load: Load, port: int) -> Step:
    """One datagram an event, without its line feed; the kernel cuts them, or we do where it cannot."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", port))
    whole = [event[:-1] for event in samples.events(load.shape, SEGMENTS * 500)]
    groups = [whole[at : at + SEGMENTS] for at in range(0, len(whole), SEGMENTS)]
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, samples.SIZE - 1)
    except OSError:
        return _one_by_one(sock, itertools.cycle(whole))
    sends = itertools.cycle([b"".join(group) for group in groups])

    def step() -> int:
        sock.send(next(sends))
        return SEGMENTS

    return step


def _files(load: Load, folder: str) -> Step:
    """Append a piece to each file in turn, as container runtimes do."""
    lines = max(1, load.chunk // samples.SIZE)
    pieces = itertools.cycle(samples.container_chunks(lines=lines, total=TOTAL))
    files = itertools.cycle(
        [os.open(path, os.O_WRONLY | os.O_APPEND) for path in sorted(Path(folder).glob("*/*/*.log"))]
    )

    def step() -> int:
        os.write(next(files), next(pieces))
        return lines

    return step


def _one_by_one(sock: socket.socket, datagrams: Iterator[bytes]) -> Step:
    def step() -> int:
        sock.send(next(datagrams))
        return 1

    return step


def _http(load: Load, port: int) -> Step:
    """Keep one request open on every connection: send on all, then read all answers."""
    requests = itertools.cycle([_request(body) for body in samples.chunks("json", chunk=load.chunk, total=TOTAL)])
    opened = _connections(load.connections, port)
    per_request = max(1, load.chunk // samples.SIZE)

    def step() -> int:
        for one in opened:
            one.sendall(next(requests))
        return per_request * sum(map(_taken, opened))

    return step


def _request(body: bytes) -> bytes:
    head = (
        "POST /i/logary HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-ndjson\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _taken(sock: socket.socket) -> bool:
    """Read one answer whole; tell whether it was 2xx."""
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += _receive(sock)
    length = _content_length(answer[:end])
    while len(answer) < end + 4 + length:
        answer += _receive(sock)
    return answer[9:10] == b"2"


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def _receive(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise SystemExit("the receiver closed a connection in the middle of an answer")
    return data


PREPARE: dict[str, Callable[[Load, int], Step]] = {"tcp": _tcp, "udp": _udp, "http": _http}

if __name__ == "__main__":
    main()
