"""In a pod: counts numbered events that a router's ``http`` target brings.

``POST`` takes lines of JSON with ``s`` (who made it) and ``n`` (its number, from 0), as keys or in the text; a stack
trace counts only whole. ``GET /report`` says of each maker how many came, how many were different, and which numbers
below the highest are missing. ``GET /last`` is the last event as it came, ``GET /first/MAKER`` a maker's first.
With RECEIVER_TOKEN set, whoever has another bearer token gets 401.
"""

import asyncio
import json
import os
import re
import time
import urllib.parse

import msgspec

TOKEN = os.environ.get("RECEIVER_TOKEN")
SHOWN = 20  # ranges of missing numbers that a report names


class Numbered(msgspec.Struct):
    s: str = ""
    n: int = -1
    event: str = ""
    message: str = ""


IN_TEXT = re.compile(r"s=(\S+) n=(\d+)")


def of_text(event: Numbered) -> None:
    """Read who made an event, and its number, from its text; leave an event that is not ours as it is."""
    text = event.event or event.message
    found = IN_TEXT.search(text)
    if found is None:
        return
    number = found[2]
    if text.startswith("ERROR") and not text.rstrip().endswith(f"end of {number}"):
        state["torn"] += 1
        return
    event.s, event.n = found[1], int(number)


class Seen:
    """A byte for each number: how often it came, 255 at most."""

    def __init__(self) -> None:
        self.marks = bytearray(1 << 16)
        self.received = 0
        self.highest = -1
        self.first = b""

    def report(self) -> dict[str, object]:
        marks = self.marks[: self.highest + 1]
        missing = marks.count(0)
        return {
            "received": self.received,
            "distinct": len(marks) - missing,
            "highest": self.highest,
            "missing": missing,
            "duplicates": self.received - len(marks) + missing,
            "ranges": _ranges(marks) if missing else [],
        }


def _ranges(marks: bytearray) -> list[tuple[int, int]]:
    found, at = [], marks.find(0)
    while at >= 0 and len(found) < SHOWN:
        end = at
        while end < len(marks) and not marks[end]:
            end += 1
        found.append((at, end - 1))
        at = marks.find(0, end)
    return found


seen: dict[str, Seen] = {}
decode = msgspec.json.Decoder(Numbered).decode_lines
state = {"events": 0, "requests": 0, "first": 0.0, "last": 0.0, "refused": 0, "torn": 0, "others": 0}
last = b""


def take(body: bytes) -> None:
    global last
    events = decode(body)
    for place, event in enumerate(events):
        if event.n < 0:
            of_text(event)
            if event.n < 0:
                state["others"] += 1
                continue
        number = event.n
        one = seen.get(event.s)
        if one is None:
            one = seen[event.s] = Seen()
            one.first = body.splitlines()[place]
        if number > one.highest:
            one.highest = number
            while number >= len(one.marks):
                one.marks.extend(bytes(len(one.marks)))
        if one.marks[number] < 255:
            one.marks[number] += 1
        one.received += 1
    now = time.time()
    state["events"] += len(events)
    state["requests"] += 1
    state["first"] = state["first"] or now
    state["last"] = now
    last = body[body.rfind(b"\n", 0, len(body) - 1) + 1 :]


def answer(method: bytes, path: bytes, head: bytes, body: bytes) -> tuple[int, bytes]:
    if method == b"POST":
        if TOKEN is not None and f"authorization: bearer {TOKEN}".lower().encode() not in head.lower():
            state["refused"] += 1
            return 401, b"wrong token"
        take(body)
        return 200, b""
    if path == b"/last":
        return 200, last
    if path.startswith(b"/first/"):
        return 200, seen[urllib.parse.unquote(path[7:].decode())].first
    return 200, json.dumps({**state, "senders": {name: one.report() for name, one in seen.items()}}).encode()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.split(b" ", 2)
            size = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
            body = await reader.readexactly(int(size or 0))
            status, said = answer(method, path, head, body)
            writer.write(b"HTTP/1.1 %d said\r\nContent-Length: %d\r\n\r\n" % (status, len(said)) + said)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "0.0.0.0", 8080, limit=1 << 24)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
