"""Flags and environment of ``rutta-operator``: ``--log-level`` is also RUTTA_OPERATOR_LOG_LEVEL, and so on."""

import argparse
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rutta_operator import VERSION
from rutta_operator.log import LEVELS
from rutta_operator.render import DEFAULT_IMAGE
from rutta_operator.spec.checking import seconds, wrong_duration
from rutta_operator.spec.problems import Finding, Refused

PREFIX: Final = "RUTTA_OPERATOR_"
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_EXAMPLES: Final = """\
Keeps the pods, Services and further objects of RuttaRouters, RuttaShippers and RuttaProxies as these say. Run as many
as you like: the one that holds the Lease works, the others follow and take over.

examples:
  rutta-operator                                        the whole cluster; login in-cluster, else by kubeconfig
  rutta-operator --namespace logging,edge               two namespaces; Roles in them are enough
  rutta-operator --dataplane-image registry.example/rutta:1.2 --image-pull-secret registry
  RUTTA_OPERATOR_LOG_FORMAT=json rutta-operator

pages on --bind: /healthz (fails if a watch is frozen), /readyz, /metrics
exit codes: 0 stopped · 1 the Lease was lost, or the operator failed · 22 the settings are wrong, or RBAC lacks a verb
"""


class Options(NamedTuple):
    """What the operator was started with."""

    namespaces: tuple[str, ...]
    """empty: the whole cluster"""
    dataplane_image: str
    image_pull_secrets: tuple[str, ...]
    bind: tuple[str, int]
    lease_namespace: str
    lease_name: str
    identity: str
    workers: int
    sweep: float
    """seconds between two sweeps"""
    poll: float
    """seconds between two questions to the pods of a resource"""
    log_level: str
    log_format: str


def parser() -> argparse.ArgumentParser:
    """Build the parser; it has no defaults, so that what was not given can come from the environment."""
    top = argparse.ArgumentParser(
        prog="rutta-operator", epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The operator of Rutta. Every flag is also an environment variable: --log-level is "
        "RUTTA_OPERATOR_LOG_LEVEL.", allow_abbrev=False,
    )  # fmt: skip
    top.add_argument("--version", action="version", version=f"rutta-operator {VERSION}")
    for flag, metavar, text in _FLAGS:
        several = flag in _SEVERAL
        top.add_argument(f"--{flag}", action="append" if several else "store", metavar=metavar, help=text)
    return top


_SEVERAL: Final = ("namespace", "image-pull-secret")
_FLAGS: Final = (
    ("namespace", "NS", "watch this namespace only; repeat it, or give several with commas (default: all)"),
    ("dataplane-image", "IMAGE", f"image of the data plane, where a resource names none (default {DEFAULT_IMAGE})"),
    ("image-pull-secret", "NAME", "Secret to pull it with, in each resource's namespace; may be repeated"),
    ("bind", "ADDRESS:PORT", "where /healthz, /readyz and /metrics are (default 0.0.0.0:8080)"),
    ("lease-namespace", "NS", "namespace of the Lease (default: the operator's own, else default)"),
    ("lease-name", "NAME", "name of the Lease (default rutta-operator)"),
    ("identity", "NAME", "who holds the Lease (default: the pod's name; out of a cluster, host and process)"),
    ("workers", "NUMBER", "how many resources are worked on at once (default 16)"),
    ("sweep", "DURATION", "how often all objects are listed, to heal what watches missed (default 5m)"),
    ("poll", "DURATION", "how often one pod of each resource is asked how its targets are (default 15s)"),
    ("log-level", "LEVEL", f"{', '.join(LEVELS)} (default info)"),
    ("log-format", "FORMAT", "logfmt or json (default logfmt)"),
)


def read(argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> Options:
    """Read the options: flags win over the environment. Raises:
    Refused: with everything that is wrong.
    """
    given = vars(parser().parse_args(argv))
    reader = _Reader(given, environment)
    options = reader.options()
    if reader.findings:
        raise Refused(reader.findings)
    return options


class _Reader:
    """Takes each option from the flags, the environment or its default, and notes what is wrong."""

    def __init__(self, given: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._given, self._environment = given, environment
        self.findings: list[Finding] = []

    def options(self) -> Options:
        return Options(
            namespaces=self._names("namespace"),
            dataplane_image=self._text("dataplane-image", DEFAULT_IMAGE),
            image_pull_secrets=self._several("image-pull-secret"),
            bind=self._address("bind", "0.0.0.0:8080"),
            lease_namespace=self._text("lease-namespace", own_namespace() or "default"),
            lease_name=self._text("lease-name", "rutta-operator"),
            identity=self._text("identity", _identity()),
            workers=self._number("workers", "16"),
            sweep=self._seconds("sweep", "5m"),
            poll=self._seconds("poll", "15s"),
            log_level=self._word("log-level", "info", tuple(LEVELS)),
            log_format=self._word("log-format", "logfmt", ("logfmt", "json")),
        )

    def _text(self, flag: str, default: str) -> str:
        """Return what was given; an empty variable counts as none, as charts write them."""
        given = self._given[flag.replace("-", "_")]
        variable = PREFIX + flag.replace("-", "_").upper()
        return str(given) if given is not None else self._environment.get(variable) or default

    def _several(self, flag: str) -> tuple[str, ...]:
        given = self._given[flag.replace("-", "_")]
        variable = PREFIX + flag.replace("-", "_").upper()
        texts = given if given is not None else [self._environment.get(variable, "")]
        parts = (part.strip() for text in texts for part in text.split(","))
        return tuple(dict.fromkeys(part for part in parts if part))

    def _names(self, flag: str) -> tuple[str, ...]:
        found = self._several(flag)
        for name in found:
            if not _LABEL.fullmatch(name):
                self._wrong(flag, f"{name!r} is not the name of a namespace; names have a–z, 0–9 and -")
        return found

    def _word(self, flag: str, default: str, known: tuple[str, ...]) -> str:
        found = self._text(flag, default)
        if found not in known:
            self._wrong(flag, f"{found!r} is none of {', '.join(known)}")
        return found

    def _number(self, flag: str, default: str) -> int:
        found = self._text(flag, default)
        if found.isascii() and found.isdigit() and 1 <= int(found) <= 1000:
            return int(found)
        self._wrong(flag, f"{found!r} is not a number from 1 to 1000")
        return 1

    def _seconds(self, flag: str, default: str) -> float:
        found = self._text(flag, default)
        if wrong := wrong_duration(found):
            self._wrong(flag, wrong)
            return 1.0
        if (length := seconds(found)) < 1:
            self._wrong(flag, f"{found!r} is less than a second; take at least 1s")
        return length

    def _address(self, flag: str, default: str) -> tuple[str, int]:
        found = self._text(flag, default)
        host, _, port = found.rpartition(":")
        if port.isascii() and port.isdigit() and int(port) <= 65535:
            return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104
        self._wrong(flag, f"{found!r} is not an address and a port; write it like 0.0.0.0:8080")
        return "", 0

    def _wrong(self, flag: str, text: str) -> None:
        self.findings.append(Finding(f"--{flag}", 0, (), text))


def own_namespace() -> str | None:
    """Return the namespace that the operator runs in; None out of a cluster."""
    try:
        return _OWN_NAMESPACE.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _identity() -> str:
    """Return the pod's name, so that a container that is started again takes up its Lease at once."""
    return socket.gethostname() if own_namespace() is not None else f"{socket.gethostname()}-{os.getpid()}"
