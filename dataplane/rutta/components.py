"""Find a listener, codec or target by name: the directory is the registry.

The file ``splunk_hec.py`` is the component ``splunkHec``. A name is looked up in the listing of its package and never
imported otherwise, so nothing a user writes can import anything else. Modules are imported when used: a component
that is not used costs nothing, and a client library that is missing breaks only the component that needs it.

A target may be known by another name, too: ``ALIASES`` says whose, for URIs, and why, for who writes it elsewhere.
"""

import functools
import importlib
import pkgutil
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, NamedTuple

from rutta.errors import ConfigError

KINDS: Final = ("listeners", "sources", "codecs", "targets")


class Alias(NamedTuple):
    """Another name of a target: the component behind it, the reason as a clause, and the settings it stands for.

    ``gone`` are the original's keys that nothing takes the place of, and what to write instead.
    """

    component: str
    reason: str
    settings: Mapping[str, Any] = {}
    gone: Mapping[str, str] = {}


_AGENT: Final = (
    "was the agent's, which took Thrift by UDP and is no more; Jaeger takes OTLP: write "
    "jaeger://./?endpoint=http://COLLECTOR:4318 (gRPC: protocol=Grpc and port 4317)"
)
ALIASES: Final[Mapping[str, Alias]] = {
    "https": Alias("http", "the endpoint's scheme tells whether it is TLS"),
    "opensearch": Alias("elasticsearch", "OpenSearch has the same API"),
    "jaeger": Alias(
        "otlp",
        "Jaeger takes spans by OTLP, and nothing else, so signals is Traces",
        {"signals": ["Traces"]},
        dict.fromkeys(("jaegerHost", "jaegerPort", "packetSize"), _AGENT),
    ),
}


@functools.cache
def names(kind: str) -> tuple[str, ...]:
    """List the components of a kind, by the names users write."""
    package = importlib.import_module(f"rutta.{kind}")
    return tuple(sorted(_key(module.name) for module in pkgutil.iter_modules(package.__path__)))


@functools.cache
def module(kind: str, name: str) -> ModuleType:
    """Import the module of one component; ``ConfigError`` says which there are, or which package it lacks."""
    if kind == "targets" and name in ALIASES:
        raise ConfigError(f"the target {name} is written {ALIASES[name].component}: {ALIASES[name].reason}")
    if name not in names(kind):
        raise ConfigError(f"there is no {kind[:-1]} {name!r}; there are {', '.join(names(kind))}")
    stem = re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)
    try:
        return importlib.import_module(f"rutta.{kind}.{stem}")
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("rutta"):
            raise
        raise ConfigError(
            f"the {kind[:-1]} {name} needs the Python package {exc.name!r}, which is not installed"
        ) from exc


def config_of(kind: str, name: str) -> type[Any]:
    """Return the ``Config`` struct of a component."""
    found: type[Any] = module(kind, name).Config
    return found


def _key(stem: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), stem)
