"""A live Deployment or DaemonSet → what keeps its resource from being ready, if anything does. Pure.

Pods are not watched, so what ails one of them is not known here: messages end with the command that shows it. The
rules are kubectl's for ``rollout status``, with two more tolerances: once rolled out, as many pods may be away as
``podDisruptionBudget.maxUnavailable`` says, so that a lost node or a pod more does not flap; and an autoscaler that
asks for more pods makes no rollout: as many must be there as it keeps at least.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from rutta_operator.spec.models import Resource
from rutta_operator.state.reasons import Word
from rutta_operator.state.seen import Live, Seen
from rutta_operator.wiring import names

PATIENCE: Final = 600.0  # seconds until what may mend itself is Stalled; a Deployment's progressDeadlineSeconds too
PER_POD: Final = 60.0  # seconds more for each pod of a DaemonSet, which replaces them one by one


class Finding(NamedTuple):
    """One thing that keeps a resource from being ready."""

    reason: Word
    message: str
    patience: float | None = None
    """seconds until it is Stalled; 0: at once, None: never"""
    overdue: Word | None = None
    """its reason once it is Stalled, if that is another"""


def findings(seen: Seen) -> list[Finding]:
    """Return what is wrong with the pods; nothing for a plan that needs none."""
    if seen.plan is not None and seen.plan.idle:
        return []
    found = [] if seen.workload is None else _of_workload(seen, seen.workload)
    if seen.workload is None and seen.resource is not None:
        found = [Finding("RolloutInProgress", f"The {_wanted(seen)} is being made.")]
    if not found and seen.old is not None:
        text = f"The {_called(seen.old)} is being drained and removed."
        return [Finding("WorkloadChanging", text)]
    if found and seen.old is not None and found[0].reason == "RolloutInProgress":
        text = f"{found[0].message} The {_called(seen.old)} stays until then."
        return [found[0]._replace(reason="WorkloadChanging", message=text)]
    return found


def resting(seen: Seen) -> Finding:
    """Say why a resource without findings is ready."""
    wanted, available = pods(seen.workload)
    if wanted == 0 and seen.workload is not None:
        if seen.workload.get("kind") == "DaemonSet":
            return Finding("NoNodes", f"No node is fit for the {_called(seen.workload)}, so there are no pods.")
        return Finding("ScaledToZero", "No pods are asked for: spec.replicas is 0.")
    return Finding("Available", f"{available} of {wanted} pods are available.")


def pods(workload: Live | None) -> tuple[int, int]:
    """Return how many pods there should be, and how many are available."""
    if workload is None:
        return 0, 0
    status = workload.get("status") or {}
    if workload.get("kind") == "DaemonSet":
        return int(status.get("desiredNumberScheduled", 0)), int(status.get("numberAvailable", 0))
    return int((workload.get("spec") or {}).get("replicas", 1)), int(status.get("availableReplicas", 0))


def counts(workload: Live | None) -> Mapping[str, int]:
    """Return ``replicas``, ``readyReplicas`` and ``updatedReplicas`` of a status."""
    status = {} if workload is None else workload.get("status") or {}
    is_set = workload is not None and workload.get("kind") == "DaemonSet"
    keys = {"replicas": "currentNumberScheduled", "readyReplicas": "numberReady",
            "updatedReplicas": "updatedNumberScheduled"}  # fmt: skip
    return {key: int(status.get(in_set if is_set else key, 0)) for key, in_set in keys.items()}


def _of_workload(seen: Seen, workload: Live) -> list[Finding]:
    status = workload.get("status") or {}
    is_behind = int(status.get("observedGeneration", 0)) < int(workload["metadata"].get("generation", 0))
    judged = _of_daemon_set if workload.get("kind") == "DaemonSet" else _of_deployment
    found = judged(seen, workload, status)
    # Old numbers that are not well are no judgement: the next look, by when it is not Ready, would say another thing.
    if is_behind and (found or not _is_as_judged(seen)) and _least(seen) is None:
        return [Finding("RolloutInProgress", f"The {_called(workload)} changed, and Kubernetes takes it up.")]
    return found


def _is_as_judged(seen: Seen) -> bool:
    """Tell whether the resource was ready as it is now: then a change that Kubernetes has not taken up may be nobody's
    rollout (an annotation of somebody else's raises a Deployment's generation), and is judged when it has.
    """
    was_ready = any(
        one.get("type") == "Ready" and one.get("status") == "True" for one in seen.previous.get("conditions") or ()
    )
    return was_ready and seen.previous.get("observedGeneration") == seen.generation


def _of_deployment(seen: Seen, workload: Live, status: Mapping[str, Any]) -> list[Finding]:
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    progressing, failure = conditions.get("Progressing") or {}, conditions.get("ReplicaFailure") or {}
    wanted, available = pods(workload)
    updated, total = int(status.get("updatedReplicas", 0)), int(status.get("replicas", 0))
    if failure.get("status") == "True":
        return [Finding("PodsRefused", _refused(workload, failure), patience=0)]
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        text = f"The rollout of the {_called(workload)} is stuck: {progressing.get('message', '')}"
        return [Finding("ProgressDeadlineExceeded", f"{_sentence(text)} {_advice(seen)}", patience=0)]
    least = wanted if (scaled := _least(seen)) is None else min(wanted, scaled)
    if progressing.get("reason") != "NewReplicaSetAvailable" or updated < least or total > updated:
        old = f", {total - updated} old ones are left" if total > updated else ""
        text = f"{updated} of {wanted} pods are new, {available} are available{old}."
        return [Finding("RolloutInProgress", f"{text} {_advice(seen)}")]
    short = _shortage(seen, least, available)
    if short and _was_rolling(seen):  # a number that was raised: its pods come
        text = f"{updated} of {wanted} pods are new, {available} are available. {_advice(seen)}"
        return [Finding("RolloutInProgress", text, PATIENCE, overdue="MinimumReplicasUnavailable")]
    return short


def _was_rolling(seen: Seen) -> bool:
    return any(
        one.get("type") == "Ready" and one.get("reason") == "RolloutInProgress"
        for one in seen.previous.get("conditions") or ()
    )


def _least(seen: Seen) -> int | None:
    """Return how many pods an autoscaler keeps at least, if what changes is their number only: what we said of the
    Deployment has not changed since it was ready, so that somebody else did.
    """
    scaling = getattr(seen.resource.spec, "autoscaling", None) if seen.resource is not None else None
    is_seen = seen.previous.get("observedGeneration") == seen.generation
    return scaling.min_replicas if scaling is not None and is_seen and _was_ready(seen) else None


def _of_daemon_set(seen: Seen, workload: Live, status: Mapping[str, Any]) -> list[Finding]:
    wanted, available = pods(workload)
    updated, placed = int(status.get("updatedNumberScheduled", 0)), int(status.get("currentNumberScheduled", 0))
    short = _shortage(seen, wanted, available)
    # A node more has no pod for a moment: that is no rollout. Pods of the old template are one, and so is the start.
    if updated < placed or (short and not _was_ready(seen)):
        text = f"{updated} of {wanted} pods are new, {available} are available. {_advice(seen)}"
        return [
            Finding("RolloutInProgress", text, PATIENCE + PER_POD * wanted, overdue="ProgressDeadlineExceeded"),
        ]
    return short


def _was_ready(seen: Seen) -> bool:
    return any(
        one.get("type") == "Ready"
        and (one.get("status") == "True" or one.get("reason") == "MinimumReplicasUnavailable")
        for one in seen.previous.get("conditions") or ()
    )


def _shortage(seen: Seen, wanted: int, available: int) -> list[Finding]:
    away = _may_be_away(seen.resource, wanted)
    if wanted == 0 or available >= max(1, wanted - away):
        return []
    text = f"{available} of {wanted} pods are available; spec.podDisruptionBudget.maxUnavailable lets {away} be away."
    return [Finding("MinimumReplicasUnavailable", f"{text} {_advice(seen)}", PATIENCE)]


def _may_be_away(resource: Resource | None, wanted: int) -> int:
    most = 1 if resource is None else resource.spec.pod_disruption_budget.max_unavailable
    return most if isinstance(most, int) else math.ceil(wanted * int(most.rstrip("%")) / 100)


def _refused(workload: Live, failure: Mapping[str, Any]) -> str:
    return _sentence(f"Pods of the {_called(workload)} cannot be made: {failure.get('message', '')}")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _advice(seen: Seen) -> str:
    """Name the command that shows why, and the Secrets that pods wait for."""
    secrets = sorted({secret.name for secret in seen.plan.secrets}) if seen.plan is not None else []
    needs = f" They need the Secret{'s' * (len(secrets) > 1)} {', '.join(secrets)}." if secrets else ""
    return f"Why: {_pods_command(seen)}{needs}"


def _pods_command(seen: Seen) -> str:
    """Return the command that shows what ails the pods; only a DaemonSet's Events tell why some cannot be made."""
    kinds = "pods" if seen.workload is None or seen.workload.get("kind") != "DaemonSet" else "daemonsets,pods"
    labels = ",".join(f"{label}={value}" for label, value in names.selector(seen.key).items())
    return f"`kubectl describe {kinds} -n {seen.key.namespace} -l {labels}`."


def _wanted(seen: Seen) -> str:
    kind = "workload" if seen.plan is None else seen.plan.workload
    return f"{kind} {names.workload(seen.key)}"


def _called(workload: Live) -> str:
    return f"{workload.get('kind', 'workload')} {workload['metadata']['name']}"
