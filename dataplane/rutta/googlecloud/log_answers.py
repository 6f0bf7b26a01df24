"""What Google Cloud Logging says of a request: https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/write.

With ``partialSuccess`` an answer that is no success has written all entries but those that its details name
(``WriteLogEntriesPartialErrors``); without such details it has written none.
"""

from typing import Final

import msgspec
from msgspec import Struct, field

from rutta.net.http_client import Answer

# google.rpc.Code: what may pass (deadline, permission, quota, aborted, internal, unavailable, authentication)
PASSING: Final = frozenset({4, 7, 8, 10, 13, 14, 16})
_LONGEST: Final = 3600.0  # seconds


class Status(Struct):
    """``google.rpc.Status`` of one entry."""

    code: int = 0
    message: str = ""


class _Detail(Struct, rename="camel"):
    log_entry_errors: dict[int, Status] = {}
    retry_delay: str = ""


class _Error(Struct):
    message: str = ""
    details: list[_Detail] = []


class _Refusal(Struct):
    error: _Error = field(default_factory=_Error)


class Refused(Struct):
    """Which entries of a request were not written, by their index, and after how long to try again if it says."""

    entries: dict[int, Status] = {}
    after: float | None = None


def read(answer: Answer) -> Refused:
    """Read the details of an error; what cannot be read names no entry."""
    try:
        details = msgspec.json.decode(answer.body, type=_Refusal).error.details
    except msgspec.DecodeError:
        return Refused()
    found = Refused()
    for detail in details:
        found.entries.update(detail.log_entry_errors)
        if detail.retry_delay:
            found.after = _seconds(detail.retry_delay)
    return found


def _seconds(text: str) -> float | None:
    """Read a ``google.protobuf.Duration``: ``3.5s``."""
    try:
        return min(max(0.0, float(text.removesuffix("s"))), _LONGEST)
    except ValueError:
        return None
