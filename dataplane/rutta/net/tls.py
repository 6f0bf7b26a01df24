"""TLS: an ``SSLContext`` from settings.

A target's files are read when it opens. A listener's are read anew when they change on disk: a certificate that is
rotated (cert-manager, a mounted Secret) is taken by the next handshake; connections that are open keep theirs.
"""

import logging
import os
import ssl

from rutta.errors import ConfigError, Retry
from rutta.settings import ClientTls, Tls

log = logging.getLogger("rutta.tls")


def server_context(tls: Tls, *, listener: str) -> ssl.SSLContext:
    """Build the context of a listener; ``ConfigError`` names the file that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"the listener {listener} cannot use the certificate {tls.cert_file} with the key {tls.key_file}: {exc}"
        ) from exc
    if tls.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(tls.client_ca_file)
        except (OSError, ValueError) as exc:
            raise ConfigError(
                f"the listener {listener} cannot use the client authority {tls.client_ca_file}: {exc}"
            ) from exc
    return context


def _no_password() -> str:
    """Refuse an encrypted key; OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted; give one without a passphrase")


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """Build the context of a target; ``Retry`` if its files cannot be read, for they may come later."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except OSError as exc:  # ssl.SSLError is one
        files = ", ".join(filter(None, (tls.ca_file, tls.cert_file, tls.key_file)))
        raise Retry(f"The TLS files ({files}) cannot be read: {exc}.") from exc
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Certificate:
    """The context of a listener as its files are now."""

    def __init__(self, tls: Tls, *, listener: str) -> None:
        """Read the files once; ``ConfigError`` if they cannot be used."""
        self._tls = tls
        self._listener = listener
        self._seen = self._stamp()
        self._context = server_context(tls, listener=listener)

    def context(self) -> ssl.SSLContext:
        """Return the context for the next handshake. New files that cannot be used leave the old in force."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._context = server_context(self._tls, listener=self._listener)
            except ConfigError as exc:
                log.warning("The old certificate stays: %s.", exc, extra={"event": "tls_reload_failed"})
            else:
                log.info("The listener %s has a new certificate.", self._listener, extra={"event": "tls_reloaded"})
        return self._context

    def _stamp(self) -> tuple[object, ...]:
        """What changes when a file does; None for a file that is away for a moment."""
        return tuple(
            _stat(path) for path in (self._tls.cert_file, self._tls.key_file, self._tls.client_ca_file) if path
        )


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
