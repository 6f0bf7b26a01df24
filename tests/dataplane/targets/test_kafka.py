"""Target ``kafka``: records, and what becomes of an event when the client says this or that (a fake of librdkafka)."""

import asyncio
import base64
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, KafkaException

from rutta import conversion
from rutta.errors import ConfigError, Retry
from rutta.formats.parts import ids
from rutta.kafka.records import records
from rutta.targets import kafka

ID = "0123456789abcdef0123456789abcdef"


class Fake:
    """What the sender uses of ``confluent_kafka.Producer``; ``fate(value, flush)`` says the error of a record."""

    made = []
    fate = staticmethod(lambda value, count: None)
    down = False
    full = 0

    def __init__(self, settings, logger=None):
        if settings.get("nope"):
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, 'No such configuration property: "nope"'))
        self.settings, self.queued, self.taken, self.flushes, self.closed = settings, [], [], 0, False
        if "bootstrap.servers" in settings:
            Fake.made.append(self)

    def produce(self, topic, value, key, *, on_delivery, timestamp, headers):
        if Fake.full:
            Fake.full -= 1
            raise BufferError("Local: Queue full")
        if len(value) > 1_000_000:
            raise KafkaException(
                KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "Unable to produce message: Broker: Message size too large")
            )
        self.queued.append((topic, value, key, timestamp, headers, on_delivery))

    def poll(self, timeout):
        return 0

    def flush(self, timeout):
        if Fake.down:
            time.sleep(min(timeout, 0.01))
            if self.queued:
                self.settings["error_cb"](KafkaError(KafkaError._TRANSPORT, "b:9092: Connection refused"))
                self.settings["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
            return len(self.queued)
        together, self.queued, self.flushes = self.queued, [], self.flushes + 1
        for topic, value, key, timestamp, headers, on_delivery in together:
            code = self.fate(value, len(together))
            if code is None:
                self.taken.append((topic, value, key, timestamp, headers))
            else:
                on_delivery(KafkaError(code, None, code == KafkaError._FATAL), None)
        return 0

    def purge(self):
        queued, self.queued = self.queued, []
        for *_, on_delivery in queued:
            on_delivery(KafkaError(KafkaError._PURGE_QUEUE), None)

    def close(self):
        self.closed = True


@pytest.fixture
def producer(monkeypatch):
    monkeypatch.setattr(confluent_kafka, "Producer", Fake)
    for name, value in (("made", []), ("down", False), ("full", 0), ("fate", staticmethod(lambda value, count: None))):
        monkeypatch.setattr(Fake, name, value)
    return Fake


def build(**given):
    return kafka.make(conversion.convert({"tryCreate": False, "singleTopic": True, **given}, kafka.Config), "t")


@pytest.fixture
async def target(producer):
    made = build()
    await made.open()
    yield made
    await made.close()


def shaped(batch, **given):
    return records(batch, build(**given)._shape)


def test_topics_keys_times_and_headers_are_as_configured(producer, batch):
    one = batch(
        {"event": "a", "id": ID, "level": "warn", "timestamp": 1_700_000_000_123_456_789, "fields": {"user": "ann"}},
        {"type": "span", "label": "s", "started": 5, "finished": 6, "fields": {"user": 7}},
        {"event": "later", "timestamp": 2**62},
        context={"host": "h"},
    )
    found = shaped(
        one, singleTopic=False, topicName="Logs", key="fields.user", headers={"from": "rutta"},
        eventHeaders=["level", "context.host"],
    )  # fmt: skip
    assert [record[0] for record in found] == ["Logs_event", "Logs_span", "Logs_event"]
    assert [record[2] for record in found] == [b"ann", b"7", None]
    assert found[0][3] == 1_700_000_000_123
    assert found[2][3] <= time.time() * 1000, "a broker refuses times in the future"
    assert found[0][4] == [("from", b"rutta"), ("level", b"warn"), ("host", b"h")]


def test_the_key_is_the_id_in_base64_and_a_retry_has_the_same(producer, batch):
    events = batch(
        {"event": "a", "id": ID}, {"event": "b"}, {"event": "c", "id": base64.b64encode(bytes.fromhex(ID)).decode()},
        {"event": "d", "id": 7}, {"event": "e", "id": " " * 30 + "ab"},
    )  # fmt: skip
    found = [record[2] for record in shaped(events)]
    assert found[0] == found[2] == base64.b64encode(bytes.fromhex(ID))
    assert all(len(base64.b64decode(key)) == 16 for key in found)
    assert found == ids(events)
    assert len(set(found)) == 4
    assert [record[2] for record in shaped(events.take([1]))] == [found[1]]


def test_values_are_as_they_came_or_v6_or_framed_for_a_registry(producer, batch):
    event = batch({"event": "a", "fields": {"x": 1}})
    assert shaped(event)[0][1] == event.rows.lines()[0]
    assert b'"level":"debug"' in shaped(event, codec="json")[0][1]
    assert shaped(event, schemaId=258)[0][1][:6] == b"\0\0\0\1\2{"


async def test_all_are_queued_at_once_and_in_order(target, producer, batch):
    outcome = await target.send([batch({"event": "a"}, {"event": "b"}), batch({"event": "c"})])
    assert not outcome.retry
    assert not outcome.rejected
    (one,) = producer.made
    assert one.flushes == 1
    assert [record[1][-5:-2] for record in one.taken] == [b' "a', b' "b', b' "c']


async def test_a_record_that_the_client_finds_too_large_is_rejected_alone(target, producer, batch, split_outcome):
    outcome = await target.send([batch({"event": "a"}, {"event": "x" * 1_100_000}), batch({"event": "c"})])
    assert split_outcome(outcome) == ([], [(0, 1)])
    assert "too large" in outcome.rejected[0].reason
    assert len(producer.made[0].taken) == 2


async def test_a_request_that_the_broker_refuses_for_one_record_is_cut_until_that_is_alone(
    target, producer, batch, split_outcome, monkeypatch
):
    bad = []

    def fate(value, count):  # the broker refuses all that lie in one request with it
        return KafkaError.MSG_SIZE_TOO_LARGE if count > bad[0] or b"bad" in value else None

    bad.append(4)
    monkeypatch.setattr(producer, "fate", staticmethod(fate))
    events = batch(*({"event": "bad" if number == 5 else f"e{number}"} for number in range(16)))
    outcome = await target.send([events])
    assert split_outcome(outcome) == ([], [(0, 5)])
    values = [record[1] for record in producer.made[0].taken]
    assert len(values) == len(set(values)) == 15


async def test_what_the_broker_could_not_take_now_is_tried_again_alone(
    target, producer, batch, split_outcome, monkeypatch
):
    monkeypatch.setattr(
        producer, "fate", staticmethod(lambda value, count: KafkaError._MSG_TIMED_OUT if b"slow" in value else None)
    )
    outcome = await target.send([batch({"event": "a"}, {"event": "slow"})])
    assert split_outcome(outcome) == ([(0, 1)], [])
    with pytest.raises(Retry, match="timed out"):
        await target.send([batch({"event": "slow"})])
    assert target.status()["failures"] == {"_MSG_TIMED_OUT": 2}


async def test_brokers_that_are_away_are_a_retry_and_get_a_new_producer(target, producer, batch):
    producer.down = True
    with pytest.raises(Retry, match="Connection refused"):
        await target.send([batch({"event": "a"})])
    assert producer.made[0].closed
    producer.down = False
    await target.send([batch({"event": "a"})])
    assert len(producer.made) == 2


async def test_a_fatal_error_of_the_client_makes_a_new_one(target, producer, batch, monkeypatch):
    monkeypatch.setattr(producer, "fate", staticmethod(lambda value, count: KafkaError._FATAL))
    with pytest.raises(Retry):
        await target.send([batch({"event": "a"})])
    monkeypatch.setattr(producer, "fate", staticmethod(lambda value, count: None))
    await target.send([batch({"event": "a"})])
    assert [one.closed for one in producer.made] == [True, False]


async def test_a_full_queue_of_the_client_is_waited_for(target, producer, batch):
    producer.full = 3
    outcome = await target.send([batch({"event": "a"}, {"event": "b"})])
    assert not outcome.retry
    assert len(producer.made[0].taken) == 2


async def test_a_rotated_password_is_taken_and_never_shown(producer, batch, tmp_path, monkeypatch):
    secret = tmp_path / "password"
    secret.write_text("first-one\n")
    made = build(username="ann", password={"file": str(secret)}, tls={})
    await made.open()
    await made.send([batch({"event": "a"})])
    secret.write_text("second-one\n")
    monkeypatch.setattr(producer, "fate", staticmethod(lambda value, count: KafkaError._AUTHENTICATION))
    with pytest.raises(Retry) as caught:
        await made.send([batch({"event": "a"})])
    await made.close()
    assert [one.settings["sasl.password"] for one in producer.made] == ["first-one", "second-one"]
    assert producer.made[0].settings["security.protocol"] == "sasl_ssl"
    assert "second-one" not in str(caught.value) + repr(made.status())


async def test_a_password_file_that_is_missing_is_a_retry(producer, batch):
    made = build(username="ann", password={"file": "/no/such/file"})
    await made.open()
    with pytest.raises(Retry, match="/no/such/file"):
        await made.send([batch({"event": "a"})])
    await made.close()


async def test_cancelled_in_the_middle_it_throws_away_what_is_not_sent(target, producer, batch):
    await target.send([batch({"event": "a"})])
    producer.down = True
    sending = asyncio.create_task(target.send([batch({"event": "b"})]))
    while not producer.made[0].queued:
        await asyncio.sleep(0.001)
    sending.cancel()
    await asyncio.wait([sending])
    async with asyncio.timeout(5):
        await target.close()
    assert producer.made[0].closed
    assert not producer.made[0].queued


def test_a_key_that_the_client_does_not_know_is_an_error_of_the_configuration():
    with pytest.raises(ConfigError, match="No such configuration property"):
        build(producer={"lingerr.ms": "5"})
    build(producer={"linger.ms": "7", "ssl.ca.location": "/mounted/later"})


@pytest.mark.parametrize(
    "given",
    [{"username": "u"}, {"producer": {"schema.registry.url": "http://r"}}, {"key": "id"}, {"eventHeaders": ["Id"]},
     {"timeout": "100ms"}, {"topicName": "a b"}],
)  # fmt: skip
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(ConfigError):
        build(**given)


def test_the_package_is_named_when_it_is_missing(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(ConfigError, match=r"rutta\[kafka\]"):
        build()
