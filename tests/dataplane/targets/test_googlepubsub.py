"""Target ``googlepubsub`` against a gRPC server that answers as told, and Google's own in-memory server (pstest).

``RUTTA_TEST_PUBSUB`` names pstest: ``host:port``, or a command that gets ``host:port`` as its argument.
"""

import asyncio
import json
import os
import shlex
import socket
import subprocess
import time
import uuid

import grpc
import pytest

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.net import protobuf
from rutta.targets import googlepubsub

HOW = os.environ.get("RUTTA_TEST_PUBSUB", "")
real = pytest.mark.skipif(
    not HOW, reason="RUTTA_TEST_PUBSUB (host:port, or a command) is not set: the tests against Google's pstest are out"
)


def of(message, number):
    return [value for found, value in protobuf.fields(message) if found == number]


def attributes(message):
    return {of(pair, 1)[0].decode(): of(pair, 2)[0].decode() for pair in of(message, 2)}


def build(url, **given):
    given = {"endpoint": url, "projectId": "p", "timeout": "5s", **given}
    return googlepubsub.make(conversion.convert(given, googlepubsub.Config), "t")


class Service:
    """Publish and CreateTopic of google.pubsub.v1.Publisher, and its documented limits; ``answers`` come first."""

    def __init__(self):
        self.topics = {"projects/p/topics/logs": []}
        self.answers = []
        self.requests = 0
        self.metadata = {}
        self.released = asyncio.Event()

    async def publish(self, request, context):
        self.requests += 1
        self.metadata = dict(context.invocation_metadata())
        if self.answers:
            code, trailers = self.answers.pop(0)
            if code is None:
                await self.released.wait()
            context.set_trailing_metadata(trailers)
            await context.abort(code, f"told so, {self.metadata.get('authorization')}")
        topic = of(request, 1)[0].decode()
        messages = of(request, 2)
        if topic not in self.topics:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Resource not found")
        if len(messages) > 1000 or len(request) > 10_000_000 or any(b"bad" in one for one in messages):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "You have passed an invalid argument")
        self.topics[topic] += messages
        return b""

    async def create(self, request, context):
        self.topics[of(request, 1)[0].decode()] = []
        return request

    def texts(self, topic="projects/p/topics/logs"):
        return [json.loads(of(message, 1)[0])["event"] for message in self.topics[topic]]


@pytest.fixture
async def service():
    made = Service()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 2**25)])
    handlers = {"Publish": made.publish, "CreateTopic": made.create}
    methods = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in handlers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", methods),))
    made.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield made
    made.released.set()
    await server.stop(0.1)


@pytest.fixture
async def target(service):
    made = build(service.url)
    await made.open()
    yield made
    await made.close()


async def test_an_event_is_a_message_with_attributes_and_an_order(service, batch):
    made = build(
        service.url, attributes={"from": "rutta"}, eventAttributes=["level", "fields.user"], orderingKey="name",
        compression="Gzip",
    )  # fmt: skip
    await made.open()
    one = {"event": "a", "level": "warn", "name": "shop", "fields": {"user": "ä" * 600, "x": [1]}}
    await made.send([batch(one, {"event": "b"}, context={"host": "h"})])
    await made.close()
    first, second = service.topics["projects/p/topics/logs"]
    assert json.loads(of(first, 1)[0]) == {"type": "event", **one, "context": {"host": "h"}}
    assert attributes(first) == {"from": "rutta", "level": "warn", "user": "ä" * 512}, "cut at 1024 bytes"
    assert of(first, 5) == [b"shop"]
    assert attributes(second) == {"from": "rutta", "level": "debug"}


async def test_more_than_a_thousand_are_several_requests_in_order(target, service, batch):
    texts = [f"e{number}" for number in range(2500)]
    await target.send([batch(*({"event": text} for text in texts))])
    assert service.texts() == texts
    assert service.requests == 3


async def test_a_request_that_is_too_large_is_halved_and_one_message_rejected(target, service, batch, split_outcome):
    texts = ["x" * 3_000_000 for _ in range(5)] + ["y" * 10_000_000]
    outcome = await target.send([batch(*({"event": text} for text in texts))])
    assert split_outcome(outcome) == ([], [(0, 5)])
    assert service.texts() == texts[:5]


async def test_a_message_that_is_invalid_is_rejected_alone(target, service, batch, split_outcome):
    texts = ["bad" if number == 7 else f"e{number}" for number in range(20)]
    outcome = await target.send([batch(*({"event": text} for text in texts))])
    assert split_outcome(outcome) == ([], [(0, 7)])
    assert "INVALID_ARGUMENT" in outcome.rejected[0].reason
    assert service.texts() == texts[:7] + texts[8:], "in order, none twice"


async def test_a_topic_that_is_missing_is_created_if_that_is_wanted(service, batch):
    made = build(service.url, topic="orders")
    await made.open()
    assert not (await made.send([batch({"event": "a"})])).retry
    await made.close()
    assert service.texts("projects/p/topics/orders") == ["a"]
    made = build(service.url, topic="others", tryCreate=False)
    await made.open()
    with pytest.raises(Retry, match=r"projects/p/topics/others.*NOT_FOUND"):
        await made.send([batch({"event": "a"})])
    await made.close()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "PERMISSION_DENIED", "ABORTED"])
