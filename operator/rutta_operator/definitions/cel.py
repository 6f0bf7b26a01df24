"""The rules between fields, as the API server checks them: CEL expressions in the CRDs. Pure.

``relations`` has the same rules for ``ruttactl`` and the operator, with messages that name values; every rule here has
an example that is accepted and one that is refused, and tests hold both sides to them (tests/operator/examples.yaml).
The cost of a rule is estimated by the API server from the longest lists and texts that a schema allows, hence the
bounds in ``models``. Words that CEL keeps for itself are escaped: ``__namespace__``.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

from rutta_operator.spec import components
from rutta_operator.spec.components import Section
from rutta_operator.spec.constraints import constraints
from rutta_operator.spec.models import HEALTH_PORT, NAME, NAME_LENGTH, RESERVED_NAMES, SHAPES, Kind

# FieldValueDuplicate is none of them: with it the API server leaves the message out
Reason = Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"]

ALL: Final[Sequence[Kind]] = ("RuttaRouter", "RuttaShipper", "RuttaProxy")
_ROUTER: Final[Sequence[Kind]] = ("RuttaRouter",)
_PROXY: Final[Sequence[Kind]] = ("RuttaProxy",)
_SHIPPER: Final[Sequence[Kind]] = ("RuttaShipper",)
_RECEIVERS: Final[Sequence[Kind]] = ("RuttaRouter", "RuttaProxy")
_SENDERS: Final[Sequence[Kind]] = ("RuttaShipper", "RuttaProxy")
_ON_NODES: Final[Sequence[Kind]] = ("RuttaRouter", "RuttaShipper")  # what may be a DaemonSet
_SPEC: Final = ("spec",)
_ONE_EACH: Final = "a DaemonSet has one pod on each node; remove it, or use workload Deployment"
_UDP: Final = 65536  # TCP and UDP have ports of their own; added to UDP's, one list holds both


class Rule(NamedTuple):
    """One rule: where in the schema it stands, what must hold, and what is said when it does not."""

    name: str
    kinds: Sequence[Kind]
    path: tuple[str, ...]
    """from the top of the schema: names of properties, ``[]`` for the items of a list"""
    rule: str
    message: str
    reason: Reason = "FieldValueInvalid"
    field: str = ""
    """the field that is to blame, seen from ``path``"""

    def written(self) -> dict[str, str]:
        """Return it as it stands in a CRD."""
        made = {"rule": self.rule, "message": self.message, "reason": self.reason, "fieldPath": self.field}
        return {key: one for key, one in made.items() if one and one != "FieldValueInvalid"}


def rules() -> Iterator[Rule]:
    """Yield all rules."""
    yield from _resources()
    yield from _replicas()
    yield from _links()
    yield from _pods()
    entries: tuple[tuple[Kind, Section], ...] = (("RuttaRouter", "listeners"), ("RuttaShipper", "sources"))
    for kind, section in entries:
        yield from _ports(kind, section)
        yield from _listeners(kind, section)
    yield from _targets()
    yield from _settings()
    yield from _selectors()


def _resources() -> Iterator[Rule]:
    yield Rule(
        "name", ALL, (), f"size(self.metadata.name) <= {NAME_LENGTH} && self.metadata.name.matches('{NAME}')",
        f"is not a name: {SHAPES[NAME]}", field=".metadata.name",
    )  # fmt: skip
    yield Rule(
        "to-itself", _PROXY, (),
        "!self.spec.to.exists(t, t.kind == 'RuttaProxy' && t.name == self.metadata.name && !has(t.__namespace__))",
        "one is this proxy itself; send to a router, or to another proxy", field=".spec.to",
    )  # fmt: skip


def _replicas() -> Iterator[Rule]:
    yield Rule(
        "replicas-autoscaling", _RECEIVERS, _SPEC, "!has(self.replicas) || !has(self.autoscaling)",
        "goes not with autoscaling, which decides it; remove one of the two", "FieldValueForbidden", ".replicas",
    )  # fmt: skip
    yield Rule(
        "replicas-daemonset", _ON_NODES, _SPEC, "self.workload != 'DaemonSet' || !has(self.replicas)",
        _ONE_EACH, "FieldValueForbidden", ".replicas",
    )  # fmt: skip
    yield Rule(
        "autoscaling-daemonset", _ROUTER, _SPEC, "self.workload != 'DaemonSet' || !has(self.autoscaling)",
        _ONE_EACH, "FieldValueForbidden", ".autoscaling",
    )  # fmt: skip
    yield Rule(
        "autoscaling-bounds", _RECEIVERS, (*_SPEC, "autoscaling"), "self.minReplicas <= self.maxReplicas",
        "is less than minReplicas, which is 2 if it says nothing", field=".maxReplicas",
    )  # fmt: skip

    yield Rule(
        "service-account", _SHIPPER, _SPEC,
        "!has(self.serviceAccountName) || self.sources.exists(s, has(s.containerLogs))",
        "does nothing without a source containerLogs, which reads labels and owners by it", "FieldValueForbidden",
        ".serviceAccountName",
    )  # fmt: skip


def _links() -> Iterator[Rule]:
    yield Rule(
        "link-delivery", _RECEIVERS, (*_SPEC, "link"), "self.pattern != 'Broadcast' || self.delivery != 'AtLeastOnce'",
        "AtLeastOnce does not go with pattern Broadcast, which is lossy; use Balance, or AtMostOnce",
        field=".delivery",
    )  # fmt: skip
    yield Rule(
        "link-port", _RECEIVERS, (*_SPEC, "link"), f"self.port != {HEALTH_PORT}",
        f"{HEALTH_PORT} is the port of the health page already", field=".port",
    )  # fmt: skip
    yield Rule(
        "to-twice", _SENDERS, (*_SPEC, "to"),
        "self.all(a, self.exists_one(b, a.kind == b.kind && a.name == b.name && "
        "(has(a.__namespace__) ? a.__namespace__ : '') == (has(b.__namespace__) ? b.__namespace__ : '')))",
        "two are the same; every event would arrive twice",
    )  # fmt: skip
    yield Rule(
        "routes", _ROUTER, _SPEC,
        "!has(self.routes) || self.routes.all(r, r.targets.all(t, self.targets.exists(x, x.name == t)))",
        "a route names a target that is not there; take names of spec.targets", field=".routes",
    )  # fmt: skip


def _pods() -> Iterator[Rule]:
    """What the API server would say of a pod, told before there is one."""
    here = (*_SPEC, "tolerations", "[]")
    yield Rule(
        "toleration-key", ALL, here, "has(self.key) || self.?operator.orValue('') == 'Exists'",
        "without a key it must be Exists", field=".operator",
    )  # fmt: skip
    yield Rule(
        "toleration-value", ALL, here, "!has(self.value) || self.?operator.orValue('') != 'Exists'",
        "does nothing with operator Exists; remove it, or use Equal", "FieldValueForbidden", ".value",
    )  # fmt: skip
    yield Rule(
        "toleration-seconds", ALL, here, "!has(self.tolerationSeconds) || self.?effect.orValue('') == 'NoExecute'",
        "needs effect NoExecute", "FieldValueForbidden", ".tolerationSeconds",
    )  # fmt: skip
    yield Rule(
        "requests-limits", ALL, (*_SPEC, "resources"),
        "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || "
        "!quantity(string(self.requests[k])).isGreaterThan(quantity(string(self.limits[k]))))",
        "one is more than its limit", field=".requests",
    )  # fmt: skip


def _binding(section: Section) -> list[str]:
    return [name for name in components.names(section) if components.binds(section, name)]


def _has(names: Sequence[str], entry: str) -> str:
    return " || ".join(f"has({entry}.{name})" for name in names)


def _ports(kind: Kind, section: Section) -> Iterator[Rule]:
    """A port of the pod, of the Service or of a node belongs to one listener; TCP and UDP are apart."""
    names = _binding(section)
    with_port, port = f"self.{section}.filter(l, {_has(names, 'l')})", _choice(section)
    taken, apart = f"[{HEALTH_PORT}]", _apart(section)
    if kind == "RuttaRouter":  # a link at the health page's port has a rule of its own
        taken += f" + (self.link.port == {HEALTH_PORT} ? [] : [self.link.port])"
    beside = "the link's, or the health page's" if kind == "RuttaRouter" else "the health page's"
    yield Rule(
        f"{section}-port", (kind,), _SPEC, _distinct(f"{_if_any(section, f'{with_port}.map(l, {port})')} + {taken}"),
        f"one has the port of another, or {beside} ({HEALTH_PORT})", field=f".{section}",
    )  # fmt: skip
    mine = f"{with_port}.map(l, has(l.servicePort) ? l.servicePort + {apart} : {port})"
    yield Rule(
        f"{section}-service-port", (kind,), _SPEC, _distinct(_if_any(section, mine)),
        "two have one port in the Service; give one of them another servicePort", field=f".{section}",
    )  # fmt: skip
    mine = f"self.{section}.filter(l, has(l.hostPort)).map(l, l.hostPort + {apart})"
    yield Rule(
        f"{section}-host-port", (kind,), _SPEC, _distinct(_if_any(section, mine)),
        "two have one hostPort", field=f".{section}",
    )  # fmt: skip
    yield Rule(
        f"{section}-host-port-workload", (kind,), _SPEC,
        f"self.workload == 'DaemonSet' || !has(self.{section}) || self.{section}.all(l, !has(l.hostPort))",
        "hostPort needs workload DaemonSet: two pods of one node cannot share it", "FieldValueForbidden",
        f".{section}",
    )  # fmt: skip


def _if_any(section: Section, numbers: str) -> str:
    return f"(has(self.{section}) ? {numbers} : [])"


def _distinct(numbers: str) -> str:
    """Say that no number of a list is there twice; the list around it is CEL's way to name a value."""
    return f"[{numbers}].all(p, p.all(n, p.indexOf(n) == p.lastIndexOf(n)))"


