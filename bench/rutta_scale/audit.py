"""What the audit log says of writes: how many, which, and how fast."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

Object = dict[str, Any]
_WRITES = ("create", "update", "patch", "delete", "deletecollection")


class Writes(NamedTuple):
    """Some writes, and the seconds from the first one's arrival to the last one's answer."""

    number: int
    seconds: float

    @property
    def rate(self) -> float:
        """Return how many there were per second."""
        return self.number / self.seconds if self.seconds else 0.0


def writes(entries: Sequence[Object]) -> list[Object]:
    """Return the writes but those of Leases. Reviews are created, but nothing is written: they ask for rights."""
    no_writes = ("leases", "selfsubjectaccessreviews")
    return [one for one in entries if one["verb"] in _WRITES and one["objectRef"]["resource"] not in no_writes]


def until_the_last_child(entries: Sequence[Object]) -> tuple[Writes, Writes]:
    """Return all writes, and those that made a child, from the first write to the last that made a child."""
    made = [one for one in writes(entries) if _made_a_child(one)]
    first, last = min(map(_arrived, made)), max(map(_answered, made))
    all_of_them = sum(_answered(one) <= last for one in writes(entries))
    return Writes(all_of_them, last - first), Writes(len(made), last - first)


def described(entries: Sequence[Object]) -> str:
    """Say which there are: ``812 × patch deployments``."""
    return ", ".join(f"{count} × {what}" for what, count in Counter(map(_what, entries)).most_common())


def _what(one: Object) -> str:
    of = one["objectRef"]
    return f"{one['verb']} {of['resource']}{'/' + of['subresource'] if 'subresource' in of else ''}"


def _made_a_child(one: Object) -> bool:
    return bool(one["objectRef"]["resource"] != "events" and one.get("responseStatus", {}).get("code") == 201)


def _arrived(one: Object) -> float:
    return datetime.fromisoformat(one["requestReceivedTimestamp"]).timestamp()


def _answered(one: Object) -> float:
    return datetime.fromisoformat(one["stageTimestamp"]).timestamp()


def failures(entries: Sequence[Object]) -> Iterator[str]:
    """Yield what was refused."""
    for one in entries:
        code = one.get("responseStatus", {}).get("code", 0)
        if code >= 400:
            yield f"{code} {_what(one)}"
