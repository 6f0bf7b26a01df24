"""From a command line's options to the document that ``config.parse`` takes."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rutta.errors import ConfigError, Problem
from rutta.events.event import LEVEL_WORDS

MODES: Final = ("tcp", "udp", "http", "syslog", "link", "pull", "sub")
DEFAULT_BINDINGS: Final = {"tcp": "0.0.0.0:10001", "link": "0.0.0.0:5555", "syslog": "0.0.0.0:514"}
_NO_CODEC: Final = ("link", "syslog")  # blocks of links name theirs; syslog is one


def document_of(options: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Turn a subcommand's options into the document ``config.parse`` takes; ConfigError with every problem."""
    found: list[Problem] = []
    section = "sources" if options["subcommand"] == "shipper" else "listeners"
    document: dict[str, Any] = {"role": str(options["subcommand"]).capitalize()}
    listeners = [
        one for words in options.get("listener") or () for one in _listeners(words, options, environment, found)
    ]
    document[section] = listeners + _sources(options)
    if options.get("link_bind"):
        document[section].append({"link": {"bind": options["link_bind"]}})
    document["targets"] = _targets(options)
    document.update(process_of(options))
    if found:
        raise ConfigError(found)
    return document


def process_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what flags say of the process itself; they also win over a config file."""
    said: dict[str, Any] = {}
    if options.get("health"):
        said["health"] = {"bind": options["health"]}
    if options.get("shutdown_timeout"):
        said["drain"] = {"timeout": options["shutdown_timeout"]}
    level = str(options.get("log_level") or "").lower()
    if options.get("verbose"):
        said["logLevel"] = "verbose"
    elif level:
        said["logLevel"] = level if level in LEVEL_WORDS[1:] else "info"
    if options.get("log_format"):
        said["logFormat"] = options["log_format"]
    return said


def _sources(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what only shippers read."""
    sources: list[dict[str, Any]] = [{"file": {"paths": [glob]}} for glob in options.get("tail") or ()]
    if options.get("stdin"):
        sources.append({"stdin": {}})
    sources += [one for bindings in options.get("syslog") or () for one in _syslog(bindings)]
    if options.get("host_metrics"):
        sources.append({"hostMetrics": {"interval": options["host_metrics"]}})
    return sources


def _syslog(bindings: str) -> list[dict[str, Any]]:
    """Take syslog as it comes: streams and datagrams."""
    return [{"syslog": {"bind": bindings, "protocol": protocol}} for protocol in ("Tcp", "Udp")]


def _targets(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    targets: list[dict[str, Any]] = [{"uri": uri} for uri in options.get("target") or ()]
    targets += [{"link": {"addresses": [address]}} for address in options.get("link_to") or ()]
    if options.get("push_to"):
        targets.append({"name": "push", "shipper": {"pushTo": options["push_to"]}})
    if options.get("pub_to"):
        targets.append({"name": "pub", "shipper": {"publishTo": options["pub_to"]}})
    return targets


def _listeners(
    words: Sequence[str], options: Mapping[str, Any], environment: Mapping[str, str], found: list[Problem]
) -> list[dict[str, Any]]:
    """Read ``MODE [BINDINGS] CODEC`` (link and syslog: ``MODE [BINDINGS]``)."""
    path = f"--listener {' '.join(words)}"
    mode, rest = words[0], list(words[1:])
    if mode not in MODES:
        found.append(Problem(path, f"there is no mode {mode!r}; there are {', '.join(MODES)}"))
        return []
    settings: dict[str, Any] = {}
    if mode not in _NO_CODEC:
        if not rest:
            found.append(Problem(path, "needs a codec: json, plain, syslog, log4jxml, binary or auto"))
            return []
        settings["codec"] = rest.pop()
    if len(rest) > 1:
        found.append(Problem(path, f"has a word too many: {rest[1]!r}; write MODE BINDINGS CODEC"))
        return []
    if not rest and mode not in DEFAULT_BINDINGS:
        found.append(
            Problem(path, f"needs its bindings: --listener {mode} NIC:PORT {settings.get('codec', '')}".strip())
        )
        return []
    bindings = rest[0] if rest else DEFAULT_BINDINGS[mode]
    if mode == "syslog":
        return _syslog(bindings)
    if mode == "sub":
        settings["connect"] = [one.strip() for one in bindings.split(",")]
    else:
        settings["bind"] = bindings
    if mode == "http":
        if options.get("disable_cors"):
            settings["cors"] = {"enabled": False}
        if root := environment.get("LOGARY_INGESTION_HTTP_ROOT_PATH"):
            settings["path"] = root
    return [{mode: settings}]