def _apart(section: Section) -> str:
    """Return what to add to the port of an entry: something if it is UDP's."""
    said = [name for name in _binding(section) if components.has_protocol(section, name)]
    datagrams = [f"has(l.{components.UDP})", *(_says_udp(f"l.?{name}") for name in said)]
    return f"({' || '.join(datagrams)} ? {_UDP} : 0)"


def _says_udp(settings: str) -> str:
    return f"{settings}.protocol.orValue('Tcp') == 'Udp'"


def _choice(section: Section) -> str:
    """Return the port of the one component that an entry has."""
    *some, last = [(name, f"l.{name}.port" + _more(section, name)) for name in _binding(section)]
    return " : ".join([*(f"has(l.{name}) ? {one}" for name, one in some), last[1]])


def _more(section: Section, name: str) -> str:
    if components.has_protocol(section, name):
        return f" + ({_says_udp(f'l.?{name}')} ? {_UDP} : 0)"
    return f" + {_UDP}" if name == components.UDP else ""


def _listeners(kind: Kind, section: Section) -> Iterator[Rule]:
    here, names = (*_SPEC, section, "[]"), components.names(section)
    yield Rule(
        f"{section}-one", (kind,), here, f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(x, x)",
        f"is exactly one of {', '.join(names)}; one with nothing to say is {{}}",
    )  # fmt: skip
    yield Rule(
        f"{section}-no-port", (kind,), here,
        f"!(has(self.servicePort) || has(self.hostPort)) || {_has(_binding(section), 'self')}",
        "servicePort and hostPort are for what listens on a port; remove them", "FieldValueForbidden",
    )  # fmt: skip
    for name in _binding(section):
        if components.has_protocol(section, name):
            yield Rule(
                f"{section}-{name}-tls", (kind,), (*here, name),
                "!has(self.tls) || self.?protocol.orValue('Tcp') != 'Udp'",
                "is over protocol Tcp; remove it, or the protocol", "FieldValueForbidden", ".tls",
            )  # fmt: skip
    yield Rule(
        f"{section}-name", (kind,), (*here, "name"), f"!(self in {list(RESERVED_NAMES)})",
        f"{' and '.join(RESERVED_NAMES)} are names of what is there by itself; take another", "FieldValueForbidden",
    )  # fmt: skip


