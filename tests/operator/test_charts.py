"""The charts: what they render, that it is what is written down, and that it is no more than it has to be."""

import functools
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from rutta_operator import log, options
from rutta_operator.k8s.permissions import PERMISSIONS
from rutta_operator.spec.models import KINDS
from rutta_operator.spec.rules import examine

ROOT = Path(__file__).parents[2]
CHARTS = [ROOT / "charts/rutta", ROOT / "charts/rutta-topology"]
EXAMPLES = [path for chart in CHARTS for path in sorted((chart / "ci").glob("*-values.yaml"))]
OPERATORS, TOPOLOGIES = ([path for path in EXAMPLES if path.parents[1] == chart] for chart in CHARTS)
CLUSTER_KINDS = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "PriorityClass", "Namespace"}
Object = Mapping[str, Any]

needs_helm = pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not on PATH")


@functools.cache
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("charts_generate", ROOT / "charts/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "charts").as_posix()


@functools.cache
def helm(*words: str) -> str:
    done = subprocess.run(["helm", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout if done.returncode == 0 else f"refused: {done.stderr}"


def load(text: str) -> list[Any]:
    return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one]  # the quick one: CRDs are long


def render(
    chart: Path, *words: str, values: Path | None = None, release: str = "rutta", crds: bool = False
) -> list[Any]:
    given = ["--values", str(values)] if values else []
    if chart.name == "rutta" and not crds:
        given += ["--set", "crds.enabled=false"]
    text = helm("template", release, str(chart), "-n", "rutta-system", "--kube-version", "1.34.0", *given, *words)
    assert not text.startswith("refused"), text
    return load(text)


def refused(chart: Path, *words: str) -> str:
    text = helm("template", "rutta", str(chart), "--kube-version", "1.34.0", *words)
    assert text.startswith("refused"), text
    return text


def of_kind(objects: list[Any], kind: str) -> list[Any]:
    return [one for one in objects if one["kind"] == kind]


def identified(objects: list[Any]) -> dict[tuple[str, str, str], Any]:
    found = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in objects}
    assert len(found) == len(objects), "two objects have one name"
    return found


# -- what is generated ------------------------------------------------------------------------------------------------


def test_crds_tables_and_schemas_are_as_their_sources() -> None:
    stale = [str(path) for path, text in generate().files() if not path.exists() or path.read_text() != text]
    assert stale == [], "run make charts"


def test_the_chart_has_no_crd_that_is_not_among_the_projects() -> None:
    names = [sorted(path.name for path in (ROOT / folder).glob("*")) for folder in ("crds", "charts/rutta/files/crds")]
    assert names[0] == names[1]
    assert len(names[0]) == len(KINDS)


@needs_helm
@pytest.mark.parametrize("values", EXAMPLES, ids=name_of)
def test_an_example_renders_as_written_down(values: Path) -> None:
    crds = generate().without_crds
    text = crds(helm("template", "rutta", str(values.parents[1]), "--namespace", "rutta-system",
                     "--kube-version", "1.34.0", "--values", str(values)))  # fmt: skip
    golden = generate().golden(values).read_text()
    assert identified(load(text)) == identified(load(golden))


@needs_helm
def test_install_yaml_is_what_the_chart_renders() -> None:
    written = identified(load((ROOT / "k8s/install.yaml").read_text()))
    assert written == identified(load(generate().install(ROOT)))
    assert {kind for kind, _, _ in written} >= {"Namespace", "CustomResourceDefinition", "Deployment", "ClusterRole"}
    assert "helm" not in (ROOT / "k8s/install.yaml").read_text().lower()


@pytest.mark.parametrize("chart", CHARTS, ids=name_of)
def test_a_value_without_a_text_is_refused_by_the_generator(chart: Path) -> None:
    values = (chart / "values.yaml").read_text() + "\nundescribed: 1\n"
    with pytest.raises(SystemExit, match="undescribed has no comment"):
        list(generate().described(values))


# -- what is said of the charts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chart", CHARTS, ids=name_of)
def test_chart_image_and_project_have_one_version(chart: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == version
    images = [one["image"] for one in yaml.safe_load(about["annotations"]["artifacthub.io/images"])]
    assert [image.rpartition(":")[2] for image in images] == [version] * len(images)
    for half in ("operator", "dataplane"):
        assert f"ARG VERSION={version}\n" in (ROOT / f"Dockerfile.{half}").read_text()


def test_artifact_hub_is_told_of_every_kind_with_an_example_that_is_right() -> None:
    annotations = yaml.safe_load((ROOT / "charts/rutta/Chart.yaml").read_text())["annotations"]
    assert {one["kind"] for one in yaml.safe_load(annotations["artifacthub.io/crds"])} == set(KINDS)
    examples = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])
    assert {one["kind"] for one in examples} == set(KINDS)
    assert [problem for one in examples for problem in examine(one)[1]] == []


