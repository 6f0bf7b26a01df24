"""What listeners get from Secrets, and ports that are not a Service's TCP: events go in as their senders send them."""

import time
from collections.abc import Callable

from harness.certificates import self_signed
from harness.documents import QUICK, http_target, router
from harness.kubectl import Kubectl
from harness.shell import until
from harness.traffic import Receiver


def send(kubectl: Kubectl, how: str, place: str, name: str, number: int, *more: str) -> str:
    """Send one event from the receiver's pod; returns what became of it."""
    script = ("/venv/bin/python", "/scripts/once.py", how, place, name, str(number), *more)
    return kubectl("exec", "receiver", "--", *script).strip()


def test_a_listener_takes_certificate_and_token_from_secrets_and_new_ones_while_it_runs(kubectl: Kubectl) -> None:
    receiver, host = Receiver(kubectl), f"main-router.{kubectl.namespace}.svc"
    first, second = self_signed(host), self_signed(host)
    kubectl.secret("cert", **{"tls.crt": first.certificate, "tls.key": first.key})
    kubectl.secret("tokens", token="right")
    auth = {"bearer": [{"secretKeyRef": {"name": "tokens", "key": "token"}}]}
    web = {"port": 8443, "codec": "json", "acknowledge": "Delivered", "tls": {"secretName": "cert"}, "auth": auth}
    listeners, targets = [{"name": "web", "http": web}], [http_target(receiver.url)]
    kubectl.apply(router(listeners=listeners, targets=targets, replicas=1, **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    pods = {pod["metadata"]["uid"] for pod in kubectl.pods("main")}

    place = f"{host}:8443"
    assert send(kubectl, "https", place, "tls", 0, "right", first.certificate) == "201"
    assert send(kubectl, "https", place, "tls", 1, "wrong", first.certificate) == "401"
    assert "CERTIFICATE_VERIFY_FAILED" in send(kubectl, "https", place, "tls", 1, "right", second.certificate)
    assert (receiver.of("tls").received, receiver.of("tls").highest) == (1, 0)

    kubectl.secret("cert", **{"tls.crt": second.certificate, "tls.key": second.key})
    kubectl.secret("tokens", token="new")
    until(
        lambda: send(kubectl, "https", place, "tls", 1, "new", second.certificate) == "201",
        150,
        "the new certificate and the new token are in force",
        pause=2,
    )
    assert send(kubectl, "https", place, "tls", 2, "right", second.certificate) == "401"
    assert receiver.of("tls").highest == 1
    assert {pod["metadata"]["uid"] for pod in kubectl.pods("main")} == pods, "neither needs new pods"


def test_datagrams_reach_the_service_and_the_port_of_the_node(
    operator: object, new_namespace: Callable[..., Kubectl]
) -> None:
    kubectl = new_namespace("ports", labels={"pod-security.kubernetes.io/enforce": "privileged"})
    receiver = Receiver(kubectl)
    lines = {"name": "lines", "udp": {"port": 10514, "codec": "json"}, "servicePort": 514, "hostPort": 10514}
    kubectl.apply(router(listeners=[lines], targets=[http_target(receiver.url)], workload="DaemonSet", **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    hosts = sorted(pod["status"]["hostIP"] for pod in kubectl.pods("main"))
    places = [f"main-router.{kubectl.namespace}.svc:514", *(f"{host}:10514" for host in hosts)]
    for number, place in enumerate(places):  # a datagram may be lost, as long as the way is being made
        until(lambda number=number, place=place: _arrives(kubectl, receiver, place, number), 60, f"{place} is served")


def _arrives(kubectl: Kubectl, receiver: Receiver, place: str, number: int) -> bool:
    sender = f"by-{number}"
    assert send(kubectl, "udp", place, sender, 0) == "sent"
    time.sleep(0.5)
    return receiver.of(sender).received > 0
