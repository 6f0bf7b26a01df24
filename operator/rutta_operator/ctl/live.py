"""What a cluster has, read with the rights of whoever runs ``ruttactl``: our three kinds, Namespaces, Secrets' keys.

Nothing is written. Whatever keeps it from reading is a user's to mend, or the cluster does not answer.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from rutta_operator.k8s.kinds import RESOURCES, Api
from rutta_operator.spec.models import API_VERSION
from rutta_operator.spec.problems import Finding, Refused

Object = dict[str, Any]
_PAGE: Final = 500  # objects in one answer
_PATIENCE: Final = (5.0, 30.0)  # seconds to connect, and for an answer
UNAVAILABLE: Final = 69  # EX_UNAVAILABLE of sysexits.h


class Unreachable(Refused):
    """The cluster does not answer."""

    exit_code = UNAVAILABLE


class NotAllowed(Refused):
    """Whoever asks has no right to it."""


class Cluster:
    """A cluster of a kubeconfig. ``namespace`` is the one that its context is in."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        """Read the kubeconfig: ``kubeconfig``, else ``KUBECONFIG``, else the one at home. Raises Refused."""
        kubeconfig = kubeconfig or os.environ.get("KUBECONFIG") or None  # the client reads it once, when it is imported
        try:
            contexts, active = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
            self._api = config.new_client_from_config(kubeconfig, context)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as exc:
            raise Refused([Finding(kubeconfig or "kubeconfig", 0, (), f"cannot be used: {_line(str(exc))}")]) from exc
        chosen = next((one for one in contexts if one["name"] == context), active)
        self.namespace = str(chosen["context"].get("namespace") or "default")
        self._api.configuration.retries = 1
        self._host = self._api.configuration.host
        self._objects = client.CustomObjectsApi(self._api)
        self._core = client.CoreV1Api(self._api)

    def resources(self, namespace: str | None) -> list[Object]:
        """Return the resources of all kinds, of one namespace or of all, in order of kind, namespace and name."""
        found = [one for api in RESOURCES.values() for one in self._resources(api, namespace)]
        order = list(RESOURCES)
        return sorted(found, key=lambda one: (order.index(one["kind"]), _name(one)))

    def _resources(self, api: Api, namespace: str | None) -> Iterator[Object]:
        kind = api.group, api.version
        where = "the whole cluster" if namespace is None else f"namespace {namespace}"
        page: Any = {"metadata": {"continue": ""}}
        while True:
            more = {"limit": _PAGE, "_request_timeout": _PATIENCE, "_continue": page["metadata"]["continue"]}
            with self._asking(f"list {api.plural} in {where}"):
                if namespace is None:
                    page = self._objects.list_cluster_custom_object(*kind, api.plural, **more)
                else:
                    page = self._objects.list_namespaced_custom_object(*kind, namespace, api.plural, **more)
            yield from ({**one, "kind": api.kind, "apiVersion": api.api_version} for one in page["items"])
            if not page["metadata"].get("continue"):
                return

    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of every Namespace. Raises NotAllowed."""
        with self._asking("list namespaces"):
            found: Any = self._core.list_namespace(_request_timeout=_PATIENCE)
        return {one.metadata.name: dict(one.metadata.labels or {}) for one in found.items}

    def secret_keys(self, namespace: str, name: str) -> frozenset[str] | None:
        """Return the keys of a Secret, its values being let go at once; None if there is no such Secret.

        Raises:
            NotAllowed: Secrets may not be read.
        """
        try:
            with self._asking(f"get the Secret {namespace}/{name}"):
                found = self._core.read_namespaced_secret(name, namespace, _request_timeout=_PATIENCE)
        except _Absent:
            return None
        return frozenset(found.data or {})

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn what the client raises into what a user can do about it."""
        try:
            yield
        except ApiException as exc:
            self._refused(what, exc)
        except (HTTPError, OSError) as exc:
            text = f"does not answer: {_line(str(exc.__cause__ or exc))}"
            raise Unreachable([Finding(self._host, 0, (), text)]) from exc

    def _refused(self, what: str, exc: ApiException) -> NoReturn:
        if exc.status in (401, 403):
            raise NotAllowed([Finding(self._host, 0, (), f"you may not {what} ({exc.status} {exc.reason})")]) from exc
        if exc.status == 404 and what.startswith("list rutta"):
            text = f"does not know {API_VERSION}: install the CRDs (docs/installation.md)"
            raise Refused([Finding(self._host, 0, (), text)]) from exc
        if exc.status == 404:
            raise _Absent from exc
        text = f"could not {what}: {exc.status} {exc.reason}"
        raise Unreachable([Finding(self._host, 0, (), text)]) from exc


class _Absent(Exception):
    """There is no such thing."""


def _name(found: Object) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
