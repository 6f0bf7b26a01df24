"""The original's target URIs (``influxdb://./?endpoint=http://h:8086/write&db=logs``) as entries of the config file.

The scheme is the component, or another name of it (``components.ALIASES``); query keys are its settings, in any case
of letters; what every target has is set by dotted keys (``buffer.maxBytes=64Mi``). A component may name as ``URI_REST``
a setting that takes all keys which are not ours (kafka: those of its client, ``linger.ms=5``), and as ``URI_IGNORED``
the original's keys that mean nothing now, and why. ``+`` stays ``+`` and percent-escapes are decoded (a token may hold
either). Host, port and path mean something only to components that name ``from_uri``.
"""

import logging
import types
from collections.abc import Mapping
from typing import Any, Final, Union, get_args, get_origin
from urllib.parse import SplitResult, unquote

import msgspec
from msgspec import Struct

from rutta import components
from rutta.components import Alias
from rutta.conversion import unknown
from rutta.errors import ConfigError, Problem
from rutta.net.uri import split
from rutta.settings import Duration, Secret, Size
from rutta.target_settings import TargetSettings

log = logging.getLogger("rutta.uris")

COMMON: Final = ("name", "buffer", "batch", "retry")


class _Common(TargetSettings, frozen=True, rename="camel"):
    name: str = ""


def entry_of_uri(uri: str) -> dict[str, Any]:
    """Read a target URI into an entry; ``ConfigError`` with every problem, unknown keys with the nearest known one."""
    parts = split(uri)
    component, alias = _component(parts.scheme, uri)
    module = components.module("targets", component)
    settings: dict[str, Any] = dict(alias.settings) if alias else {}
    settings |= module.from_uri(uri) if hasattr(module, "from_uri") else {}
    entry: dict[str, Any] = {}
    found: list[Problem] = []
    for key, text in pairs(parts.query):
        if alias and key in alias.gone:
            found.append(Problem(key, alias.gone[key]))
            continue
        is_common = key.partition(".")[0] in COMMON
        into, kind = (entry, _Common) if is_common else (settings, module.Config)
        rest = getattr(module, "URI_REST", None)
        if reason := getattr(module, "URI_IGNORED", {}).get(key):
            fields = {"target": component, "key": key}
            log.warning(
                "%s of a target %s is ignored: %s.",
                key,
                component,
                reason,
                extra={"event": "uri_key_ignored", "fields": fields},
            )
        elif rest and not _is_known(kind, key):
            settings.setdefault(rest, {})[key] = text
        else:
            _put(into, kind, key, text, found)
    _credentials(parts, settings, module.Config)
    if found:
        raise ConfigError(found)
    return {**entry, component: settings}


def pairs(query: str) -> list[tuple[str, str]]:
    """Split a query; unlike form data ``+`` is a plus, and a value may hold ``=``."""
    parts = [one.partition("=") for one in query.split("&") if one]
    return [(unquote(key), unquote(value) if equals else "true") for key, equals, value in parts]


def alias_of(uri: str) -> str:
    """Say in words what the scheme of a URI is another name of; empty unless it stands for settings of its own."""
    scheme = uri.partition(":")[0]
    alias = components.ALIASES.get(scheme.lower())
    if alias is None or not alias.settings:
        return ""
    return f"{scheme}:// is the target {alias.component}: {alias.reason}"


def _component(scheme: str, uri: str) -> tuple[str, Alias | None]:
    lower = scheme.lower()
    alias = components.ALIASES.get(lower)
    lower = alias.component if alias else lower
    names = components.names("targets")
    for name in names:
        if name.lower() == lower:
            return name, alias
    if not scheme or ":" not in uri:
        raise ConfigError(f"{uri!r} is not a target URI; write it like console://. or influxdb://./?endpoint=…")
    raise ConfigError(f"there is no target {scheme!r}; there are {', '.join(names)}")


def _is_known(kind: type[Struct], key: str) -> bool:
    """Whether a key, with all its dots, is one of ours; if not, it is one of the library behind a component."""
    problems: list[Problem] = []
    _put({}, kind, key, "", problems)
    return not problems


def _put(into: dict[str, Any], kind: type[Struct], key: str, text: str, found: list[Problem]) -> None:
    """Set one dotted key as the type of its field wants it."""
    head, _, rest = key.partition(".")
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    by_lower = {name.lower(): name for name in fields}
    name = by_lower.get(head.lower())
    if name is None:
        found.append(Problem(key, unknown(head, list(fields))))
        return
    struct, mapping = _shape(fields[name].type)
    if struct is not None:
        if not rest:
            found.append(
                Problem(key, f"needs one of its keys, like {name}.{msgspec.structs.fields(struct)[0].encode_name}")
            )
            return
        before = len(found)
        _put(into.setdefault(name, {}), struct, rest, text, found)
        found[before:] = [Problem(f"{name}.{one.path}", one.message) for one in found[before:]]
    elif mapping and rest:
        into.setdefault(name, {})[rest] = text
    elif rest:
        found.append(Problem(key, f"{name} has no keys of its own"))
    else:
        into[name] = _value(text, fields[name].type)


def _shape(kind: Any) -> tuple[type[Struct] | None, bool]:
    """Return the struct a field holds, if any, and whether it holds a mapping."""
    for one in _alternatives(kind):
        if isinstance(one, type) and issubclass(one, Struct):
            return one, False
        if get_origin(one) in (dict, Mapping):
            return None, True
    return None, False


def _alternatives(kind: Any) -> list[Any]:
    if hasattr(kind, "__metadata__"):
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [found for one in get_args(kind) for found in _alternatives(one)]
    return [kind]


def _value(text: str, kind: Any) -> Any:
    """Read numbers, booleans and comma lists where the field wants them; text stays text (and is judged later)."""
    kinds = _alternatives(kind)
    if any(get_origin(one) in (list, tuple) or one in (list, tuple) for one in kinds):
        return [one.strip() for one in text.split(",") if one.strip()]
    if any(one in (str, Duration, Size, Secret) for one in kinds):
        return text
    for one in (bool, int, float):
        if one in kinds:
            try:
                return msgspec.convert(text, one, strict=False)
            except msgspec.ValidationError:
                continue
    return text


def _credentials(parts: SplitResult, settings: dict[str, Any], kind: type[Struct]) -> None:
    """``user:pass@`` fills settings named username and password, as in the original."""
    names = {field.encode_name for field in msgspec.structs.fields(kind)}
    for name, value in (("username", parts.username), ("password", parts.password)):
        if value is not None and name in names:
            settings.setdefault(name, unquote(value))