def keys(values: Mapping[str, Any], schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the keys that only one of values and schema has."""
    properties = schema.get("properties", {})
    yield from (f"{path}{key}" for key in values.keys() ^ properties.keys())
    for key in values.keys() & properties.keys():
        if values[key] and isinstance(values[key], dict) and properties[key].get("properties"):
            yield from keys(values[key], properties[key], f"{path}{key}.")


@pytest.mark.parametrize("chart", CHARTS, ids=name_of)
def test_values_and_their_schema_have_the_same_keys(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    assert list(keys(yaml.safe_load((chart / "values.yaml").read_text()), schema)) == []
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("path", [p for chart in CHARTS for p in sorted((chart / "templates").rglob("*"))], ids=name_of)
def test_templates_neither_generate_nor_look_up(path: Path) -> None:
    """What renders differently each time is never in step for Argo CD."""
    if path.is_file():
        text = path.read_text()
        assert re.findall(r"\b(lookup|rand\w+|gen(?:CA|PrivateKey|SignedCert)\w*|uuidv4|now|htpasswd)\b", text) == []


@needs_helm
@pytest.mark.parametrize("values", EXAMPLES, ids=name_of)
def test_lint_has_nothing_to_say(values: Path) -> None:
    text = helm("lint", "--strict", str(values.parents[1]), "--values", str(values))
    assert "0 chart(s) failed" in text
    assert "WARNING" not in text


@needs_helm
@pytest.mark.parametrize("chart", CHARTS, ids=name_of)
@pytest.mark.parametrize("value", ["imagge=x", "global.imageRegistry=a b@c", "replicaCount=three", "resources.cpu=1"])
def test_values_that_do_not_fit_are_refused(chart: Path, value: str) -> None:
    if value.startswith("global") and chart.name == "rutta-topology":
        value = "test.imagge=x"
    assert "values don't meet the specifications" in refused(chart, "--set", value)


# -- the operator's chart ---------------------------------------------------------------------------------------------


def rules(role: Object) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def wanted(*scopes: str) -> set[tuple[str, str, str]]:
    return {
        (one.group, resource, verb)
        for one in PERMISSIONS
        if one.scope in scopes
        for resource in one.resources
        for verb in one.verbs
    }


def bound(objects: list[Any]) -> dict[tuple[str, str], set[tuple[str, str, str]]]:
    """Return what the operator's account may, by namespace ("" is all) and role."""
    roles = identified([*of_kind(objects, "Role"), *of_kind(objects, "ClusterRole")])
    (account,) = of_kind(objects, "ServiceAccount")
    found = {}
    for binding in [*of_kind(objects, "RoleBinding"), *of_kind(objects, "ClusterRoleBinding")]:
        place = binding["metadata"].get("namespace", "")
        name = account["metadata"]["name"]
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": "rutta-system"}]
        reference = binding["roleRef"]
        found[place, reference["name"]] = rules(roles[reference["kind"], place, reference["name"]])
    return found


@needs_helm
def test_the_operator_of_a_cluster_may_do_what_its_preflight_asks_for_and_no_more() -> None:
    found = bound(render(CHARTS[0]))
    assert found == {
        ("", "rutta-operator"): wanted("Watched", "Cluster"),
        ("rutta-system", "rutta-operator-lease"): wanted("Lease"),
    }


@needs_helm
def test_the_operator_of_namespaces_has_roles_in_them_and_nothing_of_the_cluster() -> None:
    objects = render(CHARTS[0], values=CHARTS[0] / "ci/namespaced-values.yaml")
    assert {one["kind"] for one in objects} & CLUSTER_KINDS == set()
    assert bound(objects) == {
        ("team-a", "rutta-operator"): wanted("Watched"),
        ("team-b", "rutta-operator"): wanted("Watched"),
        ("rutta-system", "rutta-operator-lease"): wanted("Lease"),
    }


def test_the_permissions_have_no_wildcard_and_no_secrets() -> None:
    every = wanted("Watched", "Cluster", "Lease")
    assert [one for one in every if "*" in one or one[1] in ("secrets", "pods", "customresourcedefinitions")] == []


@needs_helm
def test_people_see_and_change_the_kinds_by_the_clusters_own_roles() -> None:
    roles = {one["metadata"]["name"]: one for one in of_kind(render(CHARTS[0]), "ClusterRole")}
    view, edit = roles["rutta-operator-view"], roles["rutta-operator-edit"]
    assert {verb for _, _, verb in rules(view)} == {"get", "list", "watch"}
    assert "status" not in json.dumps(edit["rules"])
    crds = [yaml.safe_load(file.read_text()) for file in (ROOT / "crds").glob("*.yaml")]
    scaled = {f"{one['spec']['names']['plural']}/scale" for one in crds
              if "scale" in one["spec"]["versions"][0]["subresources"]}  # fmt: skip
    assert scaled == {name for _, name, _ in rules(edit) if name.endswith("/scale")}
    aggregated = "rbac.authorization.k8s.io/aggregate-to-"
    grown = [{key.removeprefix(aggregated) for key in one["metadata"]["labels"] if aggregated in key} for one in
             (view, edit)]  # fmt: skip
    assert grown == [{"view", "edit", "admin"}, {"edit", "admin"}]
    off = of_kind(render(CHARTS[0], "--set", "rbac.aggregate=false"), "ClusterRole")
    assert [one["metadata"]["name"] for one in off] == ["rutta-operator"]


def arguments(objects: list[Any]) -> options.Options:
    """Read the container's arguments as the operator does."""
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return options.read(container["args"], {})


@needs_helm
@pytest.mark.parametrize("values", OPERATORS, ids=name_of)
def test_the_operator_takes_its_arguments(values: Path) -> None:
    found, said = arguments(render(CHARTS[0], values=values)), yaml.safe_load(values.read_text())
    assert (found.lease_namespace, found.lease_name) == ("rutta-system", said.get("fullnameOverride", "rutta-operator"))
    assert list(found.namespaces) == said.get("watchNamespaces", [])
    assert [{"name": name} for name in found.image_pull_secrets] == said.get("imagePullSecrets", [])


def test_what_the_schema_lets_the_operator_be_told_it_takes() -> None:
    told = json.loads((CHARTS[0] / "values.schema.json").read_text())["properties"]
    assert tuple(told["logLevel"]["enum"]) == tuple(log.LEVELS)
    for name in ("minimum", "maximum"):
        assert options.read(["--workers", str(told["workers"][name])], {}).workers == told["workers"][name]
    for name in ("sweep", "poll"):
        for text in ("1s", "90s", "1.5m", "2h", "1m30s", "5m0s", "1m500ms"):
            assert re.search(told[name]["pattern"], text)
            options.read([f"--{name}", text], {})
        for text in ("500ms", "0s", "0.5s", "5", "s"):
            assert not re.search(told[name]["pattern"], text)


@needs_helm
def test_without_values_the_operators_own_defaults_hold() -> None:
    ours = arguments(render(CHARTS[0]))._asdict()
    its = options.read([], {})._asdict()
    assert {key for key in ours if ours[key] != its[key]} == {"lease_namespace", "dataplane_image"}
    assert ours["dataplane_image"].partition(":")[0] == its["dataplane_image"].partition(":")[0]


@needs_helm
@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, "logary/rutta-operator:0.1.0"),
        ({"image": {"tag": "edge"}}, "logary/rutta-operator:edge"),
        ({"image": {"tag": "edge", "digest": "sha256:" + "a" * 64}}, "logary/rutta-operator@sha256:" + "a" * 64),
        ({"global": {"imageRegistry": "r.example:5000"}}, "r.example:5000/logary/rutta-operator:0.1.0"),
        ({"image": {"repository": "r.example/own"}}, "r.example/own:0.1.0"),
    ],
)
def test_an_image_is_registry_repository_and_digest_or_tag(values: Object, image: str) -> None:
    words = [word for key, one in values.items() for word in ("--set-json", f"{key}={json.dumps(one)}")]
    objects = render(CHARTS[0], *words)
    (deployment,) = of_kind(objects, "Deployment")
    (test,) = of_kind(objects, "Pod")
    pods = [deployment["spec"]["template"]["spec"], test["spec"]]
    assert {one["containers"][0]["image"] for one in pods} == {image}


