"""Syslog: every line is a message, of RFC 5424, or of RFC 3164 as well as it can be told (``events.syslog``).

Lenient takes any text for a message; strict refuses what is not RFC 5424 to the letter. Without ``lines`` the whole
input is one message, newlines inside kept.

RFC 3164 has times without a zone: they are in the zone of the process that has the message of its sender. Where that is
not UTC, the times go with the lines, so that whoever reads them further on reads the same.
"""

from collections.abc import Sequence
from typing import Final

from rutta.events import bsd_syslog, syslog
from rutta.events.event import NO_TIME
from rutta.message import Batch, Block, Columns, Failure
from rutta.net.framing_octets import folded
from rutta.rows.rows import count_lines, join_lines, split_lines
from rutta.rows.syslog_rows import SyslogRows

MAX_FAILURES: Final = 20
_EMPTY: Final = "the message is empty"
_NOT_5424: Final = "not a message of RFC 5424: <PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG"


class SyslogCodec:
    """Takes lines as they are, and leaves out what is none of its messages."""

    __slots__ = ("_strict",)

    def __init__(self, strict: bool) -> None:
        """``strict`` asks for RFC 5424."""
        self._strict = strict

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Decode a block; of what is accepted nothing is taken apart until somebody asks."""
        data = _as_lines(block)
        if self._strict or data[:1] == b"\n" or b"\n\n" in data:
            return self._each(block, split_lines(data))
        times = block.times if block.times is not None else _local_times(block, data)
        batch = Batch.of(block, _rows(block, data, count_lines(data), times), size=max(1, len(data)))
        batch.times = times
        return batch

    def _each(self, block: Block, lines: Sequence[bytes]) -> Batch:
        """Look at every line."""
        failures: list[Failure] = []
        numbers: list[int] = []
        failed = 0
        for number, line in enumerate(lines):
            word = "" if line and not self._strict else self._problem(line)
            if not word:
                numbers.append(number)
                continue
            failed += 1
            if failed <= MAX_FAILURES:
                failures.append(Failure(number, word, _EMPTY if word == "empty" else _NOT_5424))
        if failed and block.atomic:
            numbers = []
        data = join_lines([lines[number] for number in numbers]) if numbers else b""
        given = block.times
        times = _local_times(block, data) if given is None else [given[number] for number in numbers]
        batch = Batch.of(block, _rows(block, data, len(numbers), times), errors=failures, failed=failed)
        batch.times, batch.size = times, max(1, len(data))
        if failed:
            batch.numbers = numbers
        return batch

    @staticmethod
    def _problem(line: bytes) -> str:
        """Say by a word of ``ERROR_WORDS`` what is wrong with a line, held against the RFC."""
        if not line:
            return "empty"
        return "" if syslog.STRICT.fullmatch(line.decode(errors="replace")) else "schema"


def _as_lines(block: Block) -> bytes:
    data = block.data
    if not block.lines:
        return folded([data])
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    return data if data[-1:] == b"\n" or not data else data + b"\n"


def _rows(block: Block, data: bytes, count: int, times: Sequence[int] | None) -> SyslogRows:
    return SyslogRows(data, count, received=block.received, times_given=times is not None)


def _local_times(block: Block, data: bytes) -> list[int] | None:
    """Return the times of lines whose zone is this process's, where that is not UTC; others get the block's."""
    if block.hop or bsd_syslog.is_utc():
        return None
    found = False
    times = []
    for line in syslog.LINE.findall(data[:-1].decode(errors="replace")) if data else ():
        moment = syslog.old_time(line)
        local = NO_TIME if moment is None else bsd_syslog.local(moment, block.received)
        found = found or local != NO_TIME
        times.append(block.received if local == NO_TIME else local)
    return times if found else None


def make(strict: bool) -> SyslogCodec:
    """Make the codec."""
    return SyslogCodec(strict)
