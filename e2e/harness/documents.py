"""The three resources as short as scenarios can have them."""

from typing import Any

from harness.api import Object

API = "rutta.logary.tech/v1alpha1"
QUICK = {"drain": {"delay": "2s", "timeout": "10s"}}  # for scenarios that roll pods and are not about how long it takes


def _resource(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def router(name: str = "main", **spec: Any) -> Object:
    """Return a router that prints what it gets, unless the spec says otherwise."""
    return _resource("RuttaRouter", name, {"targets": [{"name": "out", "console": {}}], **spec})


def proxy(name: str, *to: Object, **spec: Any) -> Object:
    """Return a proxy."""
    return _resource("RuttaProxy", name, {"to": list(to), **spec})


def shipper(name: str, *to: Object, **spec: Any) -> Object:
    """Return a shipper that takes lines over tcp, unless the spec says otherwise."""
    sources = [{"name": "lines", "tcp": {"port": 10001, "codec": "json"}}]
    return _resource("RuttaShipper", name, {"sources": sources, "to": list(to), **spec})


def to(kind: str, name: str, namespace: str | None = None) -> Object:
    """Return a reference; ``kind`` is Router or Proxy."""
    place = {"namespace": namespace} if namespace else {}
    return {"kind": f"Rutta{kind}", "name": name, **place}


def http_target(url: str, **settings: Any) -> Object:
    """Return a target that sends to a receiver."""
    return {"name": "receiver", "http": {"endpoint": url, **settings}}
