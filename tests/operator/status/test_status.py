"""``status``: every reason once, with its message; what goes with what; and that nothing moves without cause."""

import json

import pytest

from rutta_operator.spec.problems import Problem
from rutta_operator.state.judgement import LONGEST, condition
from rutta_operator.state.reasons import CONDITIONS, REASONS
from rutta_operator.state.seen import Refusal, Report, Silence, TargetReport
from rutta_operator.state.status import changed, judge, status
from rutta_operator.wiring.graph import Fault, Key

WHY = "Why: `kubectl describe {} -n logs -l {}`."
ROUTER_WHY = WHY.format(
    "pods", "app.kubernetes.io/name=rutta,app.kubernetes.io/component=router,rutta.logary.tech/instance=main"
)
SHIPPER_WHY = WHY.format(
    "daemonsets,pods",
    "app.kubernetes.io/name=rutta,app.kubernetes.io/component=shipper,rutta.logary.tech/instance=node",
)
SECRET = " They need the Secret influx."
STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
         "message": 'ReplicaSet "main-router-7" has timed out progressing.'}  # fmt: skip
GOING = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}
DENIED = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
          "message": 'pods "main-router-7-x" is forbidden: violates PodSecurity "restricted:latest"'}  # fmt: skip


def targets(*found):
    return Report("abc", "", tuple(TargetReport(*one) for one in found))


def fault(place, reason, name="gone"):
    return Fault(
        Key("RuttaShipper", "logs", "node"), place, Key("RuttaRouter", "logs", name), reason, f"text of {name}"
    )


SMALL = {"targets": [{"name": "out", "console": {}}]}


def podded(made, **other):
    return made.router({**SMALL, "podTemplate": {"spec": {"dnsPolicy": "No"}}}, **other)


