"""Find a listener, codec or target by name: the directory is the registry.

The file ``splunk_hec.py`` is the component ``splunkHec``. A name is looked up in the listing of its package and never
imported otherwise, so nothing a user writes can import anything else. Modules are imported when used: a component
that is not used costs nothing, and a client library that is missing breaks only the component that needs it.
"""

import functools
import importlib
import pkgutil
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from rutta.errors import ConfigError

KINDS: Final = ("listeners", "sources", "codecs", "targets")


@functools.cache
def names(kind: str) -> tuple[str, ...]:
    """List the components of a kind, by the names users write."""
    package = importlib.import_module(f"rutta.{kind}")
    return tuple(sorted(_key(module.name) for module in pkgutil.iter_modules(package.__path__)))


@functools.cache
def module(kind: str, name: str) -> ModuleType:
    """Import the module of one component; ``ConfigError`` says which there are, or which package it lacks."""
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


@functools.cache
def alias(kind: str, scheme: str) -> tuple[str, Any] | None:
    """Find the component that serves another scheme (its ``ALIASES``): its name, and what the alias means.

    Looks into all modules of the kind, so ask only for what is no name; one that lacks its package serves none.
    """
    for name in names(kind):
        try:
            known: Mapping[str, Any] = getattr(module(kind, name), "ALIASES", {})
        except ConfigError:
            continue
        if scheme.lower() in known:
            return name, known[scheme.lower()]
    return None


def _key(stem: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), stem)
