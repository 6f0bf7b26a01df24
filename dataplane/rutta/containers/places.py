"""Whose log a file is, by its path: ``NAMESPACE_POD_UID/CONTAINER/N.log`` under ``/var/log/pods``.

https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/helpers.go (BuildPodLogsDirectory,
BuildContainerLogsDirectory). Neither namespaces nor pods have underscores in their names.
"""

import os
import re
from collections.abc import Callable
from typing import Final, NamedTuple

from rutta.tail.fingerprint import Key
from rutta.tail.folders import Folders
from rutta.tail.globs import regular

_LOG: Final = re.compile(r"(\d+)\.log")
_OURS: Final = re.compile(r".+-(?:shipper|router|proxy)-.+")  # pods of the operator's workloads (names.workload)
OUR_CONTAINER: Final = "rutta"


class Place(NamedTuple):
    """One container of one pod; ``restart`` counts how often it was started before."""

    namespace: str
    pod: str
    uid: str
    container: str
    restart: int


def place_of(path: str) -> Place | None:
    """Read the path of a log, rotated or not; None if it is another kind of file."""
    folder, name = os.path.split(path)
    pod_folder, container = os.path.split(folder)
    parts = os.path.basename(pod_folder).split("_")
    number = _LOG.match(name)
    if len(parts) != 3 or number is None or not container:
        return None
    return Place(parts[0], parts[1], parts[2], container, int(number[1]))


def is_ours(place: Place) -> bool:
    """Whether a log is of a shipper, router or proxy that the operator runs, as far as names tell."""
    return place.container == OUR_CONTAINER and _OURS.fullmatch(place.pod) is not None


class PodLogs:
    """Finds the logs of the containers that are wanted."""

    def __init__(self, root: str, wants: Callable[[Place], bool]) -> None:
        """``root`` is ``/var/log/pods``; ``wants`` is asked at each look."""
        self._root = root.rstrip("/")
        self._wants = wants

    def find(self, folders: Folders) -> dict[str, Key]:
        """Return the logs that are written now, by path."""
        found: dict[str, Key] = {}
        for pod in folders.inside(self._root):
            if pod.is_folder and pod.name.count("_") == 2:
                for container in folders.inside(f"{self._root}/{pod.name}"):
                    if container.is_folder:
                        self._logs(folders, f"{self._root}/{pod.name}/{container.name}", found)
        return found

    def _logs(self, folders: Folders, folder: str, found: dict[str, Key]) -> None:
        for log in folders.inside(folder):
            if log.is_folder or _LOG.fullmatch(log.name) is None:
                continue
            path = f"{folder}/{log.name}"
            place = place_of(path)
            if place is not None and self._wants(place):
                key = regular(path) if log.is_link else log.key
                if key is not None:
                    found[path] = key
