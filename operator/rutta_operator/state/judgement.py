"""All that is known of a resource → the conditions Accepted and ResolvedRefs, and what keeps it from Ready. Pure.

What keeps it from Ready is a list of findings; the first that is Stalled, else the first, gives Ready, Reconciling
and Stalled their reason, so that the three always agree.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from rutta_operator.spec.problems import Problem, show
from rutta_operator.state import rollout
from rutta_operator.state.reasons import Word
from rutta_operator.state.rollout import Finding
from rutta_operator.state.seen import Refusal, Report, Seen

LONGEST: Final = 32_768  # characters of a condition's message that the API server takes (metav1.Condition)
_REPEATED: Final = 1_024  # characters of a message that another condition has in full
_RELOAD: Final = 120.0  # seconds until a corrected config has reached the pods: kubelet brings it within about 90
_WAIT: Final = rollout.PATIENCE  # seconds that a reference may be missing
# The gravest first: it names the condition's reason, the message has them all.
_GRAVITY: Final[tuple[Word, ...]] = (
    "CycleDetected", "RefNotPermitted", "TransportMismatch", "HopLimit", "TargetNotFound",
)  # fmt: skip
_TEMPLATE: Final = re.compile(r"\bspec\.template\b")


class Outcome(NamedTuple):
    """A condition but for its times."""

    status: Literal["True", "False", "Unknown"]
    reason: Word
    message: str


class Judgement(NamedTuple):
    """The conditions but TargetsHealthy."""

    accepted: Outcome
    resolved: Outcome
    ready: Outcome
    is_stalled: bool
    """of what is not Ready: whether it is Stalled, else it is Reconciling"""
    again: float | None
    """seconds until the judgement may change by the time alone"""


def judge(seen: Seen) -> Judgement:
    """Judge a resource."""
    refused, broken = _not_accepted(seen), _broken(seen)
    accepted = Outcome("True", "Valid", "Nothing is wrong with the resource.")
    if refused:
        accepted = Outcome("False", refused[0].reason, joined([one.message for one in refused], LONGEST))
    found = [*refused, *broken, *_trouble(seen), *rollout.findings(seen)]
    ready, is_stalled, again = _weigh(seen, found)
    return Judgement(accepted, _resolved(seen, broken), ready, is_stalled, again)


def _weigh(seen: Seen, found: list[Finding]) -> tuple[Outcome, bool, float | None]:
    if not found:
        rest = rollout.resting(seen)
        return Outcome("True", rest.reason, rest.message), False, None
    left = [_left(seen, one) for one in found]
    stalled = [
        one._replace(reason=one.overdue or one.reason) for one, time in zip(found, left, strict=True) if time == 0
    ]
    first = (stalled or found)[0]
    others = [one.message for one in found if one.message != first.message]
    outcome = Outcome("False", first.reason, joined([first.message, *others], _REPEATED))
    waits = [time for time in left if time]
    return outcome, bool(stalled), min(waits) if waits and not stalled else None


def _left(seen: Seen, finding: Finding) -> float | None:
    """Return how many seconds a finding may last before it is Stalled; None: for ever."""
    if not finding.patience:
        return finding.patience
    stalled, working = condition(seen.previous, "Stalled"), condition(seen.previous, "Reconciling")
    was = stalled.get("reason") == (finding.overdue or finding.reason)
    if was and seen.previous.get("observedGeneration") == seen.generation and not _got_on(seen):
        return 0.0
    since = moment(working.get("lastTransitionTime")) if working.get("status") == "True" else None
    return max(0.0, finding.patience - (0.0 if since is None else max(0.0, seen.now - since)))


def _got_on(seen: Seen) -> bool:
    """Tell whether more pods are new or ready than when it was judged last."""
    now = rollout.counts(seen.workload)
    return any(now[key] > int(seen.previous.get(key, 0)) for key in ("readyReplicas", "updatedReplicas"))


def _not_accepted(seen: Seen) -> list[Finding]:
    found = [Finding("Invalid", one, 0) for one in _told(seen.problems)]
    found += [Finding("NotSupported", one, 0) for one in _told(seen.unsupported)]
    found += [_refusal(seen, one) for one in seen.refusals]
    if isinstance(seen.report, Report) and seen.report.reload_error and not found:
        text = f"A pod refuses its new configuration, and goes on with the old one: {seen.report.reload_error}"
        found.append(Finding("ConfigRefused", text, _RELOAD))
    return found


def _told(problems: Iterator[Problem] | Any) -> list[str]:
    return [f"{show(one.path)}: {one.message}" if one.path else one.message for one in problems]


def _refusal(seen: Seen, refusal: Refusal) -> Finding:
    child = f"{refusal.kind} {refusal.name}"
    if refusal.code == 409:
        text = f"{child} is there already and not ours: {refusal.message}"
        return Finding("NameTaken", f"{text}; delete it, or rename this resource.", 0)
    template = None if seen.resource is None else seen.resource.spec.pod_template
    is_workload = refusal.kind in ("Deployment", "DaemonSet")
    if is_workload and refusal.code in (400, 422) and template is not None and (template.spec or template.metadata):
        text = _TEMPLATE.sub("spec.podTemplate", refusal.message)
        return Finding("InvalidPodTemplate", f"spec.podTemplate: {text}", 0)
    return Finding("ChildRefused", f"The API server refuses the {child}: {refusal.message}", 0)


def _broken(seen: Seen) -> list[Finding]:
    faults = sorted(seen.faults, key=lambda one: (_GRAVITY.index(one.reason), one.place))
    return [
        Finding(
            fault.reason,
            f"spec.to[{fault.place}]: {fault.message}{' (its last wiring stays)' if fault.target in seen.kept else ''}",
            _WAIT if fault.reason == "TargetNotFound" else 0,
        )
        for fault in faults
    ]


def _resolved(seen: Seen, broken: list[Finding]) -> Outcome:
    if broken:
        return Outcome("False", broken[0].reason, joined([one.message for one in broken], LONGEST))
    if seen.resource is None:
        return Outcome("Unknown", "Invalid", "The resource is not valid, so its references were not looked at.")
    number = len(getattr(seen.resource.spec, "to", ()))
    text = "Every reference is wired." if number else "It refers to nothing: targets are its own."
    return Outcome("True", "Resolved", text)


def _trouble(seen: Seen) -> list[Finding]:
    if not seen.trouble:
        return []
    return [Finding("ApplyFailed", f"Not all is applied yet, and it is tried again: {seen.trouble}")]


def joined(messages: list[str], longest: int) -> str:
    """Join messages, whole ones as long as there is room; say how many are left out."""
    text = "; ".join(messages)
    if len(text) <= longest:
        return text
    kept, room = [], longest - 40
    for message in messages:
        if len(message) + 2 > room:
            break
        kept.append(message)
        room -= len(message) + 2
    if not kept:
        kept = [messages[0][: longest - 40] + "…"]
    more = len(messages) - len(kept)
    return "; ".join(kept) + (f"; and {more} more" if more else "")


def condition(status: Mapping[str, Any], word: str) -> Mapping[str, Any]:
    """Return a condition of a status; empty if it is absent."""
    return next((one for one in status.get("conditions") or () if one.get("type") == word), {})


def moment(text: object) -> float | None:
    """Read a time as the API server writes it; None if it is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
