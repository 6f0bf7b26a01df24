"""What the operator is held against: the same objects, applied by a loop that does nothing else."""

import json
from collections.abc import Sequence
from typing import Any

from rutta_operator.render import Context
from rutta_operator.render.objects import objects
from rutta_operator.spec.documents import Source
from rutta_operator.wiring import topology
from rutta_operator.wiring.plan import Cluster, Settings, plan
from rutta_scale.api import Write, prepared

Object = dict[str, Any]


def writes(resources: Sequence[Object]) -> list[list[Write]]:
    """Return the children of each resource, encoded, as the operator renders them.

    They have another manager's label and no owner, so that the operator leaves them alone.
    """
    found = topology.load([Source("resources", "\n---\n".join(map(json.dumps, resources)))])
    if found.findings:
        raise RuntimeError(f"the resources of the measurement are wrong: {found.findings[0]}")
    graph, settings = found.graph(), Settings(drain_delay="5s")
    plans = (plan(placed, graph, found.resources, settings, Cluster()) for placed in found.resources.values())
    context = Context(manager="rutta-scale")
    return [[prepared(one) for one in objects(made, found.resources[made.key].resource, context)] for made in plans]
