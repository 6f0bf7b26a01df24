"""One router sends to Kafka, Loki and an OpenTelemetry collector at once: everything comes out of each of them."""

import json
import re
from collections.abc import Callable

import pytest

from harness import servers
from harness.clusters import Cluster
from harness.documents import QUICK, router
from harness.kubectl import Kubectl
from harness.leaving import leave_out
from harness.shell import until
from harness.traffic import Receiver, Sender

EVENTS = 5_000
ALL = set(range(EVENTS))


def _in_loki(loki: servers.Loki) -> bool:
    lines = loki.lines('{service_name=~".+"}', EVENTS * 2)
    numbers = {json.loads(line)["n"] for line in lines if '"n":' in line}
    assert numbers == ALL, f"{len(numbers)} of {EVENTS}"
    return True


def _in_collector(kubectl: Kubectl) -> bool:
    numbers = {int(one) for one in re.findall(r"-> n: Int\((\d+)\)", kubectl("logs", "collector"))}
    assert numbers == ALL, f"{len(numbers)} of {EVENTS}"
    return True


@pytest.mark.all
def test_a_router_sends_to_kafka_loki_and_an_otlp_collector(
    request: pytest.FixtureRequest, kubectl: Kubectl, cluster: Cluster, say: Callable[[str], None]
) -> None:
    if reason := servers.missing():
        leave_out(request.config, reason)
    images = servers.load(cluster)
    kafka = servers.kafka(kubectl, images["kafka"])
    loki = servers.Loki(kubectl, images["loki"])
    collector = servers.collector(kubectl, images["otelcol"])
    place = f"{kafka.host}:{servers.KAFKA_PORT}"
    kubectl.apply(
        router(
            replicas=2,
            listeners=[{"name": "lines", "tcp": {"port": 10001, "codec": "json"}}],
            targets=[
                {"name": "kafka", "kafka": {"bootstrapServers": place, "topicName": "logs", "singleTopic": True}},
                {"name": "loki", "loki": {"endpoint": f"http://{loki.host}:{servers.LOKI_PORT}"}},
                {"name": "otlp", "otlp": {"endpoint": f"http://{collector.host}:{servers.OTLP_PORT}"}},
            ],
            **QUICK,
        )
    )
    kubectl.until_ready("RuttaRouter", "main")
    url = f"tcp://main-router.{kubectl.namespace}.svc:10001"
    sender = Sender(kubectl, "sender", url, rate=1_000, count=EVENTS)
    assert sender.until_done() == EVENTS

    read = Receiver(kubectl, "consumer", script="consumer.py", arguments=(place, "logs"))
    found = read.until_all("sender", EVENTS)
    assert (found.distinct, found.missing, found.duplicates) == (EVENTS, 0, 0), found
    until(lambda: _in_loki(loki), 60, "all events are in Loki", pause=2)
    until(lambda: _in_collector(kubectl), 60, "all events are at the collector", pause=2)
    kubectl.until_condition("RuttaRouter", "main", "TargetsHealthy", seconds=60)
    say(f"  {EVENTS} events, all of them in Kafka, in Loki and at the collector")
