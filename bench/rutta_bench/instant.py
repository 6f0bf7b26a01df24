"""A server that takes everything and says so at once: ``python -m rutta_bench.instant TARGET PORT``."""

import asyncio
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rutta.amqp import wire
from rutta_bench import instants
from rutta_bench.instants import Answer

if TYPE_CHECKING:
    import grpc

_LARGEST: Final = 1 << 26  # bytes of a request
_PIECE: Final = 1 << 18


async def _http(answer: Callable[[bytes], Answer], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests one after the other, until the client goes."""
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await _body(reader, head)
        status, said, kind = answer(instants.plain(body, _header(head, b"content-encoding")))
        length = "" if status == 204 else f"Content-Type: {kind}\r\nContent-Length: {len(said)}\r\n"
        writer.write(f"HTTP/1.1 {status} OK\r\n{length}\r\n".encode() + said)
        await writer.drain()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if length := _header(head, b"content-length"):
        return await reader.readexactly(int(length))
    chunks = []
    while _header(head, b"transfer-encoding") == "chunked":
        size = int(await reader.readuntil(b"\r\n"), 16)
        chunks.append((await reader.readexactly(size + 2))[:-2])
        if not size:
            break
    return b"".join(chunks)


def _header(head: bytes, name: bytes) -> str:
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip().decode() if found else ""


_SAID: Final = {
    wire.START_OK: wire.method(0, wire.TUNE, struct.pack(">HIH", 2047, 1 << 17, 60)),
    wire.OPEN: wire.method(0, wire.OPEN_OK, b"\0"),
    wire.CHANNEL_OPEN: wire.method(1, wire.CHANNEL_OPEN_OK, wire.long(b"")),
    wire.SELECT: wire.method(1, wire.SELECT_OK),
}


async def _amqp(_answer: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say the beginning of AMQP 0-9-1 (specification §2.2.4), then confirm what came with each piece read."""
    await reader.readexactly(8)
    begin = b"\0\x09" + wire.table({}) + wire.long(b"PLAIN") + wire.long(b"en_US")
    writer.write(wire.method(0, wire.START, begin))
    left, published, confirmed = b"", 0, 0
    while piece := await reader.read(_PIECE):
        data, at = left + piece, 0
        while at + 7 <= len(data):
            kind, _, length = struct.unpack_from(">BHI", data, at)
            if at + 8 + length > len(data):
                break
            if kind == wire.METHOD:
                writer.write(_SAID.get(struct.unpack_from(">HH", data, at + 7), b""))
            published += kind == wire.BODY  # a body of the benchmark's events is one frame
            at += 8 + length
        left = data[at:]
        if published > confirmed:
            confirmed = published
            writer.write(wire.method(1, wire.ACK, struct.pack(">QB", confirmed, 1)))
        await writer.drain()


async def streams(name: str, port: int = 0) -> asyncio.Server:
    """Start serving a target that talks over plain sockets."""
    instant = instants.of(name)
    talk = _amqp if instant.kind == "amqp" else _http

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(instant.answer, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port, limit=_LARGEST)


async def calls(port: int = 0) -> "tuple[grpc.aio.Server, int]":
    """Start a server by gRPC that answers every method with an empty message; return its port, too."""
    import grpc

    class Anything(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
        def service(self, _details: object) -> object:
            async def taken(_request: bytes, _context: object) -> bytes:
                return b""

            return grpc.unary_unary_rpc_method_handler(taken)

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _LARGEST)])
    server.add_generic_rpc_handlers((Anything(),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


async def main(name: str, port: int) -> None:
    """Serve until ended."""
    if instants.of(name).kind == "grpc":
        server, _ = await calls(port)
        await server.wait_for_termination()
    else:
        await (await streams(name, port)).serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