# condition, reason, status, message; what is seen
CASES = [
    ("Accepted", "Valid", "True", "Nothing is wrong with the resource.", lambda m: m.router()),
    ("Accepted", "Invalid", "False",
     "spec.targets[1].influxdb.db: is required; spec.replicas: '3' is not a whole number",
     lambda m: m.router(resource=None, plan=None, problems=[
         Problem(("spec", "targets", 1, "influxdb", "db"), "is required"),
         Problem(("spec", "replicas"), "'3' is not a whole number")])),
    ("Accepted", "NotSupported", "False", "spec.allowedFrom[0].namespaces: cannot be decided here",
     lambda m: m.router(unsupported=[Problem(("spec", "allowedFrom", 0, "namespaces"), "cannot be decided here")])),
    ("Accepted", "InvalidPodTemplate", "False",
     'spec.podTemplate: Deployment.apps "main-router" is invalid: spec.podTemplate.spec.dnsPolicy: Unsupported',
     lambda m: podded(m, refusals=[Refusal("Deployment", "main-router", 422,
         'Deployment.apps "main-router" is invalid: spec.template.spec.dnsPolicy: Unsupported')])),
    ("Accepted", "ChildRefused", "False", "The API server refuses the Service main-router: exceeded quota",
     lambda m: m.router(refusals=[Refusal("Service", "main-router", 403, "exceeded quota")])),
    ("Accepted", "NameTaken", "False",
     "Service main-router is there already and not ours: Deployment x owns it; delete it, or rename this resource.",
     lambda m: m.router(refusals=[Refusal("Service", "main-router", 409, "Deployment x owns it")])),
    ("Accepted", "ConfigRefused", "False",
     "A pod refuses its new configuration, and goes on with the old one: targets.db: no such file",
     lambda m: m.router(report=Report("abc", "targets.db: no such file", ()))),
    ("ResolvedRefs", "Resolved", "True", "Every reference is wired.", lambda m: m.shipper()),
    ("ResolvedRefs", "Resolved", "True", "It refers to nothing: targets are its own.", lambda m: m.router()),
    ("ResolvedRefs", "Invalid", "Unknown", "The resource is not valid, so its references were not looked at.",
     lambda m: m.router(resource=None, plan=None, problems=[Problem((), "is no mapping")])),
    *[("ResolvedRefs", word, "False", "spec.to[0]: RuttaRouter logs/main does not exist",
       lambda m, word=word: m.lonely(word))
      for word in ("CycleDetected", "RefNotPermitted", "TransportMismatch", "HopLimit", "TargetNotFound")],
    ("ResolvedRefs", "TargetNotFound", "False",
     "spec.to[0]: RuttaRouter logs/main does not exist (its last wiring stays)",
     lambda m: m.lonely(kept=frozenset({m.main}))),
    ("ResolvedRefs", "CycleDetected", "False",
     "spec.to[2]: text of b; spec.to[1]: text of c; spec.to[0]: text of a",
     lambda m: m.shipper(faults=[fault(0, "TargetNotFound", "a"), fault(1, "RefNotPermitted", "c"),
                                 fault(2, "CycleDetected", "b")])),
    ("Ready", "Available", "True", "3 of 3 pods are available.", lambda m: m.router()),
    ("Ready", "Available", "True", "2 of 3 pods are available.",
     lambda m: m.router(workload=m.deployment(availableReplicas=2))),
    ("Ready", "ScaledToZero", "True", "No pods are asked for: spec.replicas is 0.",
     lambda m: m.router(workload=m.deployment(wanted=0, replicas=0, updatedReplicas=0, availableReplicas=0))),
    ("Ready", "NoNodes", "True", "No node is fit for the DaemonSet node-shipper, so there are no pods.",
     lambda m: m.shipper(workload=m.daemon_set(desiredNumberScheduled=0, currentNumberScheduled=0,
                                               updatedNumberScheduled=0, numberAvailable=0))),
    ("Ready", "ApplyFailed", "False", "Not all is applied yet, and it is tried again: the server said 503",
     lambda m: m.router(trouble="the server said 503")),
    ("Ready", "RolloutInProgress", "False", "The Deployment main-router is being made.",
     lambda m: m.router(workload=None)),
    ("Ready", "RolloutInProgress", "False", "The Deployment main-router changed, and Kubernetes takes it up.",
     lambda m: m.router(workload=m.deployment(observedGeneration=2))),
    ("Ready", "RolloutInProgress", "False",
     f"1 of 3 pods are new, 3 are available, 2 old ones are left. {ROUTER_WHY}{SECRET}",
     lambda m: m.router(workload=m.deployment(updatedReplicas=1, conditions=[GOING]))),
    ("Ready", "RolloutInProgress", "False", f"2 of 3 pods are new, 3 are available. {SHIPPER_WHY}",
     lambda m: m.shipper(workload=m.daemon_set(updatedNumberScheduled=2))),
    ("Ready", "WorkloadChanging", "False", "The DaemonSet node-shipper is being drained and removed.",
     lambda m: m.router(old=m.daemon_set())),
    ("Ready", "WorkloadChanging", "False",
     "The Deployment main-router is being made. The DaemonSet node-shipper stays until then.",
     lambda m: m.router(workload=None, old=m.daemon_set())),
    ("Ready", "MinimumReplicasUnavailable", "False",
     "1 of 3 pods are available; spec.podDisruptionBudget.maxUnavailable lets 1 be away. " + ROUTER_WHY + SECRET,
     lambda m: m.router(workload=m.deployment(availableReplicas=1))),
    ("Ready", "PodsRefused", "False",
     'Pods of the Deployment main-router cannot be made: pods "main-router-7-x" is forbidden: violates PodSecurity'
     ' "restricted:latest".',
     lambda m: m.router(workload=m.deployment(conditions=[GOING, DENIED]))),
    ("Ready", "ProgressDeadlineExceeded", "False",
     'The rollout of the Deployment main-router is stuck: ReplicaSet "main-router-7" has timed out progressing. '
     + ROUTER_WHY + SECRET,
     lambda m: m.router(workload=m.deployment(updatedReplicas=1, conditions=[STUCK]))),
    ("TargetsHealthy", "Healthy", "True", "2 of 2 targets take events; none fails.", lambda m: m.router()),
    ("TargetsHealthy", "TargetFailing", "False", "db fails: http://db:8086 answered 401 Unauthorized",
     lambda m: m.router(report=targets(("db", "Failing", "http://db:8086 answered 401 Unauthorized"),
                                       ("out", "Healthy")))),
    ("TargetsHealthy", "NotConnected", "False", "main is not connected: no receiver answers",
     lambda m: m.shipper(report=targets(("main", "NotConnected", "no receiver answers")))),
    ("TargetsHealthy", "TargetRejecting", "False", "db refuses all events: 400 Bad Request",
     lambda m: m.router(report=targets(("db", "Rejecting", "400 Bad Request"), ("out", "Idle")))),
    ("TargetsHealthy", "TargetFailing", "False", "out fails; db refuses all events",
     lambda m: m.router(report=targets(("db", "Rejecting"), ("out", "Failing")))),
    ("TargetsHealthy", "NothingSent", "Unknown", "No event was sent to any target yet.",
     lambda m: m.router(report=targets(("db", "Idle"), ("out", "Idle")))),
    ("TargetsHealthy", "NoReport", "Unknown", "No pod was asked yet.", lambda m: m.router(report=None)),
    ("TargetsHealthy", "NoReport", "Unknown", "No pod tells how its targets are: nothing answers at the health port.",
     lambda m: m.router(report=Silence("nothing answers at the health port."))),
    *(("TargetsHealthy", "NoReport", "Unknown", "There are no pods to ask.",
       lambda m, report=report: m.router(report=report, workload=m.deployment(wanted=0, replicas=0, updatedReplicas=0)))
      for report in (None, Silence("its name cannot be resolved."), targets(("db", "Failing", "401")))),
]  # fmt: skip


