"""Scenario 1: the smallest example, applied, is a router that takes an event and prints it."""

from harness.kubectl import Kubectl
from harness.shell import ROOT, until
from harness.traffic import Sender

EVENTS = 300


def test_the_smallest_example_takes_an_event_at_its_service_and_prints_it(kubectl: Kubectl) -> None:
    kubectl.apply(ROOT / "examples" / "router.yaml")
    kubectl.until_ready("RuttaRouter", "main")
    status = kubectl.get("RuttaRouter", "main")["status"]
    assert (status["replicas"], status["readyReplicas"], status["updatedReplicas"]) == (3, 3, 3)
    addresses = {one["listener"]: one["address"] for one in status["endpoints"]}
    address = addresses["web"]
    assert address == f"http://main-router.{kubectl.namespace}.svc:8080"

    sender = Sender(kubectl, "sender", address + "/", rate=100, count=EVENTS)
    assert sender.until_done() == EVENTS

    def printed() -> bool:
        pods = [pod["metadata"]["name"] for pod in kubectl.pods("main")]
        text = "".join(kubectl("logs", pod) for pod in pods)
        assert text.count("a numbered event") == EVENTS, f"{text.count('a numbered event')} events were printed"
        return True

    until(printed, 30, "every event is printed by one of the router's pods")
    kubectl.until_condition("RuttaRouter", "main", "TargetsHealthy", "True", seconds=60)
