"""The process's own log: ``ts level event fields message``, logfmt or JSON, on stderr; never a line per event moved."""

import logging
import sys
import time
from typing import Final

import msgspec

# The original's words; VERBOSE is below logging's DEBUG.
LEVELS: Final = {
    "verbose": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_WORDS: Final = {number: word for word, number in LEVELS.items()}


class Formatter(logging.Formatter):
    """One line per record, logfmt or JSON; a traceback is one escaped value."""

    def __init__(self, form: str) -> None:
        """``form`` is ``logfmt`` or ``json``."""
        super().__init__()
        self._json = form == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Put time, level, event, fields and message in one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, object] = {
            "ts": stamp,
            "level": _WORDS.get(record.levelno, record.levelname.lower()),
            "event": getattr(record, "event", record.name),
            **getattr(record, "fields", {}),
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        if self._json:
            return msgspec.json.encode(line, enc_hook=str).decode()
        return " ".join(f"{key}={_logfmt(value)}" for key, value in line.items())


def _logfmt(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    if not text or any(char in text for char in ' "=\n\r\t'):
        return msgspec.json.encode(text).decode()
    return text


def set_up(level: str, form: str) -> None:
    """Send all logging of the process to stderr; may be called again after a reload."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("rutta").setLevel(LEVELS[level])
