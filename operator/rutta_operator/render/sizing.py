"""What a container gets: memory for what its targets may hold, and what the resource says instead."""

import math
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from rutta_operator.render import quantity
from rutta_operator.spec.models import Reference, Resource, RuttaRouter, Target

MIB: Final = 2**20
BUFFER: Final = "64Mi"  # of a target that says nothing: buffer.maxBytes of the data plane
BASE: Final = 64 * MIB  # an idle process takes 40 MiB at most
STEP: Final = 32 * MIB  # limits are multiples of it
REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)B?")
_FACTORS: Final = {"": 1, **{unit: 1000 ** (n + 1) for n, unit in enumerate("kMGT")},
                   **{f"{unit}i": 1024 ** (n + 1) for n, unit in enumerate("KMGT")}}  # fmt: skip
_Amounts = dict[str, str]


def resources(resource: Resource) -> Mapping[str, _Amounts]:
    """Return requests and limits; what the resource says of one of them stands, and the others keep off it.

    There is no limit of CPU: it would only make a process wait that could work.
    """
    said = resource.spec.resources
    requests = _canonical((said.requests if said else None) or {})
    limits = _canonical((said.limits if said else None) or {})
    found_requests = REQUESTS | requests
    for name in REQUESTS.keys() & (limits.keys() - requests.keys()):
        found_requests[name] = min(REQUESTS[name], limits[name], key=quantity.value)
    memory = max(memory_limit(resource), found_requests["memory"], key=quantity.value)
    return {"requests": found_requests, "limits": {"memory": memory} | limits}


def memory_limit(resource: Resource) -> str:
    """Return the limit that follows from the targets' buffers: a batch that is held may cost twice its bytes.

    References count whether they are wired or not, so that wiring them is no reason for new pods.
    """
    entries = resource.spec.targets if isinstance(resource, RuttaRouter) else resource.spec.to
    total = BASE + 2 * sum(map(_buffer, entries))
    return quantity.canonical(f"{STEP * math.ceil(total / STEP) // MIB}Mi")


def _buffer(entry: Target | Reference) -> int:
    """Return the bytes that may wait for a target. A URI in a Secret is not read, so its buffer stands beside it."""
    said = (entry.extra().get("buffer") or {}).get("maxBytes")
    if said is None and isinstance(entry, Target) and entry.uri is not None:
        keys = {key.lower(): text for key, text in parse_qsl(entry.uri.partition("?")[2])}
        said = keys.get("buffer.maxbytes")
    return size(BUFFER if said is None else said)


def size(text: str | int) -> int:
    """Return the bytes of a size as the data plane reads it: ``64Mi``, ``1.5G``, ``500k``, ``10MiB``, a number."""
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        return size(BUFFER)  # in a URI only, and there the data plane refuses it
    return int(float(match[1]) * _FACTORS[match[2]])


def _canonical(amounts: Mapping[str, str | int]) -> _Amounts:
    return {name: quantity.canonical(amount) for name, amount in sorted(amounts.items())}
