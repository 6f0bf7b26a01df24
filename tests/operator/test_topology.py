# ruff: noqa: E501 - messages stand whole beside what causes them
"""Documents → a topology: everything that is wrong with them, with its place."""

import base64

import pytest

from rutta_operator.spec.documents import Source
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.topology import load

HEAD = "apiVersion: rutta.logary.tech/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
ROUTER = HEAD.format(kind="RuttaRouter", name="main")
SHIPPER = HEAD.format(kind="RuttaShipper", name="node")
PROXY = HEAD.format(kind="RuttaProxy", name="edge")
TARGETS = "  targets: [{name: out, console: {}}]\n"
TO = "  to: [{kind: RuttaRouter, name: main}]\n"
SOURCES = "  sources: [{name: demo, file: {paths: [x]}}]\n"


def said(text):
    return [str(one).removeprefix("t.yaml:") for one in load([Source("t.yaml", text)]).findings]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ROUTER, "4: spec: null is not a mapping"),
        (ROUTER + "  targets: []\n", "5: spec.targets: is empty"),
        (ROUTER + TARGETS + "  replicas: -1\n", "6: spec.replicas: -1 is less than 0"),
        (ROUTER + TARGETS + "  replicas: '3'\n", "6: spec.replicas: '3' is not a whole number"),
        (ROUTER + TARGETS + "  replicas: true\n", "6: spec.replicas: true is not a whole number"),
        (ROUTER + TARGETS + "  workload: DaemonSet\n  replicas: 2\n",
         "7: spec.replicas: a DaemonSet has one pod on each node; remove it, or use workload Deployment"),
        (SHIPPER + SOURCES + TO + "  replicas: 2\n",
         "7: spec.replicas: a DaemonSet has one pod on each node; remove it, or use workload Deployment"),
        (ROUTER + TARGETS + "  replica: 2\n", "6: spec.replica: unknown setting; did you mean 'replicas'?"),
        (ROUTER + TARGETS + "  drain:\n    timout: 1s\n", "7: spec.drain.timout: unknown setting; did you mean 'timeout'?"),
        (ROUTER + TARGETS + "  drain: {delay: soon}\n",
         "6: spec.drain.delay: 'soon' is not a duration; write it like 500ms, 10s, 5m or 1h30m"),
        (ROUTER + TARGETS + "  logLevel: INFO\n",
         "6: spec.logLevel: 'INFO' is not one of verbose, debug, info, warn, error, fatal; did you mean info?"),
        (ROUTER + TARGETS + "  link: {port: 0}\n", "6: spec.link.port: 0 is not a port (1–65535)"),
        (ROUTER + TARGETS + "  link: {pattern: Broadcast, delivery: AtLeastOnce}\n",
         "6: spec.link.delivery: AtLeastOnce does not go with pattern Broadcast, which is lossy; use Balance, or AtMostOnce"),
        (ROUTER + TARGETS + "  listeners:\n  - {name: web, http: {port: 1}}\n  - name: udp\n    udp:\n      port: 99999\n",
         "10: spec.listeners[1].udp.port: 99999 is not a port (1–65535)"),
        (ROUTER + TARGETS + "  listeners: [{name: web, http: {}}]\n", "6: spec.listeners[0].http.port: is required"),
        (ROUTER + TARGETS + "  listeners: [{name: web, http: }]\n",
         "6: spec.listeners[0].http: is null; write http: {} for its defaults"),
        (ROUTER + TARGETS + "  replicas:\n", "6: spec.replicas: is null; leave it out"),
        (ROUTER + TARGETS + "  listeners: [{name: web, http: {port: 1, bind: 'x:1'}}]\n",
         "6: spec.listeners[0].http.bind: unknown setting; "),
        (ROUTER + TARGETS + "  listeners: [{name: web, htpp: {port: 1}}]\n",
         "6: spec.listeners[0].htpp: unknown setting; did you mean 'http'?"),
        (ROUTER + TARGETS + "  listeners: [{name: web}]\n", "6: spec.listeners[0]: says no listener; it is one of http, "),
        (ROUTER + TARGETS + "  listeners: [{name: x, link: {port: 1}}]\n", "6: spec.listeners[0].link: unknown setting; "),
        (ROUTER + TARGETS + "  listeners: [{name: link, tcp: {port: 1}}]\n",
         "6: spec.listeners[0].name: 'link' is the name of the link that is there by itself; take another"),
        (ROUTER + TARGETS + "  listeners: [{name: a, tcp: {port: 1}}, {name: a, udp: {port: 1}}]\n",
         "6: spec.listeners[1].name: 'a' is the name of listeners[0] already"),
        (ROUTER + TARGETS + "  listeners: [{name: a, tcp: {port: 1}}, {name: b, http: {port: 1}}]\n",
         "6: spec.listeners[1].http.port: 1 is the port of listeners[0] already"),
        (ROUTER + TARGETS + "  listeners: [{name: a, tcp: {port: 5555}}]\n",
         "6: spec.listeners[0].tcp.port: 5555 is the port of the link already"),
        (ROUTER + TARGETS + "  listeners: [{name: Web_1, tcp: {port: 1}}]\n",
         "6: spec.listeners[0].name: 'Web_1' is not a name: up to 15 of a–z, 0–9 and -, with neither end a -, no two - in a row, and at least one letter"),
        (ROUTER + TARGETS + "  listeners: [{name: sixteen-letters-, tcp: {port: 1}}]\n",
         "6: spec.listeners[0].name: 'sixteen-letters-' has 16 characters; 15 are the most"),
        (ROUTER + TARGETS + "  listeners: [5]\n", "6: spec.listeners[0]: 5 is not a mapping"),
        (ROUTER + "  targets: [{name: a, console: {}, file: {path: x}}]\n",
         "5: spec.targets[0]: is console and file at once; make it one target each"),
        (ROUTER + "  targets: [{name: a, console: {}, uri: 'console://.'}]\n", "5: spec.targets[0]: is console and uri at once"),
        (ROUTER + "  targets: [{name: a, link: {dns: x}}]\n", "5: spec.targets[0].link: unknown setting; "),
        (ROUTER + "  targets: [{name: a, console: {}, buffer: {whenFull: drop}}]\n",
         "5: spec.targets[0].buffer.whenFull: 'drop' is not one of "),
        (ROUTER + "  targets: [{name: a, influxdb: {endpoint: x, password: hunter2}}]\n",
         "5: spec.targets[0].influxdb.password: is a secret; keep it in a Secret and write "),
        (ROUTER + "  targets: [{name: a, uri: console}]\n",
         "5: spec.targets[0].uri: 'console' is not a URI; write it like console://."),
        (ROUTER + "  targets: [{name: a, uri: 'influxdb://u:p@h/'}]\n", "5: spec.targets[0].uri: has a credential in it; "),
        (ROUTER + "  targets: [{name: a, uri: 'influxdb://./?password=p'}]\n", "5: spec.targets[0].uri: has a credential in it; "),
        (ROUTER + "  targets: [{name: a, uriFrom: x}]\n", "5: spec.targets[0].uriFrom: 'x' is not a mapping"),
        (ROUTER + TARGETS + "  routes: [{targets: [oud]}]\n",
         "6: spec.routes[0].targets[0]: there is no target 'oud'; did you mean 'out'?"),
        (ROUTER + TARGETS + "  routes: [{match: {minLevel: loud}, targets: [out]}]\n",
         "6: spec.routes[0].match.minLevel: 'loud' is not one of "),
        (ROUTER + TARGETS + "  routes: [5]\n", "6: spec.routes[0]: 5 is not a mapping"),
        (ROUTER + TARGETS + "  allowedFrom: [{kinds: [RuttaRouter]}]\n",
         "6: spec.allowedFrom[0].kinds[0]: 'RuttaRouter' is not one of RuttaShipper, RuttaProxy; did you mean RuttaProxy?"),
        (ROUTER + TARGETS + "  allowedFrom: [{namespaces: {from: Selector}}]\n",
         "6: spec.allowedFrom[0].namespaces.selector: is required with from: Selector, and has a label; all namespaces are from: All"),
        (ROUTER + TARGETS + "  allowedFrom: [{namespaces: {from: All, selector: {matchLabels: {a: b}}}}]\n",
         "6: spec.allowedFrom[0].namespaces.selector: does nothing with from: All; use from: Selector"),
        (ROUTER + TARGETS + "  allowedFrom: [{namespaces: {form: All}}]\n",
         "6: spec.allowedFrom[0].namespaces.form: unknown setting; did you mean 'from'?"),
        (SHIPPER + SOURCES, "4: spec.to: is required"),
        (SHIPPER + SOURCES + "  to: [{kind: RuttaShipper, name: x}]\n",
         "6: spec.to[0].kind: 'RuttaShipper' is not one of RuttaRouter, RuttaProxy; did you mean "),
        (SHIPPER + SOURCES + "  to: [{kind: RuttaRouter, name: x, weight: 2}]\n", "6: spec.to[0].weight: unknown setting; "),
        (SHIPPER + SOURCES + "  to: [{kind: RuttaRouter, name: x}, {kind: RuttaRouter, name: x}]\n",
         "6: spec.to[1]: is the same as to[0]; every event would arrive twice"),
        (SHIPPER + SOURCES + "  to: [" + "{kind: RuttaRouter, name: x}, " * 9 + "]\n",
         "6: spec.to: has 9 entries; 8 are the most"),
        (SHIPPER + SOURCES + TO + "  link: {port: 1}\n", "7: spec.link: unknown setting; "),
        (PROXY + TO + "  workload: DaemonSet\n", "6: spec.workload: unknown setting; "),
        (ROUTER.replace("v1alpha1", "v1") + TARGETS,
         "1: apiVersion: 'rutta.logary.tech/v1' is not rutta.logary.tech/v1alpha1"),
        (ROUTER.replace("RuttaRouter", "RuttaRuter") + TARGETS,
         "2: kind: rutta.logary.tech/v1alpha1 has no kind 'RuttaRuter'; did you mean 'RuttaRouter'?"),
        (ROUTER.replace("{name: main}", "{}") + TARGETS, "3: metadata.name: is required"),
        (ROUTER.replace("main", "Main") + TARGETS, "3: metadata.name: 'Main' is not a name: up to 45 of "),
        (ROUTER + TARGETS + "  replicas: 1\n  replicas: 2\n", "7: spec.replicas: is given twice, first in line 6"),
        ("just a text\n", "1: is not a resource: it has no kind"),
        ("kind: Secret\napiVersion: v1\nmetadata: {name: s}\ndata: {k: 'not base64!'}\n",
         "4: data.k: is not base64; a plain text belongs in stringData"),
        ("kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {k: 5}\n",
         "4: stringData.k: is not a text; put it in quotes"),
        ("kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: [k]\n", "4: stringData: a list is not a mapping"),
        ("kind: Secret\napiVersion: v1\nstringData: {k: v}\n", "1: metadata.name: is required"),
        ("kind: Namespace\napiVersion: v1\nmetadata: {labels: {a: b}}\n", "3: metadata: is not a Namespace's"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_with_its_line_and_path(text, line):
    found = said(text)
    assert any(one.startswith(line) for one in found), found


def test_everything_wrong_is_said_at_once_in_the_order_of_lines_over_files():
    one = Source("b.yaml", ROUTER + TARGETS + "  replicas: -1\n  listeners: [{name: a, udp: {port: 0}}]\n  x: 1\n")
    two = Source("a.yaml", SHIPPER + "  sources: [{name: f, file: {}}]\n")
    found = [f"{one.file}:{one.line}" for one in load([one, two]).findings]
    assert found == ["b.yaml:6", "b.yaml:7", "b.yaml:8", "a.yaml:4", "a.yaml:5"]


def test_a_resource_with_a_mistake_leaves_the_others():
    topology = load([Source("t.yaml", ROUTER + "---\n" + SHIPPER + SOURCES + TO)])
    assert list(topology.resources) == [Key("RuttaShipper", "default", "node")]


def test_the_same_resource_twice_is_an_error_that_names_the_first():
    assert said(ROUTER + TARGETS + "---\n" + ROUTER + TARGETS) == [
        "9: metadata.name: RuttaRouter default/main is in t.yaml:3 already"
    ]
    other = ROUTER.replace("{name: main}", "{name: main, namespace: other}")
    assert said(ROUTER + TARGETS + "---\n" + other + TARGETS) == []


def test_what_a_cluster_knows_beside_is_no_mistake():
    text = ROUTER.replace("{name: main}", "{name: main, labels: {a: b}, annotations: {c: d}, uid: x}") + TARGETS
    topology = load([Source("t.yaml", text + "status: {replicas: 3}\n---\nkind: Deployment\napiVersion: apps/v1\n")])
    assert topology.findings == []
    assert topology.notes == ["t.yaml:8: a Deployment is no part of a topology; it is left out."]


def test_secrets_are_read_from_data_and_string_data_which_wins():
    text = "kind: Secret\napiVersion: v1\nmetadata: {name: s}\ndata: {a: %s, b: %s}\nstringData: {b: two}\n"
    encoded = base64.b64encode(b"\x00one").decode()
    topology = load([Source("t.yaml", text % (encoded, encoded))], "team")
    assert topology.secrets == {("team", "s"): {"a": b"\x00one", "b": b"two"}}


def test_tls_names_secrets_and_no_files():
    web = "  listeners: [{name: w, http: {port: 1, tls: {secretName: web, caSecretName: ca}}}]\n"
    assert said(ROUTER + TARGETS + web) == []
    wrong = said(ROUTER + TARGETS + web.replace("secretName: web", "certFile: x"))
    assert [one.partition(";")[0] for one in wrong] == [
        "6: spec.listeners[0].http.tls.certFile: unknown setting",
        "6: spec.listeners[0].http.tls.secretName: is required",
    ]


def test_values_of_headers_may_be_text_or_secrets():
    secret = "{secretKeyRef: {name: s, key: k}}"
    target = f"  targets: [{{name: h, http: {{endpoint: 'http://x', headers: {{X-Tenant: a, X-Key: {secret}}}}}}}]\n"
    assert said(ROUTER + target) == []
    assert len(said(ROUTER + target.replace("X-Tenant: a", "X-Tenant: 5"))) == 1
