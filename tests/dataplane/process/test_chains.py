"""Tiers of real processes: the original's sockets end to end, our links through kills, a cycle of proxies."""

import os
import random
import signal
import socket
import threading
from collections import Counter

import pytest
import yaml

BEAT = "0.5s"


def free_port():
    """A free port outside the range from which the kernel takes ports by itself."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randint(15000, 30000)))
            except OSError:
                continue
            return probe.getsockname()[1]


@pytest.fixture
def configured(start, tmp_path):
    """Start a process of a role by a file of its own."""

    def run(role, name, **document):
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"name": name, **document}))
        return start(role, "--config", str(file))

    return run


def lines(path):
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.mark.parametrize("codec", ["json", "auto"])
def test_a_shippers_push_comes_to_a_routers_pull(start, tmp_path, wait_until, codec):
    out = tmp_path / "out"
    router = start("router", "--listener", "pull", "127.0.0.1:0", codec, "--target", f"file://{out}?codec=plain")
    address = "{}:{}".format(*router.binding("pull"))
    shipper = start("shipper", "--listener", "tcp", "127.0.0.1:0", "plain", "--push-to", f"tcp://{address}")
    shipper.send("tcp", b"one\ntwo\n")
    wait_until(lambda: lines(out) == [b"one", b"two"], router.tell)
    assert (shipper.stop(), router.stop()) == (0, 0)


def test_the_originals_chain_works_as_it_always_did(start, tmp_path, wait_until):
    """PUB → XSUB ⇄ XPUB → XSUB ⇄ XPUB → SUB; --xsub-connect-to binds, and says so; a second proxy dials the first."""
    front, middle, back = (f"127.0.0.1:{free_port()}" for _ in range(3))
    out = tmp_path / "out"
    first = start("proxy", "--xsub-connect-to", f"tcp://{front}", "--xpub-bind", f"tcp://{middle}")
    second = start("proxy", "--xsub-dial", f"tcp://{middle}", "--xpub-bind", f"tcp://{back}")
    router = start("router", "--listener", "sub", back, "json", "--target", f"file://{out}?codec=plain")
    shipper = start("shipper", "--listener", "tcp", "127.0.0.1:0", "json", "--pub-to", f"tcp://{front}")
    assert "--xsub-connect-to binds, as it always did" in wait_until(first.tell)
    assert first.get("/readyz")[0] == 200
    wait_until(lambda: shipper.send("tcp", b'{"message":"m"}\n') or lines(out), router.tell)
    assert set(lines(out)) == {b"m"}
    assert [one.stop() for one in (shipper, first, second, router)] == [0, 0, 0, 0]


def test_a_proxy_passes_on_what_it_cannot_read(start, tmp_path, wait_until):
    out = tmp_path / "out"
    router = start("router", "--listener", "link", "127.0.0.1:0", "--target", f"file://{out}?codec=plain")
    proxy = start("proxy", "--link-bind", "127.0.0.1:0", "--link-to", "{}:{}".format(*router.binding("link")))
    to = "{}:{}".format(*proxy.binding("link"))
    shipper = start("shipper", "--listener", "tcp", "127.0.0.1:0", "plain", "--link-to", to)
    shipper.send("tcp", b"caf\xe9\n{broken\n\x00\xff\n")
    wait_until(lambda: lines(out) == [b"caf\xe9", b"{broken", b"\x00\xff"], router.tell)
    (listener,) = proxy.status()["listeners"]
    assert (listener["received"], listener["errors"]) == (3, {})
    assert [peer["state"] for peer in proxy.status()["targets"][0]["peers"]] == ["ready"]


def test_a_cycle_of_proxies_ends_at_the_hop_limit(start, wait_until):
    here = f"127.0.0.1:{free_port()}"
    proxy = start("proxy", "--link-bind", here, "--link-to", here)
    shipper = start("shipper", "--listener", "tcp", "127.0.0.1:0", "json", "--link-to", here)
    shipper.send("tcp", b"{}\n{}\n")
    dropped = 'rutta_events_dropped_total{component="link/link",reason="hop_limit"} 2.0'
    wait_until(lambda: dropped in proxy.get("/metrics")[1], proxy.tell)
    (target,) = proxy.status()["targets"]
    assert target["received"] == 18  # nine times around: eight proxies and one more
    assert target["held"] == 0


class Feeding:
    """Sends numbered lines over one connection, a few at a time, until told to end."""

    def __init__(self, address):
        self.sent = 0
        self._ending = threading.Event()
        self._peer = socket.create_connection(address)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with self._peer:
            while not self._ending.wait(0.002):
                self._peer.sendall(b"".join(b'{"n":%d}\n' % n for n in range(self.sent, self.sent + 20)))
                self.sent += 20

    def end(self):
        self._ending.set()
        self._thread.join(20)
        return {b'{"n":%d}' % n for n in range(self.sent)}


KILLS = (("proxy", signal.SIGKILL), ("router", signal.SIGKILL), ("proxy", signal.SIGTERM), ("router", signal.SIGTERM))
STOPS = (("proxy", signal.SIGTERM), ("router", signal.SIGTERM))


@pytest.mark.parametrize(
    ("delivery", "ends"),
    [
        pytest.param("AtLeastOnce", KILLS, id="kills in AtLeastOnce"),
        pytest.param("AtMostOnce", STOPS, id="stops in AtMostOnce"),
    ],
)
def test_a_shipper_a_proxy_and_a_router_with_a_file_lose_nothing_through(
    configured, tmp_path, wait_until, delivery, ends
):
    out, ports = tmp_path / "out", (free_port(), free_port())
    listen = [{"bind": f"127.0.0.1:{port}", "delivery": delivery} for port in ports]
    to = [{"addresses": [f"127.0.0.1:{port}"], "heartbeat": BEAT} for port in ports]
    documents = {
        "proxy": {"listeners": [{"link": listen[0]}], "targets": [{"link": to[1]}]},
        "router": {"listeners": [{"link": listen[1]}], "targets": [{"file": {"path": str(out)}}]},
        "shipper": {"sources": [{"name": "tcp", "tcp": {"bind": "127.0.0.1:0"}}], "targets": [{"link": to[0]}]},
    }
    tiers = {role: configured(role, role, **document) for role, document in documents.items()}
    shipper = tiers["shipper"]
    feeding = Feeding(shipper.binding("tcp"))

    def more():
        goal = len(lines(out)) + 200
        wait_until(lambda: len(lines(out)) >= goal, shipper.tell)

    for role, how in ends:
        more()
        assert tiers[role].stop(how) == (-how if how == signal.SIGKILL else 0)
        tiers[role] = configured(role, role, **documents[role])
    more()
    sent = feeding.end()
    for role in ("shipper", "proxy", "router"):  # in AtMostOnce a tier is done when the next one has it in memory
        wait_until(lambda role=role: tiers[role].status()["targets"][0]["held"] == 0, tiers[role].tell)
    counts = Counter(lines(out))
    assert counts.keys() == sent
    if delivery == "AtMostOnce":
        assert counts.total() == len(sent), "something came twice"
    (target,) = shipper.status()["targets"]
    assert (target["received"], target["delivered"], target["dropped"]) == (len(sent), len(sent), {})
    assert shipper.stop() == 0


def test_a_reload_takes_new_peers_and_loses_nothing(configured, tmp_path, wait_until):
    outs = [tmp_path / "a", tmp_path / "b"]
    routers = [
        configured(
            "router", out.name, listeners=[{"name": "in", "link": {"bind": "127.0.0.1:0"}}],
            targets=[{"file": {"path": str(out)}}],
        )
        for out in outs
    ]  # fmt: skip
    peers = ["{}:{}".format(*router.binding("in")) for router in routers]

    def document(peer):
        target = {"name": "out", "link": {"addresses": [peer], "heartbeat": BEAT}}
        return {"sources": [{"name": "tcp", "tcp": {"bind": "127.0.0.1:0"}}], "targets": [target]}

    shipper = configured("shipper", "shipper", **document(peers[0]))
    feeding = Feeding(shipper.binding("tcp"))
    wait_until(lambda: lines(outs[0]), shipper.tell)
    (tmp_path / "shipper.yaml").write_text(yaml.safe_dump(document(peers[1])))
    os.kill(shipper.process.pid, signal.SIGHUP)
    wait_until(lambda: lines(outs[1]), shipper.tell)
    assert [peer["address"] for peer in shipper.status()["targets"][0]["peers"]] == [f"tcp://{peers[1]}"]
    sent = feeding.end()
    assert [one.stop() for one in (shipper, *routers)] == [0, 0, 0]
    assert Counter([*lines(outs[0]), *lines(outs[1])]) == Counter(sent)
