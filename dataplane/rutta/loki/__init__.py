"""Grafana Loki: streams and entries made of events, requests of its push API, and what its answers say."""
