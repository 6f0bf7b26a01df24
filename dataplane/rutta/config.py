"""The data plane's configuration: one document, checked as a whole, every problem reported at once.

The document is the config file (YAML or JSON), or what the command line and the environment say in the same shape.
A listener or target is an entry with a name and one member that is the component's key and holds its settings.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from rutta import components
from rutta.conversion import convert, problems, unknown
from rutta.document import flaws, read
from rutta.errors import ConfigError, Problem
from rutta.net import bindings
from rutta.settings import Duration, Secret, default, enc_hook
from rutta.target_settings import TargetSettings
from rutta.targets import Gathering
from rutta.uris import entry_of_uri

Role = Literal["Router", "Shipper", "Proxy"]


class Match(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a route takes; all that is given must fit."""

    min_level: Annotated[
        Literal["verbose", "debug", "info", "warn", "error", "fatal"] | None, Meta(description="this level or above")
    ] = None
    name: Annotated[str | None, Meta(description="glob on the event's name: shop.*")] = None
    fields: Annotated[dict[str, str | int | float | bool], Meta(description="fields with exactly these values")] = {}
    kind: Annotated[
        Literal["event", "gauge", "histogram", "span", "identifyUser", "setUserProperty", "forgetUser"] | None,
        Meta(description="this kind of event only"),
    ] = None


