"""Target ``kafka`` against a real broker, named by ``RUTTA_TEST_KAFKA``: ``host:port``, or a command that starts one.

The command gets a free port as its argument and runs in the foreground (a one-node broker that creates no topics by
itself is enough); it is stopped at the end.
"""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import time
import uuid

import pytest

from rutta import conversion
from rutta.errors import Retry
from rutta.targets import kafka

HOW = os.environ.get("RUTTA_TEST_KAFKA", "")
pytestmark = pytest.mark.skipif(
    not HOW, reason="RUTTA_TEST_KAFKA (host:port, or a command) is not set: the tests against a real Kafka are out"
)


@pytest.fixture(scope="module")
def broker():
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    process = None
    servers = HOW
    if ":" not in HOW or "/" in HOW:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            servers = f"127.0.0.1:{probe.getsockname()[1]}"
        command = [*shlex.split(HOW), servers.rpartition(":")[2]]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 50
        while True:
            try:
                AdminClient({"bootstrap.servers": servers, "log_level": 0}).list_topics(timeout=2)
                break
            except KafkaException:  # it is still starting
                if time.monotonic() > deadline:
                    raise
        yield servers
    finally:
        if process is not None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


@pytest.fixture
def topic():
    return f"t-{uuid.uuid4().hex[:12]}"


async def connected(broker, topic, **given):
    made = kafka.make(
        conversion.convert({"bootstrapServers": broker, "topicName": topic, "timeout": "20s", **given}, kafka.Config),
        "t",
    )
    await made.open()
    return made


def read(broker, topic, count):
    """Read all records of a topic, at least so many."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {"bootstrap.servers": broker, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest", "log_level": 0}
    )
    try:
        consumer.subscribe([topic])
        found, deadline = [], time.monotonic() + 30
        while len(found) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records in {topic}"
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                found.append(message)
        extra = consumer.poll(0.5)
        assert extra is None or extra.error() is not None, "more records than events"
        return found
    finally:
        consumer.close()


async def test_events_arrive_whole_in_topics_that_are_created(broker, topic, batch):
    target = await connected(broker, topic, eventHeaders=["level"], partitions=2)
    event = {"event": "a", "level": "info", "timestamp": 1_700_000_000_123_456_789, "fields": {"x": [1]}}
    span = {"type": "span", "label": "s", "started": 5, "finished": 6}
    outcome = await target.send([batch(*[event] * 500, span, context={"host": "h"})])
    await target.close()
    assert not outcome.retry
    assert not outcome.rejected
    found = await asyncio.to_thread(read, broker, f"{topic}_event", 500)
    first = found[0]
    assert json.loads(first.value()) == {"type": "event", **event, "context": {"host": "h"}}
    assert first.timestamp()[1] == 1_700_000_000_123
    assert first.headers() == [("level", b"info")]
    assert len({message.key() for message in found}) == 500
    assert len({message.partition() for message in found}) == 2
    assert len(await asyncio.to_thread(read, broker, f"{topic}_span", 1)) == 1


async def test_a_topic_with_a_small_limit_costs_only_the_record_that_is_too_large(broker, topic, batch, split_outcome):
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": broker})
    made = admin.create_topics([NewTopic(topic, 1, 1, config={"max.message.bytes": "3000"})])
    await asyncio.to_thread(made[topic].result)
    target = await connected(broker, topic, singleTopic=True, compression="None")
    texts = [uuid.uuid4().hex * (200 if number == 11 else 1) for number in range(40)]
    outcome = await target.send([batch(*({"event": text} for text in texts))])
    await target.close()
    assert split_outcome(outcome) == ([], [(0, 11)])
    assert "too large" in outcome.rejected[0].reason
    found = await asyncio.to_thread(read, broker, topic, 39)
    assert sorted(json.loads(one.value())["event"] for one in found) == sorted(texts[:11] + texts[12:])


async def test_a_topic_that_is_missing_and_may_not_be_created_is_a_retry(broker, topic, batch):
    producer = {"topic.metadata.propagation.max.ms": "10", "allow.auto.create.topics": "false"}
    target = await connected(broker, topic, tryCreate=False, timeout="2s", producer=producer)
    with pytest.raises(Retry, match=r"Unknown topic|timed out"):
        await target.send([batch({"event": "a"})])
    await target.close()


@pytest.mark.parametrize("compression", ["None", "Gzip", "Lz4", "Zstd"])
async def test_each_compression_is_read_by_the_broker(broker, topic, batch, compression):
    target = await connected(broker, topic, singleTopic=True, compression=compression)
    await target.send([batch(*({"event": f"e{number}"} for number in range(50)))])
    await target.close()
    assert len(await asyncio.to_thread(read, broker, topic, 50)) == 50
