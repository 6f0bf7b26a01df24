"""What is rendered is what the API server keeps: applied and read back, every value that we said is the same.

A difference would be put right again and again, and each time be there again.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.images import DATA_PLANE
from harness.shell import Failed
from rutta_operator.render import Context
from rutta_operator.render.objects import objects
from rutta_operator.spec.documents import Source
from rutta_operator.wiring.plan import Cluster, Settings, plan
from rutta_operator.wiring.topology import load

TOPOLOGY = """
apiVersion: rutta.logary.tech/v1alpha1
kind: RuttaRouter
metadata: {name: full}
spec:
  autoscaling:
    minReplicas: 2
    maxReplicas: 5
    targetCpuPercent: 70
    behavior:
      scaleDown: {stabilizationWindowSeconds: 600, policies: [{type: Pods, value: 1, periodSeconds: 60}]}
  podDisruptionBudget: {maxUnavailable: 25%}
  service: {type: NodePort, annotations: {example.com/note: "1"}}
  link: {port: 6000, delivery: AtLeastOnce}
  listeners:
    - {name: web, servicePort: 443, http: {port: 80, codec: json, path: /i/logary, tls: {secretName: web.tls}}}
    - {name: syslog, udp: {port: 514, codec: plain}}
    - {name: lines, servicePort: 1514, tcp: {port: 514, codec: plain}}
  targets:
    - {name: out, uri: "console://./?buffer.maxBytes=100Mi"}
    - {name: hidden, uriFrom: {secretKeyRef: {name: uris, key: one}}}
  resources: {requests: {cpu: "0.5", memory: 1024Mi}, limits: {cpu: 2000m, memory: 2Gi, ephemeral-storage: 1.5Gi}}
  imagePullSecrets: [{name: pull}]
  priorityClassName: system-cluster-critical
  nodeSelector: {example.com/none: "1"}
  tolerations: [{key: a, operator: Equal, value: b, effect: NoExecute, tolerationSeconds: 30}, {operator: Exists}]
  networkPolicy: {enabled: true}
  drain: {delay: 1500ms, timeout: 1m}
  podTemplate:
    metadata: {labels: {team: a}, annotations: {example.com/note: b}}
    spec:
      nodeName: null
      dnsPolicy: ClusterFirst
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1024Mi}}, {name: scratch, emptyDir: {}}]
      initContainers:
        - name: wait
          image: busybox
          command: [sleep, "1"]
          resources: {limits: {cpu: 1}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      containers:
        - name: rutta
          env: [{name: A, value: b}]
          volumeMounts: [{name: scratch, mountPath: /scratch}]
          resources: {limits: {cpu: null}}
---
apiVersion: rutta.logary.tech/v1alpha1
kind: RuttaRouter
metadata: {name: each}
spec:
  workload: DaemonSet
  nodeSelector: {example.com/none: "1"}
  listeners: [{name: web, http: {port: 8080, codec: json}}]
  targets: [{name: out, console: {}}]
---
apiVersion: rutta.logary.tech/v1alpha1
kind: RuttaShipper
metadata: {name: node}
spec:
  nodeSelector: {example.com/none: "1"}
  sources:
    - {name: lines, hostPort: 10001, tcp: {port: 10001, codec: json}}
    - {name: files, file: {paths: [/var/log/app/*.log]}}
  to: [{kind: RuttaProxy, name: edge}, {kind: RuttaRouter, name: full}]
  networkPolicy: {enabled: true}
---
apiVersion: rutta.logary.tech/v1alpha1
kind: RuttaShipper
metadata: {name: some}
spec:
  workload: Deployment
  nodeSelector: {example.com/none: "1"}
  sources: [{name: lines, tcp: {port: 10001, codec: json}}]
  to: [{kind: RuttaProxy, name: edge}]
---
apiVersion: rutta.logary.tech/v1alpha1
kind: RuttaProxy
metadata: {name: edge}
spec:
  nodeSelector: {example.com/none: "1"}
  to: [{kind: RuttaRouter, name: full}]
  link: {delivery: AtLeastOnce}
  networkPolicy: {enabled: true}
"""
APPLY = ("--server-side", "--field-manager=rutta-operator", "--validate=strict")
HOST_PORT = "node"  # the one whose pods are not "restricted"


def rendered(namespace: str) -> list[dict[str, Any]]:
    topology = load([Source("topology.yaml", TOPOLOGY)], namespace)
    graph = topology.graph()
    assert not topology.findings
    assert not graph.faults
    found = []
    for key, placed in topology.resources.items():
        made = plan(placed, graph, topology.resources, Settings(drain_delay="5s"), Cluster())
        context = Context(image=DATA_PLANE, senders=frozenset(graph.senders(key)))
        found += objects(made, placed.resource, context)
    return found


def differences(wanted: Any, live: Any, path: str = "") -> Iterator[str]:
    """Compare exactly: no quantity by value, no list by keys, nothing empty taken for absent."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            if key in live:
                yield from differences(value, live[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}: {value!r} is not there"
    elif isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        for index, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif wanted != live or type(wanted) is not type(live):
        yield f"{path}: {wanted!r} became {live!r}"


def test_the_api_server_keeps_every_value_as_it_was_said(new_namespace):
    kubectl = new_namespace("rendered")
    found = rendered(kubectl.namespace)
    assert {one["kind"] for one in found} >= {"DaemonSet", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy"}

    def live() -> list[dict[str, Any]]:
        return [kubectl.get(one["kind"], one["metadata"]["name"]) for one in found]

    kubectl.apply(*map(json.dumps, found), words=APPLY)
    before = live()
    different = {
        f"{one['kind']}/{one['metadata']['name']}{line}"
        for one, other in zip(found, before, strict=True)
        for line in differences(one, other)
    }
    assert different == set()
    kubectl.apply(*map(json.dumps, found), words=APPLY)  # and to say it again changes nothing
    assert [one["metadata"].get("generation") for one in live()] == [
        one["metadata"].get("generation") for one in before
    ]


def test_pods_are_admitted_where_restricted_is_enforced_but_for_host_ports(new_namespace):
    kubectl = new_namespace("restricted")
    found = rendered(kubectl.namespace)
    kubectl.apply(*(json.dumps(one) for one in found if one["kind"] == "ServiceAccount"))
    templates = {one["metadata"]["name"]: one["spec"]["template"] for one in found if "template" in one.get("spec", {})}
    assert len(templates) == 5
    for name, template in templates.items():
        metadata = {**template["metadata"], "name": f"{name}-try"}
        pod = json.dumps({"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata})
        words = ("--server-side", "--dry-run=server", "--validate=strict")
        if name.startswith(HOST_PORT):
            with pytest.raises(Failed, match="hostPort"):
                kubectl.apply(pod, words=words)
        else:
            kubectl.apply(pod, words=words)
