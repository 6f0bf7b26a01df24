"""``ruttactl check --cluster``: files together with what is there, and what is there alone."""

from pathlib import Path

import pytest

from rutta_operator.wiring.graph import Key

PROXY = {"to": [{"kind": "RuttaRouter", "name": "main"}]}
MID = Key("RuttaProxy", "logs", "mid")
FAR = Key("RuttaShipper", "far", "node")
OPEN = {"allowedFrom": [{"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}]}


def to(*names, kind="RuttaRouter", **other):
    return {"to": [{"kind": kind, "name": name, **other} for name in names]}


def test_a_reference_may_lead_to_what_is_in_the_cluster(ctl, made):
    file = ctl.file("s.yaml", (made.node, made.SHIPPER))
    assert ctl("check", "-f", file)[0] == 22
    assert ctl("check", "--cluster", "-f", file)[0] == 22
    ctl.has((made.main, made.ROUTER, {}))
    assert ctl("check", "--cluster", "-f", file) == (
        0,
        "1 resource in the files, 1 resource in the cluster, 1 link: fine.\n",
        "",
    )
    assert [plan.key for plan in ctl.judged] == [made.main, made.node]  # a sender that is wired is judged, too


def test_what_cannot_be_wired_is_told_at_its_line(ctl, made):
    ctl.has((made.main, made.ROUTER, {}))
    file = ctl.file("s.yaml", (made.node, {**made.SHIPPER, **to("mian")}))
    code, out, err = ctl("check", "--cluster", "-f", file)
    assert (code, out) == (22, "")
    assert err == (
        "s.yaml:13: spec.to[0]: TargetNotFound: RuttaRouter logs/mian does not exist; did you mean 'main'?\n"
    )


def test_what_the_files_would_break_in_the_cluster_is_told_and_what_was_broken_is_not(ctl, made):
    ctl.has(
        (made.main, made.ROUTER, {}), (made.node, {**made.SHIPPER, **to("mid", kind="RuttaProxy")}, {}),
        (MID, {**PROXY, **to("main", "gone")}, {}),
    )  # fmt: skip
    back = Key("RuttaProxy", "logs", "back")
    file = ctl.file("p.yaml", (MID, {**to("back", kind="RuttaProxy")}), (back, to("mid", kind="RuttaProxy")))
    _, _, err = ctl("check", "--cluster", "-f", file)
    assert "p.yaml:8: spec.to[0]: CycleDetected" in err
    assert "gone" not in err
    closed = ctl.file("r.yaml", (made.main, {**made.ROUTER, "allowedFrom": []}))
    _, _, err = ctl("check", "--cluster", "-f", closed)
    assert err == (
        "RuttaProxy logs/mid in the cluster: spec.to[0]: RefNotPermitted: RuttaRouter logs/main does not admit"
        " RuttaProxy from namespace logs; its owner can by spec.allowedFrom\n"
    )


def test_without_files_it_is_what_is_there_that_is_checked(ctl, made):
    ctl.has((made.main, made.ROUTER, {}), (made.node, made.SHIPPER, {}))
    ctl.api.secrets = {("logs", "influx"): {"p": "eA=="}}
    assert ctl("check", "--cluster") == (0, "2 resources in the cluster, 1 link: fine.\n", "")
    ctl.has((MID, to("gone"), {}), (Key("RuttaRouter", "logs", "old"), {"targets": []}, {}))
    code, _, err = ctl("check", "--cluster")
    assert code == 22
    assert "RuttaProxy logs/mid in the cluster: spec.to[0]: TargetNotFound" in err
    assert "RuttaRouter logs/old in the cluster: spec.targets: is empty" in err


def test_without_files_a_namespace_is_checked_alone_and_may_refer_to_others(ctl, made):
    ctl.has(
        (made.main, {**made.ROUTER, "allowedFrom": [{"namespaces": {"from": "All"}}]}, {}),
        (FAR, {**made.SHIPPER, **to("main", namespace="logs")}, {}),
        (MID, to("gone"), {}), (Key("RuttaRouter", "logs", "old"), {"targets": []}, {}),
    )  # fmt: skip
    assert ctl("check", "--cluster", "-n", "far") == (0, "1 resource in namespace far, 1 link: fine.\n", "")
    code, _, err = ctl("check", "--cluster", "-n", "logs")
    assert (code, len(err.splitlines())) == (22, 2)
    code, _, err = ctl("check", "--cluster", "-n", "empty")
    assert (code, err) == (22, "namespace empty: has no RuttaRouter, RuttaShipper or RuttaProxy\n")
    ctl.api.refused = {"v1alpha1/rutta": 403}
    ctl.api.asked.clear()
    assert ctl("check", "--cluster", "-n", "far")[0] == 0
    assert {path.split("/")[5] for path in ctl.api.asked if "/v1alpha1/namespaces/" in path} == {"far", "logs"}


def test_without_files_and_rights_the_contexts_namespace_is_judged_alone(ctl, made):
    """What it refers to is read, and what that refers to is not: nothing is said of it."""
    everybody = {"allowedFrom": [{"namespaces": {"from": "All"}}]}
    mid, deep = Key("RuttaProxy", "hub", "mid"), Key("RuttaRouter", "deep", "main")
    ctl.has(
        (made.node, {**made.SHIPPER, **to("mid", kind="RuttaProxy", namespace="hub")}, {}),
        (mid, {**to("main", namespace="deep"), **everybody}, {}), (deep, {**made.ROUTER, **everybody}, {}),
    )  # fmt: skip
    ctl.api.refused = {"v1alpha1/rutta": 403}
    code, out, err = ctl("check", "--cluster")
    assert (code, out) == (0, "1 resource in namespace logs, 1 link: fine.\n"), err
    assert err.startswith("You may not list the whole cluster: namespace logs is checked.\n")


def test_files_without_a_resource_are_told_whatever_may_not_be_read(ctl, made):
    ctl.has((made.node, {**made.SHIPPER, **to("main", namespace="far")}, {}))
    ctl.api.refused = {"v1alpha1/rutta": 403, "namespaces/far": 403}
    bad = ctl.file("bad.yaml")
    Path(bad).write_text("a: [")
    assert "bad.yaml:2: is not YAML" in ctl("check", "--cluster", "-f", bad)[2]


def test_why_what_a_namespace_refers_to_is_not_there_is_told(ctl, made):
    broken = {**made.ROUTER, "targets": [{"name": "a", "file": {"path": "-", "compression": "Gzip"}}]}
    ctl.has((made.main, broken, {}), (FAR, {**made.SHIPPER, **to("main", namespace="logs")}, {}))
    code, _, err = ctl("check", "--cluster", "-n", "far")
    assert code == 22
    assert "RuttaRouter logs/main in the cluster: spec.targets[0].file.path: - is standard output" in err
    assert "TargetNotFound" in err


def test_an_empty_namespace_is_none(ctl, made):
    ctl.has((made.main, made.ROUTER, {}))
    assert ctl("check", "--cluster", "-n", "")[1] == "1 resource in the cluster, 0 links: fine.\n"


def test_secrets_that_nobody_has_are_told_and_are_no_mistake(ctl, made):
    file = ctl.file("r.yaml", (made.main, made.ROUTER))

    def said():
        code, out, err = ctl("check", "--cluster", "-f", file)
        assert (code, out) == (0, "1 resource in the files, 0 resources in the cluster, 0 links: fine.\n")
        return err

    assert said() == "The Secret logs/influx does not exist; RuttaRouter logs/main needs it.\n"
    ctl.api.secrets = {("logs", "influx"): {"other": "eA=="}}
    assert said() == "The Secret logs/influx has no key p; RuttaRouter logs/main needs it.\n"
    ctl.api.secrets = {("logs", "influx"): {"p": "eA=="}}
    assert said() == ""
    ctl.api.refused = {"secrets": 403}
    assert said() == "You may not read Secrets: whether those that are needed exist was not checked.\n"


def test_consent_by_labels_is_judged_by_those_of_the_cluster(ctl, made):
    ctl.has((made.main, {**made.ROUTER, **OPEN}, {}))
    file = ctl.file("s.yaml", (FAR, {**made.SHIPPER, **to("main", namespace="logs")}))
    ctl.api.namespaces = {"far": {"team": "b"}}
    assert "RefNotPermitted" in ctl("check", "--cluster", "-f", file)[2]
    ctl.api.namespaces = {"far": {"team": "a"}}
    assert ctl("check", "--cluster", "-f", file)[0] == 0
    ctl.api.refused = {"/api/v1/namespaces": 403}
    assert "You may not list namespaces" in ctl("check", "--cluster", "-f", file)[2]


def test_whoever_may_not_list_the_cluster_gets_the_namespaces_that_files_speak_of(ctl, made):
    everybody = {"allowedFrom": [{"namespaces": {"from": "All"}}]}
    ctl.has((made.main, {**made.ROUTER, **everybody}, {}))
    ctl.api.refused = {"v1alpha1/rutta": 403}
    file = ctl.file("s.yaml", (FAR, {**made.SHIPPER, **to("main", namespace="logs")}))
    assert ctl("check", "--cluster", "-f", file)[0] == 0
    assert {path.split("/")[5] for path in ctl.api.asked if "/v1alpha1/namespaces/" in path} == {"far", "logs"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check"], "check needs files (-f FILE), a cluster (--cluster), or both"),
        (["check", "--cluster"], "the cluster: has no RuttaRouter, RuttaShipper or RuttaProxy"),
        (["check", "--cluster", "-f", "gone.yaml"], "gone.yaml: "),
    ],
)
def test_nothing_to_check_is_a_user_error(ctl, words, said):
    code, out, err = ctl(*words)
    assert (code, out) == (22, "")
    assert said in err
