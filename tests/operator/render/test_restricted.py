"""Pod Security "restricted", rule by rule: https://kubernetes.io/docs/concepts/security/pod-security-standards/."""

from collections.abc import Iterator
from typing import Any

import pytest

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}  # fmt: skip
MADE_BY_A_USER = {
    "spec": {
        "containers": [
            {
                "name": "side",
                "image": "busybox",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ]
    }
}


def pod_of(objects: dict[str, Any]) -> dict[str, Any]:
    (spec,) = [one["spec"]["template"]["spec"] for one in objects.values() if "template" in one.get("spec", {})]
    return spec


def violations(spec: dict[str, Any]) -> Iterator[str]:
    pod = spec.get("securityContext", {})
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    yield from (f"sysctl {one['name']}" for one in pod.get("sysctls", ()) if one["name"] not in SYSCTLS)
    yield from (f"volume {one['name']}" for one in spec.get("volumes", ()) if not set(one) - {"name"} <= VOLUMES)
    if pod.get("runAsUser", 1) == 0:
        yield "runAsUser"
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        own, name = container.get("securityContext", {}), container["name"]
        capabilities = own.get("capabilities", {})
        wrong = {
            "privileged": own.get("privileged", False),
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation", True),
            "capabilities.drop": "ALL" not in capabilities.get("drop", ()),
            "capabilities.add": bool(set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}),
            "runAsNonRoot": not own.get("runAsNonRoot", pod.get("runAsNonRoot", False)),
            "runAsUser": own.get("runAsUser", 1) == 0,
            "seccompProfile": (own.get("seccompProfile") or pod.get("seccompProfile", {})).get("type")
            not in ("RuntimeDefault", "Localhost"),
            "hostPort": any(port.get("hostPort") for port in container.get("ports", ())),
            "procMount": own.get("procMount", "Default") != "Default",
        }
        yield from (f"{name}: {key}" for key, is_wrong in wrong.items() if is_wrong)


@pytest.mark.parametrize("kind", ["router", "shipper", "proxy"])
@pytest.mark.parametrize("template", [{}, MADE_BY_A_USER], ids=["as it is", "with a container of a user's"])
def test_pods_satisfy_restricted(kind, template, request, render):
    spec = pod_of(render(request.getfixturevalue(kind)(podTemplate=template)))
    assert list(violations(spec)) == []
    container = spec["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["automountServiceAccountToken"] is False


def test_ports_below_1024_are_bound_by_a_safe_sysctl_not_a_capability(render, router):
    spec = pod_of(render(router(listeners=[{"name": "syslog", "udp": {"port": 514}}])))
    assert spec["securityContext"]["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "514"}]
    assert list(violations(spec)) == []


def test_only_a_host_port_violates_it(render, router):
    listeners = [{"name": "lines", "tcp": {"port": 10001}, "hostPort": 10001}]
    assert list(violations(pod_of(render(router(workload="DaemonSet", listeners=listeners))))) == ["rutta: hostPort"]


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "node", "hostPath": {"path": "/var/log"}}]}, "volume node"),
        ({"securityContext": {"runAsNonRoot": False}}, "rutta: runAsNonRoot"),
        ({"securityContext": {"seccompProfile": None}}, "rutta: seccompProfile"),
        ({"containers": [{"name": "rutta", "securityContext": {"capabilities": None}}]}, "rutta: capabilities.drop"),
        ({"containers": [{"name": "rutta", "securityContext": {"privileged": True}}]}, "rutta: privileged"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_pod_template_that_violates_it_is_seen(change, violation, render, router):
    """The rules above can fail."""
    assert violation in list(violations(pod_of(render(router(podTemplate={"spec": change})))))
