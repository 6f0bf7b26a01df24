"""Sockets, framing, TLS and HTTP: what listeners, targets and the health page stand on."""
