"""The operator in a cluster, installed as users do: by its chart."""

from typing import Any

from harness.clusters import Cluster
from harness.images import DATA_PLANE, OPERATOR, image_id
from harness.kubectl import Kubectl
from harness.shell import ROOT, run, until

NAMESPACE = "rutta-system"
RELEASE = "rutta"
CHART = ROOT / "charts" / "rutta"
LABELS = {"app.kubernetes.io/name": "rutta-operator"}
PORT = 8080


def image_values(image: str) -> tuple[str, str]:
    """Split an image into what charts ask for: repository and tag."""
    repository, _, tag = image.rpartition(":")
    return repository, tag


class Operator:
    """The operator of a cluster, or of single namespaces; ``install`` can be called again (helm upgrade)."""

    def __init__(self, cluster: Cluster, kubectl: Kubectl, namespace: str = NAMESPACE) -> None:
        """Touch nothing yet; ``namespace`` is where it is to be."""
        self.cluster, self.namespace = cluster, namespace
        self.kubectl = kubectl.within(namespace)

    def install(
        self, *words: str, chart: str = str(CHART), image: str = OPERATOR, data_plane: str = DATA_PLANE
    ) -> None:
        """Install or upgrade by Helm; returns when it is rolled out."""
        values = []
        for prefix, one in (("image", image), ("dataplane.image", data_plane)):
            repository, tag = image_values(one)
            values += ["--set", f"{prefix}.repository={repository}", "--set", f"{prefix}.tag={tag}"]
        # the tag is always the same: pods of a cluster that is used again are made anew when the image is another
        values += ["--set-string", f"podAnnotations.image={image_id(image)}"]
        helm = ["helm", "--kubeconfig", self.cluster.kubeconfig, "-n", self.namespace]
        run(*helm, "upgrade", "--install", RELEASE, chart, "--create-namespace", "--wait", "--timeout", "180s",
            *values, *words, timeout=240)  # fmt: skip

    def deployment(self) -> str:
        """Return the name of its Deployment."""
        (one,) = self.kubectl.items("Deployment", LABELS)
        return str(one["metadata"]["name"])

    def scale(self, replicas: int) -> None:
        """Have so many pods of it; returns when they are there, and no others."""
        self.kubectl("scale", "deployment", self.deployment(), f"--replicas={replicas}")

        def there() -> bool:
            pods = self.kubectl.items("Pod", LABELS)
            ready = [pod for pod in pods if _is_ready(pod)]
            assert len(pods) == len(ready) == replicas, [pod["metadata"]["name"] for pod in pods]
            return True

        until(there, 120, f"the operator has {replicas} pods")

    def restart(self) -> None:
        """Start all its pods anew; returns when one of the new ones leads."""
        self.kubectl("rollout", "restart", f"deployment/{self.deployment()}")
        self.kubectl.until_rolled("Deployment", self.deployment())
        self.until_led()

    def pods(self) -> list[str]:
        """Return the names of its pods that are not going away."""
        pods = self.kubectl.items("Pod", LABELS)
        return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def images(self) -> set[str]:
        """Return what its pods run, those that are going away, too."""
        return {pod["spec"]["containers"][0]["image"] for pod in self.kubectl.items("Pod", LABELS)}

    def leader(self) -> str:
        """Return the identity that holds the Lease, "" if nobody does."""
        lease = self.kubectl.find("Lease", "rutta-operator")
        return str(lease["spec"].get("holderIdentity") or "") if lease else ""

    def until_led(self, seconds: float = 60) -> str:
        """Wait until a pod that is there holds the Lease; returns its name."""
        return until(
            lambda: next((pod for pod in self.pods() if pod == self.leader()), ""), seconds, "there is a leader"
        )

    def metrics(self, pod: str) -> str:
        """Return the metrics of one of its pods."""
        return self.kubectl.page(pod, "metrics", PORT)

    def restarts(self) -> dict[str, int]:
        """Return how often the containers of its pods were restarted."""
        return {
            pod["metadata"]["name"]: sum(one["restartCount"] for one in pod["status"].get("containerStatuses", []))
            for pod in self.kubectl.items("Pod", LABELS)
        }

    def requests(self) -> list[dict[str, Any]]:
        """Return its entries of the API server's audit log, oldest first."""
        user = f"system:serviceaccount:{self.namespace}:"
        return [one for one in self.cluster.audit() if one["user"]["username"].startswith(user)]


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


WRITES = ("create", "update", "patch", "delete", "deletecollection")


def writes(requests: list[dict[str, Any]]) -> list[str]:
    """Return what was written, as ``patch apps/deployments team/name``; the Lease is left out.

    Asking for its own rights is a ``create`` by name only: nothing is stored.
    """
    found = []
    for one in requests:
        of = one.get("objectRef", {})
        if one["verb"] in WRITES and of.get("resource") not in ("leases", "selfsubjectaccessreviews"):
            kind = "/".join(filter(None, (of.get("apiGroup"), of.get("resource"), of.get("subresource"))))
            found.append(f"{one['verb']} {kind} {of.get('namespace', '')}/{of.get('name', '')}")
    return found
