"""What others do to the operator's objects: ours is put back, theirs stays, what is deleted returns."""

from harness.children import children, differences
from harness.documents import QUICK, router
from harness.kubectl import Kubectl
from harness.operator import Operator
from harness.shell import until

NOBODY = {"app.kubernetes.io/component": "nobody"}
CHANGES = {  # a field of each kind that nobody but the operator should say
    "Deployment": {"spec": {"progressDeadlineSeconds": 77}},
    "Service": {"spec": {"selector": NOBODY, "ports": [{"name": "lines", "port": 10001, "targetPort": 9}]}},
    "ConfigMap": {"data": {"config.json": "{}"}},
    "ServiceAccount": {"automountServiceAccountToken": True},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": "100%"}},
    "NetworkPolicy": {"spec": {"ingress": [{}]}},
}
NEW = {"metadata.uid", "spec.clusterIP", "spec.clusterIPs"}  # of whatever is made anew
FOREIGN = {"metadata": {"labels": {"example.com/cost-centre": "42"}}}


def _names(kubectl: Kubectl, kind: str) -> list[str]:
    return [one["metadata"]["name"] for one in kubectl.items(kind, {"rutta.logary.tech/instance": "main"})]


def test_what_is_ours_is_put_back_what_is_deleted_returns_and_what_is_others_stays(
    operator: Operator, kubectl: Kubectl
) -> None:
    listeners = [{"name": "lines", "tcp": {"port": 10001}}]
    kubectl.apply(router(replicas=2, listeners=listeners, networkPolicy={"enabled": True}, **QUICK))
    kubectl.until_ready("RuttaRouter", "main")
    for kind in CHANGES:
        for name in _names(kubectl, kind):
            kubectl.patch(kind, name, FOREIGN)
    before = children(kubectl)
    assert {key.partition("/")[0] for key in before} >= CHANGES.keys()

    for kind, change in CHANGES.items():
        for name in _names(kubectl, kind):
            kubectl.patch(kind, name, change)
            until(lambda: _same(kubectl, before), 30, f"{kind} {name} is as it was")

    for kind in CHANGES:
        for name in _names(kubectl, kind):
            uid = kubectl.get(kind, name)["metadata"]["uid"]
            kubectl.delete(kind, name, "--wait=false")
            until(
                lambda kind=kind, name=name, uid=uid: _is_anew(kubectl, kind, name, uid), 60, f"{kind} {name} returns"
            )
    kubectl.until_ready("RuttaRouter", "main")
    lost = {path for paths in differences(before, children(kubectl)).values() for path in paths}
    assert lost - NEW == {"metadata.labels.example.com/cost-centre"}

    figures = operator.metrics(operator.until_led())
    assert "rutta_operator_leader 1.0" in figures
    assert (
        f'rutta_resource_condition{{kind="RuttaRouter",name="main",namespace="{kubectl.namespace}",status="True",'
        'type="Ready"} 1.0'
    ) in figures


def _same(kubectl: Kubectl, before: dict[str, object]) -> bool:
    assert differences(before, children(kubectl)) == {}
    return True


def _is_anew(kubectl: Kubectl, kind: str, name: str, uid: str) -> bool:
    found = kubectl.find(kind, name)
    return found is not None and found["metadata"]["uid"] != uid
