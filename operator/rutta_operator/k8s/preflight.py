"""Before anything starts: are our kinds there, and may we do all that we shall have to do."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Final, TypeVar

from rutta_operator import log
from rutta_operator.k8s.cluster import Cluster
from rutta_operator.k8s.kinds import MONITORING, OPTIONAL, RESOURCES, Api
from rutta_operator.k8s.permissions import PERMISSIONS, Permission
from rutta_operator.k8s.refusals import Forbidden, Unavailable
from rutta_operator.spec.models import GROUP

Answer = TypeVar("Answer")
_PAUSE: Final = 2.0  # seconds between two looks
_REMIND: Final = 15  # looks between two lines that say what we wait for


async def kinds(cluster: Cluster, namespaces: tuple[str, ...]) -> None:
    """Wait until our three kinds can be listed, and are shown where kopf looks for them, once: by discovery.

    A list may be answered a moment before the definition is established; discovery has it then.
    """
    looks, space = 0, next(iter(namespaces), None)
    while missing := await _missing(cluster, space):
        if looks % _REMIND == 0:
            text = "is not served yet; apply the CustomResourceDefinitions (crds/, or crds.enabled of the chart)"
            log.warn("waiting_for_crds", f"{', '.join(missing)} ({GROUP}/v1alpha1) {text}.")
        looks += 1
        await asyncio.sleep(_PAUSE)


async def _missing(cluster: Cluster, namespace: str | None) -> list[str]:
    """Return those of our kinds that are not there yet."""
    unlisted = {kind for kind, api in RESOURCES.items() if not await _is_there(cluster, api, namespace)}
    return sorted(unlisted or RESOURCES.keys() - await _patiently(partial(cluster.served, GROUP, "v1alpha1")))


async def _is_there(cluster: Cluster, api: Api, namespace: str | None) -> bool:
    """Tell whether a kind can be listed. It counts as such if we may not look: that is for ``missing_verbs`` to say."""

    async def look() -> bool:
        try:
            return await cluster.can_list(api, namespace)
        except Forbidden:
            return True

    return await _patiently(look)


async def optional(cluster: Cluster) -> dict[str, Api]:
    """Return those of the optional kinds that the cluster has."""
    served = await _patiently(partial(cluster.served, MONITORING, "v1"))
    return {kind: api for kind, api in OPTIONAL.items() if kind in served}


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Wait for an API server that does not answer, or does not let us ask: one that boots knows no roles yet."""
    while True:
        try:
            return await ask()
        except (Forbidden, Unavailable) as exc:
            log.warn("waiting_for_api", f"The API server is asked again: {exc.message}")
            await asyncio.sleep(_PAUSE)


async def missing_verbs(
    cluster: Cluster, namespaces: tuple[str, ...], lease_namespace: str, *, monitoring: bool
) -> list[str]:
    """Return every verb that we lack, as ``verb resource.group in namespace``; with those kinds ``monitoring``."""
    wanted = [
        one
        for permission in PERMISSIONS
        if permission.group != MONITORING or monitoring
        for one in _questions(permission, namespaces, lease_namespace)
    ]
    answers = await asyncio.gather(*(_patiently(partial(cluster.allowed, one)) for one in wanted))
    return [_written(one) for one, allowed in zip(wanted, answers, strict=True) if not allowed]


def _questions(
    permission: Permission, namespaces: tuple[str, ...], lease_namespace: str
) -> Iterator[Mapping[str, str]]:
    """Yield what to ask for a permission."""
    spaces: tuple[str, ...] = {"Watched": namespaces or ("",), "Lease": (lease_namespace,), "Cluster": ("",)}[
        permission.scope
    ]
    if permission.scope == "Cluster" and namespaces:
        return
    for resource in permission.resources:
        name, _, sub = resource.partition("/")
        for verb in permission.verbs:
            for space in spaces:
                found = {"group": permission.group, "resource": name, "verb": verb}
                yield found | ({"subresource": sub} if sub else {}) | ({"namespace": space} if space else {})


def _written(question: Mapping[str, str]) -> str:
    resource = "/".join(filter(None, (question["resource"], question.get("subresource"))))
    group = f".{question['group']}" if question["group"] else ""
    space = f" in namespace {question['namespace']}" if "namespace" in question else ""
    return f"{question['verb']} {resource}{group}{space}"
