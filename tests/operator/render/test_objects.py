"""What the objects of a resource say, beyond what the golden files and the table of fields show."""

import json
import re
from pathlib import Path

import pytest
import yaml

from rutta_operator.render import Owner, node
from rutta_operator.render.monitoring import alerts
from rutta_operator.render.sizing import size
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Plan

METRICS = Path(__file__).parents[3] / "docs" / "metrics.md"
CONFIG = {"sources": [{"name": "pods", "containerLogs": {}}]}
FAR = {"allowedFrom": [{"namespaces": {"from": "All"}}], "targets": [{"name": "out", "console": {}}]}


def container(objects):
    return pod(objects)["containers"][0]


def pod(objects):
    return workload(objects)["spec"]["template"]["spec"]


def workload(objects):
    return next(one for one in objects.values() if one["kind"] in ("Deployment", "DaemonSet"))


def config_map(objects):
    return next(one for one in objects.values() if one["kind"] == "ConfigMap")


def test_no_two_shippers_share_the_folder_of_the_node_that_they_write_to():
    def folder(namespace, name):
        plan = Plan(
            Key("RuttaShipper", namespace, name), "Shipper", "DaemonSet", 1, CONFIG, (), None, frozenset(), False
        )
        return next(one["hostPath"]["path"] for one in node.volumes(plan) if one["name"] == "state")

    assert folder("c", "a-b") != folder("c-a", "b")


# -- all of them


@pytest.mark.parametrize("kind", ["router", "shipper", "proxy"])
def test_objects_come_in_the_order_in_which_they_are_needed(kind, request, render):
    found = render(request.getfixturevalue(kind)(networkPolicy={"enabled": True}), monitoring=True)
    order = [
        "ServiceAccount", "ConfigMap", "Service", "NetworkPolicy", "Deployment", "DaemonSet", "PodDisruptionBudget",
        "HorizontalPodAutoscaler", "PodMonitor", "PrometheusRule",
    ]  # fmt: skip
    kinds = [one["kind"] for one in found.values()]
    assert kinds == sorted(kinds, key=order.index)


@pytest.mark.parametrize("kind", ["router", "shipper", "proxy"])
def test_all_carry_our_labels_and_their_owner(kind, request, render):
    owner = Owner("rutta.logary.tech/v1alpha1", "Rutta", "main", "1-2")
    text = request.getfixturevalue(kind)(monitoring={"labels": {"app.kubernetes.io/name": "mine", "a": "b"}})
    for one in render(text, owner=owner, manager="somebody", monitoring=True).values():
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "rutta"
        assert labels["app.kubernetes.io/managed-by"] == "somebody"
        assert one["metadata"]["ownerReferences"] == [
            {"apiVersion": owner.api_version, "kind": "Rutta", "name": "main", "uid": "1-2", "controller": True}
        ]


@pytest.mark.parametrize("kind", ["router", "shipper", "proxy"])
def test_nothing_is_null_or_empty(kind, request, render):
    """The API server leaves out what is empty, and a difference would never end."""

    def values(one):
        yield one
        for inner in one.values() if isinstance(one, dict) else one if isinstance(one, list) else ():
            yield from values(inner)

    text = request.getfixturevalue(kind)(networkPolicy={"enabled": True})
    assert [one for one in values(render(text, monitoring=True)) if one in (None, {}, [], "")] == []


def test_who_has_nobody_to_send_to_has_no_objects(render, written):
    spec = {"sources": [{"name": "f", "file": {"paths": ["x"]}}], "to": [{"kind": "RuttaRouter", "name": "gone"}]}
    assert render(written("RuttaShipper", spec)) == {}


def test_the_same_resource_gives_the_same_objects(render, router):
    assert json.dumps(render(router(), monitoring=True)) == json.dumps(render(router(), monitoring=True))


# -- the workload


