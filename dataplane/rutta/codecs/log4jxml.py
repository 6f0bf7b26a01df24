"""log4j's XMLLayout: any number of ``log4j:event`` elements, over as many lines as they like (reference §3.10).

The prefix ``log4j`` need not be declared. The elements are parsed inside of a root element of our own, where a document
type, hence an entity of one's own, cannot stand: there are no entity bombs to defuse, such input is just malformed.
"""

import re
from collections.abc import Iterator
from typing import Any, Final
from xml.parsers import expat  # nosec: no document type can be declared, see above

from rutta.errors import DecodeError
from rutta.events import stack_trace
from rutta.events.event import NO_TIME, Event
from rutta.events.values import Mismatch, keep, level
from rutta.message import Batch, Block, Columns, Failure
from rutta.rows.rows import EventRows

NAMESPACE: Final = "http://jakarta.apache.org/log4j/"
MAX_FAILURES: Final = 20

_OPEN: Final = f'<log4j:events xmlns:log4j="{NAMESPACE}">'
_CLOSE: Final = "</log4j:events>"
_DECLARATION: Final = re.compile(r"\A\s*<\?xml\b[^>]*\?>")
# What may end or begin an element; in CDATA and comments nothing does. Read once from left to right: no input is slow.
_TOKEN: Final = re.compile(
    r"<!\[CDATA\[(?:.*?\]\]>|.*)|<!--(?:.*?-->|.*)|</(?:[\w.-]+:)?event\s*>|<(?:[\w.-]+:)?event(?=[\s>/])", re.DOTALL
)
# What XML 1.0 has no way to write (https://www.w3.org/TR/xml/#charsets); terminals' colours come in log messages.
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class Log4jXmlCodec:
    """Decodes events as log4j 1 and Chainsaw write them."""

    __slots__ = ()

    def decode(self, block: Block, columns: Columns) -> Batch:
        """Decode a block: all at once; element by element if that fails."""
        text = block.data.decode(errors="replace").removeprefix("\ufeff")
        text = _ILLEGAL.sub("\ufffd", text)
        try:
            return Batch.of(block, EventRows(_parse(text)))
        except DecodeError:
            return _one_by_one(block, text)


def _one_by_one(block: Block, text: str) -> Batch:
    """Take the good elements of a block. An end tag inside of CDATA ends no element."""
    events: list[Event] = []
    numbers: list[int] = []
    failures: list[Failure] = []
    for number, one in enumerate(_elements(text)):
        if isinstance(one, Event):
            events.append(one)
            numbers.append(number)
        else:
            failures.append(Failure(number, one.word, str(one)))
    if failures and block.atomic:
        events, numbers = [], []
    batch = Batch.of(block, EventRows(events), errors=failures[:MAX_FAILURES], failed=len(failures))
    batch.numbers = numbers
    return batch


def _elements(text: str) -> Iterator[Event | DecodeError]:
    for piece in _pieces(text):
        try:
            yield from _parse(piece)
        except DecodeError as exc:
            yield exc


def _pieces(text: str) -> Iterator[str]:
    """Cut after each end tag of an event, and before a start tag inside of an event that was never ended."""
    start, is_inside = 0, False
    for token in _TOKEN.finditer(text):
        if token[0].startswith("</"):
            yield text[start : token.end()]
            start, is_inside = token.end(), False
        elif not token[0].startswith("<!"):
            if is_inside:
                yield text[start : token.start()]
                start = token.start()
            is_inside = True
    if text[start:].strip() or not start:
        yield text[start:]


def _parse(text: str) -> list[Event]:
    """Parse a run of elements; ``DecodeError`` if it is anything else."""
    text = _DECLARATION.sub("", text)
    if not text.strip():
        raise DecodeError("the input is empty", word="empty")
    reader = _Reader()
    try:
        for part in (_OPEN, text, _CLOSE):
            reader.parser.Parse(part, part is _CLOSE)
    except expat.ExpatError as exc:
        raise DecodeError(f"not log4j XML: {expat.ErrorString(exc.code)} (line {exc.lineno})") from exc
    if not reader.events:
        raise DecodeError("not log4j XML: there is no element log4j:event")
    return reader.events


class _Reader:
    """Gathers events while expat reads."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self._path: list[str] = []
        self._attributes: dict[str, str] = {}
        self._texts: dict[str, list[str]] = {}
        self._data: dict[str, str] = {}

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.removeprefix(NAMESPACE + " ")
        self._path.append(name)
        if len(self._path) == 2:
            if tag != f"{NAMESPACE} event":
                raise DecodeError(f"not log4j XML: expected an element log4j:event, got {name[:64]!r}")
            self._attributes, self._texts, self._data = attributes, {}, {}
        elif len(self._path) == 3:
            self._texts[name] = []
        elif len(self._path) == 4 and self._path[2:] == ["properties", "data"] and "name" in attributes:
            self._data[attributes["name"]] = attributes.get("value", "")

    def _text(self, text: str) -> None:
        if len(self._path) == 3:
            self._texts[self._path[2]].append(text)
        elif len(self._path) < 3 and text.strip():
            raise DecodeError("not log4j XML: text outside of its elements")

    def _end(self, tag: str) -> None:
        self._path.pop()
        if len(self._path) == 1:
            texts = {name: "".join(parts) for name, parts in self._texts.items()}
            self.events.append(_event(self._attributes, texts, self._data))


def _event(attributes: dict[str, str], texts: dict[str, str], data: dict[str, str]) -> Event:
    found: dict[str, Any] = {"name": attributes.get("logger", ""), "text": texts.get("message", "")}
    fields: dict[str, Any] = {}
    found["timestamp"] = _milliseconds(attributes.get("timestamp"))
    if "level" in attributes:
        try:
            found["level"] = level(attributes["level"])
        except Mismatch as problem:  # TRACE, WARNING: info, as it always was; the word is kept
            found["level"] = problem.instead
            fields["level"] = attributes["level"]
    if "thread" in attributes:
        fields["thread"] = attributes["thread"]
    if "NDC" in texts:
        fields["NDC"] = texts["NDC"]
    for name, value in data.items():
        keep(fields, name, value)
    if texts.get("throwable", "").strip():
        found["error"] = stack_trace.parse(texts["throwable"].strip("\r\n"))
    return Event(fields=fields, **found)


def _milliseconds(text: str | None) -> int:
    """Read log4j's timestamp: always milliseconds; missing or invalid, the time of receipt."""
    if text is None or not re.fullmatch(r"\s*-?[0-9]{1,19}\s*", text):
        return NO_TIME
    value = int(text) * 10**6
    return value if abs(value) < 2**63 else NO_TIME


def make(strict: bool) -> Log4jXmlCodec:
    """Make the codec; ``strict`` changes nothing."""
    return Log4jXmlCodec()
