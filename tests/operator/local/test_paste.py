"""The lines to paste, for every listener that a shell can reach."""

from pathlib import Path

import pytest

from rutta_operator.local import paste
from rutta_operator.local.launch import Launch
from rutta_operator.spec.documents import Source
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.topology import load

TEXT = """\
apiVersion: rutta.logary.tech/v1alpha1
kind: RuttaShipper
metadata: {name: node}
spec:
  sources: [{name: in, %s}]
  to: [{kind: RuttaRouter, name: main}]
"""
JSON = '\'{"message":"Hello, Rutta","level":"info","name":"shop"}\''


def pasted(source, address):
    topology = load([Source("t.yaml", TEXT % source)])
    assert topology.findings == []
    key = Key("RuttaShipper", "default", "node")
    launch = Launch(key, 0, 1, None, Path(), "", {"in": address}, None, 0, 0)
    return list(paste.lines(topology.resources[key], launch))


@pytest.mark.parametrize(
    ("source", "address", "lines"),
    [
        ("http: {port: 80}", "127.0.0.1:80", [f"curl -d {JSON} http://127.0.0.1:80/"]),
        ("http: {port: 80, path: /i}", "[::1]:80", [f"curl -d {JSON} http://[::1]:80/i"]),
        ("http: {port: 80, tls: {secretName: x}}", "127.0.0.1:80", []),
        ("http: {port: 80, auth: {bearer: [{secretKeyRef: {name: a, key: b}}]}}", "127.0.0.1:80", []),
        ("tcp: {port: 81}", "127.0.0.1:81", [f"echo {JSON} | nc -w1 127.0.0.1 81"]),
        ("tcp: {port: 81, codec: plain}", "[::1]:81", ["echo 'Hello, Rutta' | nc -w1 ::1 81"]),
        ("tcp: {port: 81, codec: binary}", "127.0.0.1:81", []),
        ("udp: {port: 82, codec: auto}", "127.0.0.1:82", [f"echo {JSON} | nc -u -w1 127.0.0.1 82"]),
        ("syslog: {port: 84}", "127.0.0.1:84", ["echo '<14>1 - - shop - - - Hello, Rutta' | nc -w1 127.0.0.1 84"]),
        (
            "syslog: {port: 84, protocol: Udp}",
            "127.0.0.1:84",
            ["echo '<14>1 - - shop - - - Hello, Rutta' | nc -u -w1 127.0.0.1 84"],
        ),
        ("pull: {port: 83}", "127.0.0.1:83", []),
        ("file: {paths: ['*.log', /var/log/syslog, 'my log']}", "", ["echo 'Hello, Rutta' >> 'my log'"]),
        ("file: {paths: [/var/log/syslog]}", "", []),
    ],
)
def test_each_listener_has_its_line_or_none_if_that_would_not_work(source, address, lines):
    assert pasted(source, address) == lines