@pytest.mark.parametrize(
    ("drain", "grace", "ready"),
    [({}, 45, 5), ({"delay": "0s", "timeout": "1m"}, 70, 1), ({"delay": "1500ms", "timeout": "0.2s"}, 12, 2)],
)
def test_times_follow_from_draining(drain, grace, ready, render, router):
    spec = workload(render(router(drain=drain)))["spec"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == grace
    assert spec["minReadySeconds"] == ready
    assert spec["progressDeadlineSeconds"] > grace + ready


def test_new_pods_come_before_old_ones_go_unless_they_want_the_same_port_of_a_node(render, router):
    first = {"maxSurge": 1, "maxUnavailable": 0}
    assert workload(render(router()))["spec"]["strategy"]["rollingUpdate"] == first
    each = workload(render(router(workload="DaemonSet")))["spec"]["updateStrategy"]
    assert each == {"type": "RollingUpdate", "rollingUpdate": first}
    template = {"spec": {"hostNetwork": True}}
    each = workload(render(router(workload="DaemonSet", podTemplate=template)))["spec"]["updateStrategy"]
    assert each["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_pods_of_the_two_workloads_are_told_apart_and_services_find_both(render, router):
    one, other = render(router()), render(router(workload="DaemonSet"))
    assert workload(one)["spec"]["selector"] != workload(other)["spec"]["selector"]
    service = one["Service/main-router"]["spec"]["selector"]
    for objects in (one, other):
        labels = workload(objects)["spec"]["template"]["metadata"]["labels"]
        assert workload(objects)["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert service.items() <= labels.items()


def test_pods_of_a_deployment_are_spread_and_those_of_a_daemon_set_go_everywhere(render, router):
    spread = pod(render(router()))["topologySpreadConstraints"]
    assert [one["whenUnsatisfiable"] for one in spread] == ["ScheduleAnyway", "ScheduleAnyway"]
    assert "tolerations" not in pod(render(router()))
    each = pod(render(router(workload="DaemonSet")))
    assert "topologySpreadConstraints" not in each
    assert each["tolerations"] == [{"operator": "Exists"}]
    assert "tolerations" not in pod(render(router(workload="DaemonSet", tolerations=[])))


def test_a_shipper_mounts_nothing_of_its_node_by_itself(render, shipper):
    assert [next(iter(set(one) - {"name"})) for one in pod(render(shipper()))["volumes"]] == ["configMap", "emptyDir"]


def test_secrets_are_mounted_key_by_key_and_must_be_there(render, router):
    tls = {"secretName": "web.tls", "caSecretName": "web.tls"}
    objects = render(router(listeners=[{"name": "web", "http": {"port": 8443, "tls": tls}}]))
    volume = pod(objects)["volumes"][-1]
    assert volume["secret"] == {
        "secretName": "web.tls",
        "defaultMode": 0o440,
        "optional": False,
        "items": [{"key": key, "path": key} for key in ("ca.crt", "tls.crt", "tls.key")],
    }
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", volume["name"])
    mount = {"name": volume["name"], "mountPath": "/etc/rutta/secrets/web.tls", "readOnly": True}
    assert mount in container(objects)["volumeMounts"]


def test_pull_secrets_of_the_place_and_of_the_resource_are_joined(render, router):
    text = router(imagePullSecrets=[{"name": "b"}, {"name": "c"}])
    assert pod(render(text, image_pull_secrets=("a", "b")))["imagePullSecrets"] == [
        {"name": "a"}, {"name": "b"}, {"name": "c"},
    ]  # fmt: skip


# -- the node


def test_a_pod_that_measures_its_node_reads_its_proc_and_root_as_its_own_user(render, shipper):
    objects = render(shipper(sources=[{"name": "host", "hostMetrics": {}}]))
    assert {one["name"]: one.get("hostPath") for one in pod(objects)["volumes"] if "hostPath" in one} == {
        "host-proc": {"path": "/proc"}, "host-root": {"path": "/"},
    }  # fmt: skip
    found = [one for one in container(objects)["volumeMounts"] if one["name"].startswith("host-")]
    assert found == [
        {"name": "host-proc", "mountPath": "/host/proc", "readOnly": True},
        {"name": "host-root", "mountPath": "/host/root", "readOnly": True, "mountPropagation": "HostToContainer"},
    ]
    assert [one["name"] for one in container(objects)["env"]] == ["NODE_NAME"]
    assert pod(objects)["securityContext"]["runAsUser"] == 65532
    assert container(objects)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not pod(objects).get("hostPID")
    assert not pod(objects).get("hostNetwork")


def test_without_file_systems_a_pod_has_nothing_of_its_nodes_root(render, shipper):
    metrics = {"groups": ["cpu", "network"], "procPath": "/node/proc"}
    objects = render(shipper(sources=[{"name": "host", "hostMetrics": metrics}]))
    found = {one["name"]: one["mountPath"] for one in container(objects)["volumeMounts"]}
    assert found["host-proc"] == "/node/proc"
    assert "host-root" not in found


def test_where_the_source_looks_is_where_the_pod_has_it():
    from rutta.host import places

    assert (places.PROC, places.ROOT) == ("/host/proc", "/host/root")


# -- memory


@pytest.mark.parametrize(
    ("target", "limit"),
    [
        ({"console": {}}, "192Mi"),
        ({"console": {}, "buffer": {"maxBytes": "10Mi"}}, "96Mi"),
        ({"console": {}, "buffer": {"maxBytes": 1}}, "96Mi"),
        ({"console": {}, "buffer": {"maxBytes": "480Mi"}}, "1Gi"),
        ({"uri": "console://./?buffer.maxBytes=100M"}, "256Mi"),
        ({"uriFrom": {"secretKeyRef": {"name": "uris", "key": "one"}}}, "192Mi"),
    ],
)
def test_the_memory_limit_follows_from_the_buffers(target, limit, render, router):
    resources = container(render(router(targets=[{"name": "out", **target}])))["resources"]
    assert resources == {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": limit}}


@pytest.mark.parametrize(
    ("said", "requests", "limits"),
    [
        ({"requests": {"memory": "1024Mi"}}, {"cpu": "50m", "memory": "1Gi"}, {"memory": "1Gi"}),
        ({"limits": {"memory": "32Mi"}}, {"cpu": "50m", "memory": "32Mi"}, {"memory": "32Mi"}),
        ({"limits": {"cpu": "20m"}}, {"cpu": "20m", "memory": "64Mi"}, {"memory": "192Mi", "cpu": "20m"}),
        ({"requests": {"cpu": 2}}, {"cpu": "2", "memory": "64Mi"}, {"memory": "192Mi"}),
    ],
)
def test_what_a_resource_says_stands_and_requests_never_exceed_limits(said, requests, limits, render, router):
    assert container(render(router(resources=said)))["resources"] == {"requests": requests, "limits": limits}


def test_sizes_are_read_as_the_data_plane_reads_them():
    from rutta.settings import Size

    for text in ("64Mi", "1.5Gi", "500k", "10MiB", "7B", "12", "1G", "2Ti", " 3M "):
        assert size(text) == Size.parse(text)
    assert size(1024) == 1024


# -- the config


def test_the_config_has_another_name_only_where_pods_must_be_new(render, router, written):
    name = config_map(render(router()))["metadata"]["name"]
    assert re.fullmatch(r"main-router-[0-9a-f]{8}", name)
    assert name == config_map(render(router(image="mine:2", logLevel="debug", replicas=9)))["metadata"]["name"]
    spec = {"targets": [{"name": "out", "console": {}}]}
    assert config_map(render(written("RuttaRouter", spec)))["metadata"]["name"] != name


def test_wiring_and_cutting_a_reference_changes_the_config_in_place(render, shipper):
    both = [{"kind": "RuttaRouter", "name": "main"}, {"kind": "RuttaRouter", "name": "other"}]
    one_missing = shipper(to=both).replace("name: other\n  namespace: here", "name: unknown\n  namespace: here")
    one, two = render(shipper(to=both)), render(one_missing)
    assert config_map(one)["data"] != config_map(two)["data"]
    assert config_map(one)["metadata"] == config_map(two)["metadata"]
    assert workload(one) == workload(two)


# -- Services


def test_services_lead_to_the_ports_by_name(render, router):
    objects = render(router(listeners=[{"name": "web", "http": {"port": 8080}, "servicePort": 80}]))
    assert objects["Service/main-router"]["spec"]["ports"] == [
        {"name": "web", "port": 80, "protocol": "TCP", "targetPort": "web"}
    ]
    names = {port["name"] for port in container(objects)["ports"]}
    for one in objects.values():
        if one["kind"] == "Service":
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= names


def test_who_listens_on_nothing_has_no_service_of_listeners(render, shipper, proxy):
    assert [key for key in render(shipper()) if key.startswith("Service/")] == ["Service/node-shipper-health"]
    assert [key for key in render(proxy()) if key.startswith("Service/")] == [
        "Service/edge-proxy-link", "Service/edge-proxy-health",
    ]  # fmt: skip


def test_the_link_shows_ready_pods_only_and_the_health_pages_all(render, router):
    objects = render(router())
    assert "publishNotReadyAddresses" not in objects["Service/main-router-link"]["spec"]
    assert objects["Service/main-router-health"]["spec"]["publishNotReadyAddresses"] is True


# -- who may come in


def test_a_network_policy_admits_wired_senders_to_the_link_and_nobody_else(render, written):
    target = written("RuttaRouter", {**FAR, "networkPolicy": {"enabled": True}}, "main", "hub")
    reference = [{"kind": "RuttaRouter", "name": "main", "namespace": "hub"}]
    spec = {"sources": [{"name": "f", "file": {"paths": ["x"]}}], "to": reference}
    senders = [written("RuttaShipper", spec, "node", place) for place in ("b", "a")]
    policy = render("---\n".join([target, *senders]))["NetworkPolicy/main-router"]["spec"]
    health, link = policy["ingress"]
    assert health["ports"] == [{"port": "health", "protocol": "TCP"}]
    assert link == {
        "from": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place}},
                "podSelector": {
                    "matchLabels": {
                        "app.kubernetes.io/name": "rutta",
                        "app.kubernetes.io/component": "shipper",
                        "rutta.logary.tech/instance": "node",
                    }
                },
            }
            for place in ("a", "b")
        ],
        "ports": [{"port": "link", "protocol": "TCP"}],
    }
    alone = render(target)["NetworkPolicy/main-router"]["spec"]
    assert alone["ingress"] == [health]  # a rule for the link without senders would admit everybody


