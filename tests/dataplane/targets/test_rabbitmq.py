"""Target ``rabbitmq`` against a script of a broker (faults) and the real one, read by an AMQP library (aiormq)."""

import asyncio
import contextlib
import gzip
import json
import os
import shutil
import socket
import struct
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from rutta import conversion
from rutta.amqp import wire
from rutta.errors import ConfigError, Retry
from rutta.targets import rabbitmq

SERVER = shutil.which(
    "rabbitmq-server", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/usr/lib/rabbitmq/bin"))
)
without = pytest.mark.skipif(
    SERVER is None or shutil.which("epmd") is None,
    reason="rabbitmq-server is not installed (apt-get install rabbitmq-server): the tests against the real one are out",
)

ID = "0123456789abcdef0123456789abcdef"


def build(port, **given):
    given = {"hostname": "127.0.0.1", "port": port, "timeout": "5s", "connectTimeout": "5s", **given}
    return rabbitmq.make(conversion.convert(given, rabbitmq.Config), "t")


# --- a script ----------------------------------------------------------------------------------------------------


class Broker:
    """Says the beginning of AMQP 0-9-1 (specification §2.2.4), then what ``answer(number, key, body)`` gives."""

    def __init__(self):
        self.port = 0
        self.messages = []
        self.answer = lambda number, key, body: wire.method(1, wire.ACK, struct.pack(">QB", number, 0))
        self.refusal = None
        self.connections = 0
        self.heartbeats = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            assert await reader.readexactly(8) == wire.GREETING
            begin = b"\0\x09" + wire.table({}) + wire.long(b"PLAIN") + wire.long(b"en_US")
            writer.write(wire.method(0, wire.START, begin))
            await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def talk(self, reader, writer):
        plain = {
            wire.START_OK: wire.method(0, wire.TUNE, struct.pack(">HIH", 2047, 4096, 1)),
            wire.OPEN: wire.method(0, wire.OPEN_OK, b"\0"),
            wire.CHANNEL_OPEN: wire.method(1, wire.CHANNEL_OPEN_OK, wire.long(b"")),
            wire.SELECT: wire.method(1, wire.SELECT_OK),
        }
        size = tag = 0
        while True:
            kind, _, length = struct.unpack(">BHI", await reader.readexactly(7))
            payload = (await reader.readexactly(length + 1))[:-1]
            if kind == wire.METHOD and (found := struct.unpack_from(">HH", payload)) != wire.PUBLISH:
                if found == wire.START_OK and self.refusal:
                    writer.write(self.refusal)
                    return
                if found == wire.CLOSE:
                    return
                writer.write(plain.get(found, b""))
            elif kind == wire.METHOD:
                reading = wire.Reader(payload, 6)
                reading.short()
                key, body = reading.short(), b""
            elif kind == wire.HEADER:
                size = wire.Reader(payload, 4).number("Q")
            elif kind == wire.BODY:
                body += payload
                if len(body) == size:
                    self.messages.append((key, body))
                    tag += 1
                    said = self.answer(tag, key, body)
                    if said is None:
                        return
                    writer.write(said)
            else:
                self.heartbeats += 1


@pytest.fixture
async def serving():
    """``await serving(handler)`` serves on a free port; at the end every conversation is over."""
    servers, writers = [], []

    async def serve(handler):
        async def handle(reader, writer):
            writers.append(writer)
            await handler(reader, writer)

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0))
        return servers[-1].sockets[0].getsockname()[1]

    yield serve
    for server in servers:
        server.close()
    for writer in writers:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def broker(serving):
    made = Broker()
    made.port = await serving(made.serve)
    return made


@pytest.fixture
async def target(broker):
    made = build(broker.port, timeout="1s")
    await made.open()
    yield made
    await made.close()


async def test_all_are_written_before_the_first_confirm_is_waited_for(target, broker, batch):
    broker.answer = lambda number, key, body: wire.method(1, wire.ACK, struct.pack(">QB", 3, 1)) if number == 3 else b""
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})])
    assert not outcome.retry
    assert not outcome.rejected
    assert [json.loads(body)["event"] for _, body in broker.messages] == ["a", "b", "c"]


async def test_a_body_larger_than_a_frame_is_several(target, broker, batch):
    await target.send([batch({"event": "x" * 20_000})])
    assert len(json.loads(broker.messages[0][1])["event"]) == 20_000


async def test_what_the_broker_nacks_is_tried_again_alone(target, broker, batch, split_outcome):
    broker.answer = lambda number, key, body: wire.method(
        1, wire.NACK if number == 2 else wire.ACK, struct.pack(">QB", number, 0)
    )
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})])
    assert split_outcome(outcome) == ([(0, 1)], [])


