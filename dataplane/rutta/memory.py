"""Makes glibc keep the memory of blocks for the next blocks, instead of giving it back and asking again for each one.

By default a freed block of 256 KiB goes back to the kernel, and the next one costs 64 page faults: a third of a
link receiver's CPU, a quarter of a tcp listener's for plain lines. With these limits a process keeps at most 16 MiB
that it does not use.
"""

import ctypes
import os
from typing import Final

# <malloc.h>; the numbers are part of glibc's interface
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEEP: Final = 16 * 2**20
_BLOCKS: Final = 4 * 2**20
_ENVIRONMENT: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep() -> bool:
    """Set the limits; False where the C library has none, or the user has set some."""
    if any(name in os.environ for name in _ENVIRONMENT):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _BLOCKS)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEEP))
