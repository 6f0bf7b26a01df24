"""Volumes and where they are mounted: the config, a place for temporary files, Secrets key by key, the node's logs.

The source ``file`` reads what is in the pod: paths of the node are there only if the resource's podTemplate mounts
them. What ``containerLogs`` and ``hostMetrics`` need of the node is in ``node``.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, Final

from rutta_operator.render import node
from rutta_operator.wiring.plan import SECRETS, Plan, SecretKey

CONFIG: Final = "/etc/rutta/config"
_MODE: Final = 0o440  # root, and by fsGroup the user of the process
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def volumes(plan: Plan, config: str) -> list[dict[str, Any]]:
    """Return a pod's volumes; ``config`` is the name of the ConfigMap."""
    return [
        {"name": "config", "configMap": {"name": config}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        *(_secret(name, keys) for name, keys in _by_name(plan.secrets)),
        *node.volumes(plan),
    ]


def mounts(plan: Plan) -> list[dict[str, Any]]:
    """Return where the container has them. The config is mounted as a directory: a single file would never change."""
    return [
        {"name": "config", "mountPath": CONFIG, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the container's own
        *(
            {"name": _volume(name), "mountPath": f"{SECRETS}/{name}", "readOnly": True}
            for name, _ in _by_name(plan.secrets)
        ),
        *node.mounts(plan),
    ]


def _secret(name: str, keys: Sequence[str]) -> dict[str, Any]:
    """Mount only the keys that are read. A pod waits for a Secret or a key that is missing, and its events say so."""
    items = [{"key": key, "path": key} for key in keys]
    secret = {"secretName": name, "defaultMode": _MODE, "optional": False, "items": items}
    return {"name": _volume(name), "secret": secret}


def _by_name(secrets: Iterable[SecretKey]) -> list[tuple[str, list[str]]]:
    groups = groupby(sorted(secrets), key=lambda one: one.name)
    return [(name, [one.key for one in found]) for name, found in groups]


def _volume(secret: str) -> str:
    """Return a volume's name, a label of DNS; that of a Secret may have dots and be longer."""
    plain = len(secret) <= 56 and _LABEL.fullmatch(secret)
    return f"secret-{secret if plain else hashlib.sha256(secret.encode()).hexdigest()[:16]}"
