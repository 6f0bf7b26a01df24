"""Auto: every line is JSON if it is an object, else plain text; never fails unless strict.

A block goes on over links under the word ``auto`` and unchanged, so that the next one tells the lines apart alike.
"""

from collections.abc import Sequence

from rutta.errors import DecodeError
from rutta.events import json_text, schema
from rutta.message import Batch, Block, Columns, Failure, Rows
from rutta.rows import columns as column_plans
from rutta.rows import json_blocks, plain_blocks
from rutta.rows.mixed import MixedRows
from rutta.rows.rows import JsonRows, PlainRows, join_lines


class AutoCodec:
    """Tells objects from text, whole blocks at once when all or none can be objects."""

    __slots__ = ("_strict",)

    def __init__(self, strict: bool) -> None:
        """``strict`` holds the objects against the v6 schema."""
        self._strict = strict

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Decode a block."""
        if b"{" not in block.data:
            return plain_blocks.decode(block, "auto")
        if not block.lines:
            return self._single(block, columns)
        if self._strict:
            return _strict_lines(block)
        if block.data[:1] == b"{":
            rows = json_blocks.whole(block.data, column_plans.plan(columns), "auto")
            if rows is not None:
                return Batch.of(block, rows, size=json_blocks.size_of(rows))
        lines = _lines(block.data)
        return Batch.of(block, _rows(lines, [_is_object(line) for line in lines]), size=max(1, len(block.data)))

    def _single(self, block: Block, columns: Columns) -> Batch:
        """Take an input for JSON if all of it is, else for one text."""
        batch = json_blocks.decode(block, columns, strict=self._strict, codec="auto")
        refused = any(failure.word == "schema" for failure in batch.errors)
        return batch if refused or (len(batch) and not batch.failed) else plain_blocks.decode(block, "auto")


def _strict_lines(block: Block) -> Batch:
    """Take lines one by one, and leave the objects out that are not of the schema."""
    lines, is_json, numbers, errors, failed = [], [], [], [], 0
    for number, line in enumerate(_lines(block.data)):
        is_object = _is_object(line)
        try:
            if is_object:
                schema.read_strict(json_text.strict_value(line))
        except DecodeError as exc:
            failed += 1
            if failed <= json_blocks.MAX_FAILURES:
                errors.append(Failure(number, exc.word, str(exc)))
            continue
        lines.append(line)
        is_json.append(is_object)
        numbers.append(number)
    if failed and block.atomic:
        lines, is_json, numbers = [], [], []
    rows = _rows(lines, is_json)
    return Batch.of(block, rows, numbers=numbers if failed else None, errors=errors, failed=failed)


def _rows(lines: Sequence[bytes], is_json: Sequence[bool]) -> Rows:
    """Choose the cheapest form for what there is."""
    if not any(is_json):
        return PlainRows(join_lines(lines), len(lines), codec="auto")
    if all(is_json):
        return JsonRows(join_lines(lines), len(lines), codec="auto", lines=lines)
    return MixedRows(lines, is_json)


def _lines(data: bytes) -> list[bytes]:
    lines = data.removeprefix(json_text.BOM).removesuffix(b"\n").split(b"\n")
    return [line.removesuffix(b"\r") for line in lines] if b"\r" in data else lines


def _is_object(line: bytes) -> bool:
    if line.lstrip(json_text.SPACE)[:1] != b"{":
        return False
    try:
        line.decode()
        json_text.check(line)
    except json_text.REFUSED:
        return False
    return b"\r" not in line


def make(strict: bool) -> AutoCodec:
    """Make the codec."""
    return AutoCodec(strict)
