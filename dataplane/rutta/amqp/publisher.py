"""One connection with one channel in confirm mode (https://www.rabbitmq.com/docs/confirms)."""

import asyncio
import itertools
import ssl
import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rutta import VERSION
from rutta.amqp import wire
from rutta.amqp.wire import Reader

_FRAME_MAX: Final = 131_072  # bytes: RabbitMQ's own default
_AT_ONCE: Final = 2**20  # bytes written before others have their turn


class Broken(Exception):
    """The connection is no more; ``code`` and ``said`` are the broker's."""

    def __init__(self, said: str, code: int = 0) -> None:
        """Take the broker's words, or ours."""
        super().__init__(said)
        self.said, self.code = said, code


class Address(NamedTuple):
    """Whom to connect to, and as whom. ``heartbeat`` and ``timeout`` in seconds."""

    host: str
    port: int
    vhost: str
    username: str
    password: str
    context: ssl.SSLContext | None
    heartbeat: int
    timeout: float


class Message(NamedTuple):
    """A message as frames, and what a returned one is known by: its id and routing key (a short string)."""

    frames: bytes
    id: bytes
    key: bytes


class Confirmed(NamedTuple):
    """What became of messages, by number: refused by the broker, or returned with its words. ``open`` are unknown."""

    nacked: Sequence[int]
    returned: Mapping[int, str]
    unknown: Sequence[int]
    broken: Broken | None


