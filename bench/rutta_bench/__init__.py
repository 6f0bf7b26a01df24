"""Measure how fast Rutta is, beside others, on one machine and in one run. ``bench/run.py`` is the command."""