@needs_helm
def test_crds_stay_when_the_chart_goes_whatever_else_is_annotated() -> None:
    words = ("--set-json", 'crds.annotations={"helm.sh/resource-policy":"delete","a":"b"}')
    crds = of_kind(render(CHARTS[0], *words, crds=True), "CustomResourceDefinition")
    assert {one["spec"]["names"]["kind"] for one in crds} == set(KINDS)
    for one in crds:
        assert one["metadata"]["annotations"].items() >= {"helm.sh/resource-policy": "keep", "a": "b"}.items()
        (source,) = load((CHARTS[0] / "files/crds" / f"{one['spec']['names']['plural']}.yaml").read_text())
        assert one["spec"] == source["spec"]
    assert of_kind(render(CHARTS[0], "--set", "crds.enabled=false"), "CustomResourceDefinition") == []


def is_restricted(pod: Object) -> bool:
    """Tell whether a pod passes Pod Security "restricted"."""
    security = pod["securityContext"]
    containers = [one["securityContext"] for one in pod["containers"]]
    return (
        security["runAsNonRoot"] is True
        and security["seccompProfile"]["type"] == "RuntimeDefault"
        and all(one["allowPrivilegeEscalation"] is False for one in containers)
        and all(one["capabilities"] == {"drop": ["ALL"]} for one in containers)
        and all(not volume.keys() - {"name", "emptyDir"} for volume in pod.get("volumes", []))
        and not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))
    )


