"""The wiring that a resource has now, read from its live ConfigMaps: what broken references keep. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Final, get_args

from rutta_operator.k8s.kinds import RESOURCES, WORKLOADS
from rutta_operator.render.config import FILE, text
from rutta_operator.spec import components
from rutta_operator.spec.models import Pattern
from rutta_operator.store import Child, Object
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

_PATTERNS: Final = get_args(Pattern)
_ROLES: Final = {names.role(Key(kind, "", "")): kind for kind in RESOURCES}


def mounted(children: Mapping[tuple[str, str], Child]) -> Object | None:
    """Return the ConfigMap that a resource's pods read: what its workload mounts, else the newest."""
    configs = [child.object() for (kind, _), child in children.items() if kind == "ConfigMap"]
    workloads = [child.object() for (kind, _), child in children.items() if kind in WORKLOADS] if configs[1:] else []
    names_mounted = {name for one in workloads for name in _mounts(one)}
    read = [one for one in configs if one["metadata"]["name"] in names_mounted]
    return max(read or configs, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), default=None)


def _mounts(workload: Object) -> Iterator[str]:
    for volume in workload["spec"]["template"]["spec"].get("volumes") or ():
        yield (volume.get("configMap") or {}).get("name", "")


def link(config: Object | None) -> tuple[int, str] | None:
    """Return port and pattern of the link that pods with a ConfigMap listen on, if they do and it can be read."""
    for listener in _entries(config or {}, "listeners"):
        said = listener.get(components.LINK)
        port = str(said.get("bind")).rpartition(":")[2] if isinstance(said, dict) else ""
        if isinstance(said, dict) and port.isascii() and port.isdigit() and said.get("pattern") in _PATTERNS:
            return int(port), said["pattern"]
    return None


def links(config: Object | None) -> dict[Key, Mapping[str, Any]]:
    """Return the links of a ConfigMap, by whom they lead to."""
    found: dict[Key, Mapping[str, Any]] = {}
    for target in _targets(config or {}):
        if (key := _linked(target)) is not None:
            found[key] = target[components.LINK]
    return found


def without(configs: Iterable[Object], forbidden: Set[Key], newest: Object | None) -> dict[str, str]:
    """Return the config files, by their ConfigMaps' names, of those that lead to what is forbidden, without that.

    They are of pods that a rollout has not replaced yet, and might never. Of a config without targets pods would take
    no notice: one that would have none gets those of ``newest``, and if there are none either, its text is empty.
    """
    found: dict[str, str] = {}
    for one in configs:
        targets = _targets(one)
        kept = _permitted(targets, forbidden)
        if len(kept) < len(targets):
            kept = kept or _permitted(_targets(newest or {}), forbidden)
            config = {**json.loads(one["data"][FILE]), "targets": kept}
            found[one["metadata"]["name"]] = text(config) if kept else ""
    return found


def _permitted(targets: Iterable[dict[str, Any]], forbidden: Set[Key]) -> list[dict[str, Any]]:
    return [one for one in targets if _linked(one) not in forbidden]


def _linked(target: Mapping[str, Any]) -> Key | None:
    """Return whom a target of a config leads to, if it is a link."""
    link = target.get(components.LINK)
    return _target(link.get("dns")) if isinstance(link, dict) else None


def _targets(config_map: Mapping[str, Any]) -> list[dict[str, Any]]:
    return _entries(config_map, "targets")


def _entries(config_map: Mapping[str, Any], section: str) -> list[dict[str, Any]]:
    """Return the entries of a config's section; none if somebody wrote something else there."""
    try:
        config = json.loads((config_map.get("data") or {}).get(FILE, ""))
    except ValueError:
        return []
    entries = config.get(section) if isinstance(config, dict) else None
    return [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []


def _target(dns: object) -> Key | None:
    """Return whose link a name is; the other way round than ``names.link``."""
    parts = dns.split(".") if isinstance(dns, str) else []
    if len(parts) < 2:
        return None
    name, _, role = parts[0].removesuffix("-link").rpartition("-")
    kind = _ROLES.get(role)
    return Key(kind, parts[1], name) if kind is not None and name else None
