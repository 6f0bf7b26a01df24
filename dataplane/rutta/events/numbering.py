"""How senders count kinds and status codes of spans: a span does not say it, so some targets have a setting for it."""

from collections.abc import Mapping
from typing import Final, Literal

Numbering = Literal["Logary", "OpenTelemetry"]
"""As the original, or as OpenTelemetry's JavaScript API, which the official JavaScript client uses (reference §2.6)."""
Kind = Literal["internal", "client", "server", "consumer", "producer"]
Status = Literal["unset", "error", "ok"]

_KINDS: Final[Mapping[Numbering, tuple[Kind, ...]]] = {
    "Logary": ("internal", "client", "server", "consumer", "producer"),
    "OpenTelemetry": ("internal", "server", "client", "producer", "consumer"),
}
_STATUSES: Final[Mapping[Numbering, tuple[Status, ...]]] = {
    "Logary": ("unset", "error", "ok"),
    "OpenTelemetry": ("unset", "ok", "error"),
}


def kind(number: int, numbering: Numbering) -> Kind:
    """Name a kind; a number that is none is internal."""
    return _KINDS[numbering][number] if 0 <= number <= 4 else "internal"


def status(code: object, numbering: Numbering) -> Status:
    """Name a status code; what is none is unset."""
    return _STATUSES[numbering][code] if isinstance(code, int) and 0 <= code <= 2 else "unset"
