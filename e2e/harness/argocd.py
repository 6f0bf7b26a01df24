"""Argo CD in a cluster, with a git repository beside it to sync from: both are pods of Argo CD's own image."""

import base64
import io
import itertools
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.api import Object
from harness.clusters import Cluster
from harness.kubectl import Kubectl
from harness.shell import ROOT, run, until

NAMESPACE = "argocd"
EXAMPLES = ROOT / "examples" / "argocd"
EXAMPLE_URL = "https://git.example.com/rutta.git"
URL = f"git://git.{NAMESPACE}/rutta"
# What the examples sync: nothing else of this checkout goes into the repository.
_SYNCED = ("charts", "crds", "examples/argocd")
_PROJECT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AppProject",
    "metadata": {"name": "default"},
    "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    },
}
_DAEMON = """
set -e
git init -q -b main /srv/rutta
git -C /srv/rutta config user.name suite
git -C /srv/rutta config user.email suite@example.com
exec git daemon --export-all --reuseaddr --base-path=/srv
"""
_COMMIT = """
set -e
cd /srv/rutta
base64 -d | tar -xz
rm -f -- "$@"
git add -A
git commit -q --allow-empty -m change
git rev-parse HEAD
"""


def missing() -> str | None:
    """Say what keeps Argo CD from being installed."""
    for name in ("ARGOCD_MANIFEST", "ARGOCD_IMAGES"):
        if not os.environ.get(name):
            return f"{name} is not set: Argo CD's core-install.yaml, and the images that it names, in the Docker engine"
    if not Path(os.environ["ARGOCD_MANIFEST"]).is_file():
        return f"{os.environ['ARGOCD_MANIFEST']} (ARGOCD_MANIFEST) does not exist"
    for image in os.environ["ARGOCD_IMAGES"].split():
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
            return f"the Docker engine has no image {image} (ARGOCD_IMAGES)"
    return None


class ArgoCD:
    """Argo CD's core in a cluster. Whoever calls ``install`` calls ``uninstall``."""

    def __init__(self, cluster: Cluster, kubectl: Kubectl) -> None:
        """Touch nothing yet."""
        self.cluster = cluster
        self.kubectl = kubectl.within(NAMESPACE)

    def install(self) -> None:
        """Install it with our settings of ``argocd-cm``; returns when it is rolled out."""
        images = os.environ["ARGOCD_IMAGES"].split()
        self.cluster.load(*images)
        self.kubectl("create", "namespace", NAMESPACE)
        manifest = os.environ["ARGOCD_MANIFEST"]
        self.kubectl("apply", "--server-side", "-f", manifest, timeout=180)
        # Argo CD's server would make this key, and the project; there is none in its core.
        self.kubectl("patch", "secret", "argocd-secret", "-p", '{"stringData":{"server.secretkey":"suite"}}')
        self.kubectl.apply(_PROJECT)
        self.kubectl("patch", "configmap", "argocd-cm", "--patch-file", str(EXAMPLES / "argocd-cm.yaml"))
        # So that an Application's status has the health and message of each resource, for tests to read.
        self.kubectl.patch(
            "configmap", "argocd-cmd-params-cm", {"data": {"controller.resource.health.persist": "true"}}
        )
        self.kubectl("rollout", "restart", "statefulset/argocd-application-controller")
        for workload in ("deployment/argocd-repo-server", "deployment/argocd-redis"):
            self.kubectl("rollout", "status", workload, "--timeout=180s", timeout=200)
        self.kubectl("rollout", "status", "statefulset/argocd-application-controller", "--timeout=180s", timeout=200)

    def uninstall(self) -> None:
        """Delete Argo CD, what its Applications brought (if they have the finalizer), and its definitions."""
        self.kubectl("delete", "applications.argoproj.io", "--all", "--timeout=180s", timeout=200)
        self.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", os.environ["ARGOCD_MANIFEST"], timeout=180)
        self.kubectl("delete", "namespace", NAMESPACE, "--timeout=180s", timeout=200)

    def serve(self) -> "Repository":
        """Have a git repository at ``URL`` with what the examples sync."""
        image = next(image for image in os.environ["ARGOCD_IMAGES"].split() if "argocd" in image)
        repository = Repository(self.kubectl, image)
        repository.commit(dict(_checkout()))
        return repository

    def apply(self, manifest: str) -> None:
        """Apply one of the examples, with the repository's address in it."""
        self.kubectl.apply(_with_address((EXAMPLES / manifest).read_text(encoding="utf-8")))

    def refresh(self, application: str, how: str = "normal") -> None:
        """Have an Application compared now, as a webhook of the repository's host would."""
        self.kubectl("annotate", "application", application, f"argocd.argoproj.io/refresh={how}", "--overwrite")

    def application(self, name: str) -> Object:
        """Return an Application."""
        found: Object = json.loads(self.kubectl("get", "application", name, "-o", "json"))
        return found

    def health(self, application: str, kind: str, name: str) -> tuple[str, str]:
        """Return status and message of one resource of an Application, as Argo CD sees it."""
        for one in self.application(application).get("status", {}).get("resources", []):
            if (one["kind"], one["name"]) == (kind, name):
                health = one.get("health", {})
                return health.get("status", ""), health.get("message", "")
        raise AssertionError(f"{application} has no {kind} {name}")

    def until(
        self,
        application: str,
        sync: str = "Synced",
        health: str = "Healthy",
        *,
        revision: str = "",
        seconds: float = 180,
    ) -> Object:
        """Wait until an Application is so (of a commit); returns it.

        It is asked to compare now and then: Argo CD misses that a new definition became Established, and looks again
        after two minutes only.
        """
        looks = itertools.count(1)

        def there() -> Object:
            if next(looks) % 15 == 0:
                self.refresh(application)
            one = self.application(application)
            status = one["status"]
            state = status["sync"]["status"], status["health"]["status"]
            assert state == (sync, health), (state, _complaints(one))
            assert not revision or status["sync"].get("revision") == revision, status["sync"].get("revision")
            return one

        return until(there, seconds, f"Application {application} is {sync} and {health}", pause=1)

    def watch(self, application: str, seconds: int) -> "Watch":
        """Begin to write down every state of an Application; ``with`` ends what is left of it."""
        return Watch(self.kubectl, application, seconds)


