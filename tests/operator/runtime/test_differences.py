"""What counts as drift."""

import pytest

from rutta_operator import drift

POD = {"containers": [{"name": "rutta", "image": "a", "ports": [{"containerPort": 1, "protocol": "TCP"}]}]}


def deployment(**spec):
    return {"kind": "Deployment", "spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        ({"kind": "X", "a": {"b": 1}}, {"kind": "X", "a": {"b": 1, "c": 2}, "status": {}}),
        ({"kind": "X", "a": {}, "b": []}, {"kind": "X"}),
        (deployment(hostNetwork=False, schedulerName="", priority=0), deployment()),
        (
            deployment(containers=[{"name": "a", "env": [{"name": "b", "value": ""}], "tty": False}]),
            deployment(containers=[{"name": "a", "env": [{"name": "b"}]}]),
        ),
        (deployment(**POD), deployment(containers=[{"name": "sidecar"}, {**POD["containers"][0], "tty": True}])),
        (deployment(volumes=[{"name": "a"}]), deployment(volumes=[{"name": "b"}, {"name": "a", "emptyDir": {}}])),
        ({"kind": "X", "limits": {"cpu": "1"}}, {"kind": "X", "limits": {"cpu": "1000m"}}),
        ({"kind": "X", "requests": {"memory": 1073741824}}, {"kind": "X", "requests": {"memory": "1Gi"}}),
        ({"kind": "X", "sizeLimit": "0.5Gi"}, {"kind": "X", "sizeLimit": "512Mi"}),
    ],
    ids=[
        "what_others_added_is_none",
        "what_is_empty_is_as_good_as_absent",
        "what_the_api_server_leaves_out_is_none",
        "an_empty_variable_is_none",
        "a_sidecar_of_others_is_none",
        "volumes_are_found_by_name",
        "quantities_are_compared_by_value",
        "numbers_and_texts_of_one_quantity_are_equal",
        "fractions_are_quantities_too",
    ],
)
def test_no_drift(wanted, live):
    assert drift.differences(wanted, live) == {}


@pytest.mark.parametrize(
    ("wanted", "live", "paths"),
    [
        ({"kind": "X", "a": {"b": 1}}, {"kind": "X", "a": {"b": 2}}, ["a.b"]),
        ({"kind": "X", "automountServiceAccountToken": False}, {"kind": "X"}, ["automountServiceAccountToken"]),
        (
            {"kind": "X", "securityContext": {"runAsUser": 0}},
            {"kind": "X", "securityContext": {}},
            ["securityContext.runAsUser"],
        ),
        ({"kind": "X", "labels": {"a": ""}}, {"kind": "X", "labels": {}}, ["labels.a"]),
        ({"kind": "X", "a": ["", 0]}, {"kind": "X", "a": []}, ["a"]),
        ({"kind": "X", "args": ["a", "b"]}, {"kind": "X", "args": ["b", "a"]}, ["args.0", "args.1"]),
        ({"kind": "X", "args": ["a"]}, {"kind": "X", "args": ["a", "b"]}, ["args"]),
        (deployment(**POD), deployment(containers=[{"name": "other"}]), ["spec.template.spec.containers.rutta"]),
        (
            {"kind": "Service", "spec": {"ports": [], "selector": {"a": "b"}}},
            {"kind": "Service", "spec": {"ports": [], "selector": {"a": "b", "c": "d"}}},
            ["spec.selector.c"],
        ),
        (
            {"kind": "X", "tolerations": [{"operator": "Exists"}]},
            {"kind": "X", "tolerations": [{"operator": "Exists", "key": "a"}]},
            ["tolerations.0.key"],
        ),
        (
            {"kind": "NetworkPolicy", "spec": {"ingress": [{"ports": [{"port": 1}]}]}},
            {"kind": "NetworkPolicy", "spec": {"ingress": [{"ports": [{"port": 1, "protocol": "TCP"}], "from": [{}]}]}},
            ["spec.ingress.0.from"],
        ),
        ({"kind": "X", "limits": {"cpu": "1"}}, {"kind": "X", "limits": {"cpu": "2"}}, ["limits.cpu"]),
        ({"kind": "X", "labels": {"a": "1"}}, {"kind": "X", "labels": {"a": "1000m"}}, ["labels.a"]),
        (
            {"kind": "NetworkPolicy", "spec": {"ingress": [{"ports": [{"port": 1}]}]}},
            {"kind": "NetworkPolicy", "spec": {"ingress": [{"ports": [{"port": 1}, {"port": 2}]}]}},
            ["spec.ingress.0.ports"],
        ),
        (
            {"kind": "Service", "spec": {"ports": [{"port": 1, "protocol": "TCP"}]}},
            {"kind": "Service", "spec": {"ports": [{"port": 1, "protocol": "TCP"}, {"port": 2, "protocol": "TCP"}]}},
            ["spec.ports"],
        ),
    ],
    ids=[
        "another_value",
        "false_where_it_means_something",
        "zero_where_it_means_something",
        "a_label_without_a_value",
        "values_of_a_list",
        "another_order",
        "one_more_where_the_list_is_ours",
        "a_container_that_is_gone",
        "a_label_more_in_a_selector",
        "a_key_more_in_a_toleration",
        "senders_more_in_a_policy",
        "another_amount",
        "a_label_that_only_looks_like_a_quantity",
        "a_port_more_in_a_policy",
        "a_port_more_in_our_service",
    ],
)
def test_drift(wanted, live, paths):
    assert sorted(drift.differences(wanted, live)) == paths


@pytest.mark.parametrize("text", ["", "x", "1x", "Mi", "--1", None, {}])
def test_what_is_no_quantity_has_no_amount(text):
    assert drift.amount(text) is None
