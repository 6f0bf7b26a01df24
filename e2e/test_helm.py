"""Scenario 8: both charts are installed, tested, upgraded and uninstalled, for a cluster and for single namespaces.

What the operator may do is what it does.

All namespaces enforce Pod Security ``restricted``, the operator's and those of ``helm test`` too.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import yaml

from harness.clusters import Cluster
from harness.documents import QUICK, proxy, router, shipper, to
from harness.images import DATA_PLANE, OPERATOR
from harness.kubectl import Kubectl
from harness.leaving import leave_out
from harness.operator import CHART, LABELS, NAMESPACE, RELEASE, Operator, image_values
from harness.shell import ROOT, run, until

TOPOLOGY = ROOT / "charts" / "rutta-topology"
INSTALL = ROOT / "k8s" / "install.yaml"
PROMETHEUS = ROOT / "e2e" / "stubs" / "prometheus.yaml"
GROUP = "rutta.logary.tech"
KINDS = ("ruttaproxies", "ruttarouters", "ruttashippers")
OF_CLUSTER = ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Namespace", "PriorityClass")
Helm = Callable[..., str]
Rights = set[tuple[str, str, str]]
"""group, resource, verb"""


@pytest.fixture(scope="module")
def helm(cluster: Cluster) -> Helm:
    """Run helm in a namespace; returns what it printed."""
    return lambda namespace, *words: run(
        "helm", "--kubeconfig", cluster.kubeconfig, "-n", namespace, *words, timeout=300
    )


@pytest.fixture(scope="module", autouse=True)
def restricted(installed: Operator) -> None:
    """The operator's namespace refuses from here on whatever is not restricted."""
    installed.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    restart(installed)


def restart(operator: Operator) -> None:
    """Have new pods of the operator; returns when they are there."""
    operator.kubectl("rollout", "restart", "deployment", operator.deployment())
    operator.kubectl("rollout", "status", "deployment", operator.deployment(), "--timeout=120s", timeout=150)
    operator.until_led()


def images() -> list[str]:
    """Return the values that name the suite's images."""
    found = []
    for prefix, image in (("image", OPERATOR), ("dataplane.image", DATA_PLANE)):
        repository, tag = image_values(image)
        found += ["--set", f"{prefix}.repository={repository}", "--set", f"{prefix}.tag={tag}"]
    return found


