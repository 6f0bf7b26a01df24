"""A user's podTemplate, laid over ours."""

import copy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rutta_operator.render.overlay import laid_over

BASE = {
    "metadata": {"labels": {"app": "rutta"}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "fsGroup": 65532},
        "tolerations": [{"operator": "Exists"}],
        "containers": [
            {
                "name": "rutta",
                "image": "logary/rutta",
                "args": ["router"],
                "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}],
                "resources": {"limits": {"memory": "192Mi"}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}],
    },
}


def laid(over):
    before = copy.deepcopy(BASE)
    found = laid_over(BASE, over)
    assert before == BASE
    return found


def container(**fields):
    return laid({"spec": {"containers": [{"name": "rutta", **fields}]}})["spec"]["containers"][0]


def test_nothing_laid_over_changes_nothing():
    assert laid({}) == BASE


def test_mappings_are_joined_key_by_key():
    found = laid({"metadata": {"labels": {"team": "a"}, "annotations": {"b": "c"}}})
    assert found["metadata"] == {"labels": {"app": "rutta", "team": "a"}, "annotations": {"b": "c"}}


def test_containers_and_volumes_are_joined_by_name():
    over = {"spec": {"containers": [{"name": "side", "image": "x"}, {"name": "rutta", "stdin": True}]}}
    rutta, side = laid(over)["spec"]["containers"]
    assert rutta == {**BASE["spec"]["containers"][0], "stdin": True}
    assert side == {"name": "side", "image": "x"}
    volumes = laid({"spec": {"volumes": [{"name": "tmp", "emptyDir": {"medium": "Memory"}}]}})["spec"]["volumes"]
    assert volumes == [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi", "medium": "Memory"}}]


def test_mounts_are_joined_by_path_and_ports_by_number_and_protocol():
    mounts = container(volumeMounts=[{"name": "fast", "mountPath": "/tmp"}, {"name": "log", "mountPath": "/var/log"}])
    assert mounts["volumeMounts"] == [
        {"name": "fast", "mountPath": "/tmp"},
        {"name": "log", "mountPath": "/var/log"},
    ]
    ports = container(
        ports=[{"containerPort": 53, "protocol": "UDP", "hostPort": 53}, {"containerPort": 53, "name": "dns-tcp"}]
    )
    assert ports["ports"] == [
        {"name": "dns", "containerPort": 53, "protocol": "UDP", "hostPort": 53},
        {"containerPort": 53, "name": "dns-tcp"},
    ]


def test_other_lists_are_replaced():
    assert container(args=["shipper"])["args"] == ["shipper"]
    found = laid({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}})
    assert found["spec"]["tolerations"] == [{"key": "a", "operator": "Exists"}]


def test_null_removes_and_leaves_no_null():
    assert "args" not in container(args=None)
    assert container(resources={"limits": {"memory": None}})["resources"] == {"limits": {}}
    found = laid({"spec": {"securityContext": {"fsGroup": None}, "extra": {"a": None, "b": [{"c": None}]}}})
    assert found["spec"]["securityContext"] == {"runAsNonRoot": True}
    assert found["spec"]["extra"] == {"b": [{}]}


def test_quantities_are_written_as_the_api_server_does():
    limits = container(resources={"limits": {"cpu": 0.5, "memory": "1024Mi", "gpu": "much"}})["resources"]["limits"]
    assert limits == {"cpu": "500m", "memory": "1Gi", "gpu": "much"}
    found = laid({"spec": {"volumes": [{"name": "x", "emptyDir": {"sizeLimit": "2048Ki"}}]}})
    assert found["spec"]["volumes"][1]["emptyDir"] == {"sizeLimit": "2Mi"}


def test_what_is_empty_and_means_something_stays():
    assert laid({"spec": {"volumes": [{"name": "x", "emptyDir": {}}]}})["spec"]["volumes"][1]["emptyDir"] == {}


@pytest.mark.parametrize(
    "over",
    [
        {"spec": "text"},
        {"spec": {"containers": "text"}},
        {"spec": {"containers": [{"image": "nameless"}]}},
        {"spec": {"containers": [{"name": ["a"]}]}},
        {"spec": {"containers": [{"name": "rutta", "resources": {"limits": {"cpu": []}}}]}},
    ],
)
def test_nonsense_is_laid_over_too_for_the_api_server_to_refuse(over, render, router):
    laid(over)
    assert "Deployment/main-router" in render(
        router(podTemplate={"spec": over["spec"]} if over["spec"] != "text" else {})
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "a", "ports", "limits"]), inner)
    ),
    max_leaves=12,
)


def nulls(value):
    if isinstance(value, dict):
        return any(one is None or nulls(one) for one in value.values())
    return isinstance(value, list) and any(map(nulls, value))


@given(
    st.dictionaries(st.sampled_from(["spec", "metadata"]), JSON),
    st.dictionaries(st.sampled_from(["spec", "metadata"]), JSON),
)
@example({}, {"spec": {"a": [{"name": "b", "c": 1}, {"name": "b", "d": 2}]}})
def test_laying_over_twice_is_laying_over_once_and_leaves_no_null(one, two):
    base = laid_over({}, one)
    found = laid_over(base, two)
    assert laid_over(found, two) == found
    assert not nulls(found)
