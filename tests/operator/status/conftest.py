"""Resources, live workloads and ``Seen``s to make statuses of; and a tiny API server for ``ruttactl``."""

import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from rutta_operator.ctl import opinion
from rutta_operator.ctl.__main__ import main
from rutta_operator.spec.rules import examine
from rutta_operator.state.seen import Report, Seen, TargetReport
from rutta_operator.wiring.graph import Fault, Graph, Key, resolve
from rutta_operator.wiring.plan import Cluster, Settings, plan
from rutta_operator.wiring.topology import Placed, node

NOW = 1_800_000_000.0
MAIN = Key("RuttaRouter", "logs", "main")
NODE = Key("RuttaShipper", "logs", "node")
ROUTER: Mapping[str, Any] = {
    "listeners": [{"name": "web", "http": {"port": 8080, "codec": "json"}, "servicePort": 80},
                  {"name": "sys", "udp": {"port": 5514, "codec": "plain"}}],
    "targets": [{"name": "db", "influxdb": {"endpoint": "http://db:8086/write", "db": "logs",
                                           "username": "jo",
                                           "password": {"secretKeyRef": {"name": "influx", "key": "p"}}}},
                {"name": "out", "console": {}}],
}  # fmt: skip
SHIPPER: Mapping[str, Any] = {
    "sources": [{"name": "in", "udp": {"port": 5514, "codec": "plain"}}],
    "to": [{"kind": "RuttaRouter", "name": "main"}],
}


def deployment(**status: Any) -> dict[str, Any]:
    """A Deployment of three pods, all of them there; ``conditions`` and numbers may be others."""
    done = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    numbers = {"observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "main-router", "generation": 3},
        "spec": {"replicas": status.pop("wanted", 3)}, "status": {**numbers, "conditions": [done], **status},
    }  # fmt: skip


def daemon_set(**status: Any) -> dict[str, Any]:
    """A DaemonSet on three nodes."""
    numbers = {
        "observedGeneration": 3, "desiredNumberScheduled": 3, "currentNumberScheduled": 3,
        "updatedNumberScheduled": 3, "numberReady": 3, "numberAvailable": 3,
    }  # fmt: skip
    metadata = {"name": "node-shipper", "generation": 3}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "status": {**numbers, **status}}


def _placed(key: Key, spec: Mapping[str, Any]) -> Placed:
    metadata = {"name": key.name, "namespace": key.namespace}
    resource, problems = examine({
        "apiVersion": "rutta.logary.tech/v1alpha1", "kind": key.kind, "metadata": metadata, "spec": spec,
    })  # fmt: skip
    assert resource is not None, problems
    return Placed(key, resource, None)  # type: ignore[arg-type] - plans need no document


def _seen(key: Key, graph: Graph, placed: Mapping[Key, Placed], live: Mapping[str, Any] | None, **other: Any) -> Seen:
    given = {
        "key": key, "generation": 2, "resource": placed[key].resource, "problems": (), "faults": graph.faults_of(key),
        "kept": frozenset(), "plan": plan(placed[key], graph, placed, Settings(), Cluster()), "refusals": (),
        "trouble": "", "workload": live, "old": None, "senders": graph.senders(key), "targets": graph.targets(key),
        "report": Report("abc", "", ()), "previous": {}, "now": NOW,
    }  # fmt: skip
    return Seen(**{**given, **other})  # type: ignore[arg-type]


def router(spec: Mapping[str, Any] = ROUTER, **other: Any) -> Seen:
    """Router main, rolled out, both of its targets healthy."""
    placed = {MAIN: _placed(MAIN, spec), NODE: _placed(NODE, SHIPPER)}
    well = Report("abc", "", (TargetReport("db", "Healthy"), TargetReport("out", "Healthy")))
    live = other.pop("workload", deployment())
    return _seen(MAIN, resolve(map(node, placed.values()), {}), placed, live, **{"report": well, **other})


def shipper(**other: Any) -> Seen:
    """Shipper node, rolled out, wired and connected to router main."""
    placed = {MAIN: _placed(MAIN, ROUTER), NODE: _placed(NODE, SHIPPER)}
    well = Report("abc", "", (TargetReport("main", "Healthy"),))
    live = other.pop("workload", daemon_set())
    return _seen(NODE, resolve(map(node, placed.values()), {}), placed, live, **{"report": well, **other})


def lonely(reason: str = "TargetNotFound", **other: Any) -> Seen:
    """Shipper node whose only reference is broken."""
    placed = {NODE: _placed(NODE, SHIPPER)}
    fault = Fault(NODE, 0, MAIN, reason, "RuttaRouter logs/main does not exist")  # type: ignore[arg-type]
    graph = resolve(map(node, placed.values()), {})
    return _seen(NODE, graph, placed, other.pop("workload", None), **{"faults": [fault], **other})


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + seconds))


