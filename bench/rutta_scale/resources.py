"""Resources as an installation with many teams has them: half of them routers, shippers and proxies in front."""

from typing import Any

from rutta_scale.place import FAKE

Object = dict[str, Any]
IN_A_NAMESPACE = 100
_ROUTERS, _PROXIES = 50, 20  # of a hundred; the rest are shippers


def namespaces(count: int, prefix: str) -> list[Object]:
    """Return the namespaces for so many resources."""
    names = [f"{prefix}-{number}" for number in range(-(-count // IN_A_NAMESPACE))]
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]


def make(count: int, prefix: str) -> list[Object]:
    """Return so many resources, a hundred to a namespace; every reference is to one of its own namespace."""
    return [_one(number % IN_A_NAMESPACE, f"{prefix}-{number // IN_A_NAMESPACE}") for number in range(count)]


def _one(place: int, namespace: str) -> Object:
    if place < _ROUTERS:
        return _document("RuttaRouter", namespace, f"router-{place}", _router(place))
    if place < _ROUTERS + _PROXIES:
        to = [_to("RuttaRouter", f"router-{place - _ROUTERS}"), _to("RuttaRouter", f"router-{place - _ROUTERS + 20}")]
        return _document("RuttaProxy", namespace, f"proxy-{place}", {"replicas": 1, "to": to})
    return _document("RuttaShipper", namespace, f"shipper-{place}", _shipper(place))


def _router(place: int) -> Object:
    password = {"secretKeyRef": {"name": "influx", "key": "password"}}
    influx = {"endpoint": "http://influx:8086/write", "db": "logs", "username": "rutta", "password": password}
    return {
        "replicas": 1,
        "listeners": [
            {"name": "web", "http": {"port": 8080, "codec": "json", "path": f"/i/{place}"}},
            {"name": "lines", "tcp": {"port": 10001, "codec": "json"}},
        ],
        "targets": [{"name": "influx", "influxdb": influx}, {"name": "out", "console": {}}],
        "routes": [{"match": {"minLevel": "warn"}, "targets": ["influx"]}, {"targets": ["out"]}],
    }


def _shipper(place: int) -> Object:
    sources = [{"name": "lines", "tcp": {"port": 10001, "codec": "json"}}]
    spec: Object = {"sources": sources, "to": [_to("RuttaProxy", f"proxy-{_ROUTERS + place % _PROXIES}")]}
    if place % 3:
        return {**spec, "nodeSelector": FAKE}  # a DaemonSet
    return {**spec, "workload": "Deployment", "replicas": 1}


def _to(kind: str, name: str) -> Object:
    return {"kind": kind, "name": name}


def _document(kind: str, namespace: str, name: str, spec: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "rutta.logary.tech/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
