"""What a pod needs to read the logs of its node's containers (source ``containerLogs``), and no more than that.

The kubelet's logs belong to root with mode 0640, so the process is user 0, without any capability; they are mounted
read-only. The one folder of the node that it writes to keeps how far each log is done, a folder for each shipper.
Which node it is on, and which pod it is, come from the downward API. Pod Security "restricted" and "baseline" admit no
hostPath: such a shipper needs a namespace that is "privileged".
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rutta_operator.spec.models import Resource, RuttaShipper
from rutta_operator.wiring.plan import Plan

SOURCE: Final = "containerLogs"
USER: Final = 0
_STATE: Final = "/var/lib/rutta"  # on the node; a folder for each shipper in it
_DEFAULTS: Final = {"path": "/var/log/pods", "state": "/var/lib/rutta"}  # the source's own, in the container


def reads(plan: Plan) -> bool:
    """Tell whether a plan reads the logs of its node."""
    return any(_settings(plan))


def _settings(plan: Plan) -> Iterator[Mapping[str, Any]]:
    for source in plan.config.get("sources", ()):
        if SOURCE in source:
            yield {**_DEFAULTS, **source[SOURCE]}


def _paths(plan: Plan) -> list[str]:
    return sorted({one["path"] for one in _settings(plan)})


def _states(plan: Plan) -> list[str]:
    return sorted({one["state"] for one in _settings(plan)})


def volumes(plan: Plan) -> list[dict[str, Any]]:
    """Return the volumes: the logs, and where is kept how far they are done."""
    if not reads(plan):
        return []
    key = plan.key
    # no name has a _: c/a-b and c-a/b never share a folder
    state = {"path": f"{_STATE}/{key.namespace}_{key.name}", "type": "DirectoryOrCreate"}
    logs = [{"name": f"logs-{at}", "hostPath": {"path": path}} for at, path in enumerate(_paths(plan))]
    return [*logs, {"name": "state", "hostPath": state}]


def mounts(plan: Plan) -> list[dict[str, Any]]:
    """Return where the container has them."""
    logs = [{"name": f"logs-{at}", "mountPath": path, "readOnly": True} for at, path in enumerate(_paths(plan))]
    return [*logs, *({"name": "state", "mountPath": path} for path in _states(plan))]


def environment(plan: Plan) -> dict[str, Any]:
    """Return what the source learns of where it is."""
    if not reads(plan):
        return {}
    fields = {"NODE_NAME": "spec.nodeName", "POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    return {
        "env": [
            {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
            for name, path in fields.items()
        ]
    }


def account(resource: Resource) -> str | None:
    """Return the user's ServiceAccount, whose token the source watches the node's pods by."""
    return resource.spec.service_account_name if isinstance(resource, RuttaShipper) else None