async def test_a_connection_that_breaks_leaves_what_was_not_confirmed(target, broker, batch, split_outcome):
    broker.answer = lambda number, key, body: (
        wire.method(1, wire.ACK, struct.pack(">QB", number, 0)) if number < 3 else None
    )
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}, {"event": "c"}, {"event": "d"})])
    assert split_outcome(outcome) == ([(0, 2), (0, 3)], [])
    broker.answer = lambda number, key, body: None
    with pytest.raises(Retry, match="closed the connection"):
        await target.send([batch({"event": "c"})])
    assert broker.connections == 2


async def test_a_broker_that_never_confirms_is_a_retry_that_says_why(target, broker, batch):
    broker.answer = lambda number, key, body: wire.method(0, wire.BLOCKED, wire.short("low on memory"))
    with pytest.raises(Retry, match="did not confirm within 1 s; it blocks publishers: low on memory"):
        await target.send([batch({"event": "a"})])


async def test_heartbeats_are_sent_and_silence_is_noticed(target, broker, batch):
    """The script asks for one a second and sends none itself."""
    await target.send([batch({"event": "a"})])
    async with asyncio.timeout(10):
        while target._publisher.broken is None:
            await asyncio.sleep(0.05)
    assert "silent" in target._publisher.broken.said
    assert broker.heartbeats >= 2
    await target.send([batch({"event": "b"})])
    assert broker.connections == 2


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\0\0\x09\x01", b"\x01\0\0\0\0\0\x02"])
async def test_what_is_no_broker_is_a_retry(serving, batch, noise):
    async def answer(reader, writer):
        await reader.read(8)
        writer.write(noise)
        writer.close()

    made = build(await serving(answer))
    with pytest.raises(Retry, match=r"does not speak AMQP|closed the connection"):
        await made.send([batch({"event": "a"})])
    await made.close()


