"""In a pod: counts the numbered events of a Kafka topic from its beginning, as ``receiver.py`` does what is sent to it.

consumer.py BROKER TOPIC
"""

import asyncio
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import receiver
from confluent_kafka import Consumer


def consume(broker: str, topic: str) -> None:
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "e2e", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while True:
        values = [one.value() for one in consumer.consume(1000, timeout=1.0) if one.error() is None]
        if values:
            receiver.take(b"\n".join(values) + b"\n")


if __name__ == "__main__":
    threading.Thread(target=consume, args=sys.argv[1:], daemon=True).start()
    asyncio.run(receiver.main())
