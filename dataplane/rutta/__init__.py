"""Rutta's data plane: moves log events and metrics from listeners to targets."""

from typing import Final

VERSION: Final = "0.1.0"
