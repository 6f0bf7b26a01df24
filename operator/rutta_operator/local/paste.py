"""Lines to paste into a shell that send an event to each listener of a topology."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rutta_operator.local.launch import Launch
from rutta_operator.spec import components
from rutta_operator.spec.components import Section
from rutta_operator.spec.models import RuttaShipper
from rutta_operator.wiring.topology import Placed

_PLAIN: Final = "Hello, Rutta"
_TEXTS: Final = {
    "plain": _PLAIN,
    "syslog": f"<14>1 - - shop - - - {_PLAIN}",
    "log4jxml": '<log4j:event logger="shop" level="INFO"><log4j:message>Hello, Rutta</log4j:message></log4j:event>',
}
_JSON: Final = '{"message":"Hello, Rutta","level":"info","name":"shop"}'
_GLOB: Final = frozenset("*?[")


def lines(placed: Placed, launch: Launch) -> Iterator[str]:
    """Yield a line for each listener or file of a resource that a shell can reach without a secret."""
    section: Section = "sources" if isinstance(placed.resource, RuttaShipper) else "listeners"
    for entry in getattr(placed.resource.spec, section, ()):
        component = components.component(section, entry.extra())
        settings = entry.extra().get(component or "") or {}
        line = _line(component or "", settings, launch.listeners.get(entry.name, ""))
        if line:
            yield line


def _line(component: str, settings: Mapping[str, Any], address: str) -> str:
    host, _, port = address.rpartition(":")
    text = _text(component, settings)
    if component == "file":
        path = _first_path(settings)
        return f"echo {shlex.quote(_PLAIN)} >> {shlex.quote(path)}" if path else ""
    if not text or not address or settings.get("tls") or settings.get("auth"):
        return ""
    if component == "http":
        return f"curl -d {shlex.quote(text)} http://{address}{settings.get('path', _default_path())}"
    target = f"{host.strip('[]')} {port}"
    if component in ("tcp", "udp", "syslog"):
        datagrams = "-u " if components.protocol(component, settings) == "UDP" else ""
        return f"echo {shlex.quote(text)} | nc {datagrams}-w1 {target}"
    return ""


def _text(component: str, settings: Mapping[str, Any]) -> str:
    """Return an event in the listener's codec; empty if that is not for people to type."""
    schema = components.definition("listeners", component) if component in components.names("listeners") else {}
    own = "syslog" if component == "syslog" else "json"
    codec = settings.get("codec", schema.get("properties", {}).get("codec", {}).get("default", own))
    return _JSON if codec in ("json", "auto") else _TEXTS.get(str(codec), "")


def _default_path() -> str:
    schema = components.definition("listeners", "http")
    return str(schema["properties"].get("path", {}).get("default", "/"))


def _first_path(settings: Mapping[str, Any]) -> str:
    """Return the first file that is no pattern and not the system's own."""
    paths = settings.get("paths", [])
    return next((path for path in paths if not (_GLOB & set(path)) and not path.startswith("/var/log/")), "")
