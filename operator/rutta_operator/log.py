"""The operator's own log: ``ts level event fields message``, logfmt or JSON, on stderr.

The lines are those of the data plane, so that one query reads both.
"""

import json
import logging
import sys
import time
from typing import Final

from rutta_operator.wiring.graph import Key

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_WORDS: Final = {**{number: word for word, number in LEVELS.items()}, logging.CRITICAL: "fatal"}
_log: Final = logging.getLogger("rutta_operator")


def say(level: int, event: str, message: str, *, key: Key | None = None, **fields: object) -> None:
    """Write one line; ``key`` is the resource that it is about, ``event`` a stable name to search for."""
    if _log.isEnabledFor(level):
        about = {} if key is None else {"kind": key.kind, "namespace": key.namespace, "name": key.name}
        _log.log(level, "%s", message, extra={"event": event, "fields": {**about, **fields}})


def debug(event: str, message: str, *, key: Key | None = None, **fields: object) -> None:
    """Say what is of use to who looks for a mistake of ours."""
    say(logging.DEBUG, event, message, key=key, **fields)


def info(event: str, message: str, *, key: Key | None = None, **fields: object) -> None:
    """Say that something changed."""
    say(logging.INFO, event, message, key=key, **fields)


def warn(event: str, message: str, *, key: Key | None = None, **fields: object) -> None:
    """Say what went wrong and will be tried again."""
    say(logging.WARNING, event, message, key=key, **fields)


def error(event: str, message: str, *, key: Key | None = None, **fields: object) -> None:
    """Say what somebody must mend."""
    say(logging.ERROR, event, message, key=key, **fields)


def crash(event: str, message: str, exc: BaseException, *, key: Key | None = None) -> None:
    """Say what is a mistake of ours, with its traceback."""
    about = {} if key is None else {"kind": key.kind, "namespace": key.namespace, "name": key.name}
    _log.error("%s", message, exc_info=exc, extra={"event": event, "fields": about})


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
            return json.dumps(line, default=str, ensure_ascii=False)
        return " ".join(f"{key}={_logfmt(value)}" for key, value in line.items())


def _logfmt(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if not text or any(char in text for char in ' "=\n\r\t'):
        return json.dumps(text, ensure_ascii=False)
    return text


def _retries_are_warnings(record: logging.LogRecord) -> bool:
    """Lower what kopf calls an error and tries again."""
    if record.levelno == logging.ERROR and record.name.startswith("kopf") and "will retry" in record.getMessage():
        record.levelno = logging.WARNING
    return True


def set_up(level: str, form: str) -> None:
    """Send all logging of the process to stderr; what the libraries say only from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(form))
    handler.addFilter(_retries_are_warnings)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _log.setLevel(LEVELS[level])
