"""The listeners, sources and targets of the data plane, as its schema tells, in the shape they have in resources.

``schema.json`` is what ``rutta schema`` prints. A resource differs from the data plane's config file in three things:
a listener has a ``port`` where a process has addresses to ``bind``, a secret is a ``secretKeyRef`` and never its
text, and TLS names the Secrets that hold its files. ``shape`` makes these changes to a schema, ``settings`` to a value.
"""

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, Literal

from rutta_operator.spec.checking import SECRET_KEY, SECRET_NAME, Schema, check
from rutta_operator.spec.problems import Path, Problem, unknown, written

Section = Literal["listeners", "sources", "targets"]
SecretPath = Callable[[str, str], str]
"""Where the file of a Secret's key is: (name, key) → path."""

LINK: Final = "link"  # there by itself in routers and proxies, hence not among the listeners
_NOT_IN_PODS: Final = frozenset({LINK, "stdin"})  # a pod's standard input is at its end from the start
_NOT_SETTINGS: Final = frozenset({"bind", "reusePort"})  # where a process runs decides these
_ONE: Final[Mapping[Section, str]] = {"listeners": "listener", "sources": "source", "targets": "target"}
_SECRET_NAME: Final[Schema] = {"type": "string", "pattern": SECRET_NAME}
_SECRET: Final[Schema] = {
    "type": "object", "format": "secretKeyRef", "required": ["secretKeyRef"], "additionalProperties": False,
    "properties": {"secretKeyRef": {
        "type": "object", "required": ["name", "key"], "additionalProperties": False,
        "properties": {"name": {**_SECRET_NAME, "description": "the Secret"},
                       "key": {"type": "string", "pattern": SECRET_KEY, "description": "its key"}},
    }},
}  # fmt: skip
_TLS: Final[Mapping[str, Schema]] = {
    "secretName": {
        **_SECRET_NAME, "description": "Secret with the certificate, tls.crt, and its key, tls.key",
    },
    "caSecretName": {
        **_SECRET_NAME, "description": "Secret with ca.crt, the authorities to check the other side by",
    },
}  # fmt: skip
_TLS_FILES: Final = {
    "certFile": ("secretName", "tls.crt"),
    "keyFile": ("secretName", "tls.key"),
    "clientCaFile": ("caSecretName", "ca.crt"),
    "caFile": ("caSecretName", "ca.crt"),
}
_FILE: Final = re.compile("|".join(_TLS_FILES))


@functools.cache
def definitions() -> Mapping[str, Schema]:
    """Read the data plane's schema: ``targets.file`` → the schema of its settings."""
    text = files("rutta_operator").joinpath("schema.json").read_text(encoding="utf-8")
    found: Mapping[str, Schema] = json.loads(text)["$defs"]
    return found


@functools.cache
def names(section: Section) -> tuple[str, ...]:
    """List the components of a section; every listener is a source too."""
    kinds = ("sources", "listeners") if section == "sources" else (section,)
    found = {name for kind, _, name in (key.partition(".") for key in definitions()) if kind in kinds and name}
    return tuple(sorted(found - _NOT_IN_PODS))


def definition(section: Section, name: str) -> Schema:
    """Return the data plane's own schema of a component."""
    known = definitions()
    return known.get(f"{section}.{name}") or known[f"listeners.{name}"]


def common(section: Section) -> Mapping[str, Schema]:
    """Return what every entry of a section has beside its name and its component: buffer, batch, retry."""
    found: Mapping[str, Schema] = definitions()["target"]["properties"] if section == "targets" else {}
    return found


def binds(section: Section, name: str) -> bool:
    """Tell whether a component binds a port."""
    return section != "targets" and "bind" in _properties(section, name)


UDP: Final = "udp"  # the listener that is UDP whatever it says


def protocol(name: str, settings: object) -> Literal["TCP", "UDP"]:
    """Return the transport of a listener, as Kubernetes writes it; some have a setting for it."""
    said = settings.get("protocol") if isinstance(settings, Mapping) else None
    return "UDP" if name == UDP or said == "Udp" else "TCP"


def has_protocol(section: Section, name: str) -> bool:
    """Tell whether a listener's transport is a setting."""
    return "protocol" in _properties(section, name)


def shares_port(section: Section, name: str) -> bool:
    """Tell whether several processes can share a component's port."""
    return "reusePort" in _properties(section, name)


def _properties(section: Section, name: str) -> Schema:
    found: Schema = definition(section, name).get("properties", {})
    return found


@functools.cache
def shape(section: Section, name: str) -> Schema:
    """Return the schema of a component's settings in a resource."""
    schema = dict(_shape(definition(section, name)))
    if binds(section, name):
        properties = {key: one for key, one in schema["properties"].items() if key not in _NOT_SETTINGS}
        port = {
            "type": "integer",
            "format": "port",
            "minimum": 1,
            "maximum": 65535,
            "description": "the port to listen on",
        }
        schema["properties"] = {"port": port, **properties}
        schema["required"] = ["port", *(key for key in schema.get("required", ()) if key not in _NOT_SETTINGS)]
    return schema


