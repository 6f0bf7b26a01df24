"""What of an object is not as it should be: what we say, compared with what is. Pure.

Only what we say is compared: defaults that the API server added, and fields of others, are none of our business. Maps
are compared by key; lists that the API server merges by a key of their items, by that key, and an item of others is
fine (but not a port of our Service); all other lists item by item. Quantities are compared by value. What is one thing
to the API server, and so wholly ours (selectors, tolerations, rules of policies), has nothing in it but what we say.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

Path = tuple[str | int, ...]

# x-kubernetes-list-map-keys of the API, where we make such lists
_PODS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "hostAliases": ("ip",),
}
_PORT: Final = ("port", "protocol")
_KEYS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "Deployment": _PODS,
    "DaemonSet": _PODS,
    "Service": {"ports": _PORT},
    "ServiceAccount": {},
    "PrometheusRule": {"groups": ("name",)},
}
_OWNERS: Final = {"ownerReferences": ("uid",)}
_DEFAULTS: Final = {"protocol": "TCP"}
_AMOUNTS: Final = frozenset({"requests", "limits", "sizeLimit", "averageValue", "divisor", "storage"})
# x-kubernetes-map-type and -list-type "atomic" of the API, where we say such and the API server adds nothing
_WHOLE: Final = frozenset({
    "selector", "podSelector", "namespaceSelector", "labelSelector", "nodeSelector", "tolerations", "ingress",
    "podMetricsEndpoints", "rules",
})  # fmt: skip
_ABSENT: Final = object()
_MAPS: Final = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "data"})  # "" is a value of theirs
# Whose false or 0 is another thing than none at all: the API server keeps it.
_TOLD: Final = frozenset({
    "automountServiceAccountToken", "enableServiceLinks", "allowPrivilegeEscalation", "hostUsers", "runAsUser",
    "runAsGroup", "fsGroup", "tolerationSeconds", "replicas", "minReplicas", "terminationGracePeriodSeconds",
})  # fmt: skip


def differences(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, str]:
    """Return what is not as wanted: the path, and the live value as JSON (empty: it is not there)."""
    walk = _Walk({**_KEYS.get(wanted.get("kind", ""), {}), **_OWNERS})
    extra = extra_ports(wanted, live) if wanted.get("kind") == "Service" else []
    return {
        **({"spec.ports": json.dumps(extra)} if extra else {}),
        **{
            ".".join(map(str, path)): "" if value is _ABSENT else json.dumps(value, sort_keys=True)
            for path, value in walk.compare(wanted, live, ())
        },
    }


def extra_ports(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return port and protocol of the live ports of a Service that are not wanted."""
    ours = {_identity(port, _PORT) for port in wanted["spec"].get("ports", ())}
    theirs = [_identity(port, _PORT) for port in live.get("spec", {}).get("ports", ())]
    return [dict(zip(_PORT, port, strict=True)) for port in theirs if port not in ours]


def our_ports(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the live ports of a Service that are wanted, as they are."""
    ours = {_identity(port, _PORT) for port in wanted["spec"].get("ports", ())}
    return [port for port in live.get("spec", {}).get("ports", ()) if _identity(port, _PORT) in ours]


class _Walk:
    """Walks through two values side by side."""

    def __init__(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        self._keys = keys

    def compare(self, wanted: Any, live: Any, path: Path) -> Iterator[tuple[Path, Any]]:
        if wanted == live:
            return  # most of it is, and C compares a whole branch at once (that 1 is True to it, no schema lets happen)
        if isinstance(wanted, dict) and isinstance(live, dict):
            for key, value in wanted.items():
                yield from self._member(value, live.get(key, _ABSENT), (*path, key))
            if not _WHOLE.isdisjoint(path):
                yield from (((*path, key), live[key]) for key in live if key not in wanted and _is_told(live, key))
        elif isinstance(wanted, list) and isinstance(live, list):
            yield from self._lists(wanted, live, path)
        elif not _same(wanted, live, path):
            yield path, live

    def _member(self, wanted: Any, live: Any, path: Path) -> Iterator[tuple[Path, Any]]:
        if live is not _ABSENT:
            yield from self.compare(wanted, live, path)
        elif not _is_nothing(wanted, path):
            yield path, live

    def _lists(self, wanted: list[Any], live: list[Any], path: Path) -> Iterator[tuple[Path, Any]]:
        keys = self._keys.get(str(path[-1])) if path else None
        if keys is not None:
            yield from self._by_key(wanted, live, path, keys)
        elif len(wanted) != len(live):
            yield path, live
        else:
            for index, (one, other) in enumerate(zip(wanted, live, strict=True)):
                yield from self.compare(one, other, (*path, index))

    def _by_key(
        self, wanted: Sequence[Any], live: Sequence[Any], path: Path, keys: tuple[str, ...]
    ) -> Iterator[tuple[Path, Any]]:
        there = {_identity(item, keys): item for item in live}
        for item in wanted:
            identity = _identity(item, keys)
            yield from self._member(item, there.get(identity, _ABSENT), (*path, "/".join(map(str, identity))))


def _identity(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key, _DEFAULTS.get(key)) for key in keys)


def _is_told(live: Mapping[str, Any], key: str) -> bool:
    """Tell whether a value is more than what the API server adds by itself."""
    return live[key] not in (None, "", [], {}) and live[key] != _DEFAULTS.get(key)


def _is_nothing(wanted: Any, path: Path) -> bool:
    """Tell whether the API server leaves out what we say, since it is what is so without it."""
    if wanted in ({}, []) or wanted is None:
        return True
    in_map = any(step in _MAPS for step in path[-2:-1])
    return wanted in (False, 0, "") and not in_map and path[-1] not in _TOLD


def _same(wanted: Any, live: Any, path: Path) -> bool:
    if not any(step in _AMOUNTS for step in path[-2:]):
        return False
    one, other = amount(wanted), amount(live)
    return one is not None and one == other


_SUFFIXES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10),
    "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip


def amount(value: Any) -> Decimal | None:
    """Return a quantity's value; None if it is none.

    https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
    """
    text = str(value)
    suffix = next((one for one in (text[-2:], text[-1:]) if one in _SUFFIXES), "")
    try:
        return Decimal(text.removesuffix(suffix)) * _SUFFIXES.get(suffix, Decimal(1))
    except InvalidOperation:
        return None
