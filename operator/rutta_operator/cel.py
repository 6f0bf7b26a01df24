"""The rules between fields, as the API server checks them: CEL expressions in the CRDs. Pure.

``relations`` has the same rules for ``ruttactl`` and the operator, with messages that name values; every rule here has
an example that is accepted and one that is refused, and tests hold both sides to them (tests/operator/examples.yaml).
The cost of a rule is estimated by the API server from the longest lists and texts that a schema allows, hence the
bounds in ``models``. Words that CEL keeps for itself are escaped: ``__namespace__``.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from rutta_operator import components
from rutta_operator.components import Section, protocol
from rutta_operator.models import HEALTH_PORT, RESERVED_NAMES, Kind

Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"]

ALL: Final[tuple[Kind, ...]] = ("RuttaRouter", "RuttaShipper", "RuttaProxy")
_ROUTER, _SHIPPER, _PROXY = ALL
_UDP: Final = 65536  # TCP and UDP have ports of their own; added to UDP's, one list holds both


class Rule(NamedTuple):
    """One rule: where in the schema it stands, what must hold, and what is said when it does not."""

    name: str
    kinds: tuple[Kind, ...]
    path: tuple[str, ...]
    """from the top of the schema: names of properties, ``[]`` for the items of a list"""
    rule: str
    message: str
    reason: Reason = "FieldValueInvalid"
    field: str = ""
    """the field that is to blame, seen from ``path``"""

    def written(self) -> dict[str, Any]:
        """Return it as it stands in a CRD."""
        made = {"rule": self.rule, "message": self.message, "reason": self.reason, "fieldPath": self.field}
        return {key: one for key, one in made.items() if one and one != "FieldValueInvalid"}


def rules() -> Iterator[Rule]:
    """Yield all rules."""
    yield from _resources()
    yield from _specs()
    for kind, section in ((_ROUTER, "listeners"), (_SHIPPER, "sources")):
        yield from _ports(kind, section)
        yield from _listeners(kind, section)
    yield from _targets()
    yield from _selectors()


def _resources() -> Iterator[Rule]:
    yield Rule(
        "name", ALL, (), "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,43}[a-z0-9])?$')",
        "is not a name: up to 45 of a–z, 0–9 and -; it begins with a letter and does not end with -",
        field=".metadata.name",
    )  # fmt: skip
    yield Rule(
        "not-to-itself", (_PROXY,), (),
        "!self.spec.to.exists(t, t.kind == 'RuttaProxy' && t.name == self.metadata.name && !has(t.__namespace__))",
        "a proxy cannot send to itself", field=".spec.to",
    )  # fmt: skip


def _specs() -> Iterator[Rule]:
    yield Rule(
        "replicas-or-autoscaling", (_ROUTER, _PROXY), ("spec",), "!has(self.replicas) || !has(self.autoscaling)",
        "goes not with autoscaling, which decides it; remove one of the two", "FieldValueForbidden", ".replicas",
    )  # fmt: skip
    yield Rule(
        "daemonset-replicas", (_ROUTER, _SHIPPER), ("spec",), "self.workload != 'DaemonSet' || !has(self.replicas)",
        "a DaemonSet has one pod on each node; remove it, or use workload Deployment", "FieldValueForbidden",
        ".replicas",
    )  # fmt: skip
    yield Rule(
        "daemonset-autoscaling", (_ROUTER,), ("spec",), "self.workload != 'DaemonSet' || !has(self.autoscaling)",
        "a DaemonSet has one pod on each node; remove it, or use workload Deployment", "FieldValueForbidden",
        ".autoscaling",
    )  # fmt: skip
    yield Rule(
        "min-max", (_ROUTER, _PROXY), ("spec", "autoscaling"), "self.minReplicas <= self.maxReplicas",
        "is less than minReplicas", field=".maxReplicas",
    )  # fmt: skip
    yield Rule(
        "link-delivery", (_ROUTER, _PROXY), ("spec", "link"),
        "self.pattern != 'Broadcast' || self.delivery != 'AtLeastOnce'",
        "AtLeastOnce does not go with pattern Broadcast, which is lossy; use Balance, or AtMostOnce",
        field=".delivery",
    )  # fmt: skip
    yield Rule(
        "link-port", (_ROUTER, _PROXY), ("spec", "link"), f"self.port != {HEALTH_PORT}",
        f"{HEALTH_PORT} is the port of the health page already", "FieldValueDuplicate", ".port",
    )  # fmt: skip
    yield Rule(
        "to-twice", (_SHIPPER, _PROXY), ("spec", "to"),
        "self.all(a, self.exists_one(b, a.kind == b.kind && a.name == b.name && "
        "(has(a.__namespace__) ? a.__namespace__ : '') == (has(b.__namespace__) ? b.__namespace__ : '')))",
        "two are the same; every event would arrive twice", "FieldValueDuplicate",
    )  # fmt: skip
    yield Rule(
        "routes", (_ROUTER,), ("spec",),
        "!has(self.routes) || self.routes.all(r, r.targets.all(t, self.targets.exists(x, x.name == t)))",
        "a route names a target that is not there; take names from spec.targets", field=".routes",
    )  # fmt: skip


def _binding(section: Section) -> list[str]:
    return [name for name in components.names(section) if components.binds(section, name)]


def _has(names: Sequence[str], entry: str) -> str:
    return " || ".join(f"has({entry}.{name})" for name in names)


def _ports(kind: Kind, section: Section) -> Iterator[Rule]:
    """Ports of the pod, of the Service and of the node; each list is empty without entries."""
    names = _binding(section)
    own = _choice(names, "l.{name}.port")
    extra = f"[{HEALTH_PORT}, self.link.port]" if kind == _ROUTER else f"[{HEALTH_PORT}]"
    lists = (
        ("port", f"filter(l, {_has(names, 'l')}).map(l, {own})", extra, "two have one port (TCP and UDP are apart)"),
        ("service-port", f"filter(l, {_has(names, 'l')}).map(l, has(l.servicePort) ? l.servicePort + {_base()} : {own})",
         "", "two have one port in the Service; give one of them another servicePort"),
        ("host-port", f"filter(l, has(l.hostPort)).map(l, l.hostPort + {_base()})", "", "two have one hostPort"),
    )  # fmt: skip
    for name, numbers, more, message in lists:
        found = f"self.{section}.{numbers}"
        if more:
            found, message = (
                f"(has(self.{section}) ? {found} : []) + {more}",
                f"{message}; the link has 5555 if it says no other, the health page {HEALTH_PORT}",
            )
        rule = f"[{found}].all(p, p.all(n, p.indexOf(n) == p.lastIndexOf(n)))"
        rule = rule if more else f"!has(self.{section}) || {rule}"
        yield Rule(f"{section}-{name}", (kind,), ("spec",), rule, message, "FieldValueDuplicate", f".{section}")
    yield Rule(
        f"{section}-host-port-workload", (kind,), ("spec",),
        f"self.workload == 'DaemonSet' || !has(self.{section}) || self.{section}.all(l, !has(l.hostPort))",
        "hostPort needs workload DaemonSet: two pods of one node cannot share it", "FieldValueForbidden",
        f".{section}",
    )  # fmt: skip


def _base() -> str:
    """Tell UDP's ports from TCP's; several components may speak it one day."""
    return f"(has(l.udp) ? {_UDP} : 0)"


def _choice(names: Sequence[str], text: str) -> str:
    """Return the text of the one component that an entry has."""
    *some, last = [(name, text.format(name=name) + (f" + {_UDP}" if protocol(name) == "UDP" else "")) for name in names]
    return " : ".join([f"has(l.{name}) ? {one}" for name, one in some] + [last[1]])


def _listeners(kind: Kind, section: Section) -> Iterator[Rule]:
    here, names = ("spec", section, "[]"), components.names(section)
    one = section.removesuffix("s")
    yield Rule(
        f"{section}-one", (kind,), here, f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(x, x)",
        f"is exactly one {one}: one of {', '.join(names)}",
    )  # fmt: skip
    yield Rule(
        f"{section}-no-port", (kind,), here,
        f"!(has(self.servicePort) || has(self.hostPort)) || {_has(_binding(section), 'self')}",
        "servicePort and hostPort are for what listens on a port; remove them",
        "FieldValueForbidden",
    )  # fmt: skip
    yield Rule(
        f"{section}-name", (kind,), (*here, "name"), f"!(self in {list(RESERVED_NAMES)})",
        f"{' and '.join(RESERVED_NAMES)} are names of ports that are there by themselves; take another",
        "FieldValueForbidden",
    )  # fmt: skip


def _targets() -> Iterator[Rule]:
    names = [*components.names("targets"), "uri", "uriFrom"]
    here = ("spec", "targets", "[]")
    yield Rule(
        "targets-one", (_ROUTER,), here, f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(x, x)",
        f"is exactly one target: one of {', '.join(names)}",
    )  # fmt: skip
    yield Rule(
        "uri-form", (_ROUTER,), (*here, "uri"), f"self.matches('{components.URI}')",
        "is not a URI; write it like console://.",
    )  # fmt: skip
    yield Rule(
        "uri-credential", (_ROUTER,), (*here, "uri"), f"!self.matches('{components.credential()}')",
        "has a credential in it; keep the URI in a Secret and write uriFrom: {secretKeyRef: {name: NAME, key: KEY}}",
        "FieldValueForbidden",
    )  # fmt: skip


def _selectors() -> Iterator[Rule]:
    here, kinds = ("spec", "allowedFrom", "[]", "namespaces"), (_ROUTER, _PROXY)
    yield Rule(
        "selector-needed", kinds, here,
        "self.from != 'Selector' || self.?selector.matchLabels.orValue({}).size() > 0 || "
        "self.?selector.matchExpressions.orValue([]).size() > 0",
        "is required with from: Selector; all namespaces are from: All", "FieldValueRequired", ".selector",
    )  # fmt: skip
    yield Rule(
        "selector-idle", kinds, here, "self.from == 'Selector' || !has(self.selector)",
        "does nothing with another from; use from: Selector", "FieldValueForbidden", ".selector",
    )  # fmt: skip
    yield Rule(
        "selector-values", kinds, (*here, "selector", "matchExpressions", "[]"),
        "(self.operator in ['In', 'NotIn']) == (self.?values.orValue([]).size() > 0)",
        "In and NotIn need values; Exists and DoesNotExist have none", field=".values",
    )  # fmt: skip
