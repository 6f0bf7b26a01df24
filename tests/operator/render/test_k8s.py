"""The overlays and the kustomize component in k8s/, as far as they can be judged without kustomize (see e2e)."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from rutta_operator.spec import components

K8S = Path(__file__).parents[3] / "k8s"
OVERLAYS = ("as-daemonset", "as-deployment", "as-deployment-with-scaling", "with-ingress", "with-istio")


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("k8s_generate", K8S / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def objects(overlay):
    files = yaml.safe_load((K8S / overlay / "kustomization.yaml").read_text())["resources"]
    return [one for file in files for one in yaml.safe_load_all((K8S / overlay / file).read_text())]


def test_generated_files_are_what_their_sources_give(generate):
    """``make k8s`` writes them anew."""
    wanted = dict(generate.wanted())
    assert {path.parent.name for path in wanted} == {*OVERLAYS, "rutta-crs"}
    assert {path: path.read_text(encoding="utf-8") for path in wanted} == wanted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_the_originals_names_and_ports(overlay):
    found = {(one["kind"], one["metadata"]["name"]): one for one in objects(overlay)}
    assert ("Namespace", "logary") in found
    assert {one["metadata"].get("namespace", "logary") for one in found.values()} == {"logary"}
    assert ("ServiceAccount", "rutta") in found
    workload = found.get(("DaemonSet", "rutta")) or found["Deployment", "rutta"]
    assert (workload["kind"] == "DaemonSet") == (overlay == "as-daemonset")
    assert {(one["name"], one["port"], one["protocol"]) for one in found["Service", "rutta"]["spec"]["ports"]} == {
        ("http-json", 80, "TCP"), ("udp-json", 14001, "UDP"),
    }  # fmt: skip
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert (ports["http-json"], ports["udp-json"], ports["health"]) == (3000, 14001, 9114)
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert workload["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] == "9114"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_uses_no_api_that_is_gone(overlay):
    versions = {one["kind"]: one["apiVersion"] for one in objects(overlay)}
    assert not [one for one in versions.values() if "beta" in one or "alpha" in one]


def test_scaling_is_from_three_to_nine_with_a_budget():
    found = {one["kind"]: one["spec"] for one in objects("as-deployment-with-scaling") if "spec" in one}
    scaler = found["HorizontalPodAutoscaler"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 9)
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "rutta"}
    assert "replicas" not in found["Deployment"]
    assert found["PodDisruptionBudget"]["maxUnavailable"] == 1


def test_the_ingress_and_the_router_serve_the_same_path():
    found = {one["kind"]: one for one in objects("with-ingress")}
    (path,) = found["Ingress"]["spec"]["rules"][0]["http"]["paths"]
    assert path["path"] == "/i/logary"
    assert path["backend"]["service"] == {"name": "rutta", "port": {"name": "http-json"}}
    assert '"path": "/i/logary"' in found["ConfigMap"]["data"]["config.json"]


def test_istio_is_told_by_a_label_and_its_policy_selects_the_pods():
    found = {one["kind"]: one for one in objects("with-istio")}
    assert found["Namespace"]["metadata"]["labels"] == {"istio-injection": "enabled"}
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["PeerAuthentication"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    template = found["Deployment"]["spec"]["template"]
    proxy = yaml.safe_load(template["metadata"]["annotations"]["proxy.istio.io/config"])
    assert int(proxy["terminationDrainDuration"].removesuffix("s")) < template["spec"]["terminationGracePeriodSeconds"]


def test_the_component_knows_every_secret_of_the_schema():
    fields = yaml.safe_load((K8S / "components" / "rutta-crs" / "fields.yaml").read_text())
    places = {
        (one["kind"], one["path"])
        for reference in fields["nameReference"] if reference["kind"] == "Secret"
        for one in reference["fieldSpecs"]
    }  # fmt: skip
    assert ("RuttaRouter", "spec/targets/influxdb/password/secretKeyRef/name") in places
    assert ("RuttaShipper", "spec/sources/http/tls/secretName") in places
    assert ("RuttaRouter", "spec/targets/uriFrom/secretKeyRef/name") in places
    for name in components.names("targets"):
        if "tls" in components.shape("targets", name)["properties"]:
            assert ("RuttaRouter", f"spec/targets/{name}/tls/caSecretName") in places
