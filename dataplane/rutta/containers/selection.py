"""Which containers are shipped, and what is said of them."""

import fnmatch
import os
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from rutta.containers.places import Place, is_ours
from rutta.containers.pods import Pod, Pods

EXCLUDE: Final = "rutta.logary.tech/exclude"  # annotations of pods
CODEC: Final = "rutta.logary.tech/codec"
MULTILINE: Final = "rutta.logary.tech/multiline-start"
_NAME: Final = "app.kubernetes.io/name"


class Selection(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Containers, by globs on names and by labels of pods."""

    namespaces: Annotated[list[str], Meta(description="globs")] = []
    pods: Annotated[list[str], Meta(description="globs")] = []
    containers: Annotated[list[str], Meta(description="globs")] = []
    labels: Annotated[dict[str, str], Meta(description="of pods; needs serviceAccountName")] = {}

    def verdicts(self, place: Place, pod: Pod | None) -> list[bool]:
        """Say of each kind of test that is given whether a container passes it."""
        names = ((self.namespaces, place.namespace), (self.pods, place.pod), (self.containers, place.container))
        found = [any(fnmatch.fnmatchcase(name, glob) for glob in globs) for globs, name in names if globs]
        if self.labels:
            labels = {} if pod is None else pod.metadata.labels
            found.append(self.labels.items() <= labels.items())
        return found


class Choice:
    """Decides by path and by what is known of the pod."""

    def __init__(self, include: Selection, exclude: Selection, *, own: bool, environment: Mapping[str, str]) -> None:
        """``own``: Rutta's own pods, too; never this one."""
        self._include = include
        self._exclude = exclude
        self._own = own
        self._self = environment.get("POD_NAMESPACE", ""), environment.get("POD_NAME", "")

    def takes(self, place: Place, pod: Pod | None) -> bool:
        """Whether a container's log is shipped."""
        if (place.namespace, place.pod) == self._self:
            return False
        if not self._own and (is_ours(place) or (pod is not None and pod.metadata.labels.get(_NAME) == "rutta")):
            return False
        if pod is not None and pod.metadata.annotations.get(EXCLUDE, "").lower() == "true":
            return False
        return all(self._include.verdicts(place, pod)) and not any(self._exclude.verdicts(place, pod))


class Contexts:
    """What goes with the lines of a container; made once per container and stream, and anew when its pod changes."""

    def __init__(self, pods: Pods | None, *, node: str, labels: Sequence[str], annotations: Sequence[str]) -> None:
        """``labels`` and ``annotations`` are globs of keys."""
        self._pods = pods
        self._node = node
        self._labels = labels
        self._annotations = annotations
        self._made: dict[str, dict[tuple[Place, str], Mapping[str, Any]]] = {}
        self.missing = 0

    def get(self, place: Place, stream: str) -> Mapping[str, Any]:
        """Return the context of a stream."""
        made = self._made.setdefault(place.uid, {})
        found = made.get((place, stream))
        if found is None:
            found = made[place, stream] = self._make(place, stream)
        return found

    def forget(self, uid: str) -> None:
        """The pod has changed, or is gone."""
        self._made.pop(uid, None)

    def keep(self, uids: set[str]) -> None:
        """Forget all others."""
        for uid in self._made.keys() - uids:
            del self._made[uid]

    def _make(self, place: Place, stream: str) -> Mapping[str, Any]:
        context: dict[str, Any] = {
            "namespace": place.namespace, "pod": place.pod, "uid": place.uid, "container": place.container,
            "node": self._node, "restart": place.restart, "stream": stream,
        }  # fmt: skip
        if not self._node:
            del context["node"]
        pod = None if self._pods is None else self._pods.get(place.uid)
        if self._pods is not None and pod is None:
            self.missing += 1
        return context if pod is None else {**context, **self._of_pod(place, pod)}

    def _of_pod(self, place: Place, pod: Pod) -> Mapping[str, Any]:
        meta = pod.metadata
        found = {
            "image": pod.image(place.container),
            "owner": pod.owner,
            "labels": _allowed(meta.labels, self._labels),
            "annotations": _allowed(meta.annotations, self._annotations),
        }
        return {key: value for key, value in found.items() if value}


def _allowed(values: Mapping[str, str], globs: Sequence[str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if any(fnmatch.fnmatchcase(key, glob) for glob in globs)}


def node_name(environment: Mapping[str, str]) -> str:
    """Return the node's name: as the pod was told, or, outside of pods, the machine's."""
    return environment.get("NODE_NAME") or ("" if environment.get("KUBERNETES_SERVICE_HOST") else os.uname().nodename)
