"""A kind cluster of three nodes that writes down which service account asked the API server for what."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import yaml

from harness.api import Object
from harness.shell import ROOT, Failed, run

AUDIT_LOG = "/var/log/kubernetes/audit.log"
_POLICY_FOLDER = "/etc/kubernetes/audit"

# One line for each request of a service account, but for Kubernetes' own: who, which verb, which object.
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "None", "userGroups": ["system:serviceaccounts:local-path-storage"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}
_API_SERVER = {
    "kind": "ClusterConfiguration",
    "apiServer": {
        "extraArgs": {
            "audit-log-path": AUDIT_LOG,
            "audit-policy-file": f"{_POLICY_FOLDER}/policy.yaml",
            "audit-log-maxsize": "500",
        },
        "extraVolumes": [
            {
                "name": "audit-policy",
                "hostPath": _POLICY_FOLDER,
                "mountPath": _POLICY_FOLDER,
                "readOnly": True,
                "pathType": "DirectoryOrCreate",
            },
            {
                "name": "audit-log",
                "hostPath": "/var/log/kubernetes",
                "mountPath": "/var/log/kubernetes",
                "pathType": "DirectoryOrCreate",
            },
        ],
    },
}
# Files of ConfigMaps and Secrets change in pods after seconds: by default it may take a minute and a half. Logs of
# containers last through two minutes in which nobody takes them, as docs/cluster-logs.md advises.
_KUBELET = {"kind": "KubeletConfiguration", "syncFrequency": "5s", "containerLogMaxSize": "200Mi"}


def missing() -> str | None:
    """Say what keeps clusters from being made on this machine."""
    for program in ("docker", "kind", "kubectl", "helm"):
        if shutil.which(program) is None:
            return f"{program} is not on PATH; the scenarios need docker, kind, kubectl and helm"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "no Docker engine answers; start one to run the scenarios"
    return None


class Cluster:
    """A kind cluster. Whoever calls ``create`` calls ``delete``."""

    def __init__(self, name: str) -> None:
        """Touch nothing yet; files go to var/e2e."""
        self.name = name
        self.folder = ROOT / "var" / "e2e" / name
        self.kubeconfig = str(self.folder / "kubeconfig")

    def exists(self) -> bool:
        """Tell whether kind knows it."""
        return self.name in run("kind", "get", "clusters").split()

    def use(self) -> None:
        """Write the kubeconfig of a cluster that is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        Path(self.kubeconfig).write_text(run("kind", "get", "kubeconfig", "--name", self.name), encoding="utf-8")

    def create(self) -> None:
        """Make it, of the image in KIND_NODE_IMAGE or kind's own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "audit").mkdir(exist_ok=True)
        (self.folder / "audit" / "policy.yaml").write_text(yaml.safe_dump(_POLICY), encoding="utf-8")
        config = self.folder / "kind.yaml"
        config.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
        words = ["kind", "create", "cluster", "--name", self.name, "--config", str(config)]
        words += ["--kubeconfig", self.kubeconfig, "--wait", "180s"]
        if image := os.environ.get("KIND_NODE_IMAGE"):
            words += ["--image", image]
        run(*words, timeout=600)

    def _config(self) -> Object:
        patches = [yaml.safe_dump(_API_SERVER), yaml.safe_dump(_KUBELET)]
        mount = {"hostPath": str(self.folder / "audit"), "containerPath": _POLICY_FOLDER, "readOnly": True}
        return {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [
                {"role": "control-plane", "extraMounts": [mount]},
                {"role": "worker"},
                {"role": "worker"},
            ],
            "kubeadmConfigPatches": patches,
        }

    def delete(self) -> None:
        """Delete it; what it wrote to var/e2e stays."""
        run("kind", "delete", "cluster", "--name", self.name, "--kubeconfig", self.kubeconfig, timeout=300)

    def load(self, *images: str) -> None:
        """Bring images of the Docker engine to all nodes."""
        run("kind", "load", "docker-image", "--name", self.name, *images, timeout=600)

    def audit(self) -> list[Object]:
        """Return what service accounts asked for since the cluster was made, oldest first.

        Raises Failed if the cluster writes no audit log (one that the suite did not make).
        """
        said = run("docker", "exec", f"{self.name}-control-plane", "cat", AUDIT_LOG, timeout=120)
        return [json.loads(line) for line in said.splitlines()]

    def audits(self) -> bool:
        """Tell whether it writes an audit log."""
        try:
            run("docker", "exec", f"{self.name}-control-plane", "test", "-f", AUDIT_LOG)
        except Failed:
            return False
        return True