def test_a_network_policy_admits_everybody_to_listeners(render, router):
    policy = render(router(networkPolicy={"enabled": True}))["NetworkPolicy/main-router"]["spec"]
    assert policy["ingress"][1] == {"ports": [{"port": "web", "protocol": "TCP"}, {"port": "dgram", "protocol": "UDP"}]}
    assert policy["policyTypes"] == ["Ingress"]


# -- budgets


@pytest.mark.parametrize(
    ("spec", "is_there"),
    [
        ({}, True),
        ({"replicas": 1}, False),
        ({"replicas": 0}, False),
        ({"workload": "DaemonSet"}, False),
        ({"autoscaling": {"minReplicas": 1, "maxReplicas": 1}}, False),
        ({"autoscaling": {"minReplicas": 1, "maxReplicas": 2}}, True),
    ],
)
def test_there_is_a_budget_where_there_can_be_more_than_one_pod(spec, is_there, render, router):
    assert ("PodDisruptionBudget/main-router" in render(router(**spec))) == is_there


# -- alerts


@pytest.mark.parametrize("kind", ["router", "shipper", "proxy"])
def test_alerts_are_about_series_that_there_are(kind, request, render):
    page = METRICS.read_text(encoding="utf-8")
    rule = next(
        one for one in render(request.getfixturevalue(kind)(), monitoring=True).values()
        if one["kind"] == "PrometheusRule"
    )  # fmt: skip
    for one in rule["spec"]["groups"][0]["rules"]:
        for metric in re.findall(r"rutta_\w+", one["expr"]):
            assert f"| `{metric}` |" in page, metric
        selectors = re.findall(r"\{(.+?)\}", one["expr"])
        assert selectors
        job = f'job="here/{rule["metadata"]["name"]}"'
        assert all(job in selector for selector in selectors)
        assert "{what}" not in one["annotations"]["summary"]
        assert not re.search(r"\{\{\{|\}\}\}", one["annotations"]["summary"])


