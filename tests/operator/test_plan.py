"""A resource → what it needs to run."""

import pytest

from rutta_operator.spec.documents import Source
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Cluster, Port, SecretKey, Settings, plan
from rutta_operator.wiring.topology import load

HEAD = "apiVersion: rutta.logary.tech/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"


def make(text, name="main", settings=None):
    topology = load([Source("t.yaml", text)])
    assert list(map(str, topology.findings)) == []
    key = next(key for key in topology.resources if key.name == name)
    return plan(topology.resources[key], topology.graph(), topology.resources, settings or Settings(), Cluster())


def router(spec="", targets="[{name: out, console: {}}]", name="main"):
    return HEAD.format(kind="RuttaRouter", name=name) + f"  targets: {targets}\n{spec}"


def test_a_router_has_its_link_its_listeners_and_its_targets():
    got = make(
        router(
            "  listeners: [{name: web, http: {port: 8080, path: /i/logary}}, {name: u, udp: {port: 514}}]\n"
            "  link: {port: 6000, delivery: AtLeastOnce}\n"
            "  routes: [{match: {minLevel: warn}, targets: [out]}]\n"
            "  drain: {delay: 1s}\n"
            "  logLevel: debug\n"
        )
    )
    assert got.config == {
        "role": "Router",
        "name": "default/main",
        "listeners": [
            {"name": "link", "link": {"bind": "0.0.0.0:6000", "pattern": "Balance", "delivery": "AtLeastOnce"}},
            {"name": "web", "http": {"bind": "0.0.0.0:8080", "path": "/i/logary"}},
            {"name": "u", "udp": {"bind": "0.0.0.0:514"}},
        ],
        "targets": [{"name": "out", "console": {}}],
        "routes": [{"match": {"minLevel": "warn"}, "targets": ["out"]}],
        "health": {"bind": "0.0.0.0:9114"},
        "drain": {"delay": "1s"},
        "logLevel": "debug",
        "logFormat": "logfmt",
    }
    assert got.ports == [Port("web", 8080, "TCP", "http"), Port("u", 514, "UDP", "udp")]
    assert got.link == Port("link", 6000, "TCP", "link")
    assert (got.workload, got.replicas, got.idle) == ("Deployment", 3, False)


def test_secrets_become_files_wherever_they_stand():
    got = make(
        router(
            "  listeners:\n"
            "  - name: web\n"
            "    http:\n"
            "      port: 8443\n"
            "      tls: {secretName: web-tls, caSecretName: clients}\n"
            "      auth: {bearer: [{secretKeyRef: {name: tokens, key: one}}]}\n",
            targets="\n"
            "  - {name: db, influxdb: {endpoint: x, username: u, password: {secretKeyRef: {name: influx, key: p}}}, "
            "buffer: {maxBytes: 1Mi}}\n"
            "  - {name: h, http: {endpoint: x, tls: {caSecretName: ca}, "
            "headers: {A: b, C: {secretKeyRef: {name: c, key: d}}}}}\n"
            "  - {name: u, uriFrom: {secretKeyRef: {name: uris, key: console}}, retry: {budget: 1m}}\n"
            "  - {name: v, uri: 'console://.'}",
        )
    )
    home = "/etc/rutta/secrets"
    assert got.config["listeners"][1]["http"] == {
        "bind": "0.0.0.0:8443",
        "tls": {
            "certFile": f"{home}/web-tls/tls.crt",
            "keyFile": f"{home}/web-tls/tls.key",
            "clientCaFile": f"{home}/clients/ca.crt",
        },
        "auth": {"bearer": [{"file": f"{home}/tokens/one"}]},
    }
    assert got.config["targets"] == [
        {"name": "db", "influxdb": {"endpoint": "x", "username": "u", "password": {"file": f"{home}/influx/p"}},
         "buffer": {"maxBytes": "1Mi"}},
        {"name": "h", "http": {"endpoint": "x", "tls": {"caFile": f"{home}/ca/ca.crt"},
                               "headers": {"A": "b", "C": {"file": f"{home}/c/d"}}}},
        {"name": "u", "uri": {"file": f"{home}/uris/console"}, "retry": {"budget": "1m"}},
        {"name": "v", "uri": "console://."},
    ]  # fmt: skip
    assert got.secrets == {
        SecretKey("web-tls", "tls.crt"), SecretKey("web-tls", "tls.key"), SecretKey("clients", "ca.crt"),
        SecretKey("tokens", "one"), SecretKey("influx", "p"), SecretKey("ca", "ca.crt"), SecretKey("c", "d"),
        SecretKey("uris", "console"),
    }  # fmt: skip


