"""Connection strings, ``key=value;key=value`` (https://learn.microsoft.com/azure/azure-monitor/app/connection-strings)."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

GLOBAL: Final = "https://dc.services.visualstudio.com"
_LONGEST: Final = 4096
_KEY: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Connection(NamedTuple):
    """Which resource the items are for, and where they are taken in."""

    key: str
    endpoint: str


def parse(text: str) -> Connection:
    """Read a connection string, or a bare instrumentation key; ``ValueError`` never quotes it."""
    text = text.strip()
    if _KEY.fullmatch(text):
        return Connection(text, GLOBAL)
    if len(text) > _LONGEST:
        raise ValueError(f"the connection string is longer than {_LONGEST} characters")
    parts = [one.partition("=") for one in text.split(";") if one.strip()]
    found = {key.strip().lower(): value.strip() for key, _, value in parts}
    key = found.get("instrumentationkey", "")
    if not _KEY.fullmatch(key):
        raise ValueError("the connection string has no InstrumentationKey=…, which is a UUID")
    if found.get("authorization", "ikey").lower() != "ikey":
        raise ValueError("the connection string asks for an Authorization other than ikey")
    suffix = found.get("endpointsuffix")
    endpoint = found.get("ingestionendpoint") or (f"https://dc.{suffix}" if suffix else GLOBAL)
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        raise ValueError("the IngestionEndpoint of the connection string is no address")
    return Connection(key, endpoint.rstrip("/"))