@needs_helm
@pytest.mark.parametrize("values", EXAMPLES, ids=name_of)
def test_pods_fit_pod_security_restricted_and_say_what_they_need(values: Path) -> None:
    objects = render(values.parents[1], values=values)
    pods = [one["spec"] for one in of_kind(objects, "Pod")]
    pods += [one["spec"]["template"]["spec"] for one in of_kind(objects, "Deployment")]
    assert pods
    for pod in pods:
        assert is_restricted(pod)
        assert all("requests" in one["resources"] for one in pod["containers"])


@needs_helm
@pytest.mark.parametrize(("replicas", "budgets"), [(0, 0), (1, 0), (2, 1)])
def test_a_single_pod_has_no_budget_that_would_hold_up_its_node(replicas: int, budgets: int) -> None:
    assert len(of_kind(render(CHARTS[0], "--set", f"replicas={replicas}"), "PodDisruptionBudget")) == budgets


@needs_helm
def test_pods_keep_the_label_that_network_policies_admit_them_by() -> None:
    for values in OPERATORS:
        (deployment,) = of_kind(render(CHARTS[0], values=values), "Deployment")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "rutta-operator"
        assert labels.items() >= deployment["spec"]["selector"]["matchLabels"].items()


@needs_helm
@pytest.mark.parametrize(
    ("release", "words", "name"),
    [
        ("rutta", (), "rutta-operator"),
        ("logs", (), "logs-rutta-operator"),
        ("rutta-operator", (), "rutta-operator"),
        ("logs", ("--set", "nameOverride=log"), "logs-operator"),
        ("logs", ("--set", "fullnameOverride=x"), "x"),
        ("l" * 53, (), "l" * 52),
    ],
)
def test_objects_are_called_after_the_release(release: str, words: tuple[str, ...], name: str) -> None:
    (deployment,) = of_kind(render(CHARTS[0], *words, release=release), "Deployment")
    assert deployment["metadata"]["name"] == name


@needs_helm
def test_an_account_that_is_not_made_has_to_be_named() -> None:
    assert "serviceAccount.name is needed" in refused(CHARTS[0], "--set", "serviceAccount.create=false")
    words = ("--set", "serviceAccount.create=false", "--set", "serviceAccount.name=mine")
    (deployment,) = of_kind(render(CHARTS[0], *words), "Deployment")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == "mine"


# -- the chart of topologies ------------------------------------------------------------------------------------------


def resources(objects: list[Any]) -> dict[tuple[str, str], Any]:
    return {(one["kind"], one["metadata"]["name"]): one["spec"] for one in objects if one["kind"] in KINDS}


@needs_helm
def test_without_values_it_is_the_original_charts_router() -> None:
    assert resources(render(CHARTS[1], release="logs")) == {
        ("RuttaRouter", "logs-rutta"): {
            "replicas": 3,
            "listeners": [
                {"name": "http-json", "http": {"port": 8080, "codec": "json", "path": "/i/logary"}},
                {"name": "udp-json", "udp": {"port": 10001, "codec": "json"}},
                {"name": "udp-plain", "udp": {"port": 10002, "codec": "plain"}},
            ],
            "targets": [{"name": "console", "uri": "console://./"}],
        }
    }