SHIPPER = HEAD.format(kind="RuttaShipper", name="node") + (
    "  sources: [{name: f, file: {paths: [x]}}, {name: t, tcp: {port: 1, codec: plain}}]\n"
    "  to:\n"
    "  - {kind: RuttaRouter, name: main, buffer: {whenFull: DropOldest}}\n"
    "  - {kind: RuttaProxy, name: main}\n"
    "  - {kind: RuttaRouter, name: far, namespace: away}\n"
    "  - {kind: RuttaRouter, name: gone}\n"
)
FAR = (
    "---\n"
    + router(
        "  link: {pattern: Broadcast, port: 7000}\n  allowedFrom: [{namespaces: {from: All}}]\n",
        name="far, namespace: away",
    )
    + "---\n"
    + HEAD.format(kind="RuttaProxy", name="main")
    + "  to: [{kind: RuttaRouter, name: main}]\n"
)


def test_a_shipper_sends_to_what_could_be_wired_by_the_names_of_services():
    got = make(SHIPPER + "---\n" + router() + FAR, "node")
    assert got.role == "Shipper"
    assert got.config["sources"] == [
        {"name": "f", "file": {"paths": ["x"]}},
        {"name": "t", "tcp": {"bind": "0.0.0.0:1", "codec": "plain"}},
    ]
    link = {"dns": "main-router-link.default.svc", "port": 5555, "pattern": "Balance"}
    assert got.config["targets"] == [
        {"name": "main-router", "link": link, "buffer": {"whenFull": "DropOldest"}},
        {"name": "main-proxy", "link": {**link, "dns": "main-proxy-link.default.svc"}},
        {"name": "far.away", "link": {"dns": "far-router-link.away.svc", "port": 7000, "pattern": "Broadcast"}},
    ]
    assert (got.workload, got.replicas, got.link) == ("DaemonSet", 1, None)


def test_a_sender_with_nobody_to_send_to_is_idle():
    got = make(HEAD.format(kind="RuttaProxy", name="edge") + "  to: [{kind: RuttaRouter, name: gone}]\n", "edge")
    assert got.idle
    assert got.config["targets"] == []


@pytest.mark.parametrize(
    ("spec", "workload", "replicas"),
    [("", "Deployment", 3), ("  replicas: 0\n", "Deployment", 0), ("  workload: DaemonSet\n", "DaemonSet", 1)],
)
def test_replicas_are_what_the_spec_says_or_the_place(spec, workload, replicas):
    got = make(router(spec))
    assert (got.workload, got.replicas) == (workload, replicas)


def test_where_replicas_run_on_one_machine_they_share_what_can_be_shared():
    text = router("  listeners: [{name: a, tcp: {port: 1}}, {name: p, pull: {port: 2}}]\n")
    got = make(text, settings=Settings(share_ports=True, log_format="json", drain_delay="5s"))
    assert [one.popitem()[1].get("reusePort") for one in map(dict, got.config["listeners"])] == [None, True, None]
    assert got.config["logFormat"] == "json"
    assert got.config["drain"] == {"delay": "5s"}


def test_the_same_input_gives_the_same_plan():
    text = SHIPPER + "---\n" + router() + FAR
    assert make(text, "node") == make(text, "node")
    assert make(text, "node").key == Key("RuttaShipper", "default", "node")