def test_alerts_follow_what_a_resource_has(plan_of, router, shipper):
    def names(plan: Plan) -> set[str]:
        return {one.name for one in alerts(plan)}

    assert "RuttaKernelDrops" in names(plan_of(router()))
    assert "RuttaKernelDrops" not in names(plan_of(router(listeners=[])))
    assert "RuttaGone" not in names(plan_of(router(replicas=0)))
    assert "RuttaLinkWithoutPeers" not in names(plan_of(router()))
    assert "RuttaLinkWithoutPeers" in names(plan_of(shipper()))


def test_the_page_of_workloads_has_every_alert_and_no_other(plan_of, router, shipper):
    page = METRICS.with_name("workloads.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(Rutta\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert listed == {(one.name, one.severity) for text in (router(), shipper()) for one in alerts(plan_of(text))}


def test_there_is_no_monitoring_where_prometheus_operator_is_not(render, router):
    assert not [key for key in render(router()) if key.startswith(("PodMonitor", "PrometheusRule"))]


def test_rules_have_the_form_that_prometheus_asks_for(render, router):
    """Its own parser has read them once; this holds the form."""
    rule = render(router(), monitoring=True)["PrometheusRule/main-router"]
    for one in yaml.safe_load(yaml.safe_dump(rule["spec"]))["groups"][0]["rules"]:
        assert set(one) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+m", one["for"])
        assert one["expr"].count("(") == one["expr"].count(")")


@pytest.mark.parametrize("image", ["logary/rutta:latest", "logary/rutta:1.2"])
def test_an_image_is_pulled_once_whatever_its_tag(render, router, image):
    """The API server would make it Always for a :latest, and leave it so when the tag changes."""
    assert pod(render(router(image=image)))["containers"][0]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize(("is_local", "policy"), [(True, "Local"), (False, None)])
def test_a_daemon_sets_service_is_local_once_its_pods_are_there(render, router, is_local, policy):
    made = render(router(workload="DaemonSet"), is_local=is_local)
    assert made["Service/main-router"]["spec"].get("internalTrafficPolicy") == policy
    assert "internalTrafficPolicy" not in render(router(), is_local=is_local)["Service/main-router"]["spec"]
