"""``ruttactl status`` against a tiny API server: the tree, what is wrong in it, data, exit codes, watching."""

import json
import sys

import pytest
import yaml

from rutta_operator.ctl import standing
from rutta_operator.ctl.__main__ import main
from rutta_operator.state.seen import Report, TargetReport
from rutta_operator.state.status import status
from rutta_operator.wiring.graph import Key

MID = Key("RuttaProxy", "logs", "mid")
GOING = {"type": "Progressing", "reason": "ReplicaSetUpdated"}


@pytest.fixture
def well(ctl, made):
    """A shipper and a router, both ready."""
    ctl.has((made.main, made.ROUTER, status(made.router())), (made.node, made.SHIPPER, status(made.shipper())))
    return ctl


def test_a_topology_that_is_well_is_a_tree_and_exit_code_0(well):
    assert well("status") == (
        0,
        "✓ RuttaShipper logs/node  Available  3/3 pods\n└── ✓ RuttaRouter logs/main  Available  3/3 pods\n",
        "",
    )


def test_what_is_wrong_is_said_once_each_and_is_exit_code_1(ctl, made):
    ill = Report("abc", "", (TargetReport("db", "Failing", "http://db answered 401"), TargetReport("out", "Healthy")))
    going = made.deployment(updatedReplicas=1, readyReplicas=2, conditions=[GOING])
    ctl.has(
        (made.main, made.ROUTER, status(made.router(workload=going, report=ill))),
        (made.node, made.SHIPPER, status(made.lonely("CycleDetected"))),
    )
    code, out, err = ctl("status")
    why = "`kubectl describe pods -n logs -l app.kubernetes.io/name=rutta,app.kubernetes.io/component=router," \
          "rutta.logary.tech/instance=main`"  # fmt: skip
    assert (code, err) == (1, "")
    assert out == (
        "✗ RuttaShipper logs/node  CycleDetected  0/0 pods\n"
        "└── CycleDetected: spec.to[0]: RuttaRouter logs/main does not exist\n"
        "… RuttaRouter logs/main  RolloutInProgress  2/3 pods\n"
        "├── RolloutInProgress: 1 of 3 pods are new, 3 are available, 2 old ones are left."
        f" Why: {why}. They need the Secret influx.\n"
        "└── Failing: db: http://db answered 401\n"
    )


def test_a_target_that_fails_is_shown_and_does_not_make_it_unready(ctl, made):
    ill = Report("abc", "", (TargetReport("db", "Rejecting"), TargetReport("out", "Healthy")))
    ctl.has((made.main, made.ROUTER, status(made.router(report=ill))))
    assert ctl("status") == (
        0,
        "✓ RuttaRouter logs/main  Available  3/3 pods\n└── Rejecting: db\n",
        "",
    )


def test_a_status_of_another_generation_and_none_at_all_are_not_ready(ctl, made):
    ctl.has(
        (made.main, made.ROUTER, {**status(made.router()), "observedGeneration": 1}), (made.node, made.SHIPPER, None)
    )
    code, out, _ = ctl("status")
    assert code == 1
    assert "Outdated: the operator has not seen generation 2 yet; this is of 1" in out
    assert "Unknown: it has no status yet: does the operator run, and watch this namespace?" in out


def test_a_resource_that_several_send_to_is_drawn_once_and_one_elsewhere_is_named(ctl, made):
    other = Key("RuttaShipper", "logs", "other")
    spread = status(made.shipper())
    far = {**spread, "downstreams": {"total": 1, "connected": 1, "items": [
        {"kind": "RuttaRouter", "namespace": "far", "name": "main", "state": "Connected"}]}}  # fmt: skip
    ctl.has(
        (made.main, made.ROUTER, status(made.router())), (made.node, made.SHIPPER, spread),
        (other, made.SHIPPER, spread), (MID, made.SHIPPER, far),
    )  # fmt: skip
    _, out, _ = ctl("status", "-n", "logs")
    assert out.count("RuttaRouter logs/main  Available") == 1
    assert "└── RuttaRouter logs/main  (see above)\n" in out
    assert "✓ RuttaProxy logs/mid  Available  3/3 pods\n└── RuttaRouter far/main  (not among these)\n" in out