def _targets() -> Iterator[Rule]:
    names = [*components.names("targets"), "uri", "uriFrom"]
    here = (*_SPEC, "targets", "[]")
    yield Rule(
        "targets-one", _ROUTER, here, f"[{', '.join(f'has(self.{name})' for name in names)}].exists_one(x, x)",
        f"is exactly one of {', '.join(names)}; one with nothing to say is {{}}",
    )  # fmt: skip
    yield Rule(
        "uri-form", _ROUTER, (*here, "uri"), f"self.matches('{components.URI}')",
        "is not a URI; write it like console://.",
    )  # fmt: skip
    yield Rule(
        "uri-credential", _ROUTER, (*here, "uri"), f"!self.matches('{components.credential()}')",
        "has a credential in it; keep the URI in a Secret and write uriFrom: {secretKeyRef: {name: NAME, key: KEY}}",
        "FieldValueForbidden",
    )  # fmt: skip


def _settings() -> Iterator[Rule]:
    """What settings of one component must be together, or cannot be."""
    sections: tuple[tuple[Kind, Section], ...] = (
        ("RuttaRouter", "listeners"), ("RuttaShipper", "sources"), ("RuttaRouter", "targets"),
    )  # fmt: skip
    for kind, section in sections:
        for component, inside, one in constraints(section):
            if not one.cel:
                continue
            yield Rule(
                "-".join(filter(None, (section, component, inside, one.name))), (kind,),
                (*_SPEC, section, "[]", component, *filter(None, [inside])), one.cel, one.message,
                field=one.field and f".{one.field}",
            )  # fmt: skip


def _selectors() -> Iterator[Rule]:
    here, kinds = (*_SPEC, "allowedFrom", "[]", "namespaces"), _RECEIVERS
    yield Rule(
        "selector-needed", kinds, here,
        "self.from != 'Selector' || self.?selector.matchLabels.orValue({}).size() > 0 || "
        "self.?selector.matchExpressions.orValue([]).size() > 0",
        "is required with from: Selector, and has a label; all namespaces are from: All",
        "FieldValueRequired", ".selector",
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
