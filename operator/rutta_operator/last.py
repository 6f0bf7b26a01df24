"""The wiring that a resource has now, read from its live ConfigMaps: what broken references keep. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Final

from rutta_operator import components, names
from rutta_operator.graph import Key
from rutta_operator.kinds import RESOURCES
from rutta_operator.render.config import FILE

_ROLES: Final = {names.role(Key(kind, "", "")): kind for kind in RESOURCES}


def links(configs: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    """Return the links of the newest of some ConfigMaps, by whom they lead to."""
    newest = max(configs, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), default=None)
    if newest is None:
        return {}
    found: dict[Key, Mapping[str, Any]] = {}
    for target in _targets(newest):
        if (key := _linked(target)) is not None:
            found[key] = target[components.LINK]
    return found


def without(
    configs: Iterable[Mapping[str, Any]], forbidden: Set[Key], newest: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Return those ConfigMaps that lead to what is forbidden, without that, each as an object to apply.

    They are of pods that a rollout has not replaced yet, and might never. ``newest`` is what the new pods read.
    """
    for config in configs:
        name, targets = config["metadata"]["name"], _targets(config)
        kept = [one for one in targets if _linked(one) not in forbidden]
        if name == newest["metadata"]["name"] or len(kept) == len(targets):
            continue
        text = json.dumps({**json.loads(config["data"][FILE]), "targets": kept}, indent=2, ensure_ascii=False)
        yield {**newest, "metadata": {**newest["metadata"], "name": name}, "data": {FILE: f"{text}\n"}}


def _linked(target: Mapping[str, Any]) -> Key | None:
    """Return whom a target of a config leads to, if it is a link."""
    link = target.get(components.LINK)
    return _target(link.get("dns")) if isinstance(link, dict) else None


def _targets(config_map: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the targets of a config; none if somebody wrote something else there."""
    try:
        config = json.loads((config_map.get("data") or {}).get(FILE, ""))
    except ValueError:
        return []
    targets = config.get("targets") if isinstance(config, dict) else None
    return [one for one in targets if isinstance(one, dict)] if isinstance(targets, list) else []


def _target(dns: object) -> Key | None:
    """Return whose link a name is; the other way round than ``names.link``."""
    parts = dns.split(".") if isinstance(dns, str) else []
    if len(parts) < 2:
        return None
    name, _, role = parts[0].removesuffix("-link").rpartition("-")
    kind = _ROLES.get(role)
    return Key(kind, parts[1], name) if kind is not None and name else None