@pytest.mark.parametrize(("word", "reason", "truth", "message", "seen"), CASES)
def test_a_condition_says_its_reason_and_what_to_mend(made, word, reason, truth, message, seen):
    found = condition(status(seen(made)), word)
    assert (found["status"], found["reason"], found["message"]) == (truth, reason, message)


def test_every_reason_is_tried():
    assert {case[1] for case in CASES} == set(REASONS)


AT_ONCE = {"Invalid", "NotSupported", "InvalidPodTemplate", "ChildRefused", "NameTaken", "CycleDetected",
           "RefNotPermitted", "TransportMismatch", "HopLimit", "PodsRefused", "ProgressDeadlineExceeded"}  # fmt: skip


@pytest.mark.parametrize(("word", "reason", "truth", "message", "seen"), CASES)
def test_what_is_not_ready_is_stalled_only_if_nobody_but_a_user_can_mend_it(made, word, reason, truth, message, seen):
    found = status(seen(made))
    ready, words = condition(found, "Ready"), {one["type"] for one in found["conditions"]}
    other = {"Stalled"} if ready["reason"] in AT_ONCE else {"Reconciling"}
    assert words == {"Accepted", "ResolvedRefs", "Ready", "TargetsHealthy"} | (
        other if ready["status"] != "True" else set()
    )
    for one in other & words:
        assert condition(found, one)["reason"] == ready["reason"]
    assert words <= set(CONDITIONS)


def test_targets_do_not_feed_ready(made):
    found = status(made.router(report=targets(("db", "Failing", "x"), ("out", "Failing", "y"))))
    assert condition(found, "Ready")["status"] == "True"


