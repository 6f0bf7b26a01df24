"""For all tests: what a test does to the process's logging ends with it, and no test fails for a slow machine."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("rutta", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rutta")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """``log.set_up`` takes over the root logger, as a process does; the next test begins afresh."""
    root, ours = logging.getLogger(), logging.getLogger("rutta")
    handlers, level, our_level = list(root.handlers), root.level, ours.level
    yield
    root.handlers[:] = [one for one in root.handlers if one in handlers] or handlers
    root.setLevel(level)
    ours.setLevel(our_level)
