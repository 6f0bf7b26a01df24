"""Splits URIs that users wrote."""

from urllib.parse import SplitResult, urlsplit

from rutta.errors import ConfigError


def split(uri: str) -> SplitResult:
    """Split a URI; ``ConfigError`` if it cannot be one. The message does not quote it: it may hold a token."""
    try:
        return urlsplit(uri)
    except ValueError as exc:
        raise ConfigError(f"the URI cannot be read ({exc}); check the part between // and the path") from None
