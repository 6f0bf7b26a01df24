"""What of an event's context is its resource (who sent it), by OpenTelemetry's names for that.

https://opentelemetry.io/docs/specs/semconv/resource/ and …/semconv/registry/attributes/k8s/. Context keys of ours, of
the original (reference §4.7) and of the semantic conventions themselves become resource attributes; other keys stay
attributes of the event.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from rutta.events.correlation import SPAN_KEYS, TRACE_KEYS
from rutta.net.protobuf import tag_of
from rutta.otlp.values import attributes

NAMES: Final[Mapping[str, str]] = {
    "service": "service.name",
    "serviceName": "service.name",
    "serviceVersion": "service.version",
    "build_version": "service.version",
    "host": "host.name",
    "hostname": "host.name",
    "region": "cloud.region",
    "zone": "cloud.availability_zone",
    "environment": "deployment.environment.name",
    "cluster": "k8s.cluster.name",
    "clusterName": "k8s.cluster.name",
    "node": "k8s.node.name",
    "namespace": "k8s.namespace.name",
    "pod": "k8s.pod.name",
    "uid": "k8s.pod.uid",
    "container": "k8s.container.name",
    "restart": "k8s.container.restart_count",
    "image": "container.image.name",
    **{
        f"k8s_{what}": f"k8s.{what}.name"
        for what in (
            "cluster", "daemonset", "statefulset", "deployment", "replicaset", "namespace", "pod", "container",
        )
    },
}  # fmt: skip
"""Context key → resource attribute."""
EVENT_NAME: Final = "event.name"
UID: Final = "log.record.uid"
TEMPLATE: Final = "message_template.text"  # as Serilog's sink for OpenTelemetry calls it
_MEANT: Final = frozenset(
    (*TRACE_KEYS, *SPAN_KEYS, EVENT_NAME, UID, TEMPLATE)
)  # attributes with a meaning of their own
ATTRIBUTE: Final = tag_of(6)  # of a LogRecord

RENAMED: Final[Mapping[str, str]] = {"stream": "log.iostream"}
"""Context key → attribute of the event."""
_OWN: Final = re.compile(r"(service|host|k8s|container|cloud|deployment|process|os|faas|telemetry|device)\.\w")
_OWNERS: Final = frozenset({"deployment", "statefulset", "daemonset", "replicaset", "job", "cronjob"})

_ATTRIBUTE: Final = tag_of(1)
_encode: Final = msgspec.json.Encoder().encode
_MOST: Final = 4096  # contexts remembered


class Split(NamedTuple):
    """A context taken apart: the Resource, written, and what is left for the event.

    ``attributes`` is the rest, written for a LogRecord. It can be used like that if ``is_plain`` (no key of it means
    anything else) and no field is one of ``taken``.
    """

    resource: bytes
    rest: dict[str, Any]
    attributes: bytes
    is_plain: bool
    taken: frozenset[str]


class Resources:
    """Takes contexts apart; few of them are many events', so they are remembered as written."""

    def __init__(self, given: Mapping[str, str]) -> None:
        """``given`` are attributes of every resource; what an event says wins."""
        self._given = dict(given)
        self._known: dict[bytes, Split] = {}

    def split(self, context: dict[str, Any]) -> Split:
        """Take a context apart; ``rest`` is shared and not to be changed."""
        key = _encode(context)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = self._known[key] = self._split(context)
        return found

    def _split(self, context: dict[str, Any]) -> Split:
        resource: dict[str, Any] = dict(self._given)
        rest: dict[str, Any] = {}
        for key, value in context.items():
            names = dict(_resource(key, value, is_pod="pod" in context))
            resource.update(names)
            if not names:
                rest[RENAMED.get(key, key)] = value
        written, taken = attributes(ATTRIBUTE, rest.items()), _MEANT.union(rest)
        return Split(attributes(_ATTRIBUTE, resource.items()), rest, written, _MEANT.isdisjoint(rest), taken)


def _resource(key: str, value: Any, *, is_pod: bool) -> Iterator[tuple[str, Any]]:
    """Yield the resource attributes of one key of a context; none if it is the event's own."""
    if _OWN.match(key):
        yield key, value
    elif key in NAMES and isinstance(value, str | int):
        yield NAMES[key], value
    elif is_pod and key in ("labels", "annotations") and isinstance(value, dict):
        yield from ((f"k8s.pod.{key[:-1]}.{name}", one) for name, one in value.items())
    elif is_pod and key == "owner" and isinstance(value, dict) and str(value.get("kind", "")).lower() in _OWNERS:
        yield f"k8s.{value['kind'].lower()}.name", value.get("name")
