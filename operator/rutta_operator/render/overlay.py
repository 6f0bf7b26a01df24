"""Lay a user's ``podTemplate`` over the pod template that we make, as a strategic merge would.

Mappings are joined key by key and null removes a key. Lists of named things are joined: by name, volume mounts by
their path, ports by number and protocol. Any other list replaces ours. Whether the outcome is a pod template the API
server says; here nothing is refused.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rutta_operator.render import quantity

_KEYS: Final[Mapping[str, Sequence[str]]] = {
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
}
_PROTOCOL: Final = "TCP"  # of a port that says none
_AMOUNTS: Final = ("requests", "limits")


def laid_over(base: Any, over: Any, field: str = "") -> Any:
    """Return ``base`` with ``over`` laid over it; neither is changed. ``field`` is the key that both stand under."""
    if isinstance(base, dict) and isinstance(over, dict):
        return _mapping(base, _amounts(over) if field in _AMOUNTS else over)
    if isinstance(base, list) and isinstance(over, list) and _named(field, [*base, *over]):
        return _list(base, over, field)
    return written(over, field)


def _mapping(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: laid_over(base.get(key), over[key], key) if key in over else base[key] for key in (*base, *over)}
    return {key: one for key, one in found.items() if one is not None and one != []}


def _list(base: list[Any], over: list[Any], field: str) -> list[Any]:
    found = {_identity(field, one): one for one in base}
    for one in over:
        key = _identity(field, one)
        found[key] = laid_over(found.get(key), one)
    return list(found.values())


def _named(field: str, items: list[Any]) -> bool:
    """Tell whether the items of a list can be told apart."""
    return all(isinstance(one, dict) and _keys(field)[0] in one for one in items)


def _keys(field: str) -> Sequence[str]:
    return _KEYS.get(field, ("name",))


def _identity(field: str, item: Mapping[str, Any]) -> str:
    return json.dumps([item.get(key, _PROTOCOL if key == "protocol" else None) for key in _keys(field)])


def written(value: Any, field: str = "") -> Any:
    """Return a value as the API server would give it back: without nulls and empty lists, quantities in one way."""
    if isinstance(value, dict):
        found = {key: written(one, key) for key, one in value.items() if one is not None and one != []}
        return _amounts(found) if field in _AMOUNTS else found
    if isinstance(value, list):  # items of one name are one item, as they would be if there were some before
        return _list([], value, field) if _named(field, value) else [written(one, field) for one in value]
    return _quantity(value) if field == "sizeLimit" else value


def _amounts(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if one is None else _quantity(one) for key, one in value.items()}


def _quantity(value: Any) -> Any:
    """One that is none stays, for the API server to say what is wrong with it."""
    try:
        return quantity.canonical(value)
    except ValueError:
        return value
