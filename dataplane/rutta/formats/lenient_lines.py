"""Lines of JSON that nobody's schema describes (v5's lenient object) to the v6 form, their fields not taken apart.

What most loggers write: a level, a text, a time, and fields. It is told by the bytes alone that nothing in a line needs
more than to be put in its place; any other line, one with an error or a typed value in it, goes by ``Event``. Fields
stand as the text they came as.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from rutta.events import timestamps, v5
from rutta.events.event import LEVEL_WORDS, NO_TIME
from rutta.events.json_text import MAX_DEPTH, REFUSED
from rutta.events.render import Wire, moment
from rutta.events.values import LEVELS, Mismatch

_every_key = msgspec.json.Decoder(dict[str, Raw]).decode
_any = msgspec.json.Decoder().decode
_LEVELS: Final[Mapping[bytes, str]] = {
    b'"%b"' % word.encode(): LEVEL_WORDS[level] for word, level in LEVELS.items() if isinstance(word, str)
}


def read(line: bytes) -> Wire | None:
    """Read one line; ``None`` if it must be taken apart. Id, receipt, context and a missing time are the caller's."""
    # A key "type" means v6, in a value it may mean a typed one; either may be spelled with escapes.
    if b'"type"' in line or b"\\u" in line or line.count(b"{") + line.count(b"[") > MAX_DEPTH:
        return None
    try:
        rest = _every_key(line)
        found = {}
        for key in v5.KEYS & rest.keys():
            attribute, take = _TAKE[key]
            if attribute in found:
                return None
            found[attribute] = take(rest.pop(key))
    except (KeyError, Mismatch, *REFUSED):
        return None
    return Wire(
        "event", UNSET, UNSET, found.get("name", ""), found.get("level", "debug"), UNSET, found.get("timestamp", UNSET),
        fields=rest, event=found.get("text", v5.NO_TEXT),
    )  # fmt: skip


def _text(raw: Any) -> Any:
    if bytes(raw)[:1] != b'"':
        raise KeyError
    return raw


def _level(raw: Any) -> str:
    return _LEVELS[bytes(raw)]


def _time(raw: Any) -> int | str:
    found = timestamps.parse(_any(raw))
    if found == NO_TIME:
        raise KeyError
    return moment(found)


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "name": _text, "text": _text, "level": _level, "timestamp": _time,
}  # fmt: skip
_TAKE: Final = {
    key: (attribute, _READERS[attribute]) for key, attribute in v5.ATTRIBUTES.items() if attribute in _READERS
}
