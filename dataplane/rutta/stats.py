"""What is counted: plain numbers on the loop's thread, read by ``/metrics``, ``/status`` and the last log line."""

import bisect
import time
from collections import Counter
from typing import Any, Final

SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Histogram:
    """Counts of observed seconds per upper bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        """The last bucket has no bound."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class ListenerStats:
    """One listener's numbers: events accepted, bytes taken, inputs that were none by reason, kernel drops."""

    def __init__(self, name: str, component: str) -> None:
        """All zero."""
        self.name = name
        self.component = component
        self.received = 0
        self.bytes = 0
        self.errors: Counter[str] = Counter()
        self.kernel_drops = 0
        self.restarts = 0
        self.last_error: str | None = None

    def failed(self, message: str) -> None:
        """Keep the newest decode error for ``/status``."""
        self.last_error = message[:300]


class TargetStats:
    """One target's numbers. At every moment ``received = delivered + dropped + held``."""

    def __init__(self, name: str, component: str) -> None:
        """All zero; ``name`` is the label ``target``, ``label`` the label ``component``."""
        self.name = name
        self.component = component
        self.label = f"{'link' if component == 'link' else 'target'}/{name}"
        self.received = 0
        self.delivered = 0
        self.dropped: Counter[str] = Counter()
        self.retries = 0
        self.restarts = 0
        self.send_seconds = Histogram()
        self.last_error: str | None = None
        self.last_error_at: float | None = None
        self.trouble = ""  # why the newest try failed, in words that do not change with every try

    def failed(self, message: str) -> None:
        """Keep the newest error for ``/status``."""
        self.last_error = message[:500]
        self.last_error_at = time.time()

    def drops(self) -> dict[str, Any]:
        """Return drops by reason."""
        return dict(self.dropped)