class Made:
    """What tests make statuses of."""

    now = NOW
    router, shipper, lonely = staticmethod(router), staticmethod(shipper), staticmethod(lonely)
    deployment, daemon_set = staticmethod(deployment), staticmethod(daemon_set)
    main, node = MAIN, NODE
    at = staticmethod(at)
    ROUTER, SHIPPER = ROUTER, SHIPPER


@pytest.fixture
def made() -> type[Made]:
    return Made


@pytest.fixture(scope="session")
def made_once() -> type[Made]:
    return Made


GROUP = "/apis/rutta.logary.tech/v1alpha1"
PLURALS = {"ruttarouters": "RuttaRouter", "ruttashippers": "RuttaShipper", "ruttaproxies": "RuttaProxy"}


class FakeApi:
    """Serves what ``resources``, ``namespaces`` and ``secrets`` hold; ``refused`` maps a part of a path to a status."""

    def __init__(self):
        self.resources, self.namespaces, self.secrets = [], {}, {}
        self.refused, self.asked, self.page = {}, [], 500

    def answer(self, path, query):
        self.asked.append(path)
        for part, status in self.refused.items():
            if part in path:
                return status, {"kind": "Status", "message": f"no {part}", "code": status}
        if path == "/api/v1/namespaces":
            return 200, {
                "items": [{"metadata": {"name": n, "labels": labels}} for n, labels in self.namespaces.items()]
            }
        steps = path.strip("/").split("/")
        if steps[:2] == ["api", "v1"] and steps[4:5] == ["secrets"]:
            found = self.secrets.get((steps[3], steps[5]))
            return (
                (404, {"kind": "Status"}) if found is None else (200, {"metadata": {"name": steps[5]}, "data": found})
            )
        if path.startswith(GROUP) and steps[-1] in PLURALS:
            space = steps[4] if steps[3] == "namespaces" else None
            return 200, self._list(PLURALS[steps[-1]], space, query)
        return 404, {"kind": "Status"}

    def _list(self, kind, space, query):
        found = [
            {
                key: value for key, value in one.items() if key not in ("kind", "apiVersion")
            }  # as real lists of some servers
            for one in self.resources
            if one["kind"] == kind and space in (None, one["metadata"]["namespace"])
        ]
        start = int(query.get("continue", ["0"])[0] or 0)
        more = {"continue": str(start + self.page)} if len(found) > start + self.page else {}
        return {"metadata": more, "items": found[start : start + self.page]}


def _serve(api: FakeApi) -> ThreadingHTTPServer:
    """Start a server for an API; return it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            status, body = api.answer(parts.path, parse_qs(parts.query))
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


class Ctl:
    """``ruttactl`` with a kubeconfig of the fake API; ``api`` may be told otherwise."""

    def __init__(self, api: FakeApi, folder: Any, capsys: Any, judged: list[Any]) -> None:
        self.api, self.folder, self.judged, self._capsys = api, folder, judged, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = main(words)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def has(self, *statuses: tuple[Key, Mapping[str, Any], Mapping[str, Any] | None]) -> None:
        """Put resources into the cluster: key, spec, status."""
        for key, spec, status in statuses:
            metadata = {"name": key.name, "namespace": key.namespace, "generation": 2, "uid": str(key)}
            found = {"kind": key.kind, "metadata": metadata, "spec": spec}
            self.api.resources.append(found | ({"status": status} if status is not None else {}))

    def file(self, name: str, *documents: tuple[Key, Mapping[str, Any]]) -> str:
        """Write resources to a file."""
        version = "rutta.logary.tech/v1alpha1"
        text = yaml.safe_dump_all(
            [{"apiVersion": version, "kind": key.kind, "metadata": {"name": key.name, "namespace": key.namespace},
              "spec": dict(spec)} for key, spec in documents], sort_keys=False,
        )  # fmt: skip
        (self.folder / name).write_text(text)
        return name


@pytest.fixture
def ctl(tmp_path, monkeypatch, capsys):
    api = FakeApi()
    server = _serve(api)
    where = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "users": [{"name": "me", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}},
                     {"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "me", "namespace": "logs"}},
                     {"name": "else", "context": {"cluster": "c", "user": "me"}},
                     {"name": "gone", "context": {"cluster": "gone", "user": "me"}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(where))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.chdir(tmp_path)
    asked: list[Any] = []  # the data plane takes a second; that it is asked is enough here
    monkeypatch.setattr(opinion, "_ask", lambda plans: asked.extend(plans) or [])
    yield Ctl(api, tmp_path, capsys, asked)
    server.shutdown()
    server.server_close()
