"""A pod's report → ``targets``, ``upstreams``, ``downstreams`` and ``endpoints`` of a status, and TargetsHealthy. Pure.

While no pod was asked, as after the operator's start, what the last status says goes on: a restart writes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rutta_operator.spec.models import Entry, RuttaShipper
from rutta_operator.state.judgement import Outcome, condition, joined
from rutta_operator.state.reasons import Word
from rutta_operator.state.rollout import pods
from rutta_operator.state.seen import Report, Seen, Silence, TargetReport, TargetState
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Port, link_name
from rutta_operator.wiring.topology import target_of

MOST_PEERS: Final = 32
MOST_TARGETS: Final = 64
MOST_ENDPOINTS: Final = 64
_LONGEST: Final = 300  # characters of one target's reason
_LONGEST_MESSAGE: Final = 4_096
_BAD: Final[Mapping[TargetState, Word]] = {
    "Failing": "TargetFailing", "NotConnected": "NotConnected", "Rejecting": "TargetRejecting",
}  # fmt: skip
_TELLS: Final[Mapping[TargetState, str]] = {
    "Failing": "fails", "NotConnected": "is not connected", "Rejecting": "refuses all events",
}  # fmt: skip


def targets(seen: Seen) -> list[dict[str, str]]:
    """Return name, state and reason of each target and link."""
    last: list[dict[str, str]] = list(seen.previous.get("targets") or ())
    said = {one["name"]: one for one in last} if seen.report is None else _said(seen.report)
    entries = last if seen.plan is None else seen.plan.config.get("targets", ())
    plain = [str(entry["name"]) for entry in entries]
    return [dict(said.get(name, _one(name, "Unknown", ""))) for name in plain[:MOST_TARGETS]]


def _said(report: Report | Silence) -> dict[str, dict[str, str]]:
    reported = report.targets if isinstance(report, Report) else ()
    return {one.name: _one(one.name, one.state, one.reason) for one in reported}


def _one(name: str, state: str, reason: str) -> dict[str, str]:
    return {"name": name, "state": state, "reason": reason[:_LONGEST]}


def health(seen: Seen) -> Outcome:
    """Judge TargetsHealthy."""
    if seen.workload is not None and seen.old is None and pods(seen.workload)[0] == 0:  # whatever was told before
        return Outcome("Unknown", "NoReport", "There are no pods to ask.")
    if seen.report is None:
        last = condition(seen.previous, "TargetsHealthy")
        if last:
            return Outcome(last["status"], last["reason"], last.get("message", ""))
        return Outcome("Unknown", "NoReport", "No pod was asked yet.")
    if isinstance(seen.report, Silence):
        return Outcome("Unknown", "NoReport", f"No pod tells how its targets are: {seen.report.reason}")
    return _health(_planned(seen, seen.report.targets))


def _planned(seen: Seen, reported: Sequence[TargetReport]) -> list[TargetReport]:
    """Leave out what a pod with an older configuration still has."""
    if seen.plan is None:
        return list(reported)
    known = {entry["name"] for entry in seen.plan.config.get("targets", ())}
    return [one for one in reported if one.name in known]


def _health(reported: Sequence[TargetReport]) -> Outcome:
    order = list(_BAD)
    bad = sorted((one for one in reported if one.state in _BAD), key=lambda one: order.index(one.state))
    if bad:
        texts = [f"{one.name} {_TELLS[one.state]}{f': {one.reason[:_LONGEST]}' if one.reason else ''}" for one in bad]
        return Outcome("False", _BAD[bad[0].state], joined(texts, _LONGEST_MESSAGE))
    idle = sum(one.state == "Idle" for one in reported)
    if idle == len(reported):
        return Outcome("Unknown", "NothingSent", "No event was sent to any target yet.")
    return Outcome("True", "Healthy", f"{len(reported) - idle} of {len(reported)} targets take events; none fails.")


def upstreams(seen: Seen) -> dict[str, Any]:
    """Return who is wired to it."""
    items = [_named(key) for key in sorted(seen.senders)[:MOST_PEERS]]
    return {"total": len(seen.senders), "items": items}


def downstreams(seen: Seen) -> dict[str, Any]:
    """Return whom it is wired to, with the state of each link; broken references that keep their wiring, too."""
    references = getattr(seen.resource.spec, "to", ()) if seen.resource is not None else ()
    if seen.resource is None:
        return dict(seen.previous.get("downstreams") or {"total": 0, "connected": 0, "items": []})
    wired = {*seen.targets, *seen.kept}
    states = {one["name"]: one["state"] for one in targets(seen)}
    items = [
        {**_named(key), "state": _LINK.get(states.get(link_name(reference, references), ""), "Unknown")}
        for reference in references
        if (key := target_of(seen.key, reference)) in wired
    ]
    connected = sum(item["state"] == "Connected" for item in items)
    return {"total": len(items), "connected": connected, "items": items[:MOST_PEERS]}


_LINK: Final[Mapping[str, str]] = {"Healthy": "Connected", "Idle": "Connected", "NotConnected": "NotConnected"}


def _named(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}


def endpoints(seen: Seen) -> list[dict[str, str]]:
    """Return where its listeners and its link are reached inside the cluster."""
    if seen.plan is None or seen.resource is None:
        return list(seen.previous.get("endpoints") or ())
    if seen.plan.idle:
        return []
    section = "sources" if isinstance(seen.resource, RuttaShipper) else "listeners"
    entries: dict[str, Entry] = {one.name: one for one in getattr(seen.resource.spec, section, ())}
    found = [_endpoint(seen.key, port, entries[port.name]) for port in seen.plan.ports]
    if (link := seen.plan.link) is not None:
        found.append(_address(link.name, "tcp", names.dns(seen.key, names.link(seen.key)), link.number, link.protocol))
    return found[:MOST_ENDPOINTS]


def _endpoint(key: Key, port: Port, entry: Entry) -> dict[str, str]:
    settings = entry.extra()[port.component]
    scheme = "http" if port.component == "http" else port.protocol.lower()
    if isinstance(settings, Mapping) and settings.get("tls") is not None:
        scheme = "https" if scheme == "http" else "tls"
    number = getattr(entry, "service_port", None) or port.number
    return _address(port.name, scheme, names.dns(key, names.workload(key)), number, port.protocol)


def _address(listener: str, scheme: str, host: str, number: int, protocol: str) -> dict[str, str]:
    return {"listener": listener, "address": f"{scheme}://{host}:{number}", "protocol": protocol}
