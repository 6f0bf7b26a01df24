"""How pods come and go without losing an event: all of it follows from the delay and the time limit of draining."""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rutta_operator.spec.checking import seconds
from rutta_operator.wiring.plan import Plan

TIMEOUT: Final = "30s"  # drain.timeout of the data plane
MARGIN: Final = 10  # seconds to close targets and exit, beyond what draining may take
START: Final = 300  # seconds to schedule a pod, pull its image and start


class Drain(NamedTuple):
    """Whole seconds, rounded up."""

    grace: int
    """from SIGTERM to SIGKILL"""
    ready: int
    """how long a new pod must be ready before an old one goes: load balancers have found it by then"""
    progress: int
    """without any progress for so long a rollout has failed; an old pod may have to leave before there is room"""


def drain(plan: Plan) -> Drain:
    """Derive the times of a plan from ``drain.delay`` and ``drain.timeout`` of its config."""
    config: Mapping[str, Any] = plan.config.get("drain", {})
    delay, timeout = seconds(config.get("delay", "0s")), seconds(config.get("timeout", TIMEOUT))
    grace = math.ceil(delay + timeout + MARGIN)
    ready = max(1, math.ceil(delay))
    return Drain(grace, ready, START + grace + ready)
