"""The wiring that a resource has now, read from its live ConfigMap: what broken references keep. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rutta_operator import components, names
from rutta_operator.graph import Key
from rutta_operator.kinds import RESOURCES

_ROLES: Final = {names.role(Key(kind, "", "")): kind for kind in RESOURCES}


def links(configs: Iterable[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    """Return the links of the newest of some ConfigMaps, by whom they lead to."""
    newest = max(configs, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), default=None)
    if newest is None:
        return {}
    found: dict[Key, Mapping[str, Any]] = {}
    for target in _targets(newest):
        link = target.get(components.LINK)
        key = _target(link.get("dns")) if isinstance(link, dict) else None
        if key is not None and link is not None:
            found[key] = link
    return found


def _targets(config_map: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the targets of a config; none if somebody wrote something else there."""
    try:
        config = json.loads((config_map.get("data") or {}).get("config.json", ""))
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
