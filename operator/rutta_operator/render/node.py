"""What a pod needs of its node for the sources ``containerLogs`` and ``hostMetrics``, and no more than that.

``containerLogs``: the kubelet's logs belong to root with mode 0640, so the process is user 0, without any capability;
they are mounted read-only. The one folder of the node that it writes to keeps how far each log is done, a folder for
each shipper. Which node it is on, and which pod it is, come from the downward API.

``hostMetrics``: the node's /proc, and for its file systems the node's root, both read-only, where the source looks for
them. What is read there everybody may read, so the process keeps its own user; the root shows mounts that come later.

Pod Security "restricted" and "baseline" admit no hostPath: such a shipper needs a namespace that is "privileged".
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rutta_operator.spec.models import Resource, RuttaShipper
from rutta_operator.wiring.plan import Plan

SOURCE: Final = "containerLogs"
METRICS: Final = "hostMetrics"
USER: Final = 0
_STATE: Final = "/var/lib/rutta"  # on the node; a folder for each shipper in it
_DEFAULTS: Final = {"path": "/var/log/pods", "state": "/var/lib/rutta"}  # the source's own, in the container
_PROC: Final = ("procPath", "/host/proc")  # the setting, and where the source looks by itself
_ROOT: Final = ("rootPath", "/host/root")
_FILE_SYSTEMS: Final = "fileSystems"


def reads(plan: Plan) -> bool:
    """Tell whether a plan reads the logs of its node."""
    return any(_settings(plan))


def _settings(plan: Plan) -> Iterator[Mapping[str, Any]]:
    for source in plan.config.get("sources", ()):
        if SOURCE in source:
            yield {**_DEFAULTS, **source[SOURCE]}


def _metrics(plan: Plan) -> list[Mapping[str, Any]]:
    return [source[METRICS] for source in plan.config.get("sources", ()) if METRICS in source]


def _places(plan: Plan, place: tuple[str, str]) -> list[str]:
    """Return where the node's /proc, or its root, is to be in the container."""
    setting, path = place
    wanted = _metrics(plan)
    if place == _ROOT:
        wanted = [one for one in wanted if _FILE_SYSTEMS in one.get("groups", (_FILE_SYSTEMS,))]
    return sorted({one.get(setting) or path for one in wanted})


def _paths(plan: Plan) -> list[str]:
    return sorted({one["path"] for one in _settings(plan)})


def _states(plan: Plan) -> list[str]:
    return sorted({one["state"] for one in _settings(plan)})


def volumes(plan: Plan) -> list[dict[str, Any]]:
    """Return the volumes: the logs, and where is kept how far they are done; the node's /proc and root."""
    found = [{"name": f"logs-{at}", "hostPath": {"path": path}} for at, path in enumerate(_paths(plan))]
    if reads(plan):
        key = plan.key
        # no name has a _: c/a-b and c-a/b never share a folder
        state = {"path": f"{_STATE}/{key.namespace}_{key.name}", "type": "DirectoryOrCreate"}
        found.append({"name": "state", "hostPath": state})
    if _places(plan, _PROC):
        found.append({"name": "host-proc", "hostPath": {"path": "/proc"}})
    if _places(plan, _ROOT):
        found.append({"name": "host-root", "hostPath": {"path": "/"}})
    return found


def mounts(plan: Plan) -> list[dict[str, Any]]:
    """Return where the container has them."""
    logs = [{"name": f"logs-{at}", "mountPath": path, "readOnly": True} for at, path in enumerate(_paths(plan))]
    later = {"mountPropagation": "HostToContainer"}
    return [
        *logs,
        *({"name": "state", "mountPath": path} for path in _states(plan)),
        *({"name": "host-proc", "mountPath": path, "readOnly": True} for path in _places(plan, _PROC)),
        *({"name": "host-root", "mountPath": path, "readOnly": True, **later} for path in _places(plan, _ROOT)),
    ]


def environment(plan: Plan) -> dict[str, Any]:
    """Return what the sources learn of where they are."""
    fields = {"NODE_NAME": "spec.nodeName"} if reads(plan) or _metrics(plan) else {}
    if reads(plan):
        fields |= {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    env = [
        {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
        for name, path in fields.items()
    ]
    return {"env": env} if env else {}


def account(resource: Resource) -> str | None:
    """Return the user's ServiceAccount, whose token the source watches the node's pods by."""
    return resource.spec.service_account_name if isinstance(resource, RuttaShipper) else None
