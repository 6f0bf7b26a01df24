"""Whether a cluster enforces NetworkPolicies, and who does it where nothing does.

kind's own network does (``kindest/node`` since kind 0.24). Elsewhere ``kube-network-policies`` of Kubernetes' SIG
Network is run on each node, if it is on PATH as a static program.
"""

import shutil
from pathlib import Path
from typing import Final

from harness import servers
from harness.api import Object
from harness.clusters import Cluster
from harness.kubectl import Kubectl
from harness.shell import until
from harness.traffic import PORT, Receiver

PROGRAM: Final = "kube-network-policies"
_CONNECT: Final = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 2).close()
except OSError as exc:
    print("shut:", exc)
else:
    print("open")
"""
_NOBODY: Final[Object] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "nobody"},
    "spec": {"podSelector": {"matchLabels": {"app": "door"}}, "policyTypes": ["Ingress"]},
}


def is_here() -> bool:
    """Tell whether the program is on PATH."""
    return shutil.which(PROGRAM) is not None


def is_open(kubectl: Kubectl, pod: str, address: str, port: int) -> bool:
    """Tell whether a pod with our image reaches a TCP port."""
    return kubectl("exec", pod, "--", "/venv/bin/python", "-c", _CONNECT, address, str(port)).strip() == "open"


def address(kubectl: Kubectl, pod: str) -> str:
    """Return the address of a pod."""
    return str(kubectl.get("Pod", pod)["status"]["podIP"])


def enforces(kubectl: Kubectl) -> bool:
    """Try it: a pod that nobody may reach. The namespace is the caller's."""
    for name in ("door", "visitor"):
        Receiver(kubectl, name)
    assert is_open(kubectl, "visitor", address(kubectl, "door"), PORT)
    kubectl.apply(_NOBODY)
    try:
        until(lambda: not is_open(kubectl, "visitor", address(kubectl, "door"), PORT), 20, "the door is shut")
    except AssertionError:
        return False
    finally:
        kubectl.delete("NetworkPolicy", "nobody")
    return True


class Police:
    """The program on all nodes of a cluster, between ``start`` and ``stop``."""

    def __init__(self, cluster: Cluster, kubectl: Kubectl) -> None:
        self._cluster, self._kubectl = cluster, kubectl.within("kube-system")

    def start(self) -> None:
        """Bring it to the nodes and run it there; ``stop`` is the caller's, whatever this raises."""
        program = Path(str(shutil.which(PROGRAM))).resolve()
        image = servers.build("policing", f"COPY {program.name} /usr/bin/{PROGRAM}\n", program)
        self._cluster.load(image)
        self._kubectl.apply(*_objects(image))
        self._kubectl.until_rolled("DaemonSet", PROGRAM)

    def stop(self) -> None:
        """End it: nothing is enforced any more."""
        for kind in ("DaemonSet", "ServiceAccount", "ClusterRoleBinding", "ClusterRole"):
            self._kubectl.delete(kind, PROGRAM, "--ignore-not-found")

    def log(self) -> str:
        """Return its last lines."""
        return self._kubectl("logs", "-l", f"app={PROGRAM}", "--tail", "5", "--prefix")


def _objects(image: str) -> list[Object]:
    meta: Object = {"name": PROGRAM}
    rules = [
        {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": PROGRAM}
    subject = {"kind": "ServiceAccount", "name": PROGRAM, "namespace": "kube-system"}
    node = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    container = {
        "name": "police", "image": image, "imagePullPolicy": "IfNotPresent",
        "command": [f"/usr/bin/{PROGRAM}", "--hostname-override=$(NODE_NAME)", "--disable-nri"],
        "env": [node], "securityContext": {"privileged": True},
    }  # fmt: skip
    pod = {
        "hostNetwork": True, "serviceAccountName": PROGRAM, "terminationGracePeriodSeconds": 5,
        "tolerations": [{"operator": "Exists"}], "containers": [container],
    }  # fmt: skip
    template = {"metadata": {"labels": {"app": PROGRAM}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"app": PROGRAM}}, "template": template}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": meta,
            "roleRef": role, "subjects": [subject],
        },
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta, "spec": spec},
    ]  # fmt: skip
