"""For all scenarios: one kind cluster with the operator in it, and a namespace for each test.

pytest e2e                         what CI runs, in a cluster of its own
pytest e2e --suite all             everything, with as many events as the promise says
pytest e2e --cluster mine --keep   in a cluster named mine, made if it is not there, kept for the next run
"""

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the harness is a folder of modules beside the scenarios

from harness import clusters, diagnostics, images
from harness.api import Api
from harness.clusters import Cluster
from harness.kubectl import Kubectl
from harness.leaving import leave_out
from harness.operator import Operator
from harness.shell import ROOT

LONGEST = 900  # seconds of a test that says nothing else; the first one waits for the cluster
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
_CLUSTER = pytest.StashKey[Cluster]()
_KUBECTL = pytest.StashKey[Kubectl]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("e2e", "scenarios on a cluster")
    group.addoption("--suite", choices=("ci", "all"), default="ci", help="ci: what CI runs; all: everything, full size")
    group.addoption(
        "--cluster", default="rutta-e2e", help="name of the kind cluster; one that is there is used as it is"
    )
    group.addoption(
        "--require", action="store_true", help="fail, instead of leaving scenarios out, where what they need is missing"
    )
    group.addoption("--keep", action="store_true", help="leave the cluster and the namespaces of the tests")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "all: runs with --suite all only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip = pytest.mark.skip(reason="with --suite all only")
    for item in [one for one in items if one.path.is_relative_to(Path(__file__).parent)]:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST))
        if item.get_closest_marker("all") and config.getoption("--suite") != "all":
            item.add_marker(skip)


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> str:
    """``ci`` or ``all``."""
    return str(request.config.getoption("--suite"))


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line past pytest's capturing: what a run measured belongs to its output."""
    capturing = request.config.pluginmanager.get_plugin("capturemanager")

    def write(text: str) -> None:
        with capturing.global_and_fixture_disabled():
            print(text, flush=True)

    return write


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, say: Callable[[str], None]) -> Iterator[Cluster]:
    """The cluster, with both images on its nodes. Made unless it is there; deleted if we made it."""
    if reason := clusters.missing():
        say(f"The scenarios on a cluster are left out: {reason}.")
        leave_out(request.config, reason)
    one, started = Cluster(request.config.getoption("--cluster")), time.monotonic()
    ours = not one.exists()
    try:
        if ours:
            one.create()
        one.use()
        images.build_and_load(one)
        say(f"The cluster {one.name} is there, with the images, after {time.monotonic() - started:.0f} s.")
        yield one
    finally:
        if ours and not request.config.getoption("--keep"):
            one.delete()


@pytest.fixture(scope="session")
def whole_cluster(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl for the cluster, in namespace default."""
    api = Api(cluster.kubeconfig)
    kubectl = Kubectl(cluster.kubeconfig, api)
    request.config.stash[_CLUSTER], request.config.stash[_KUBECTL] = cluster, kubectl
    yield kubectl
    api.close()


@pytest.fixture(scope="session")
def installed(cluster: Cluster, whole_cluster: Kubectl) -> Operator:
    """The operator with its CRDs, as the suite installs it once."""
    one = Operator(cluster, whole_cluster)
    one.install()
    return one


@pytest.fixture
def operator(installed: Operator) -> Operator:
    """The operator, led by a pod that runs, as each test finds it."""
    installed.until_led()
    return installed


@pytest.fixture
def new_namespace(request: pytest.FixtureRequest, whole_cluster: Kubectl) -> Iterator[Callable[..., Kubectl]]:
    """Make namespaces that enforce Pod Security ``restricted`` and go with the test; labels come on top."""
    made: list[str] = []
    request.node.user_properties.append(("namespaces", made))

    def make(word: str = "", labels: Mapping[str, str] | None = None) -> Kubectl:
        stem = re.sub(r"[^a-z0-9]+", "-", (word or request.node.originalname.removeprefix("test_")).lower())[:30]
        name = f"{stem.strip('-')}-{uuid.uuid4().hex[:4]}"
        whole_cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {**RESTRICTED, **(labels or {})}},
            }
        )
        made.append(name)
        return whole_cluster.within(name)

    yield make
    if not request.config.getoption("--keep"):
        for name in made:
            whole_cluster.delete("namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def kubectl(operator: Operator, new_namespace: Callable[..., Kubectl]) -> Kubectl:
    """kubectl in a namespace of the test's own, with the operator running."""
    return new_namespace()


@pytest.fixture(scope="session")
def nodes(whole_cluster: Kubectl) -> list[str]:
    """The names of the nodes, the control plane's first."""
    return sorted(
        (one["metadata"]["name"] for one in whole_cluster.items("Node")), key=lambda name: "control" not in name
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Keep what tells why a test failed, while its namespaces are there."""
    report = yield
    kubectl = item.config.stash.get(_KUBECTL, None)
    if report.failed and call.when != "teardown" and kubectl is not None:
        of_test = [name for key, names in item.user_properties if key == "namespaces" for name in names]
        folder = ROOT / "var" / "e2e" / "failures" / re.sub(r"\W+", "-", item.name)
        try:
            diagnostics.collect(kubectl, folder, [*of_test, *diagnostics.others(kubectl, of_test)])
            kept = f"kept in {folder}"
        except (AssertionError, OSError, subprocess.SubprocessError) as exc:  # the cluster itself may be what failed
            kept = f"not all of it could be asked for: {exc}; see {folder}"
        report.sections.append(("what is known of the cluster", kept))
    return report