def _shape(schema: Schema) -> Schema:
    if schema.get("format") == "secret":
        return {**_SECRET, **{key: schema[key] for key in ("description",) if key in schema}}
    changed = dict(schema)
    if "description" in schema:
        changed["description"] = _FILE.sub(lambda found: _TLS_FILES[found[0]][0], schema["description"])
    if "anyOf" in schema:
        changed["anyOf"] = [_shape(one) for one in schema["anyOf"]]
    if "items" in schema:
        changed["items"] = _shape(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        changed["additionalProperties"] = _map_shape(schema["additionalProperties"])
    if "properties" in schema:
        changed["properties"] = {key: _shape(one) for key, one in schema["properties"].items()}
    return _tls_shape(changed) if _is_tls(schema) else changed


def _map_shape(schema: Schema) -> Schema:
    """Return the schema of a map's values: where users choose the keys (HTTP headers), few values are secrets."""
    text = {"type": "string"}
    return {"anyOf": [_shape(schema), text]} if schema.get("format") == "secret" else _shape(schema)


def _is_tls(schema: Schema) -> bool:
    properties: Schema = schema.get("properties", {})
    return "certFile" in properties and "keyFile" in properties


def _tls_shape(schema: Schema) -> Schema:
    rest = {key: one for key, one in schema["properties"].items() if key not in _TLS_FILES}
    required = schema.get("required", ())
    others = [key for key in required if key not in _TLS_FILES]
    return {
        **schema,
        "properties": {**_TLS, **rest},
        "required": ["secretName", *others] if "certFile" in required else others,
    }


def component(section: Section, entry: Mapping[str, Any]) -> str | None:
    """Return the component that an entry names, if it names exactly one."""
    named = [key for key in entry if key in names(section)]
    return named[0] if len(named) == 1 else None


def problems(section: Section, entry: Mapping[str, Any], path: Path, own: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with one entry's component and common settings; ``own`` are its other known keys."""
    shared = common(section)
    members = [*names(section), *(key for key in own if key.startswith("uri"))]
    named = [key for key in entry if key in members]
    strange = [key for key in entry if key not in members and key not in own and key not in shared]
    for key in strange:
        yield Problem((*path, key), unknown(key, [*members, *own, *shared]))
    if len(named) > 1:
        yield Problem(path, f"is {' and '.join(named)} at once; make it one {_ONE[section]} each")
    elif not named and not strange:
        yield Problem(path, f"says no {_ONE[section]}; it is one of {', '.join(members)}")
    for key in named:
        if key in names(section) and entry[key] is None:  # the API server drops it, and finds no component
            yield Problem((*path, key), f"is null; write {key}: {{}} for its defaults")
        elif key in names(section):
            yield from check(shape(section, key), entry[key], (*path, key))
    yield from common_problems(section, entry, path)


def common_problems(section: Section, entry: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Yield what is wrong with the settings that every entry of a section has."""
    for key, schema in common(section).items():
        if key in entry:
            yield from check(_shape(schema), entry[key], (*path, key))


def route_problems(route: Any, path: Path) -> Iterator[Problem]:
    """Yield what is wrong with one route."""
    yield from check(definitions()["route"], route, path)


URI: Final = "^[A-Za-z][A-Za-z0-9+.-]*://"  # RFC 3986 §3.1, and an authority, be it empty
NO_CREDENTIAL: Final = (
    "has a credential in it; keep the URI in a Secret and write uriFrom: {secretKeyRef: {name: NAME, key: KEY}}"
)


def uri_problem(uri: str) -> str:
    """Say why a target's URI cannot be taken; the data plane checks the rest of it."""
    if not re.search(URI, uri):
        return f"{written(uri)} is not a URI; write it like console://."
    return NO_CREDENTIAL if re.search(credential(), uri) else ""


@functools.cache
def credential() -> str:
    """Return the pattern of URIs that hold a credential: a user, or a setting of any target that is a secret.

    RE2 reads it too. The data plane takes settings in any case, of letters and of aliases, so all targets' count.
    """
    secret = {key for name in names("targets") for key, one in _properties("targets", name).items() if _is_secret(one)}
    return f"(?i)^[^:/?#]+://[^/?#]*@|^[^?#]*[?]([^#]*&)?({'|'.join(sorted(secret))})="


def _is_secret(schema: Schema) -> bool:
    return schema.get("format") == "secret" or any(_is_secret(one) for one in schema.get("anyOf", ()))


def settings(schema: Schema, value: Any, secret: SecretPath) -> Any:
    """Turn a value as it is in a resource into what the data plane reads; ``schema`` is the data plane's.

    The value has passed ``check``. Every secret becomes the path of its file.
    """
    if schema.get("format") == "secret" and isinstance(value, dict):
        ref = value["secretKeyRef"]
        return {"file": secret(ref["name"], ref["key"])}
    if "anyOf" in schema:
        return settings(_option(schema["anyOf"], value), value, secret)
    if isinstance(value, list):
        return [settings(schema.get("items", {}), one, secret) for one in value]
    if not isinstance(value, dict):
        return value
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    rest = others if isinstance(others, Mapping) else {}
    found = {
        key: settings(properties.get(key, rest), one, secret)
        for key, one in value.items()
        if not (_is_tls(schema) and key in _TLS)
    }
    return {**_tls_files(schema, value, secret), **found} if _is_tls(schema) else found


def _option(options: Sequence[Schema], value: Any) -> Schema:
    """Return the option of an anyOf that takes the value, as it is in a resource."""
    return next((one for one in options if not any(check(_shape(one), value, ()))), {})


def _tls_files(schema: Schema, value: Mapping[str, Any], secret: SecretPath) -> dict[str, str]:
    return {
        file: secret(value[which], key)
        for file, (which, key) in _TLS_FILES.items()
        if file in schema["properties"] and value.get(which)
    }