class Watch:
    """The states that an Application has over some time."""

    def __init__(self, kubectl: Kubectl, application: str, seconds: int) -> None:
        """Begin; ``states`` ends it."""
        template = "{.status.sync.status} {.status.health.status}{'\\n'}"
        path = ["get", "application", application, "--watch", "-o", f"jsonpath={template}"]
        words = ["timeout", str(seconds), "kubectl", "--kubeconfig", kubectl.kubeconfig, "-n", NAMESPACE, *path]
        self._running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._seconds = seconds

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._running.terminate()
        self._running.communicate(timeout=30)

    def is_running(self) -> bool:
        """Tell whether its time is not up."""
        return self._running.poll() is None

    def states(self) -> list[str]:
        """Wait for the end of its time; return every state that was told, the first included."""
        out, complaint = self._running.communicate(timeout=self._seconds + 30)
        assert self._running.returncode == 124, f"the watch ended early: {complaint}"  # timeout's: it ran all the time
        return out.splitlines()


class Repository:
    """A git repository in a pod, served to the cluster."""

    def __init__(self, kubectl: Kubectl, image: str) -> None:
        """Make pod and Service; it is empty."""
        self.kubectl = kubectl
        container = {
            "name": "git",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", _DAEMON],
            "readinessProbe": {"tcpSocket": {"port": 9418}, "periodSeconds": 1},
            "volumeMounts": [{"name": "srv", "mountPath": "/srv"}],
        }
        labels = {"app": "git"}
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "git", "labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container],
                    "volumes": [{"name": "srv", "emptyDir": {}}],
                },
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "git"},
                "spec": {"selector": labels, "ports": [{"port": 9418}]},
            },
        )
        kubectl("wait", "--for=condition=Ready", "pod/git", "--timeout=90s")

    def commit(self, files: Mapping[str, str], remove: tuple[str, ...] = ()) -> str:
        """Write and remove files in one commit; returns its id."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        script = ["exec", "-i", "git", "--", "sh", "-c", _COMMIT, "sh", *remove]
        return self.kubectl(*script, text=base64.b64encode(packed.getvalue()).decode()).strip()


def _with_address(text: str) -> str:
    return text.replace(EXAMPLE_URL, URL)


def _checkout() -> Iterator[tuple[str, str]]:
    listed = run("git", "ls-files", "-co", "--exclude-standard", "--", *_SYNCED).split("\n")
    for path in filter(None, listed):
        if (ROOT / path).is_file():
            yield path, _with_address((ROOT / path).read_text(encoding="utf-8"))


def _complaints(application: Object) -> list[str]:
    status: dict[str, Any] = application["status"]
    said = [one.get("message", "") for one in status.get("conditions", [])]
    said.append(status.get("operationState", {}).get("message", ""))
    for one in status.get("resources", []):
        health = one.get("health", {})
        if (one.get("status"), health.get("status")) != ("Synced", "Healthy"):
            said.append(f"{one['kind']} {one['name']}: {one.get('status')} {health}")
    return [text for text in said if text]
