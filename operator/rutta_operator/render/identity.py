"""What all objects have: a name, labels, and the resource that they belong to."""

from collections.abc import Mapping
from typing import Any

from rutta_operator.render import Context, Object
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key


def named(
    api_version: str, kind: str, name: str, key: Key, context: Context, labels: Mapping[str, str] | None = None
) -> Object:
    """Return an object without content. ``labels`` are a user's, and never take the place of ours.

    The owner is its controller but does not block its deletion, for that would need a further verb of RBAC.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": key.namespace,
        "labels": {**(labels or {}), **names.labels(key, context.manager)},
    }
    if context.owner is not None:
        owner = context.owner
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
            }
        ]
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}
