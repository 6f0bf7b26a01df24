"""A pod's ``/status`` page → what it means. Pure.

Counters are not kept, only what they say of a target: that nothing was sent to it yet, or that it refuses all. The
page comes from the network, so nothing of its shape is taken for granted.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rutta_operator.state.seen import Report, TargetReport, TargetState
from rutta_operator.wiring.graph import Key

MOST_TARGETS: Final = 64
_LONGEST: Final = 300  # characters of a reason
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")

Counts = Mapping[str, tuple[int, int]]  # delivered and rejected, by target


class Reading(NamedTuple):
    """One look at a pod."""

    report: Report
    counts: Counts
    is_firm: bool
    """whether it can be told at once: what is bad in it is so for longer than a moment"""
    knows: bool
    """whether the pod has sent anything at all, so that it can know how targets are"""


class Unreadable(Exception):
    """This is no ``/status`` of a pod of the resource."""


def read(page: bytes, key: Key, last: Reading | None) -> Reading:
    """Read a page; ``last`` is the look before at the same process. Raises Unreadable."""
    try:
        found = json.loads(page)
    except (ValueError, RecursionError) as exc:
        raise Unreadable("the answer at the health port is no JSON") from exc
    if not isinstance(found, dict) or not isinstance(found.get("targets"), list):
        raise Unreadable("the answer at the health port is no /status of the data plane")
    role = str(found.get("role", "")).lower()
    if found.get("name") != key.short or role != key.kind.removeprefix("Rutta").lower():
        raise Unreadable("the address is another resource's by now")
    entries = [one for one in found["targets"] if isinstance(one, dict)][:MOST_TARGETS]
    targets = tuple(_target(one, last) for one in entries)
    reload = found.get("reload")
    error = reload.get("error") if isinstance(reload, dict) and reload.get("ok") is False else None
    report = Report(_text(found.get("configHash")), _text(error, 2_000), targets)
    return Reading(
        report,
        {_text(one.get("name")): _counts(one) for one in entries},
        all(map(_is_firm, entries, targets)),
        any(one.state != "Idle" for one in targets),
    )


def _target(entry: Mapping[str, Any], last: Reading | None) -> TargetReport:
    name, state = _text(entry.get("name")), _state(entry, last)
    if state == "Failing":
        return TargetReport(name, state, _text(entry.get("trouble")))
    if state == "NotConnected":
        return TargetReport(name, state, _text(entry.get("discovery")) or "no receiver answers")
    if state == "Rejecting":
        return TargetReport(name, state, _text(entry.get("lastError")).removeprefix("rejected: "))
    return TargetReport(name, state)


def _state(entry: Mapping[str, Any], last: Reading | None) -> TargetState:
    if entry.get("state") in ("CircuitOpen", "Retrying"):
        return "Failing"
    if entry.get("component") == "link" and not _number(entry.get("connected")):
        return "NotConnected"
    delivered, rejected = _counts(entry)
    name = _text(entry.get("name"))
    delivered_before, rejected_before = (0, 0) if last is None else last.counts.get(name, (0, 0))
    if delivered == delivered_before and (rejected > rejected_before or _was_rejecting(name, last)):
        return "Rejecting"
    is_link = entry.get("component") == "link"
    return "Healthy" if delivered or rejected or is_link else "Idle"


def _was_rejecting(name: str, last: Reading | None) -> bool:
    return last is not None and any(one.name == name and one.state == "Rejecting" for one in last.report.targets)


def _is_firm(entry: Mapping[str, Any], target: TargetReport) -> bool:
    """Tell whether a target is well, or ill beyond doubt: its circuit is open after several failures in a row."""
    return target.state in ("Healthy", "Idle") or entry.get("state") == "CircuitOpen"


def _counts(entry: Mapping[str, Any]) -> tuple[int, int]:
    dropped = entry.get("dropped")
    return _number(entry.get("delivered")), _number(dropped.get("rejected") if isinstance(dropped, dict) else 0)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: object, longest: int = _LONGEST) -> str:
    return _CONTROL.sub(" ", value)[:longest] if isinstance(value, str) else ""


def carried_on(told: Report | None, now: Report, before: Collection[str] = ()) -> Report:
    """Let what was well stay so while a new pod has nothing to tell of it: a rollout is no news of a target.

    ``before``: targets that were well when nothing was told yet, by the status that an operator before this one wrote.
    """
    well = set(before) if told is None else {one.name for one in told.targets if one.state == "Healthy"}
    targets = tuple(
        one._replace(state="Healthy") if one.state == "Idle" and one.name in well else one for one in now.targets
    )
    return now._replace(targets=targets)


def worth_telling(told: Report | None, now: Report) -> bool:
    """Tell whether a report means something else than the last: words alone are no new meaning."""
    return told is None or _plain(told) != _plain(now)


def _plain(report: Report) -> tuple[str, str, Sequence[tuple[str, str]]]:
    return report.config, report.reload_error, [(one.name, one.state) for one in report.targets]