@needs_helm
@pytest.mark.parametrize("values", TOPOLOGIES, ids=name_of)
def test_what_it_renders_is_right(values: Path) -> None:
    rendered = [one for one in render(CHARTS[1], values=values) if one["kind"] in KINDS]
    assert [str(problem) for one in rendered for problem in examine(one)[1]] == []
    assert rendered


@needs_helm
def test_maps_of_specs_are_the_resources_as_they_stand() -> None:
    values = CHARTS[1] / "ci/topology-values.yaml"
    said, found = yaml.safe_load(values.read_text()), render(CHARTS[1], values=values)
    kinds = {"routers": "RuttaRouter", "proxies": "RuttaProxy", "shippers": "RuttaShipper"}
    specs = {(kind, name): spec for key, kind in kinds.items() for name, spec in said[key].items()}
    assert resources(found) == specs
    for one in found:
        if one["kind"] in KINDS:
            assert one["metadata"]["labels"]["team"] == "platform"
            assert one["metadata"]["annotations"] == {"argocd.argoproj.io/sync-wave": "1"}


@needs_helm
@pytest.mark.parametrize(("enabled", "names"), [("auto", ["a"]), ("true", ["a", "rutta"]), ("false", ["a"])])
def test_its_own_router_is_there_if_nothing_else_is_or_if_one_asks(enabled: str, names: list[str]) -> None:
    other = ("--set-json", 'routers={"a":{"targets":[{"name":"o","console":{}}]}}')
    found = resources(render(CHARTS[1], *other, "--set", f"router.enabled={enabled}"))
    assert sorted(name for _, name in found) == names


@needs_helm
def test_its_own_router_is_not_there_if_one_does_not_want_it() -> None:
    assert resources(render(CHARTS[1], "--set", "router.enabled=false")) == {}


@needs_helm
def test_files_of_etc_are_in_a_secret_and_beside_the_config() -> None:
    objects = render(CHARTS[1], "--set", "etc.data.key\\.json=first")
    (secret,) = of_kind(objects, "Secret")
    assert secret["stringData"] == {"key.json": "first"}
    (spec,) = resources(objects).values()
    pod = spec["podTemplate"]["spec"]
    assert pod["volumes"] == [{"name": "etc", "secret": {"secretName": secret["metadata"]["name"], "defaultMode": 288}}]
    mount = {"name": "etc", "mountPath": "/etc/rutta/key.json", "subPath": "key.json", "readOnly": True}
    assert pod["containers"] == [{"name": "rutta", "volumeMounts": [mount]}]
    (other,) = resources(render(CHARTS[1], "--set", "etc.data.key\\.json=second")).values()
    annotations = [one["podTemplate"]["metadata"]["annotations"] for one in (spec, other)]
    assert annotations[0] != annotations[1], "a changed file makes new pods"


@needs_helm
@pytest.mark.parametrize("env", ['{"A":1}', '[{"name":"A","value":"1"}]'])
def test_environment_is_a_map_or_a_list(env: str) -> None:
    (spec,) = resources(render(CHARTS[1], "--set-json", f"deployment.env={env}")).values()
    assert spec["podTemplate"]["spec"]["containers"] == [{"name": "rutta", "env": [{"name": "A", "value": "1"}]}]


LISTENER = "router.listeners[0]"


@needs_helm
@pytest.mark.parametrize(
    ("listener", "text"),
    [
        ('{"mode":"tcp","binding":{"ip":"10.0.0.1","port":1}}', f"{LISTENER}.binding.ip is 10.0.0.1; a pod listens"),
        ('{"mode":"sub","binding":{"port":1}}', f"{LISTENER}.binding.ip is needed: a sub listener connects"),
        ('{"mode":"udp","binding":{"port":1},"path":"/x"}', f"{LISTENER} is udp; path and ingress are for http"),
        ('{"mode":"grpc","binding":{"port":1}}', "values don't meet the specifications"),
        ('{"mode":"tcp","binding":{"port":70000}}', "values don't meet the specifications"),
    ],
)
def test_a_listener_that_cannot_be_is_refused_with_its_place(listener: str, text: str) -> None:
    assert text in refused(CHARTS[1], "--set-json", f"router.listeners=[{listener}]")


@needs_helm
def test_a_misspelt_setting_of_a_target_is_refused_before_it_reaches_a_cluster() -> None:
    words = ("--set-json", 'routers={"a":{"targets":[{"name":"o","consol":{}}]}}')
    assert "'consol' not allowed" in refused(CHARTS[1], *words)


