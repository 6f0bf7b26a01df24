"""The programs that are measured: one module each, with a ``make(cache, *, offline)`` that gives a ``Peer``."""
