"""The ConfigMap: the data plane's config, under a name that says which pods it is for.

Its content changes in place, and the data plane takes it up within a minute or two without a restart. What pods must be
made anew for is in the name's digest: then the old ones keep the config that fits them until they are replaced. That is
what a process reads at its start only, what has to do with its ports, and what the pod provides for the config: files
of secrets, memory, and time to stop. (A listener that moved at once would leave its port before the Service does, and
one whose settings change closes it for as long as its last requests take, in all pods at once; a larger buffer would
not fit the memory of the old pods; a longer drain would be cut short.)
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from rutta_operator.render import Context, Object, node
from rutta_operator.render.drain import drain
from rutta_operator.render.identity import named
from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key
from rutta_operator.wiring.plan import Plan

FILE: Final = "config.json"


def config_map(plan: Plan, context: Context, name: str) -> Object:
    """Return the ConfigMap ``name``."""
    return holding(plan.key, text(plan.config), context, name)


def holding(key: Key, file: str, context: Context, name: str) -> Object:
    """Return a ConfigMap that holds this config file."""
    return named("v1", "ConfigMap", name, key, context) | {"data": {FILE: file}}


def text(config: Mapping[str, Any]) -> str:
    """Write a config file."""
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def name(plan: Plan, resources: Mapping[str, Mapping[str, str]]) -> str:
    """Return the name of the ConfigMap for pods whose container has these ``resources``."""
    return names.config(plan.key, digest(plan, resources))


def digest(plan: Plan, resources: Mapping[str, Mapping[str, str]]) -> str:
    """Return the digest of what needs new pods; ``resources`` are those of the container."""
    needs = [
        *(plan.config.get(key) for key in ("role", "name", "health")),
        *_listening(plan),
        *(plan.ports, plan.link, sorted(plan.secrets), resources["limits"].get("memory"), drain(plan).grace),
        *node.mounts(plan),
    ]
    return hashlib.sha256(json.dumps(needs, sort_keys=True).encode()).hexdigest()


def _listening(plan: Plan) -> list[Any]:
    """Return the entries of the config that have ports of the Service; a link's peers are told when it closes."""
    with_ports = {port.name for port in plan.ports}
    entries = [one for section in ("listeners", "sources") for one in plan.config.get(section, ())]
    return [one for one in entries if one["name"] in with_ports]