async def test_what_may_pass_is_a_retry(target, service, batch, code):
    service.answers = [(grpc.StatusCode[code], ())]
    with pytest.raises(Retry, match=code):
        await target.send([batch({"event": "a"})])
    await target.send([batch({"event": "a"})])
    assert service.texts() == ["a"]
    assert target.status()["failures"] == {code: 1}


async def test_the_service_says_how_long_to_wait(target, service, batch):
    info = protobuf.field(protobuf.tag_of(1), b"\x08\x07\x10" + protobuf.varint(500_000_000))
    service.answers = [(grpc.StatusCode.RESOURCE_EXHAUSTED, (("google.rpc.retryinfo-bin", info),))]
    with pytest.raises(Retry) as caught:
        await target.send([batch({"event": "a"})])
    assert caught.value.after == 7.5


async def test_no_answer_in_time_is_a_retry(service, batch):
    made = build(service.url, timeout="300ms")
    await made.open()
    service.answers = [(None, ())]
    with pytest.raises(Retry, match="DEADLINE_EXCEEDED"):
        await made.send([batch({"event": "a"})])
    await made.close()


async def test_nobody_there_is_a_retry(batch):
    made = build("http://127.0.0.1:1")
    await made.open()
    with pytest.raises(Retry, match="UNAVAILABLE"):
        await made.send([batch({"event": "a"})])
    await made.close()


async def test_what_was_sent_before_a_failure_is_not_sent_again(target, service, batch, split_outcome):
    events = batch(*({"event": f"e{number}"} for number in range(1500)))
    publish, calls = service.publish, []
    service.answers = []
    original = target._call

    async def second_fails(method, body):
        calls.append(method)
        if len(calls) == 2:
            service.answers = [(grpc.StatusCode.UNAVAILABLE, ())]
        await original(method, body)

    target._call = second_fails
    outcome = await target.send([events])
    assert split_outcome(outcome) == ([(0, number) for number in range(1000, 1500)], [])
    assert len(service.texts()) == 1000
    assert publish is not None


async def test_a_login_goes_with_each_request_and_a_refused_one_is_renewed(service, batch, monkeypatch):
    made = build(service.url)
    await made.open()
    made._is_plain = False
    given = iter(["first-token", "second-token"])
    monkeypatch.setattr(made._credentials, "_fetch", lambda text: answer(next(given)))
    service.answers = [(grpc.StatusCode.UNAUTHENTICATED, ())]
    with pytest.raises(Retry, match="Check the credentials") as caught:
        await made.send([batch({"event": "a"})])
    assert "first-token" not in str(caught.value), "the service said it back"
    await made.send([batch({"event": "a"})])
    assert service.metadata["authorization"] == "Bearer second-token"
    await made.close()


async def answer(token):
    from rutta.googlecloud.credentials import _Token

    return _Token(token)


@pytest.mark.parametrize(
    "given",
    [{"topic": "goog-mine"}, {"topic": "a b"}, {"attributes": {"googclient": "x"}}, {"orderingKey": "id"},
     {"tls": {"insecureSkipVerify": True}}, {"endpoint": "pubsub:443"}],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        conversion.convert({"projectId": "p", **given}, googlepubsub.Config)


# --- Google's own server -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pstest():
    process, address = None, HOW
    if ":" not in HOW or "/" in HOW:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        process = subprocess.Popen([*shlex.split(HOW), address], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(tuple(address.rsplit(":", 1)), timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, f"no pstest at {address}"
                time.sleep(0.05)
        yield address
    finally:
        if process is not None:
            process.terminate()
            process.wait(10)


@real
async def test_pstest_takes_what_we_send(pstest, batch):
    topic, name = f"t{uuid.uuid4().hex}", f"projects/p/subscriptions/s{uuid.uuid4().hex}"
    made = build(f"http://{pstest}", topic=topic, eventAttributes=["level"], orderingKey="fields.user")
    await made.open()
    await made.send([batch({"event": "to make the topic"})])
    one = {"event": "ä", "level": "info", "fields": {"user": "ann"}}
    tag = protobuf.tag_of
    async with grpc.aio.insecure_channel(pstest) as channel:
        text = f"projects/p/topics/{topic}".encode()
        subscription = protobuf.field(tag(1), name.encode()) + protobuf.field(tag(2), text)
        await channel.unary_unary("/google.pubsub.v1.Subscriber/CreateSubscription")(subscription)
        outcome = await made.send([batch(*[one] * 30), batch({"event": "b"}, context={"host": "h"})])
        assert not outcome.retry
        assert not outcome.rejected
        found = []
        while len(found) < 31:
            pull = protobuf.field(tag(1), name.encode()) + b"\x18\x64"
            answer = await channel.unary_unary("/google.pubsub.v1.Subscriber/Pull")(pull, timeout=10)
            found += [of(received, 2)[0] for received in of(answer, 1)]
    await made.close()
    mine = [message for message in found if of(message, 5)]
    assert len(mine) == 30
    assert all(json.loads(of(message, 1)[0]) == {"type": "event", **one} for message in mine)
    assert attributes(mine[0]) == {"level": "info"}
    assert of(mine[0], 5) == [b"ann"]
    (other,) = [message for message in found if not of(message, 5)]
    assert json.loads(of(other, 1)[0])["context"] == {"host": "h"}
