"""What is known of one resource when its status is written: plain data, made by the reconcile pass and the poller.

``Seen`` is all that ``status.status`` reads: the same ``Seen`` gives the same status, byte for byte.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from rutta_operator.spec.models import Resource
from rutta_operator.spec.problems import Problem
from rutta_operator.wiring.graph import Fault, Key
from rutta_operator.wiring.plan import Plan

Live = Mapping[str, Any]  # an object as the API server gives it


class Refusal(NamedTuple):
    """A child that the API server did not take; it will not, before somebody changes something."""

    kind: str
    name: str
    code: int
    """the HTTP status; 409 says that an object of this name is there and belongs to somebody else"""
    message: str
    """the API server's, or who owns the object that is in the way"""


TargetState = Literal["Idle", "Healthy", "Failing", "Rejecting", "NotConnected"]


class TargetReport(NamedTuple):
    """What one target or link of a process is doing."""

    name: str
    state: TargetState
    """Idle: nothing was sent to it yet; Rejecting: it is there, and refuses every event"""
    reason: str = ""
    """why, in the data plane's words, without secrets"""


class Report(NamedTuple):
    """What matters of a pod's ``/status``; two that are equal say the same."""

    config: str
    """the digest of the configuration in force"""
    reload_error: str
    """why the newest configuration was refused; empty if it was not"""
    targets: tuple[TargetReport, ...]


class Silence(NamedTuple):
    """No pod answered, several times in a row."""

    reason: str


class Seen(NamedTuple):
    """All that is known of a resource."""

    key: Key
    generation: int
    """``metadata.generation``"""
    resource: Resource | None
    """the document, read; None if it has problems"""
    problems: Sequence[Problem]
    """what is wrong with the document; with any, children stay as they are and there is no plan"""
    faults: Sequence[Fault]
    """what the graph could not wire (``graph.faults_of(key)``)"""
    kept: frozenset[Key]
    """targets of such references that keep their last wiring: their links are in the plan's config all the same"""
    plan: Plan | None
    """what was applied; None without a resource"""
    refusals: Sequence[Refusal]
    """children that the API server refused in this pass"""
    trouble: str
    """why this pass could not apply all and is tried again by itself (5xx, a timeout); else empty"""
    workload: Live | None
    """the live Deployment or DaemonSet, as an answer or the watch last told; None if there is none (yet)"""
    old: Live | None
    """the live one of the other kind, while ``spec.workload`` changes"""
    senders: Sequence[Key]
    """who is wired to it (``graph.senders(key)``)"""
    targets: Sequence[Key]
    """whom it is wired to (``graph.targets(key)``)"""
    report: Report | Silence | None
    """what the poller knows (``Poller.report(key)``); None: not asked yet, so what the last status says goes on"""
    previous: Mapping[str, Any]
    """the live ``.status``; empty if there is none"""
    now: float
    """seconds since the epoch"""
    unsupported: Sequence[Problem] = ()
    """what this installation cannot do, such as consent by namespace labels without the right to read namespaces"""