@needs_helm
def test_targets_of_one_scheme_are_numbered() -> None:
    uris = '["console://.","influxdb://./?db=a","console://.","console://."]'
    (spec,) = resources(render(CHARTS[1], "--set-json", f"router.targets={uris}")).values()
    assert [one["name"] for one in spec["targets"]] == ["console", "influxdb", "console-2", "console-3"]


@needs_helm
def test_replicas_are_left_to_whoever_scales() -> None:
    for over in ('{"autoscaling":{"maxReplicas":4}}', '{"workload":"DaemonSet"}'):
        (spec,) = resources(render(CHARTS[1], "--set-json", f"router.spec={over}")).values()
        assert "replicas" not in spec


@needs_helm
def test_an_ingress_leads_to_the_port_of_its_listeners_service() -> None:
    objects = render(CHARTS[1], values=CHARTS[1] / "ci/original-values.yaml")
    (ingress,) = of_kind(objects, "Ingress")
    spec = ingress["spec"]
    assert [rule["host"] for rule in spec["rules"]] == ["rutta.local", "logs.example.com"]
    for rule in spec["rules"]:
        (path,) = rule["http"]["paths"]
        assert path["path"] == "/i/logary"
        assert path["backend"] == {"service": {"name": "rutta-ingest-router", "port": {"number": 8080}}}
    off = '[{"mode":"http","binding":{"port":8080},"ingress":{"enabled":false}}]'
    assert of_kind(render(CHARTS[1], "--set-json", f"router.listeners={off}"), "Ingress") == []


@needs_helm
def test_the_test_asks_every_health_page_and_sends_where_anybody_may() -> None:
    (pod,) = of_kind(render(CHARTS[1], values=CHARTS[1] / "ci/topology-values.yaml"), "Pod")
    assert pod["spec"]["containers"][0]["args"][1:] == [
        "http://edge-proxy-health.rutta-system.svc:9114/readyz",
        "http://main-router-health.rutta-system.svc:9114/readyz",
        "http://node-shipper-health.rutta-system.svc:9114/readyz",
        "http://web-shipper-health.rutta-system.svc:9114/readyz",
        "+http://web-shipper.rutta-system.svc:80/i/logary",
    ]
    guarded = '[{"name":"w","http":{"port":1,"tls":{"secretName":"t"}}},{"name":"x","http":{"port":2,"auth":{}}}]'
    words = ("--set-json", f'routers={{"a":{{"listeners":{guarded},"targets":[{{"name":"o","console":{{}}}}]}}}}')
    text = helm("template", "x", str(CHARTS[1]), "--kube-version", "1.34.0", "--skip-schema-validation", *words)
    (pod,) = of_kind(load(text), "Pod")
    assert pod["spec"]["containers"][0]["args"][1:] == ["http://a-router-health.default.svc:9114/readyz"]


# -- the images -------------------------------------------------------------------------------------------------------


def pins(path: Path) -> dict[str, list[str]]:
    """Return package==version → hashes."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if pin := re.match(r"(\S+==\S+)", line):
            hashes = found.setdefault(pin[1], [])
        elif "--hash=" in line:
            hashes.append(line.strip(" \\"))
    return found


@pytest.mark.parametrize("name", ["build", "dataplane", "operator"])
def test_the_images_have_what_was_tested(name: str) -> None:
    every, ours = pins(ROOT / "requirements.lock"), pins(ROOT / f"requirements/{name}.lock")
    assert ours
    assert {pin: hashes for pin, hashes in ours.items() if every.get(pin) != hashes} == {}, "run make lock"


@pytest.mark.parametrize("half", ["operator", "dataplane"])
def test_an_images_lock_has_all_that_its_half_asks_for(half: str) -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][half]
    names = {re.split(r"[<>=;\s]", one)[0].replace("_", "-") for one in asked}
    there = {pin.partition("==")[0] for pin in pins(ROOT / f"requirements/{half}.lock")}
    # 19 MiB of every operator's memory, for kubeconfigs that a pod does not have
    assert names - there == ({"kubernetes"} if half == "operator" else set())


WITHOUT = """
import sys
for name in ("kubernetes", "requests", "urllib3", "rutta"):
    sys.modules[name] = None
import rutta_operator.__main__
import rutta_operator.ctl.__main__
"""


def test_the_operator_starts_without_what_its_image_lacks() -> None:
    """``ruttactl status`` alone needs the client library: it has to read kubeconfigs."""
    said = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=60)
    assert said.stderr == ""
    assert said.returncode == 0
