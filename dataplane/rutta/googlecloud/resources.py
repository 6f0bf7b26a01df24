"""What we run on, as a monitored resource: https://cloud.google.com/logging/docs/api/v2/resource-list.

Cloud Run and Kubernetes tell by the environment, the rest by the metadata server
(https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys). Where none answers it is ``global``; that is
looked at again each minute, for the metadata server of GKE may be up later than a pod.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from rutta.errors import Retry
from rutta.net.http_client import Client

CONTAINER: Final = "k8s_container"

_AGAIN: Final = 60.0  # seconds
_PATIENCE: Final = 2.0  # seconds for one question; the metadata server is on the same machine
_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Resource(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A monitored resource; ``project_id`` is added to its labels."""

    type: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_./]*$", description="k8s_container, gce_instance, global, …")]
    labels: Annotated[Mapping[str, str], Meta(description="labels as the type has them; without project_id")] = {}

    def of_project(self, project: str) -> "Resource":
        """Return it with its project."""
        return Resource(self.type, {"project_id": project, **self.labels})


GLOBAL: Final = Resource("global")


class Detector:
    """Owns a small HTTP client from ``open`` to ``close``."""

    def __init__(self, given: Resource | None, *, environment: Mapping[str, str] = os.environ) -> None:
        """``given`` is what the user says, and nobody is asked then."""
        self._found = given
        self._again = 0.0
        self._environment = environment
        self._client = Client(timeout=_PATIENCE, connect_timeout=_PATIENCE)

    async def open(self) -> None:
        """Prepare; asks nobody."""
        await self._client.open()

    async def close(self) -> None:
        """Let go; idempotent."""
        await self._client.close()

    @property
    def known(self) -> Resource:
        """What is known by now."""
        return self._found or GLOBAL

    async def resource(self) -> Resource:
        """Return what we run on, without its project."""
        if self._found is not None:
            return self._found
        if time.monotonic() >= self._again:
            try:
                self._found = await self._detect()
            except Retry:
                self._again = time.monotonic() + _AGAIN
        return self.known

    async def _detect(self) -> Resource:
        env = self._environment
        if "K_SERVICE" in env:
            labels = {
                "service_name": "K_SERVICE",
                "revision_name": "K_REVISION",
                "configuration_name": "K_CONFIGURATION",
            }
            return Resource("cloud_run_revision", {**self._named(labels), "location": await self._last("region")})
        if "CLOUD_RUN_JOB" in env:
            return Resource("cloud_run_job", {"job_name": env["CLOUD_RUN_JOB"], "location": await self._last("region")})
        if "KUBERNETES_SERVICE_HOST" in env and (cluster := await self._ask("attributes/cluster-name")):
            location = await self._ask("attributes/cluster-location")
            return Resource(CONTAINER, {"cluster_name": cluster, "location": location, **self._pod()})
        return Resource("gce_instance", {"instance_id": await self._ask("id"), "zone": await self._last("zone")})

    def _named(self, labels: Mapping[str, str]) -> dict[str, str]:
        return {label: self._environment.get(name, "") for label, name in labels.items()}

    def _pod(self) -> dict[str, str]:
        """Name this pod and container."""
        env = self._environment
        return {
            "namespace_name": env.get("POD_NAMESPACE") or _namespace(),
            "pod_name": env.get("POD_NAME") or env.get("HOSTNAME", ""),
            "container_name": env.get("CONTAINER_NAME", "rutta"),
        }

    async def _last(self, key: str) -> str:
        """The last part of a name: ``projects/1/zones/europe-north1-a``."""
        return (await self._ask(key)).rpartition("/")[2]

    async def _ask(self, key: str) -> str:
        """Ask for a key of the instance; empty if there is no such key, ``Retry`` if nobody answers."""
        host = self._environment.get("GCE_METADATA_HOST", "metadata.google.internal")
        url = f"http://{host}/computeMetadata/v1/instance/{key}"
        answer = await self._client.request("GET", url, headers={"Metadata-Flavor": "Google"})
        if answer.status == 404:
            return ""
        self._client.check(url, answer)
        return answer.body.decode(errors="replace").strip()


def _namespace() -> str:
    try:
        return _NAMESPACE.read_text().strip()
    except OSError:
        return ""