def test_the_whole_status_of_a_router_that_is_well(made):
    found = status(made.router())
    conditions = found.pop("conditions")
    assert found == {
        "observedGeneration": 2,
        "replicas": 3,
        "readyReplicas": 3,
        "updatedReplicas": 3,
        "selector": "app.kubernetes.io/name=rutta,app.kubernetes.io/component=router,rutta.logary.tech/instance=main",
        "endpoints": [
            {"listener": "web", "address": "http://main-router.logs.svc:80", "protocol": "TCP"},
            {"listener": "sys", "address": "udp://main-router.logs.svc:5514", "protocol": "UDP"},
            {"listener": "link", "address": "tcp://main-router-link.logs.svc:5555", "protocol": "TCP"},
        ],
        "upstreams": {"total": 1, "items": [{"kind": "RuttaShipper", "namespace": "logs", "name": "node"}]},
        "downstreams": {"total": 0, "connected": 0, "items": []},
        "targets": [
            {"name": "db", "state": "Healthy", "reason": ""},
            {"name": "out", "state": "Healthy", "reason": ""},
        ],
    }
    assert [one["type"] for one in conditions] == ["Accepted", "ResolvedRefs", "Ready", "TargetsHealthy"]
    assert {one["lastTransitionTime"] for one in conditions} == {made.at(0)}
    assert {one["observedGeneration"] for one in conditions} == {2}


def test_a_shipper_tells_whether_it_reaches_those_it_sends_to(made):
    to = {"kind": "RuttaRouter", "namespace": "logs", "name": "main"}
    assert status(made.shipper())["downstreams"] == {
        "total": 1, "connected": 1, "items": [{**to, "state": "Connected"}],
    }  # fmt: skip
    apart = status(made.shipper(report=targets(("main", "NotConnected"))))
    assert apart["downstreams"] == {"total": 1, "connected": 0, "items": [{**to, "state": "NotConnected"}]}
    assert status(made.shipper())["endpoints"] == [
        {"listener": "in", "address": "udp://node-shipper.logs.svc:5514", "protocol": "UDP"}
    ]


def test_listeners_with_tls_say_so_in_their_address(made):
    listener = {"name": "web", "http": {"port": 8080, "codec": "json", "tls": {"secretName": "web-tls"}}}
    spec = {**SMALL, "listeners": [listener]}
    (web, _) = status(made.router(spec))["endpoints"]
    assert web["address"] == "https://main-router.logs.svc:8080"


def test_the_same_again_is_equal_byte_for_byte_and_is_not_written(made):
    for seen in (made.router(), made.shipper(), made.lonely(), made.router(workload=None)):
        first = status(seen)
        later = seen._replace(previous=first, now=made.now + 60)
        assert json.dumps(status(later)) == json.dumps(first)
        assert not changed(first, status(later))
        assert changed({}, first)


def test_conditions_and_keys_of_others_are_left_alone(made):
    ours = status(made.router())
    foreign = {**ours, "conditions": [{"type": "Synced", "status": "True"}, *reversed(ours["conditions"])], "x": 1}
    assert not changed(foreign, status(made.router(previous=foreign)))
    assert changed({**foreign, "replicas": 2}, ours)


def test_a_restart_of_the_operator_keeps_what_pods_said(made):
    before = status(made.router(report=targets(("db", "Failing", "401"), ("out", "Healthy"))))
    assert status(made.router(report=None, previous=before)) == before


def test_times_move_with_the_status_only(made):
    going = status(made.router(workload=None))
    later = status(made.router(workload=made.deployment(updatedReplicas=1, conditions=[GOING]), previous=going,
                               now=made.now + 30))  # fmt: skip
    assert condition(later, "Ready")["lastTransitionTime"] == made.at(0)
    assert condition(later, "Ready")["message"] != condition(going, "Ready")["message"]
    done = status(made.router(previous=later, now=made.now + 40))
    assert condition(done, "Ready")["lastTransitionTime"] == made.at(40)
    assert condition(done, "Accepted")["lastTransitionTime"] == made.at(0)


def test_a_missing_target_is_waited_for_ten_minutes(made):
    first = made.lonely()
    assert judge(first).again == 600
    waiting = status(first)
    later = made.lonely(previous=waiting, now=made.now + 599)
    assert condition(status(later), "Reconciling")["reason"] == "TargetNotFound"
    assert judge(later).again == 1
    over = made.lonely(previous=status(later), now=made.now + 600)
    stalled = status(over)
    assert condition(stalled, "Stalled")["reason"] == "TargetNotFound"
    assert not condition(stalled, "Reconciling")
    assert judge(over).again is None
    after = made.lonely(previous=stalled, now=made.now + 9_999)
    assert not changed(stalled, status(after))
    anew = made.lonely(previous=stalled, now=made.now + 9_999, generation=3)
    assert condition(status(anew), "Reconciling")["lastTransitionTime"] == made.at(9_999)


