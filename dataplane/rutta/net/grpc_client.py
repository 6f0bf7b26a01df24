"""gRPC for targets, over grpcio: how a channel is opened. Messages are bytes; who calls knows what is in them.

grpcio is imported when a channel is opened, not before: it belongs to an extra.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rutta.errors import ConfigError, Retry
from rutta.net import http_client
from rutta.settings import ClientTls

if TYPE_CHECKING:
    from grpc import aio

# A closed channel holds on to a handshake that nobody answers for so long (20 s by default); later tries have longer.
_FIRST_CONNECT: Final = 1000  # ms


def available(target: str, extra: str) -> None:
    """Check that grpcio is there; ``ConfigError`` names the extra."""
    try:
        import grpc.aio  # noqa: F401
    except ModuleNotFoundError as exc:
        raise ConfigError(
            f"the target {target} needs the Python package grpcio; install the extra: rutta[{extra}]"
        ) from exc


def channel(endpoint: str, tls: ClientTls | None) -> "aio.Channel":
    """Make a channel to an ``http://`` or ``https://`` endpoint; connects nowhere. ``Retry``: no TLS files.

    Proxies are those that the environment names (``https_proxy``, ``no_proxy``), by grpcio itself.
    """
    from grpc import aio

    parts = http_client.endpoint(endpoint)
    is_plain = parts.scheme == "http"
    address = f"{parts.hostname}:{parts.port or (80 if is_plain else 443)}"
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.min_reconnect_backoff_ms", _FIRST_CONNECT)]
    if is_plain:
        return aio.insecure_channel(address, options=options)
    return aio.secure_channel(address, _credentials(tls), options=options)


def check_tls(tls: ClientTls | None) -> None:
    """Refuse what gRPC cannot do; ``ValueError``."""
    if tls is not None and tls.insecure_skip_verify:
        raise ValueError("tls.insecureSkipVerify: gRPC always checks certificates; give tls.caFile")


def compression(how: str) -> Any:
    """Return grpcio's word for ``Gzip`` or ``None``."""
    import grpc

    return grpc.Compression.Gzip if how == "Gzip" else grpc.Compression.NoCompression


def _credentials(tls: ClientTls | None) -> Any:
    import grpc

    files = (tls.ca_file, tls.key_file, tls.cert_file) if tls is not None else (None, None, None)
    try:
        return grpc.ssl_channel_credentials(*(Path(one).read_bytes() if one else None for one in files))
    except OSError as exc:
        raise Retry(f"The TLS files cannot be read: {exc}.") from exc