def uids(pods: list[dict]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def test_helm_test_finds_the_operator_ready_in_a_restricted_namespace(operator: Operator, helm: Helm) -> None:
    said = helm(NAMESPACE, "test", RELEASE, "--timeout", "120s")
    assert "Phase:          Succeeded" in said
    assert operator.kubectl.find("Pod", f"{operator.deployment()}-test") is None, "the test leaves nothing behind"


def test_an_upgrade_rolls_the_operator_and_no_pod_of_the_data_plane(operator: Operator, kubectl: Kubectl) -> None:
    kubectl.apply(router(replicas=2, **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    pods, operators = uids(kubectl.pods("main")), set(operator.pods())
    workload = kubectl.get("Deployment", "main-router")["metadata"]["generation"]
    try:
        operator.install("--set", "logLevel=debug", "--set", "resources.limits.memory=300Mi")
        assert set(operator.pods()) & operators == set(), "the operator was rolled"
        operator.until_led()
        kubectl.apply(router(replicas=2, logLevel="warn", **QUICK))  # it works: this is brought to the pods
        until(lambda: kubectl.config("main").get("logLevel") == "warn", 60, "the new operator has changed the config")
        kubectl.until_ready("RuttaRouter", "main")
        assert uids(kubectl.pods("main")) == pods
        assert kubectl.get("Deployment", "main-router")["metadata"]["generation"] == workload
    finally:
        operator.install()


def test_uninstalled_it_leaves_resources_pods_and_definitions_and_another_takes_over(
    operator: Operator, kubectl: Kubectl, whole_cluster: Kubectl, helm: Helm
) -> None:
    kubectl.apply(router(replicas=2, **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    pods = uids(kubectl.pods("main"))
    plain = with_images(INSTALL.read_text(encoding="utf-8"))
    said = " ".join(helm(NAMESPACE, "get", "notes", RELEASE).split())
    assert "helm uninstall removes the operator and nothing else" in said
    try:
        helm(NAMESPACE, "uninstall", RELEASE, "--wait")
        until(lambda: not operator.kubectl.items("Pod", LABELS), 60, "the operator is gone")
        assert all(whole_cluster.find("CustomResourceDefinition", f"{kind}.{GROUP}") for kind in KINDS)
        assert uids(kubectl.pods("main")) == pods
        assert all(kubectl.status_page(pod["metadata"]["name"])["ready"] for pod in kubectl.pods("main"))

        operator.kubectl.apply(plain)
        operator.until_led(120)
        kubectl.apply(router(replicas=3, **QUICK))
        kubectl.until_ready("RuttaRouter", "main")
        assert uids(kubectl.pods("main")) > pods, "one came, the others stayed"
    finally:
        kept = [
            one for one in yaml.safe_load_all(plain) if one["kind"] not in ("CustomResourceDefinition", "Namespace")
        ]
        operator.kubectl("delete", "--ignore-not-found", "-f", "-", text=yaml.safe_dump_all(kept))
        operator.install()
    operator.until_led()
    kubectl.apply(router(replicas=1, **QUICK))
    until(lambda: len(kubectl.pods("main")) == 1, 60, "the operator that Helm brought back works")


def with_images(manifests: str) -> str:
    """Put the suite's images in place of those that are released."""
    for image in (OPERATOR, DATA_PLANE):
        repository, _ = image_values(image)
        version = f"{repository}:{yaml.safe_load((CHART / 'Chart.yaml').read_text())['appVersion']}"
        assert version in manifests
        manifests = manifests.replace(version, image)
    return manifests


def test_the_topology_without_values_is_installed_tested_scaled_and_goes_with_its_pods(
    kubectl: Kubectl, helm: Helm
) -> None:
    helm(kubectl.namespace, "install", "logs", str(TOPOLOGY), "--set", f"test.image={DATA_PLANE}")
    kubectl.until_ready("RuttaRouter", "logs-rutta")
    assert len(kubectl.pods("logs-rutta")) == 3
    ports = {(one["port"], one["protocol"]) for one in kubectl.get("Service", "logs-rutta-router")["spec"]["ports"]}
    assert ports == {(8080, "TCP"), (10001, "UDP"), (10002, "UDP")}

    assert "Phase:          Succeeded" in helm(kubectl.namespace, "test", "logs", "--timeout", "200s")
    printed = "".join(kubectl("logs", pod["metadata"]["name"]) for pod in kubectl.pods("logs-rutta"))
    assert printed.count("Hello from helm test") == 1

    values = ["--reuse-values", "--set", "replicaCount=1", "--set", "etc.data.greeting=hello"]
    helm(kubectl.namespace, "upgrade", "logs", str(TOPOLOGY), *values)
    kubectl.until_ready("RuttaRouter", "logs-rutta")
    until(lambda: len(kubectl.pods("logs-rutta")) == 1, 60, "one pod is left")
    (pod,) = kubectl.pods("logs-rutta")
    assert kubectl("exec", pod["metadata"]["name"], "--", "cat", "/etc/rutta/greeting") == "hello"

    helm(kubectl.namespace, "uninstall", "logs")
    kubectl.until_gone("RuttaRouter", "logs-rutta")
    kubectl.until_gone("Deployment", "logs-rutta-router")
    until(lambda: not kubectl.items("Pod"), 90, "no pod is left")


def test_maps_of_specs_become_a_topology_that_is_wired(kubectl: Kubectl, helm: Helm) -> None:
    values = TOPOLOGY / "ci" / "topology-values.yaml"
    helm(kubectl.namespace, "install", "logs", str(TOPOLOGY), "-f", str(values), "--set", f"test.image={DATA_PLANE}")
    kubectl.until_ready("RuttaRouter", "main")
    kubectl.until_ready("RuttaProxy", "edge")
    for name in ("node", "web"):
        kubectl.until_ready("RuttaShipper", name)
    assert "Phase:          Succeeded" in helm(kubectl.namespace, "test", "logs", "--timeout", "200s")

    def printed() -> bool:
        return "Hello from helm test" in "".join(
            kubectl("logs", pod["metadata"]["name"]) for pod in kubectl.pods("main")
        )

    until(printed, 30, "what the shipper took has come out of the router")


@pytest.fixture
def alone(operator: Operator) -> Iterator[None]:
    """The operator of the whole cluster steps aside."""
    operator.scale(0)
    yield
    operator.scale(2)
    operator.until_led()


@pytest.mark.usefixtures("alone")
def test_an_operator_of_two_namespaces_serves_them_by_roles_and_looks_nowhere_else(
    new_namespace: Callable[..., Kubectl], helm: Helm
) -> None:
    home, one, two, foreign = (new_namespace(name) for name in ("home", "one", "two", "foreign"))
    watched = f"watchNamespaces={json.dumps([one.namespace, two.namespace])}"
    words = ["--set", "crds.enabled=false", "--set-json", watched, "--wait", "--timeout", "180s", *images()]
    helm(home.namespace, "install", "team", str(CHART), *words)
    try:
        manifests = [one for one in yaml.safe_load_all(helm(home.namespace, "get", "manifest", "team")) if one]
        assert [one["kind"] for one in manifests if one["kind"] in OF_CLUSTER] == []
        assert "Phase:          Succeeded" in helm(home.namespace, "test", "team", "--timeout", "120s")

        foreign.apply(router(replicas=1))
        one.apply(router(replicas=1, allowedFrom=[{"namespaces": {"from": "All"}}], **QUICK))
        two.apply(shipper("apps", to("Router", "main", one.namespace), workload="Deployment", replicas=1, **QUICK))
        one.until_ready("RuttaRouter", "main")
        two.until_ready("RuttaShipper", "apps")

        by_label = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"a": "b"}}}}
        one.apply(router("by-label", replicas=1, allowedFrom=[by_label]))
        said = one.until_condition("RuttaRouter", "by-label", "Accepted", "False")["message"]
        assert "from: Same or from: All" in said
        assert foreign.get("RuttaRouter", "main").get("status", {}).get("conditions") is None
        assert foreign.items("Deployment") == []
    finally:
        helm(home.namespace, "uninstall", "team", "--wait")
    assert one.pods("main"), "its pods stay"


# -- what it may do is what it does -----------------------------------------------------------------------------------


@pytest.fixture
def prometheus(operator: Operator, whole_cluster: Kubectl) -> Iterator[None]:
    """The cluster has Prometheus' kinds, and the operator knows."""
    there = whole_cluster.find("CustomResourceDefinition", "podmonitors.monitoring.coreos.com")
    whole_cluster.apply(PROMETHEUS)
    whole_cluster("wait", "--for=condition=Established", "-f", str(PROMETHEUS), "--timeout=30s")
    restart(operator)
    yield
    if there is None:
        whole_cluster("delete", "-f", str(PROMETHEUS), "--ignore-not-found")
        restart(operator)  # else a later leader goes on trying to make what is no more, as long as it has not looked


def granted(*words: str) -> Rights:
    """Return what the roles of the operator's account allow, as the chart writes them with these values."""
    fixed = ["--kube-version", "1.34.0", "--set", "rbac.aggregate=false"]  # what people may is another matter
    manifests = yaml.safe_load_all(run("helm", "template", RELEASE, str(CHART), "-n", NAMESPACE, *fixed, *words))
    return {
        (group, resource, verb)
        for one in manifests
        if one and one["kind"] in ("ClusterRole", "Role")
        for rule in one["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def now() -> str:
    """Return the time as the audit log writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def used(operator: Operator, since: str = "") -> Rights:
    """Return what the operator has done. An apply that makes an object needs create, and is written down as a patch."""
    found = set()
    for one in (one for one in operator.requests() if one["stageTimestamp"] >= since):
        of, code = one.get("objectRef", {}), one.get("responseStatus", {}).get("code", 0)
        if "resource" not in of or of.get("apiGroup") == "authorization.k8s.io" or code >= 400:
            continue
        resource = "/".join(filter(None, (of["resource"], of.get("subresource"))))
        found.add((of.get("apiGroup", ""), resource, one["verb"]))
        if one["verb"] == "patch" and code == 201:
            found.add((of.get("apiGroup", ""), resource, "create"))
    return found


def make_and_prune(kubectl: Kubectl, elsewhere: Kubectl) -> None:
    """Have the operator make everything that it can make, and take it away again."""
    nowhere = {"nodeSelector": {"kubernetes.io/hostname": "no-node-has-this-name"}}
    everybody = [{"namespaces": {"from": "All"}}]
    elsewhere.apply(router(allowedFrom=everybody, **nowhere))
    listeners = [{"name": "web", "http": {"port": 8080}}]
    full = {"listeners": listeners, "autoscaling": {"maxReplicas": 4}, "networkPolicy": {"enabled": True}, **nowhere}
    kubectl.apply(router(**full))
    kubectl.apply(shipper("s", to("Router", "main", elsewhere.namespace), **nowhere))
    kubectl.apply(proxy("p", to("Router", "main"), **nowhere))
    for kind, name in (
        ("HorizontalPodAutoscaler", "main-router"),
        ("PodMonitor", "s-shipper"),
        ("DaemonSet", "s-shipper"),
        ("Deployment", "p-proxy"),
    ):
        until(lambda kind=kind, name=name: kubectl.find(kind, name), 60, f"there is {kind} {name}")

    kubectl.until_condition("RuttaProxy", "p", "Accepted")
    kubectl.delete("rtp", "p")
    kubectl.apply(router(replicas=1, monitoring={"enabled": False}, **nowhere))
    for kind in (
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodMonitor",
        "PrometheusRule",
        "PodDisruptionBudget",
        "Service",
    ):
        kubectl.until_gone(kind, "main-router")
    for _ in range(2):  # the second time the same is told: the Event becomes a series
        elsewhere.apply(router(allowedFrom=[], **nowhere))
        kubectl.until_gone("DaemonSet", "s-shipper")
        kubectl.until_gone("ServiceAccount", "s-shipper")
        elsewhere.apply(router(allowedFrom=everybody, **nowhere))
        until(lambda: kubectl.find("DaemonSet", "s-shipper"), 60, "the shipper is back")
    kubectl.apply(shipper("s", to("Router", "main", elsewhere.namespace), workload="Deployment", **nowhere))
    until(lambda: kubectl.find("Deployment", "s-shipper"), 60, "the shipper is a Deployment")
    elsewhere.apply(router(allowedFrom=[], **nowhere))
    kubectl.until_gone("Deployment", "s-shipper")
    for one in (kubectl, elsewhere):  # else the statuses of what has no node change once more, amid other scenarios
        one.delete("rtr", "main")


def until_all_is_used(operator: Operator, allowed: Rights, since: str) -> None:
    """Wait until what was done is what is allowed: a watch is written down when it ends.

    Only what was done since then counts, for a cluster that is used again has seen operators of other commits; but a
    Lease is made once.
    """
    restart(operator)
    made_once = used(operator) & {("coordination.k8s.io", "leases", "create")}

    def even() -> bool:
        done = used(operator, since)
        assert done - allowed == set(), "done without a rule of the chart"
        assert allowed - done - made_once == set(), "granted and never used"
        return True

    until(even, 60, "what was granted was used", pause=5)


@pytest.fixture
def audited(request: pytest.FixtureRequest, cluster: Cluster) -> None:
    """The API server writes down who asks for what."""
    if not cluster.audits():
        leave_out(request.config, "the cluster keeps no audit log; the suite's own does")


@pytest.mark.usefixtures("audited", "prometheus")
def test_the_verbs_that_are_granted_are_those_that_are_used(
    operator: Operator, kubectl: Kubectl, new_namespace: Callable[..., Kubectl]
) -> None:
    since = now()
    make_and_prune(kubectl, new_namespace("elsewhere"))
    until_all_is_used(operator, granted(), since)


@pytest.mark.usefixtures("audited", "prometheus", "alone")
def test_the_verbs_of_single_namespaces_are_those_that_are_used_there(
    cluster: Cluster, whole_cluster: Kubectl, kubectl: Kubectl, new_namespace: Callable[..., Kubectl], helm: Helm
) -> None:
    home, elsewhere = new_namespace("home"), new_namespace("elsewhere")
    words = [
        "--set", "crds.enabled=false",
        "--set-json", f"watchNamespaces={json.dumps([kubectl.namespace, elsewhere.namespace])}",
    ]  # fmt: skip
    team = Operator(cluster, whole_cluster, home.namespace)
    since = now()
    team.install(*words)
    try:
        team.until_led()
        make_and_prune(kubectl, elsewhere)
        until_all_is_used(team, granted(*words), since)
        refused = [
            one["requestURI"]
            for one in team.requests()
            if one.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
        ]
        assert refused == [], "it asks for nothing that it may not"
    finally:
        helm(home.namespace, "uninstall", RELEASE, "--wait")
