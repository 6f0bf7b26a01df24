"""The overlays of k8s/ and the kustomize component, by the commands that their README names."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from harness.images import DATA_PLANE
from harness.shell import ROOT, Failed, run

K8S = ROOT / "k8s"
OVERLAYS = ("as-daemonset", "as-deployment", "as-deployment-with-scaling", "with-ingress", "with-istio")
ISTIO = (("networking.istio.io", "VirtualService"), ("security.istio.io", "PeerAuthentication"))


def built(folder: Path) -> str:
    return run("kubectl", "kustomize", str(folder))


@pytest.fixture(scope="module")
def with_istio(whole_cluster):
    """The kinds of Istio, as far as a dry-run needs them, unless the cluster has them."""
    made = []
    for group, kind in ISTIO:
        plural = "peerauthentications" if kind == "PeerAuthentication" else "virtualservices"
        name = f"{plural}.{group}"
        if whole_cluster.find("CustomResourceDefinition", name) is None:
            schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
            version = {"name": "v1", "served": True, "storage": True, "schema": schema}
            names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
            spec = {"group": group, "names": names, "scope": "Namespaced", "versions": [version]}
            whole_cluster.apply(
                {
                    "apiVersion": "apiextensions.k8s.io/v1",
                    "kind": "CustomResourceDefinition",
                    "metadata": {"name": name},
                    "spec": spec,
                }
            )
            whole_cluster("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
            made.append(name)
    yield whole_cluster
    for name in made:
        whole_cluster.delete("crd", name)


@pytest.fixture
def logary(whole_cluster):
    """kubectl in the namespace that overlays make and this test removes."""
    yield whole_cluster.within("logary")
    whole_cluster.delete("namespace", "logary", "--ignore-not-found")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_is_what_the_api_server_takes(overlay, with_istio, new_namespace):
    """In a namespace of the test's own, since a dry-run does not make the one that an overlay brings."""
    kubectl = new_namespace(overlay)
    found = [one for one in yaml.safe_load_all(built(K8S / overlay)) if one["kind"] != "Namespace"]
    for one in found:
        one["metadata"]["namespace"] = kubectl.namespace
    kubectl.apply(*map(json.dumps, found), words=("--server-side", "--dry-run=server", "--validate=strict"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_itself_builds_what_kubectl_does(overlay):
    if shutil.which("kustomize") is None:
        pytest.skip("kustomize is not on PATH")
    assert list(yaml.safe_load_all(run("kustomize", "build", str(K8S / overlay)))) == list(
        yaml.safe_load_all(built(K8S / overlay))
    )


def test_the_daemon_set_runs_and_says_what_it_is_sent(logary, tmp_path):
    """As the README says, with the image that this suite has built."""
    name, _, tag = DATA_PLANE.rpartition(":")
    shutil.copytree(K8S / "as-daemonset", tmp_path / "as-daemonset")
    images = [{"name": "logary/rutta", "newName": name, "newTag": tag}]
    overlay = {"resources": ["as-daemonset"], "images": images}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    logary("apply", "-f", "-", text=built(tmp_path))
    logary.until_rolled("DaemonSet", "rutta")
    pods = logary.pods("rutta")
    assert len(pods) == logary.get("DaemonSet", "rutta")["status"]["desiredNumberScheduled"]
    for pod in pods:
        status = logary.status_page(pod["metadata"]["name"])
        assert (status["ready"], [one["name"] for one in status["targets"]]) == (True, ["console"])
    logary("delete", "-f", "-", text=built(tmp_path))
    with pytest.raises(Failed):
        logary("get", "namespace", "logary")


def test_prefixes_namespaces_images_and_suffixes_reach_our_references():
    """kustomize puts a topology together by the component; ruttactl then finds every reference but the foreign one."""
    text = built(ROOT / "e2e" / "kustomize" / "team")
    found = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}
    names = {name.rpartition("-")[0]: name for kind, name in found if kind in ("Secret", "ConfigMap")}
    assert set(names) == {"team-registry", "team-certificate", "team-tokens", "team-settings"}
    assert {one["metadata"]["namespace"] for one in found.values()} == {"team"}
    shipper, router = found["RuttaShipper", "team-node"]["spec"], found["RuttaRouter", "team-main"]["spec"]
    assert shipper["to"] == [
        {"kind": "RuttaProxy", "name": "team-edge", "namespace": "team"},
        {"kind": "RuttaRouter", "name": "team-main", "namespace": "team"},
        {"kind": "RuttaRouter", "name": "central", "namespace": "elsewhere"},
    ]
    assert shipper["image"] == "registry.example/rutta:1.2.3"
    assert shipper["imagePullSecrets"] == [{"name": names["team-registry"]}]
    web, api = shipper["sources"]
    assert web["http"]["tls"]["secretName"] == names["team-certificate"]
    assert api["http"]["auth"]["bearer"] == [{"secretKeyRef": {"name": names["team-tokens"], "key": "one"}}]
    influx, uri = router["targets"]
    assert influx["influxdb"]["password"]["secretKeyRef"]["name"] == names["team-tokens"]
    assert uri["uriFrom"]["secretKeyRef"]["name"] == names["team-tokens"]
    template = router["podTemplate"]
    assert template["metadata"]["labels"] == {"team": "a"}
    assert [one.get("image") for one in template["spec"]["containers"]] == [None, "busybox:1.37"]
    assert template["spec"]["volumes"][0]["secret"]["secretName"] == names["team-certificate"]
    assert router["replicas"] == 7
    assert found["RuttaProxy", "team-edge"]["spec"]["replicas"] == 2
    checked = subprocess.run(
        [sys.executable, "-m", "rutta_operator.ctl", "check", "-f", "-"],
        input=text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    faults = [line for line in checked.stderr.splitlines() if "TargetNotFound" in line or "spec." in line]
    assert len(faults) == 1
    assert "RuttaRouter elsewhere/central does not exist" in faults[0]
