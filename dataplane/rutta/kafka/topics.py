"""Create the topics that are missing."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rutta.kafka.sender import log_quietly

if TYPE_CHECKING:
    from confluent_kafka import Producer

_SLICE: Final = 0.25  # seconds between two looks at whether to stop
_CREATE: Final = 10.0  # seconds that a broker may take to create topics


def ensure(
    producer: "Producer",
    stopped: Callable[[], bool],
    *,
    settings: Mapping[str, Any],
    topics: Sequence[str],
    partitions: int,
    replication: int,
) -> str:
    """Create those of ``topics`` that do not exist; -1 leaves a number to the broker. Blocks.

    Returns why it could not, in words, else nothing: that is no failure, as long as no event wants these topics.
    """
    from confluent_kafka import KafkaException

    while not stopped():
        try:
            there = producer.list_topics(timeout=_SLICE).topics
        except KafkaException:  # no broker has answered yet
            producer.poll(0)
            continue
        missing = [topic for topic in topics if topic not in there or there[topic].error is not None]
        return _create(missing, settings, partitions, replication) if missing else ""
    return ""


def _create(missing: Sequence[str], settings: Mapping[str, Any], partitions: int, replication: int) -> str:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

    wanted = [NewTopic(topic, num_partitions=partitions, replication_factor=replication) for topic in missing]
    client = AdminClient(dict(settings), logger=log_quietly())  # lives until all have answered
    found = ""
    for topic, future in client.create_topics(wanted, request_timeout=_CREATE).items():
        try:
            future.result()
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                found = f"the topic {topic} cannot be created: {exc.args[0].str()}"
    return found