async def test_nobody_there_is_a_retry(batch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        made = build(probe.getsockname()[1])
        with pytest.raises(Retry, match=r"rabbitmq://127\.0\.0\.1"):
            await made.send([batch({"event": "a"})])
    await made.close()


async def test_silence_at_the_door_is_a_retry(serving, batch):
    async def hold(reader, writer):
        await reader.read()
        writer.close()

    made = build(await serving(hold), connectTimeout="100ms")
    with pytest.raises(Retry, match=r"did not answer within 0\.1 s"):
        await made.send([batch({"event": "a"})])
    await made.close()


async def test_a_login_is_read_anew_for_each_try(broker, batch, tmp_path):
    secret = tmp_path / "password"
    broker.refusal = wire.method(
        0, wire.CLOSE, struct.pack(">H", 403) + wire.short("ACCESS_REFUSED - Login was refused") + b"\0\0\0\0"
    )
    made = build(broker.port, username="ann", password={"file": str(secret)})
    with pytest.raises(Retry, match="cannot be read"):
        await made.send([batch({"event": "a"})])
    secret.write_text("s3cret-word\n")
    with pytest.raises(Retry, match=r"403 ACCESS_REFUSED.*credentials") as caught:
        await made.send([batch({"event": "a"})])
    assert "s3cret" not in str(caught.value) + repr(made.status())
    broker.refusal = None
    await made.send([batch({"event": "a"})])
    await made.close()


async def test_routing_keys_are_what_the_template_says(broker, batch):
    made = build(broker.port, topic="logs.{0}.{name}.{fields.user}.{context.none}")
    await made.send([batch({"event": "a", "level": "warn", "name": "shop", "fields": {"user": 7}})])
    await made.close()
    assert broker.messages[0][0] == "logs.warn.shop.7."


@pytest.mark.parametrize("given", [{"topic": "{nmae}"}, {"heartbeat": "0s"}, {"exchangeType": "x"}])
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert(given, rabbitmq.Config)


def test_the_parts_of_a_uri_are_host_port_and_virtual_host():
    assert rabbitmq.from_uri("rabbitmq://u:p@broker:5673/my%2Fhost?exchange=x") == {
        "hostname": "broker", "port": 5673, "vHost": "my/host",
    }  # fmt: skip
    assert rabbitmq.from_uri("rabbitmq://./?hostname=h") == {}


def test_a_short_string_is_cut_at_a_character():
    assert wire.short("ä" * 200) == bytes((254,)) + "ä".encode() * 127


# --- the real one ------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory):
    """RabbitMQ on free ports, with an epmd of its own, its data in a temporary folder."""
    folder: Path = tmp_path_factory.mktemp("rabbit")
    port = free_port()
    (folder / "rabbitmq.conf").write_text("max_message_size = 100000\nlog.console = false\nloopback_users = none\n")
    (folder / "plugins").write_text("[].\n")
    env = {
        **os.environ,
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(free_port()),
        "RABBITMQ_NODENAME": f"t{uuid.uuid4().hex[:8]}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    command = program if os.path.exists(program) else SERVER
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen([command], env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + 150
        while not is_up(port):
            assert process.poll() is None, (folder / "out").read_text()
            assert time.monotonic() < deadline, f"no RabbitMQ within 150 s: {(folder / 'out').read_text()}"
            time.sleep(0.2)
        yield port
    finally:
        process.terminate()
        process.wait(60)
        subprocess.run(["epmd", "-kill"], env=env, capture_output=True, check=False)


def is_up(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.settimeout(5)
            probe.sendall(wire.GREETING)
            return probe.recv(7)[:1] == b"\1"
    except OSError:
        return False


@pytest.fixture
async def reading(rabbit):
    """A channel of another library."""
    import aiormq

    connection = await aiormq.connect(f"amqp://guest:guest@127.0.0.1:{rabbit}/")
    yield await connection.channel()
    await connection.close()


async def bound(channel, exchange, key, arguments=None):
    queue = f"q{uuid.uuid4().hex}"
    await channel.queue_declare(queue, arguments=arguments)
    await channel.queue_bind(queue, exchange, routing_key=key)
    return queue


async def taken(channel, queue):
    found = []
    while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None and message.body:
        found.append(message)
    return found


@without
@pytest.mark.timeout(240)
async def test_a_message_has_all_that_an_event_has(rabbit, reading, batch, split_outcome):
    exchange = f"e{uuid.uuid4().hex}"
    made = build(rabbit, exchange=exchange, declare=True, compression="Gzip", headers={"from": "rutta"})
    assert split_outcome(await made.send([batch({"event": "too early"})]))[1] == [(0, 0)], "no queue is bound"
    queue = await bound(reading, exchange, "warn")
    one = {"event": "a", "id": ID, "level": "warn", "timestamp": 1_700_000_000_123_456_789, "fields": {"x": [1]}}
    outcome = await made.send([batch(one, {"event": "b", "level": "info"}, context={"host": "h"}), batch(one)])
    await made.close()
    assert split_outcome(outcome) == ([], [(0, 1)])
    assert "NO_ROUTE" in outcome.rejected[0].reason
    found = await taken(reading, queue)
    assert len(found) == 2
    assert json.loads(gzip.decompress(found[0].body)) == {"type": "event", **one, "context": {"host": "h"}}
    properties = found[0].header.properties
    assert (properties.content_type, properties.content_encoding) == ("application/json", "gzip")
    assert (properties.delivery_mode, properties.app_id) == (2, "logary")
    assert (properties.message_type, properties.headers) == ("event", {"from": "rutta"})
    assert properties.message_id == "ASNFZ4mrze8BI0VniavN7w=="
    assert int(properties.timestamp.timestamp()) == 1_700_000_000, "in seconds"


@without
@pytest.mark.timeout(240)
async def test_a_full_queue_is_a_retry(rabbit, reading, batch):
    exchange = f"e{uuid.uuid4().hex}"
    made = build(rabbit, exchange=exchange, declare=True, exchangeType="fanout")
    await made.send([])
    await made._connected()
    queue = await bound(reading, exchange, "", {"x-max-length": 2, "x-overflow": "reject-publish"})
    events = batch(*({"event": f"e{number}"} for number in range(50)))
    outcome = await made.send([events])
    await made.close()
    assert outcome.retry
    assert not outcome.rejected
    arrived = [json.loads(message.body)["event"] for message in await taken(reading, queue)]
    refused = [f"e{one.row}" for one in outcome.retry]
    assert sorted(arrived + refused) == sorted(f"e{number}" for number in range(50)), (
        "confirmed is what is in the queue"
    )


@without
@pytest.mark.timeout(240)
async def test_a_message_that_is_too_large_is_rejected_alone(rabbit, reading, batch, split_outcome):
    exchange = f"e{uuid.uuid4().hex}"
    made = build(rabbit, exchange=exchange, declare=True, exchangeType="fanout")
    await made._connected()
    queue = await bound(reading, exchange, "")
    texts = ["x" * 150_000 if number == 5 else f"e{number}" for number in range(12)]
    outcome = await made.send([batch(*({"event": text} for text in texts))])
    await made.close()
    assert split_outcome(outcome) == ([], [(0, 5)])
    arrived = {json.loads(message.body)["event"] for message in await taken(reading, queue)}
    assert arrived == {text for text in texts if len(text) < 10}


@without
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("given", "said"),
    [({"exchange": "nobody-made-it"}, "404 NOT_FOUND"), ({"username": "eve"}, "403 ACCESS_REFUSED"),
     ({"vHost": "nowhere"}, "nowhere")],
)  # fmt: skip
async def test_what_an_operator_can_mend_is_a_retry(rabbit, batch, given, said):
    made = build(rabbit, **given)
    with pytest.raises(Retry, match=said):
        await made.send([batch({"event": "a"})])
    await made.close()
