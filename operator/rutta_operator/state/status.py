"""What is → ``.status`` of a resource, when to look again, and what Events tell of a change. Pure.

Fields: ``observedGeneration``, ``conditions``, ``replicas``, ``readyReplicas``, ``updatedReplicas``, ``selector``,
``endpoints[{listener, address, protocol}]``, ``upstreams{total, items[{kind, namespace, name}]}``,
``downstreams{total, connected, items[{kind, namespace, name, state}]}``, ``targets[{name, state, reason}]``.

Shaped for kstatus: Ready is True, or it is False and exactly one of Reconciling and Stalled is there (with status
True), with Ready's reason. Nothing in it is volatile; ``lastTransitionTime`` moves only with its condition's status.
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from rutta_operator.state import peers, rollout
from rutta_operator.state.judgement import Judgement, Outcome, condition, judge
from rutta_operator.state.reasons import REASONS, Condition, Reason
from rutta_operator.state.seen import Refusal, Report, Seen, Silence, TargetReport
from rutta_operator.wiring import names

__all__ = [
    "Refusal", "Report", "Seen", "Silence", "TargetReport", "Transition", "changed", "judge", "status", "transitions",
]  # fmt: skip

_NOTE: Final = 1_024  # bytes of an Event's note that the API server takes
_ORDER: Final[tuple[Condition, ...]] = ("Accepted", "ResolvedRefs", "Stalled", "Ready", "TargetsHealthy")


class Transition(NamedTuple):
    """One change that is worth an Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def status(seen: Seen, judgement: Judgement | None = None) -> dict[str, Any]:
    """Return the whole ``.status``; equal to the previous one if it means the same.

    ``judgement`` is that of ``judge(seen)``, for who needs it for more than this.
    """
    return {
        "observedGeneration": seen.generation,
        "conditions": list(_conditions(seen, judgement or judge(seen))),
        **rollout.counts(seen.workload),
        "selector": ",".join(f"{label}={value}" for label, value in names.selector(seen.key).items()),
        "endpoints": peers.endpoints(seen),
        "upstreams": peers.upstreams(seen),
        "downstreams": peers.downstreams(seen),
        "targets": peers.targets(seen),
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether a status must be written: what others added to it does not count."""
    if any(before.get(key) != value for key, value in after.items() if key != "conditions"):
        return True
    ours = [one for one in before.get("conditions") or () if one.get("type") in _ALL]
    return sorted(ours, key=_type) != sorted(after["conditions"], key=_type)


_ALL: Final = frozenset({*_ORDER, "Reconciling"})


def _type(one: Mapping[str, Any]) -> str:
    return str(one.get("type"))


def _conditions(seen: Seen, found: Judgement) -> Iterator[dict[str, Any]]:
    yield _condition(seen, "Accepted", found.accepted)
    yield _condition(seen, "ResolvedRefs", found.resolved)
    yield _condition(seen, "Ready", found.ready)
    if found.ready.status != "True":
        yield _condition(seen, "Stalled" if found.is_stalled else "Reconciling", found.ready._replace(status="True"))
    yield _condition(seen, "TargetsHealthy", peers.health(seen))


def _condition(seen: Seen, word: Condition, outcome: Outcome) -> dict[str, Any]:
    last = condition(seen.previous, word)
    since = last.get("lastTransitionTime") if last.get("status") == outcome.status else None
    return {
        "type": word,
        "status": outcome.status,
        "reason": outcome.reason,
        "message": outcome.message,
        "observedGeneration": seen.generation,
        "lastTransitionTime": since or datetime.fromtimestamp(seen.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def transitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Transition]:
    """Return what Events tell of a change: one for each cause, however many conditions it moved."""
    found: dict[str, Transition] = {}
    for word in _ORDER:
        now, was = condition(after, word), condition(before, word)
        if now and _is_told(word, was, now):
            found.setdefault(now["reason"], _transition(now))
    return list(found.values())


def _is_told(word: Condition, was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    if now["status"] == "Unknown":
        return False
    if now["status"] == was.get("status"):
        # a target's troubles change with every wind: its next Event is when it is well again
        return now["reason"] != was.get("reason") and now["status"] == "False" and word != "TargetsHealthy"
    return _is_bad(now) or word == "Ready" or was.get("status") == "False"


def _is_bad(now: Mapping[str, Any]) -> bool:
    reason: Reason = REASONS[now["reason"]]
    return reason.is_warning or now["status"] == "False"


def _transition(now: Mapping[str, Any]) -> Transition:
    reason: Reason = REASONS[now["reason"]]
    note = now["message"].encode()
    text = now["message"] if len(note) <= _NOTE else note[: _NOTE - 3].decode(errors="ignore") + "…"
    return Transition("Warning" if reason.is_warning else "Normal", now["reason"], text)
