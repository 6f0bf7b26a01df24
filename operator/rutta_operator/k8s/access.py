"""How the API server is reached: by the pod's service account, else by the kubeconfig of who starts the operator."""

import logging
import time
from pathlib import Path
from typing import Final

import kopf

_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_FRESH: Final = 60.0  # seconds; kubelet renews a token when a fifth of its hour is left


def login() -> kopf.ConnectionInfo:
    """Return server, certificates and token, as they are now.

    A kubeconfig that asks a program or a provider for its token is read by the kubernetes client, which knows how.
    Raises:
        kopf.LoginError: there is neither a service account nor a kubeconfig.
    """
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings)
    if found is None:
        found = kopf.login_with_kubeconfig(settings=settings)
        if found is not None and not (found.token or found.certificate_path or found.certificate_data):
            found = kopf.login_via_client(settings=settings, logger=logging.getLogger("rutta_operator"))
    if found is None:
        raise kopf.LoginError("there is neither a service account nor a kubeconfig; set KUBECONFIG")
    return found


class Token:
    """The headers that say who we are; a service account's token is read again every minute, for it is renewed."""

    def __init__(self, info: kopf.ConnectionInfo, file: Path = _TOKEN) -> None:
        """``file`` is where kubelet keeps the token of the pod."""
        self._headers = info.as_http_headers()
        self._file = file if file.exists() else None
        self._read = time.monotonic()

    def headers(self) -> dict[str, str]:
        """Return the headers of a request that is made now."""
        if time.monotonic() - self._read > _FRESH:
            self.renew()
        return self._headers

    def renew(self) -> None:
        """Read the token again: it is old, or the API server did not take it."""
        self._read = time.monotonic()
        if self._file is not None:
            self._headers = {"Authorization": f"Bearer {self._file.read_text(encoding='ascii').strip()}"}
