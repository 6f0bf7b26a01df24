"""The cluster: a kind node that runs the real control plane, and fake nodes on which kwok makes pods "run".

kwok is one process beside the cluster. It holds the fake nodes' leases and moves every pod that is scheduled to them to
Running and Ready at once, so Deployments and DaemonSets become available with no container anywhere. The real node is
tainted, so that none of the pods gets there. Who writes what is read from the API server's audit log.
"""

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from rutta_scale.shell import run, say

Object = dict[str, Any]
NAMESPACE = "rutta-system"
FAKE = {"type": "kwok"}
_STAGES = Path(__file__).parent / "kwok.yaml"
_AUDIT = "/var/log/kubernetes/audit.log"
_FOLDER = "/etc/kubernetes/audit"
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "Metadata", "userGroups": [f"system:serviceaccounts:{NAMESPACE}"]}, {"level": "None"}],
}
_API_SERVER = {
    "kind": "ClusterConfiguration",
    "apiServer": {
        "extraArgs": {"audit-log-path": _AUDIT, "audit-policy-file": f"{_FOLDER}/policy.yaml"},
        "extraVolumes": [
            {"name": "policy", "hostPath": _FOLDER, "mountPath": _FOLDER, "readOnly": True, "pathType": "Directory"},
            {
                "name": "log",
                "hostPath": "/var/log/kubernetes",
                "mountPath": "/var/log/kubernetes",
                "pathType": "DirectoryOrCreate",
            },
        ],
    },
}


class Place:
    """A kind cluster with kwok. Whoever calls ``make`` calls ``end``."""

    def __init__(self, name: str, folder: Path) -> None:
        """Touch nothing yet; files go to ``folder``."""
        self.name, self.folder = name, folder
        self.admin = str(folder / "kubeconfig")
        self._kwok: subprocess.Popen[bytes] | None = None

    def make(self, nodes: int, pods: int) -> None:
        """Make the cluster unless it is there, with fake nodes for so many pods each; start kwok."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.name in run("kind", "get", "clusters").split():
            Path(self.admin).write_text(run("kind", "get", "kubeconfig", "--name", self.name), encoding="utf-8")
        else:
            self._create()
        self.kubectl("taint", "nodes", f"{self.name}-control-plane", "real=yes:NoSchedule", "--overwrite")
        self.apply(*(_node(number, pods) for number in range(nodes)))
        self.kubectl("apply", "-f", "crds/")
        self._allow()
        log = (self.folder / "kwok.log").open("wb")
        chosen = "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"
        words = ["kwok", "--kubeconfig", self.admin, "--config", str(_STAGES), "--manage-all-nodes=false", chosen]
        words += ["--node-lease-duration-seconds", "40", "--cidr", "10.200.0.0/16", "--node-ip", "192.0.2.1"]
        self._kwok = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s")

    def _create(self) -> None:
        (self.folder / "audit").mkdir(exist_ok=True)
        (self.folder / "audit" / "policy.yaml").write_text(yaml.safe_dump(_POLICY), encoding="utf-8")
        mount = {"hostPath": str(self.folder / "audit"), "containerPath": _FOLDER, "readOnly": True}
        config = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [{"role": "control-plane", "extraMounts": [mount]}],
            "kubeadmConfigPatches": [yaml.safe_dump(_API_SERVER)],
        }
        image = os.environ.get("KIND_NODE_IMAGE")
        words = ["kind", "create", "cluster", "--name", self.name, "--config", "-", "--kubeconfig", self.admin]
        words += ["--wait", "180s", *(["--image", image] if image else [])]
        say(f"Making the cluster {self.name} ...")
        run(*words, text=yaml.safe_dump(config), timeout=600)

    def _allow(self) -> None:
        """Give the operator the rights that its chart gives it, and the one who measures all of them."""
        words = ["--set", "crds.enabled=false", "--kube-version", "1.30.0"]
        rendered = run("helm", "template", "rutta", "charts/rutta", "-n", NAMESPACE, *words)
        kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
        rights = [one for one in yaml.safe_load_all(rendered) if one and one["kind"] in kinds]
        rights = [one for one in rights if "helm.sh/hook" not in one["metadata"].get("annotations", {})]
        everything = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bench", "namespace": NAMESPACE}}
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "bench", "namespace": NAMESPACE}],
        }
        self.apply(everything)
        self.apply(account, binding, *({**one, "metadata": _placed(one)} for one in rights))
        (self.account,) = (one["metadata"]["name"] for one in rights if one["kind"] == "ServiceAccount")

    def end(self, *, keep: bool) -> None:
        """Stop kwok, and delete the cluster."""
        if self._kwok is not None:
            self._kwok.terminate()
            self._kwok.wait(timeout=30)
        if not keep:
            run("kind", "delete", "cluster", "--name", self.name, "--kubeconfig", self.admin)

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """Run kubectl as the cluster's administrator."""
        return run("kubectl", "--kubeconfig", self.admin, *words, text=text)

    def apply(self, *objects: Object) -> None:
        """Apply objects server-side."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(objects))

    def server(self) -> tuple[str, bytes]:
        """Return the address of the API server and its authority's certificate."""
        (cluster,) = yaml.safe_load(Path(self.admin).read_text(encoding="utf-8"))["clusters"]
        return cluster["cluster"]["server"], base64.b64decode(cluster["cluster"]["certificate-authority-data"])

    def token(self, account: str) -> str:
        """Return a token of a ServiceAccount, for a day."""
        return self.kubectl("create", "token", account, "-n", NAMESPACE, "--duration=24h").strip()

    def kubeconfig(self, account: str) -> Path:
        """Write a kubeconfig for a ServiceAccount."""
        config = yaml.safe_load(Path(self.admin).read_text(encoding="utf-8"))
        config["users"] = [{"name": config["users"][0]["name"], "user": {"token": self.token(account)}}]
        path = self.folder / f"{account}.kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o644)  # the operator's image runs as a user of its own
        return path

    def audited(self) -> int:
        """Return how long the audit log is, in bytes: a place to read on from."""
        return int(self._inside(f"wc -c < {_AUDIT}"))

    def audit(self, since: int, account: str) -> list[Object]:
        """Return what a ServiceAccount asked of objects since a place in the audit log, oldest first."""
        user = f'"username":"system:serviceaccount:{NAMESPACE}:{account}"'
        lines = self._inside(f"tail -c +{since + 1} {_AUDIT}").splitlines()
        entries = (json.loads(line) for line in lines if user in line)
        return [one for one in entries if "objectRef" in one]  # /version, /apis and the like are of none

    def _inside(self, script: str) -> str:
        return run("docker", "exec", f"{self.name}-control-plane", "sh", "-c", script)

    def versions(self) -> str:
        """Say what runs."""
        (node,) = json.loads(self.kubectl("get", "nodes", "-l", "type!=kwok", "-o", "json"))["items"]
        return f"Kubernetes {node['status']['nodeInfo']['kubeletVersion']}, {run('kwok', '--version').strip()}"


def _placed(one: Object) -> Object:
    is_of_namespace = not one["kind"].startswith("Cluster")
    return {**one["metadata"], **({"namespace": NAMESPACE} if is_of_namespace else {})}


def _node(number: int, pods: int) -> Object:
    room = {"cpu": "1000", "memory": "4000Gi", "pods": str(pods)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"fake-{number}",
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {**FAKE, "kubernetes.io/hostname": f"fake-{number}", "kubernetes.io/os": "linux"},
        },
        "status": {"allocatable": room, "capacity": room},
    }
