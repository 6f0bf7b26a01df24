"""A topology → what to start: a config file, addresses and secrets for each process. Writes files, starts nothing."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from rutta_operator.local.addresses import Addresses, reachable
from rutta_operator.spec.checking import seconds
from rutta_operator.spec.problems import Finding, Problem, hint
from rutta_operator.spec.problems import Path as Place
from rutta_operator.wiring.graph import Graph, Key
from rutta_operator.wiring.plan import Plan, Port, SecretKey, Settings, plan
from rutta_operator.wiring.topology import Placed, Topology

SETTINGS: Final = Settings(
    replicas={"RuttaRouter": 1, "RuttaProxy": 1, "RuttaShipper": 1}, share_ports=True, log_format="json"
)
_TIMEOUT: Final = 30.0  # seconds: the data plane's own default of drain.timeout


class Launch(NamedTuple):
    """One process to start."""

    key: Key
    replica: int
    of: int
    """how many replicas there are"""
    plan: Plan
    config: Path
    health: str
    listeners: Mapping[str, str]
    """by name, the addresses to dial"""
    link: str | None
    grace: float
    """seconds that it may take to stop"""
    tier: int
    """what has a lower one sends to it, and is stopped before"""


class OnThisMachine:
    """The wiring of one process."""

    def __init__(self, key: Key, replica: int, addresses: Addresses, secrets: Path) -> None:
        """``secrets`` is the directory of the secrets' files."""
        self._key, self._replica, self._addresses, self._secrets = key, replica, addresses, secrets

    def bind(self, port: Port) -> str:
        """Return the listener's address; the link's is the replica's own."""
        if port.name == port.component == "link":
            return self._addresses.links[self._key][self._replica]
        return self._addresses.listeners[self._key, self._replica, port.name]

    def health(self) -> str:
        """Return the replica's own address."""
        return self._addresses.health[self._key, self._replica]

    def peers(self, target: Key, port: int) -> Mapping[str, Any]:
        """Return the links of all replicas; the spec's port is of no use here."""
        return {"addresses": list(self._addresses.links[target])}

    def secret(self, secret: SecretKey) -> str:
        """Return a file of the resource's namespace."""
        return str(self._secrets / self._key.namespace / secret.name / secret.key)


def plans(
    topology: Topology, graph: Graph, addresses: Addresses, replicas: Mapping[Key, int], home: Path
) -> list[Plan]:
    """Plan every process, replicas one after the other."""
    return [
        plan(
            topology.resources[key],
            graph,
            topology.resources,
            SETTINGS,
            OnThisMachine(key, one, addresses, home / "secrets"),
        )
        for key, number in replicas.items()
        for one in range(number)
    ]


def write(made: Sequence[Plan], topology: Topology, graph: Graph, addresses: Addresses, home: Path) -> list[Launch]:
    """Write the files of all processes under ``home``, which only its owner may read."""
    launches: list[Launch] = []
    counts: dict[Key, int] = {}
    for one in made:
        replica = counts[one.key] = counts.get(one.key, -1) + 1
        config = home / f"{one.key.kind}-{one.key.namespace}-{one.key.name}-{replica}.json"
        _write(config, json.dumps(one.config, indent=1).encode())
        for secret in one.secrets:
            path = home / "secrets" / one.key.namespace / secret.name / secret.key
            _write(path, topology.secrets[one.key.namespace, secret.name][secret.key])
        launches.append(_launch(one, replica, config, graph, addresses))
    totals = {key: number + 1 for key, number in counts.items()}
    return [launch._replace(of=totals[launch.key]) for launch in launches]


def _launch(one: Plan, replica: int, config: Path, graph: Graph, addresses: Addresses) -> Launch:
    listeners = {port.name: reachable(addresses.listeners[one.key, replica, port.name]) for port in one.ports}
    link = addresses.links[one.key][replica] if one.link else None
    drain = one.config.get("drain", {})
    grace = seconds(drain.get("delay", "0s")) + seconds(drain.get("timeout", f"{_TIMEOUT:g}s"))
    tier = {"Shipper": 0, "Router": 1000}.get(one.role, graph.hops.get(one.key, 1))
    health = addresses.health[one.key, replica]
    return Launch(one.key, replica, 1, one, config, health, listeners, link, grace, tier)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def missing_secrets(made: Sequence[Plan], topology: Topology) -> list[Finding]:
    """Return a finding for each secret that a plan needs and the input does not have."""
    found: dict[tuple[Key, SecretKey], Finding] = {}
    for one in made:
        for secret in sorted(one.secrets):
            text = _missing(secret, one.key.namespace, topology)
            if text:
                placed = topology.resources[one.key]
                found[one.key, secret] = placed.document.locate(Problem(_place(placed, secret), text))
    return list(found.values())


def _missing(secret: SecretKey, namespace: str, topology: Topology) -> str:
    held = topology.secrets.get((namespace, secret.name))
    if held is None:
        return f"there is no Secret {namespace}/{secret.name} in what was given; add it with -f"
    if secret.key not in held:
        return f"the Secret {namespace}/{secret.name} has no key {secret.key!r}; {hint(secret.key, held)}"
    return ""


def _place(placed: Placed, secret: SecretKey) -> Place:
    """Find where a document refers to a secret."""
    wanted = ({"name": secret.name, "key": secret.key}, secret.name)

    def search(value: Any, path: Place) -> Place | None:
        if path and path[-1] in ("secretKeyRef", "secretName", "caSecretName") and value in wanted:
            return path
        steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return next((found for step, one in steps if (found := search(one, (*path, step))) is not None), None)

    return search(placed.document.value, ()) or ("spec",)