class Route(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Events that match go to these targets; with routes, what matches none is dropped and counted as unrouted."""

    targets: Annotated[list[str], Meta(min_length=1, description="names of targets")]
    match: Match = Match()


class Health(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The page with /healthz, /readyz, /metrics and /status."""

    bind: Annotated[str, Meta(description="address and port: 0.0.0.0:9114")]

    def __post_init__(self) -> None:
        """Reject bindings that are none."""
        bindings.parse(self.bind)


class Drain(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How a process stops."""

    delay: Annotated[Duration, Meta(description="how long listeners stay open after /readyz turned 503")] = default(
        Duration, "0s"
    )
    timeout: Annotated[Duration, Meta(description="how long to deliver what is held")] = default(Duration, "30s")


class Process(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """The document but for listeners, sources and targets."""

    role: Annotated[Role, Meta(description="what the process is")] = "Router"
    name: Annotated[str, Meta(description="how it calls itself in logs and to its peers")] = ""
    routes: Annotated[list[Route], Meta(description="which events go to which targets; none: all to all")] = []
    health: Annotated[Health | None, Meta(description="health page; absent: none")] = None
    drain: Drain = Drain()
    log_level: Annotated[
        Literal["verbose", "debug", "info", "warn", "error", "fatal"], Meta(description="the process's own log")
    ] = "info"
    log_format: Annotated[Literal["logfmt", "json"], Meta(description="form of the process's own log")] = "logfmt"


class ListenerEntry(Struct, frozen=True):
    """One listener or source: its name, its component (``kind`` says where it lives) and its settings."""

    name: str
    kind: str
    component: str
    settings: Any


class TargetEntry(Struct, frozen=True):
    """One target: its name, component and settings, and what every target has."""

    name: str
    component: str
    settings: Any
    common: TargetSettings

    @property
    def gathering(self) -> Gathering:
        """The component's own limits with what the user set."""
        own: Gathering = getattr(components.module("targets", self.component), "BATCH", Gathering())
        return self.common.batch.over(own)


class Config(Struct, frozen=True):
    """A configuration that can work; ``digest`` names it in ``/status``."""

    process: Process
    listeners: tuple[ListenerEntry, ...]
    targets: tuple[TargetEntry, ...]
    digest: str


STRICT: Final = ("json", "auto", "syslog")
"""Codecs that can be strict."""

TARGET_KEYS: Final = ("name", "uri", "buffer", "batch", "retry")
SECTIONS: Final = ("listeners", "sources", "targets")


def load(path: str | Path, *, over: Mapping[str, Any] | None = None) -> Config:
    """Read a config file; ``ConfigError`` has everything that is wrong in it.

    ``over`` is what the command line says: its role must be the file's if that names one, the rest wins over the file.
    """
    document = read(path)
    said = dict(over or {})
    if (role := said.get("role")) and document.get("role", role) != role:
        raise ConfigError(
            [Problem("role", f"the file is for a {document['role']}, the command is rutta {role.lower()}")]
        )
    if isinstance(document.get("drain"), dict) and "drain" in said:
        said["drain"] = {**document["drain"], **said["drain"]}
    return parse({**document, **said})


def parse(document: Mapping[str, Any]) -> Config:
    """Check a document and build the configuration; raises one ``ConfigError`` with every problem."""
    found = flaws(document)
    if found:  # nothing else can be said of such a document
        raise ConfigError(found)
    rest = {key: value for key, value in document.items() if key not in SECTIONS}
    process = _collect(found, rest, Process, "") or Process()
    listeners = _listeners(found, document, process.role)
    targets = _entries(found, document, "targets", partial(_target, role=process.role))
    _name_all(found, "targets", targets)
    _check_routes(found, process, {name for name, _ in targets} | _names_said(document.get("targets")))
    _check_presence(found, document)
    if found:
        raise ConfigError(found)
    named = tuple(msgspec.structs.replace(entry, name=name) for name, entry in targets)
    return Config(process, tuple(listeners), named, digest(document))


def digest(document: Mapping[str, Any]) -> str:
    """Name a document by its content: 12 hex digits, the same for the same meaning."""
    text = msgspec.json.encode(document, order="sorted", enc_hook=enc_hook)
    return hashlib.sha256(text).hexdigest()[:12]


def _collect(found: list[Problem], value: object, kind: type[Any], path: str) -> Any:
    try:
        return convert(value, kind, path=path)
    except ConfigError as exc:
        found += exc.problems
        return None


def _listeners(found: list[Problem], document: Mapping[str, Any], role: Role) -> list[ListenerEntry]:
    section, other = ("sources", "listeners") if role == "Shipper" else ("listeners", "sources")
    if document.get(other):
        found.append(Problem(other, f"a {role.lower()} has {section}, not {other}"))
    entries = _entries(found, document, section, partial(_listener, role=role))
    _name_all(found, section, entries)
    return [msgspec.structs.replace(entry, name=name) for name, entry in entries]


def _entries(found: list[Problem], document: Mapping[str, Any], section: str, read: Any) -> list[tuple[str, Any]]:
    values = document.get(section, [])
    if not isinstance(values, list):
        found.append(Problem(section, "must be a list"))
        return []
    entries = []
    for index, value in enumerate(values):
        path = f"{section}[{index}]"
        if not isinstance(value, Mapping):
            found.append(Problem(path, "must be an object with a name and one component"))
            continue
        before = len(found)
        entry = read(found, value, path)
        if entry is not None and len(found) == before:
            entries.append((entry.name, entry))
    return entries


def _member(
    found: list[Problem], value: Mapping[str, Any], path: str, kinds: Sequence[str], keys: Sequence[str]
) -> Any:
    """Find the one member that is a component; return its kind, key and settings."""
    known = {name: kind for kind in reversed(kinds) for name in components.names(kind)}
    members = [key for key in value if key in known]
    found += [
        Problem(f"{path}.{key}", _unknown(key, [*known, *keys], kinds))
        for key in value
        if key not in known and key not in keys
    ]
    if len(members) != 1:
        what = "more than one component: " + ", ".join(members) if members else "no component"
        if members or all(key in keys for key in value):
            found.append(Problem(path, f"has {what}; it needs exactly one of {', '.join(sorted(known))}"))
        return None
    kind = known[members[0]]
    try:
        settings = _settings(found, kind, members[0], value[members[0]], f"{path}.{members[0]}")
    except ConfigError as exc:
        found += [Problem(path, problem.message) for problem in exc.problems]
        return None
    return None if settings is None else (kind, members[0], settings)


def _unknown(key: str, known: Sequence[str], kinds: Sequence[str]) -> str:
    if "targets" in kinds and (alias := components.ALIASES.get(key)):
        return f"is written {alias.component} here: {alias.reason}"
    return unknown(key, known)


def _settings(found: list[Problem], kind: str, component: str, value: object, path: str) -> Any:
    wrong = problems({} if value is None else value, components.config_of(kind, component), path=path)
    found += wrong
    return None if wrong else convert({} if value is None else value, components.config_of(kind, component), path=path)


def _listener(found: list[Problem], value: Mapping[str, Any], path: str, *, role: Role) -> ListenerEntry | None:
    member = _member(found, value, path, ("listeners", "sources"), ("name",))
    if member is None:
        return None
    kind, component, settings = member
    _check_links(found, role, component, f"{path}.{component}")
    codec = getattr(settings, "codec", None)
    if codec is not None and codec not in components.names("codecs"):
        here = f"{path}.{component}.codec"
        found.append(Problem(here, f"there is no codec {codec!r}; there are {', '.join(components.names('codecs'))}"))
    elif getattr(settings, "strict", False) and codec not in STRICT:
        here = f"{path}.{component}.strict"
        found.append(Problem(here, f"only {', '.join(STRICT)} have a form to be strict about, not {codec}"))
    return ListenerEntry(_name(found, value, path, component), kind, component, settings)


def _target(found: list[Problem], value: Mapping[str, Any], path: str, *, role: Role) -> TargetEntry | None:
    by_uri = "uri" in value
    if by_uri:
        value = _of_uri(found, value, path)
    if not value:
        return None
    member = _member(found, value, path, ("targets",), TARGET_KEYS)
    common = _collect(found, {k: value[k] for k in ("buffer", "batch", "retry") if k in value}, TargetSettings, path)
    if member is None or common is None:
        return None
    _, component, settings = member
    _check_links(found, role, component, f"{path}.{'uri' if by_uri else component}")
    return TargetEntry(_name(found, value, path, component), component, settings, common)


def _of_uri(found: list[Problem], value: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """Read the original's URI; keys beside it (a name, buffer, …) add to what it says.

    It may be a secret (``{"file": PATH}``), and then no message quotes it.
    """
    uri, place = value["uri"], f"{path}.uri"
    try:
        text = uri if isinstance(uri, str) else Secret.parse(uri).reveal()
    except (ValueError, ConfigError) as exc:  # it is no secret, or cannot be read
        found.append(Problem(place, str(exc)))
        return {}
    try:
        entry = entry_of_uri(text)
    except ConfigError as exc:
        hidden = ["the secret does not hold a target URI that can be used"]
        found += [Problem(place, one) for one in (map(str, exc.problems) if isinstance(uri, str) else hidden)]
        return {}
    if wrong := flaws(entry, place):  # behind a percent-escape
        found += wrong
        return {}
    return {**entry, **{key: one for key, one in value.items() if key != "uri"}}


def _check_links(found: list[Problem], role: Role, component: str, path: str) -> None:
    """A proxy does not look into what it carries, so nothing but a link can give or take it."""
    if role == "Proxy" and component != "link":
        found.append(Problem(path, f"a proxy carries links only; put {component} on a shipper or router"))


def _name(found: list[Problem], value: Mapping[str, Any], path: str, component: str) -> str:
    name = value.get("name", "")
    if not isinstance(name, str):
        found.append(Problem(f"{path}.name", f"{name!r} is not a name"))
        return component
    return name or f"\0{component}"  # not named by the user: numbered below


def _name_all(found: list[Problem], section: str, entries: list[tuple[str, Any]]) -> None:
    """Number the unnamed (``file``, ``file-2``, …) and refuse the same name twice."""
    taken = {name for name, _ in entries if not name.startswith("\0")}
    seen: set[str] = set()
    for index, (name, entry) in enumerate(entries):
        if name.startswith("\0"):
            stem, number = name[1:], 1
            while (name := stem if number == 1 else f"{stem}-{number}") in taken:
                number += 1
            taken.add(name)
        if name in seen:
            found.append(Problem(f"{section}[{index}].name", f"{name!r} is there already; names must differ"))
        seen.add(name)
        entries[index] = (name, entry)


def _names_said(entries: object) -> set[str]:
    """Return the names of all entries, also of those that are refused: one thing wrong is one problem."""
    said = [one.get("name") for one in entries if isinstance(one, Mapping)] if isinstance(entries, list) else []
    return {name for name in said if isinstance(name, str) and name}


def _check_routes(found: list[Problem], process: Process, targets: set[str]) -> None:
    if process.routes and process.role == "Proxy":
        found.append(Problem("routes", "a proxy does not look into what it carries; put routes on a router"))
    for at, route in enumerate(process.routes):
        for index, name in enumerate(route.targets):
            if name not in targets:
                there = ", ".join(sorted(targets)) or "none"
                found.append(
                    Problem(f"routes[{at}].targets[{index}]", f"there is no target {name!r}; there are {there}")
                )


def _check_presence(found: list[Problem], document: Mapping[str, Any]) -> None:
    section = "sources" if document.get("role") == "Shipper" else "listeners"
    for name in (section, "targets"):
        if not document.get(name) and not found:
            found.append(Problem(name, f"at least one of the {name} is needed"))