def test_a_daemon_set_that_does_not_get_on_is_stalled_and_one_that_does_is_not(made):
    half = made.daemon_set(updatedNumberScheduled=1, numberReady=2, numberAvailable=2)
    first = made.shipper(workload=half)
    assert judge(first).again == 600 + 3 * 60
    stuck = status(made.shipper(workload=half, previous=status(first), now=made.now + 780))
    assert condition(stuck, "Stalled")["reason"] == condition(stuck, "Ready")["reason"] == "ProgressDeadlineExceeded"
    still = status(made.shipper(workload=half, previous=stuck, now=made.now + 800))
    assert not changed(stuck, still)
    more = made.daemon_set(updatedNumberScheduled=2, numberReady=2, numberAvailable=2)
    on = status(made.shipper(workload=more, previous=stuck, now=made.now + 900))
    assert condition(on, "Reconciling")["reason"] == "RolloutInProgress"


def test_a_node_more_or_a_pod_less_does_not_flap(made):
    ready = status(made.shipper())
    for live in (
        made.daemon_set(desiredNumberScheduled=4),
        made.daemon_set(numberAvailable=2, numberReady=2),
    ):
        assert condition(status(made.shipper(workload=live, previous=ready)), "Ready")["status"] == "True"


def test_an_autoscaler_that_asks_for_more_pods_makes_no_rollout(made):
    spec = {**SMALL, "autoscaling": {"minReplicas": 3, "maxReplicas": 9}}
    ready = status(made.router(spec))
    for live, truth in (
        (made.deployment(wanted=9, observedGeneration=2), "True"),
        (made.deployment(wanted=9), "True"),
        (made.deployment(wanted=9, replicas=9, updatedReplicas=9), "True"),
        (made.deployment(wanted=9, replicas=9, updatedReplicas=9, availableReplicas=1), "False"),
        (made.deployment(wanted=9, replicas=9, updatedReplicas=6, conditions=[GOING]), "False"),
        (made.deployment(wanted=9, replicas=12, updatedReplicas=9), "False"),
    ):
        assert condition(status(made.router(spec, workload=live, previous=ready)), "Ready")["status"] == truth, live
    changed_spec = made.router(spec, workload=made.deployment(observedGeneration=2), previous=ready, generation=3)
    assert condition(status(changed_spec), "Ready")["reason"] == "RolloutInProgress"


def test_a_deployment_that_somebody_else_touched_is_judged_when_kubernetes_has_taken_it_up(made):
    """An annotation of another's raises its generation, and nothing rolls out."""
    ready = status(made.router())
    touched = made.deployment(observedGeneration=2)
    assert condition(status(made.router(workload=touched, previous=ready)), "Ready")["status"] == "True"
    ours = made.router(workload=touched, previous=ready, generation=3)
    assert condition(status(ours), "Ready")["reason"] == "RolloutInProgress"


@pytest.mark.parametrize(
    "old",
    [{"availableReplicas": 0, "conditions": [GOING]}, {"replicas": 0, "updatedReplicas": 0}, {"updatedReplicas": 1}],
)
def test_what_kubernetes_has_not_taken_up_is_judged_alike_at_every_look(made, old):
    """Else two looks at the same old numbers would write two statuses."""
    ready = status(made.router())
    touched = made.deployment(observedGeneration=2, **old)
    first = status(made.router(workload=touched, previous=ready))
    assert condition(first, "Ready")["message"].endswith("Kubernetes takes it up.")
    assert status(made.router(workload=touched, previous=first)) == first


