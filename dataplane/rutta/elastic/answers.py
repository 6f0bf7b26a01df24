"""What became of each document of a bulk request, from the answer's items.

https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk and
https://docs.opensearch.org/latest/api-reference/document-apis/bulk/: 200, whatever became of the documents.
"""

from typing import Final, Literal

import msgspec
from msgspec import Struct

FILTER: Final = "errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
"""``filter_path``: what is read of an answer. The statuses of all items are needed, for they are told by position."""

Verdict = Literal["taken", "again", "never"]

# What an operator mends without touching the events: such a 400, 403 or 404 is no word about the document.
_MENDED: Final = frozenset({"cluster_block_exception", "index_closed_exception", "index_not_found_exception",
                            "security_exception", "invalid_index_name_exception"})  # fmt: skip
_MENDED_REASONS: Final = (
    "only write ops with an op_type of create",  # a data stream, written to as an index
    "maximum shards open",
    "maximum normal shards open",
    "no write index is defined",
    "pipeline with id",
)


class Cause(Struct):
    """Why a document was not taken."""

    type: str = ""
    reason: str | None = None
    caused_by: "Cause | None" = None

    def __str__(self) -> str:
        """Say it in one line."""
        inner = self.caused_by.reason if self.caused_by is not None else None
        return ": ".join(filter(None, (self.type, self.reason, inner)))


class Item(Struct):
    """What became of one document."""

    status: int
    error: Cause | None = None

    def verdict(self) -> Verdict:
        """Whether the document is in (409: by an earlier try, for we only create), may be taken later, or never."""
        if self.status < 300 or self.status == 409:
            return "taken"
        if self.status in (401, 408, 429) or self.status >= 500:
            return "again"
        cause = self.error or Cause()
        if cause.type in _MENDED or any(one in (cause.reason or "") for one in _MENDED_REASONS):
            return "again"
        return "never"


class Answer(Struct):
    """The answer; each item is an object of one member, named as the action."""

    errors: bool
    items: list[dict[str, Item]]


class _Brief(Struct):
    errors: bool


_brief: Final = msgspec.json.Decoder(_Brief).decode
_whole: Final = msgspec.json.Decoder(Answer).decode


def read(body: bytes) -> list[Item]:
    """Return the items of an answer, none if all documents were taken; ``DecodeError`` if it is not one."""
    if not _brief(body).errors:
        return []
    return [item for one in _whole(body).items for item in one.values()]