class Publisher:
    """Owns a connection from ``connect`` to ``close``; broken, it stays so."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """``connect`` makes one."""
        self._reader, self._writer = reader, writer
        self._task: asyncio.Task[None] | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._next = 1  # tag of the next message
        self._waiting: dict[int, int] = {}  # tag → number in the call
        self._messages: Sequence[Message] = ()
        self._nacked: list[int] = []
        self._returned: dict[int, str] = {}
        self._known: dict[tuple[bytes, bytes], list[int]] | None = None  # id and key → numbers, once one came back
        self._pending = (b"", "")  # key and words of a return whose header has not come yet
        self._done: asyncio.Future[None] | None = None
        self.broken: Broken | None = None
        self.blocked = ""
        self.frame_max = _FRAME_MAX

    @classmethod
    async def connect(cls, address: Address, *, declare: tuple[str, str] | None) -> "Publisher":
        """Connect, log in, open the channel; ``declare`` an exchange of a type. ``Broken`` if the broker refuses."""
        try:
            async with asyncio.timeout(address.timeout):
                reader, writer = await asyncio.open_connection(address.host, address.port, ssl=address.context)
                made = cls(reader, writer)
                try:
                    heartbeat = await made._log_in(address)
                    await made._prepare(declare)
                except BaseException:  # cancelled, too: whatever it is goes on, and leaves no connection behind
                    writer.close()
                    raise
        except TimeoutError as exc:
            raise Broken(f"did not answer within {address.timeout:g} s") from exc
        except (OSError, asyncio.IncompleteReadError) as exc:
            word = exc.strerror if isinstance(exc, OSError) and exc.strerror else "closed the connection"
            raise Broken(f"cannot be used: {word}") from exc
        except (struct.error, IndexError) as exc:
            raise Broken("does not speak AMQP 0-9-1") from exc
        made._task = asyncio.create_task(made._read_on(heartbeat))
        made._keep_alive(heartbeat)
        return made

    # --- beginning ----------------------------------------------------------------------------------------------

    async def _log_in(self, address: Address) -> int:
        self._writer.write(wire.GREETING)
        await self._expect(wire.START)
        capabilities = {"publisher_confirms": True, "connection.blocked": True, "authentication_failure_close": True}
        client = wire.table({"product": "Rutta", "version": VERSION, "capabilities": capabilities})
        answer = f"\0{address.username}\0{address.password}".encode()
        arguments = client + wire.short("PLAIN") + wire.long(answer) + wire.short("en_US")
        self._writer.write(wire.method(0, wire.START_OK, arguments))
        tune = await self._expect(wire.TUNE)
        tune.number("H")
        self.frame_max = min(tune.number("I") or _FRAME_MAX, _FRAME_MAX)
        heartbeat = min(tune.number("H") or address.heartbeat, address.heartbeat)
        self._writer.write(wire.method(0, wire.TUNE_OK, struct.pack(">HIH", 1, self.frame_max, heartbeat)))
        self._writer.write(wire.method(0, wire.OPEN, wire.short(address.vhost) + b"\0\0"))
        await self._expect(wire.OPEN_OK)
        return heartbeat

    async def _prepare(self, declare: tuple[str, str] | None) -> None:
        self._writer.write(wire.method(1, wire.CHANNEL_OPEN, b"\0"))
        await self._expect(wire.CHANNEL_OPEN_OK)
        if declare is not None:
            name, kind = declare
            durable = b"\2"
            arguments = b"\0\0" + wire.short(name) + wire.short(kind) + durable + wire.table({})
            self._writer.write(wire.method(1, wire.DECLARE, arguments))
            await self._expect(wire.DECLARE_OK)
        self._writer.write(wire.method(1, wire.SELECT, b"\0"))
        await self._expect(wire.SELECT_OK)

    async def _expect(self, number: tuple[int, int]) -> Reader:
        while True:
            kind, payload = await self._frame()
            if kind == wire.HEARTBEAT:
                continue
            found = struct.unpack_from(">HH", payload)
            if found in (wire.CLOSE, wire.CHANNEL_CLOSE):
                raise _refusal(payload)
            if found != number:
                raise Broken(f"sent the method {found} where {number} was due")
            return Reader(payload, 4)

    async def _frame(self) -> tuple[int, bytes]:
        head = await self._reader.readexactly(7)
        kind, _, size = struct.unpack(">BHI", head)
        if size > 2 * _FRAME_MAX or head.startswith(b"AMQP"):
            raise Broken("does not speak AMQP 0-9-1")
        payload = await self._reader.readexactly(size + 1)
        return kind, payload[:-1]

    # --- publishing ---------------------------------------------------------------------------------------------

    async def publish(self, messages: Sequence[Message], timeout: float) -> Confirmed:
        """Write all, then wait until the broker has confirmed each, at most ``timeout`` seconds without a confirm."""
        if self.broken is not None:
            return Confirmed((), {}, range(len(messages)), self.broken)
        self._messages, self._known, self._nacked, self._returned = messages, None, [], {}
        self._waiting = {self._next + number: number for number in range(len(messages))}
        self._next += len(messages)
        self._done = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._write([message.frames for message in messages])
                if self._waiting and self.broken is None:
                    await self._done
        except TimeoutError:
            blocked = f"; it blocks publishers: {self.blocked}" if self.blocked else ""
            self._fail(Broken(f"did not confirm within {timeout:g} s{blocked}"))
        except OSError as exc:
            self._fail(Broken(f"closed the connection: {exc.strerror or exc}"))
        finally:
            self._done = None
        return Confirmed(self._nacked, self._returned, list(self._waiting.values()), self.broken)

    async def _write(self, frames: Sequence[bytes]) -> None:
        parts: list[bytes] = []
        size = 0
        for one in frames:
            parts.append(one)
            size += len(one)
            if size >= _AT_ONCE:
                self._writer.write(b"".join(parts))
                parts, size = [], 0
                await self._writer.drain()
        self._writer.write(b"".join(parts))
        await self._writer.drain()

    # --- what the broker says -----------------------------------------------------------------------------------

    async def _read_on(self, heartbeat: int) -> None:
        try:
            while True:
                async with asyncio.timeout(2 * heartbeat or None):
                    kind, payload = await self._frame()
                if kind == wire.METHOD:
                    self._heard(payload)
                elif kind == wire.HEADER:
                    self._came_back(payload)
        except TimeoutError:
            self._fail(Broken(f"was silent for {2 * heartbeat} s"))
        except (OSError, asyncio.IncompleteReadError):
            self._fail(Broken("closed the connection"))
        except (struct.error, IndexError):
            self._fail(Broken("sent what is not AMQP 0-9-1"))
        except Broken as exc:
            self._fail(exc)

    def _heard(self, payload: bytes) -> None:
        number, reader = struct.unpack_from(">HH", payload), Reader(payload, 4)
        if number == wire.ACK:
            self._settle(reader.number("Q"), bool(reader.number("B") & 1), [])
        elif number == wire.NACK:
            self._settle(reader.number("Q"), bool(reader.number("B") & 1), self._nacked)
        elif number == wire.RETURN:
            code, text, _, key = reader.number("H"), reader.short(), reader.short(), reader.short()
            self._pending = (wire.short(key), f"{code} {text} for the routing key {key!r}")
        elif number == wire.BLOCKED:
            self.blocked = reader.short()
        elif number == wire.UNBLOCKED:
            self.blocked = ""
        elif number in (wire.CLOSE, wire.CHANNEL_CLOSE):
            is_channel = number == wire.CHANNEL_CLOSE
            self._writer.write(wire.method(int(is_channel), wire.CHANNEL_CLOSE_OK if is_channel else wire.CLOSE_OK))
            raise _refusal(payload)

    def _settle(self, tag: int, is_multiple: bool, nacked: list[int]) -> None:
        """Confirms come in any order; multiple means all up to this tag. Tags stand in ascending order."""
        waiting = self._waiting
        for one in list(itertools.takewhile(tag.__ge__, waiting)) if is_multiple else (tag,):
            number = waiting.pop(one, None)
            if number is not None:
                nacked.append(number)
        if not waiting and self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _came_back(self, header: bytes) -> None:
        """The header of a returned message; its confirm comes later. Messages alike in id and key share its fate."""
        if self._known is None:
            self._known = {}
            for number, message in enumerate(self._messages):
                self._known.setdefault((message.id, message.key), []).append(number)
        key, words = self._pending
        self._returned.update(dict.fromkeys(self._known.get((wire.message_id(header), key), ()), words))

    def _fail(self, why: Broken) -> None:
        self.broken = self.broken or why
        self._writer.close()
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    # --- staying and leaving ------------------------------------------------------------------------------------

    def _keep_alive(self, heartbeat: int) -> None:
        if heartbeat and self.broken is None and not self._writer.is_closing():
            self._writer.write(wire.frame(wire.HEARTBEAT, 0, b""))
            self._beat = asyncio.get_running_loop().call_later(heartbeat / 2, self._keep_alive, heartbeat)

    async def close(self) -> None:
        """Say goodbye if there is somebody to say it to; idempotent."""
        if self._beat is not None:
            self._beat.cancel()
        if self.broken is None:
            self._writer.write(wire.method(0, wire.CLOSE, struct.pack(">H", 200) + wire.short("bye") + b"\0\0\0\0"))
        self.broken = self.broken or Broken("is closed")
        self._writer.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _refusal(payload: bytes) -> Broken:
    reader = Reader(payload, 4)
    code = reader.number("H")
    return Broken(f"answered {code} {reader.short()}", code)