def test_statuses_of_different_times_that_make_a_circle_are_all_shown(ctl, made):
    def to(key):
        item = {"kind": key.kind, "namespace": key.namespace, "name": key.name}
        return {**status(made.shipper()), "downstreams": {"total": 1, "items": [item]}}

    back = Key("RuttaProxy", "logs", "back")
    ctl.has((MID, made.SHIPPER, to(back)), (back, made.SHIPPER, to(MID)))
    _, out, _ = ctl("status")
    assert "RuttaProxy logs/mid  Available" in out
    assert "RuttaProxy logs/back  Available" in out


def test_data_has_the_whole_status(well, made):
    code, out, _ = well("status", "--output", "json")
    found = json.loads(out)
    assert code == 0
    assert [(one["resource"], one["ready"]) for one in found] == [
        ("RuttaRouter/logs/main", True),
        ("RuttaShipper/logs/node", True),
    ]
    assert found[0]["status"] == status(made.router())
    assert yaml.safe_load(well("status", "-o", "yaml")[1]) == found


def test_the_namespace_is_the_context_s_or_the_one_given_or_all(well, made):
    far = Key("RuttaRouter", "far", "main")
    well.has((far, made.ROUTER, status(made.router())))
    assert "far/main" not in well("status")[1]
    assert "logs/main" not in well("status", "-n", "far")[1]
    assert {"far/main", "logs/main"} <= set(well("status", "-A")[1].split())
    code, out, err = well("status", "--context", "else")
    assert (code, out) == (22, "")
    assert err == "namespace default: has no RuttaRouter, RuttaShipper or RuttaProxy\n"


def test_many_resources_come_in_pages(ctl, made):
    ctl.api.page = 2
    keys = [Key("RuttaRouter", "logs", f"r{number}") for number in range(5)]
    ctl.has(*[(key, made.ROUTER, status(made.router())) for key in keys])
    assert ctl("status")[1].count("Available") == 5


@pytest.mark.parametrize(
    ("part", "answer", "code", "said"),
    [
        ("ruttarouters", 403, 22, "you may not list ruttarouters in namespace logs (403 Forbidden)"),
        ("ruttaproxies", 401, 22, "you may not list ruttaproxies in namespace logs (401 Unauthorized)"),
        ("rutta", 404, 22, "does not know rutta.logary.tech/v1alpha1: install the CRDs (docs/installation.md)"),
        ("rutta", 503, 69, "could not list ruttarouters in namespace logs: 503 Service Unavailable"),
    ],
)
def test_a_refusal_of_the_api_server_says_what_to_do(well, part, answer, code, said):
    well.api.refused = {part: answer}
    got, out, err = well("status")
    assert (got, out) == (code, "")
    assert err.endswith(f": {said}\n")


def test_a_cluster_that_does_not_answer_is_exit_code_69(ctl):
    code, _, err = ctl("status", "--context", "gone")
    assert code == 69
    assert err.startswith("http://127.0.0.1:1: does not answer: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kubeconfig", "absent"], "absent: cannot be used"),
        (
            ["--context", "nowhere"],
            "kubeconfig: cannot be used: Invalid kube-config file. Expected object with name nowhere",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_a_user_error(ctl, words, said):
    code, out, err = ctl("status", *words)
    assert (code, out) == (22, "")
    assert said in err


def test_watching_says_it_again_when_it_changed_and_ends_with_the_last_exit_code(well, made, capsys):
    rests = []

    def rest(seconds):
        rests.append(seconds)
        if len(rests) == 2:
            well.api.resources[0]["status"] = status(made.router(workload=None))
        if len(rests) == 4:
            raise KeyboardInterrupt

    options = {"kubeconfig": None, "context": None, "all_namespaces": False, "namespace": None, "output": "tree",
               "watch": True}  # fmt: skip
    assert standing.status(options, rest=rest) == 1
    out = capsys.readouterr().out
    assert out.count("logs/node") == 2
    assert out.count("──\n") == 1
    assert "RolloutInProgress: The Deployment main-router is being made." in out


def test_as_kubectl_rutta_it_is_called_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/kubectl-rutta"])
    with pytest.raises(SystemExit):
        main(["status", "--help"])
    assert "usage: kubectl rutta status" in capsys.readouterr().out
