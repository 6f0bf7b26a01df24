"""Rutta's operator: keeps a topology of shippers, proxies and routers as its resources say."""

from typing import Final

VERSION: Final = "0.1.0"
