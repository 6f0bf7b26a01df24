"""One plan → the Kubernetes objects that realise it. Pure; each module of this package makes one kind of object.

What is rendered is what is owned: fields stand here only if we mean to hold them, since whatever is applied is
compared with the live object and put back. Quantities and durations are written as the API server would.
"""

from typing import Any, Final, NamedTuple

from rutta_operator.wiring import names
from rutta_operator.wiring.graph import Key

Object = dict[str, Any]
"""A Kubernetes object as JSON."""

DEFAULT_IMAGE: Final = "logary/rutta:latest"


class Owner(NamedTuple):
    """The resource that objects belong to and disappear with."""

    api_version: str
    kind: str
    name: str
    uid: str


class Context(NamedTuple):
    """What the place where objects are made decides for all of them."""

    image: str = DEFAULT_IMAGE
    """the data plane's, for resources that name none"""
    image_pull_secrets: tuple[str, ...] = ()
    """names of Secrets in the resource's namespace, beside its own"""
    owner: Owner | None = None
    """None: nobody keeps the objects (``ruttactl render --output manifests``)"""
    manager: str = names.MANAGER
    """the label that says who keeps the objects"""
    senders: frozenset[Key] = frozenset()
    """who may reach the resource's link: who is wired to it, or keeps its last wiring"""
    monitoring: bool = False
    """whether the cluster knows PodMonitors and PrometheusRules"""
    is_local: bool = True
    """whether senders may be left to the pod of their own node: only once a DaemonSet's pods are all there"""