def test_a_number_that_is_raised_is_no_warning_until_its_pods_do_not_come(made):
    spec = {**SMALL, "replicas": 6}
    taken_up = status(made.router(spec, workload=made.deployment(wanted=6, observedGeneration=2)))
    few = made.deployment(wanted=6, replicas=6, updatedReplicas=6)
    coming = made.router(spec, workload=few, previous=taken_up)
    assert condition(status(coming), "Ready")["reason"] == "RolloutInProgress"
    over = made.router(spec, workload=few, previous=status(coming), now=made.now + 600)
    assert condition(status(over), "Stalled")["reason"] == "MinimumReplicasUnavailable"


def test_as_many_pods_may_be_away_as_the_disruption_budget_says(made):
    spec = {**SMALL, "replicas": 10, "podDisruptionBudget": {"maxUnavailable": "25%"}}
    for available, truth in ((7, "True"), (6, "False")):
        live = made.deployment(wanted=10, replicas=10, updatedReplicas=10, availableReplicas=available)
        assert condition(status(made.router(spec, workload=live)), "Ready")["status"] == truth
    alone = made.deployment(wanted=1, replicas=1, updatedReplicas=1, availableReplicas=0)
    assert condition(status(made.router(workload=alone)), "Ready")["status"] == "False"


def test_pods_that_are_away_for_ten_minutes_stall(made):
    few = made.deployment(availableReplicas=0)
    first = made.router(workload=few, previous=status(made.router()))
    assert judge(first).again == 600
    over = status(made.router(workload=few, previous=status(first), now=made.now + 600))
    assert condition(over, "Stalled")["reason"] == "MinimumReplicasUnavailable"


def test_what_is_stalled_comes_first_and_nothing_is_kept_back(made):
    found = status(made.shipper(faults=[fault(0, "CycleDetected")], workload=made.daemon_set(updatedNumberScheduled=1)))
    ready = condition(found, "Ready")
    assert ready["reason"] == "CycleDetected"
    assert ready["message"].startswith("spec.to[0]: text of gone; 1 of 3 pods are new")


def test_children_of_an_invalid_document_are_told_as_they_are(made):
    before = status(made.router())
    problem = Problem(("spec", "targets"), "is required")
    found = status(made.router(resource=None, plan=None, problems=[problem], previous=before, generation=3))
    for key in ("endpoints", "targets", "upstreams", "downstreams", "replicas", "readyReplicas"):
        assert found[key] == before[key], key
    assert found["observedGeneration"] == 3


def test_messages_keep_to_what_a_status_may_hold(made):
    problems = [Problem(("spec", "targets", number), "x" * 90) for number in range(2_000)]
    found = status(made.router(resource=None, plan=None, problems=problems))
    accepted = condition(found, "Accepted")["message"]
    assert 30_000 < len(accepted) <= LONGEST
    said = accepted.count("x" * 90)
    assert accepted.endswith(f"; and {2_000 - said} more")
    assert len(condition(found, "Ready")["message"]) <= 1_024
    long = status(made.router(resource=None, plan=None, problems=[Problem(("spec",), "y" * 40_000)]))
    assert len(condition(long, "Accepted")["message"]) <= LONGEST
    many = targets(*[(f"t{number}", "Failing", "z" * 5_000) for number in range(60)])
    spec = {"targets": [{"name": f"t{number}", "console": {}} for number in range(60)]}
    wide = status(made.router(spec, report=many))
    assert len(condition(wide, "TargetsHealthy")["message"]) <= 4_096
    assert {len(one["reason"]) for one in wide["targets"]} == {300}


def test_peers_are_a_short_list_with_their_number(made):
    senders = [Key("RuttaShipper", "logs", f"s{number:03}") for number in range(100)]
    found = status(made.router(senders=senders[::-1]))["upstreams"]
    assert found["total"] == 100
    assert [one["name"] for one in found["items"]] == [f"s{number:03}" for number in range(32)]


def test_a_target_that_pods_do_not_have_yet_is_unknown_and_one_that_went_is_gone(made):
    found = status(made.router(report=targets(("db", "Healthy"), ("removed", "Failing", "x"))))
    assert [(one["name"], one["state"]) for one in found["targets"]] == [("db", "Healthy"), ("out", "Unknown")]
    assert condition(found, "TargetsHealthy")["status"] == "True"
