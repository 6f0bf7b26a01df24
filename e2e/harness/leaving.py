"""What cannot be run on a machine: left out, or a failure where it is required."""

from typing import NoReturn

import pytest


def leave_out(config: pytest.Config, reason: str) -> NoReturn:
    """Skip the test, or fail with ``--require``."""
    if config.getoption("--require"):
        pytest.fail(f"--require: {reason}")
    pytest.skip(reason)
