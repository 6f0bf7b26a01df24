"""Every setting of every listener, source and target, changed once: made from the definitions, for scenario 3.

The components of a section are changed side by side, each with an entry of its own: one setting of each of them at a
time, those that have the same consequences together. So there are some ninety changes, not four hundred.
"""

import copy
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from harness.changes import CONFIG_NAME, CONTAINER, TEMPLATE, Change
from harness.documents import API, to
from rutta_operator.definitions import crds
from rutta_operator.spec import rules

ENTRY = ("name", "servicePort", "hostPort", "uri", "uriFrom", "buffer", "batch", "retry")
"""what an entry has beside its component"""
Path = tuple[str, ...]
"""the way to a setting in the definitions; "[]" is the item of a list of mappings"""
_REST: Mapping[str, Mapping[str, Any]] = {
    "listeners": {"targets": [{"name": "out", "noop": {}}]},
    "sources": {"workload": "Deployment", "to": [to("Router", "main")]},
    "targets": {},
}
_OF_THE_NODE = {"path": "logs-0", "state": "state", "procPath": "host-proc", "rootPath": "host-root"}
"""settings of a place where something of the node is mounted, and the volume"""
_OF_TLS = ("secretName", "caSecretName")

# words that patterns take, tried in turn
_WORDS = (
    ("abcd", "efgh"), ("1Mi", "2Mi"), ("11s", "12s"), ("/a", "/b"), ("name", "level"), ("0640", "0600"), ("1", "2"),
)  # fmt: skip
_NAMED: Mapping[str, tuple[Any, Any]] = {
    "endpoint": ("https://a.example", "https://b.example"),
    "publishTo": ("a.example:5556", "b.example:5556"),
    "pushTo": (["a.example:5556"], ["b.example:5556", "c.example:5556"]),
    "connect": (["a.example:5556"], ["b.example:5556"]),
    **{name: (f"/{name}/a", f"/{name}/b") for name in _OF_THE_NODE},  # two cannot be mounted at one place
    "paths": (["/var/log/a"], ["/var/log/b"]),
    "headers": ({"a": "b"}, {"a": "c"}),
    "producer": ({"linger.ms": "5"}, {"linger.ms": "6"}),
}


class Setting(NamedTuple):
    """A setting of a component, and the component's settings before and after its change: they differ in it alone."""

    component: str
    path: Path
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    secrets: tuple[str, ...]
    """the Secrets that it names before and after"""

    @property
    def is_tls_file(self) -> bool:
        """Whether it names a Secret with files."""
        return self.path[-1] in _OF_TLS

    def volumes(self) -> list[str]:
        """Return the names of the volumes that come, go or are mounted elsewhere."""
        is_of_the_node = self.component in ("containerLogs", "hostMetrics") and self.path[0] in _OF_THE_NODE
        return [_OF_THE_NODE[self.path[0]]] if is_of_the_node else [f"secret-{name}" for name in self.secrets]

    def field(self, section: str) -> str:
        """Return the setting's place in the spec."""
        is_key = self.secrets and not self.is_tls_file
        steps = (section, self.component, *self.path, *(["secretKeyRef"] if is_key else []))
        return ".".join(step for step in steps if step != "[]")


def section_of(kind: str, section: str) -> Mapping[str, Any]:
    """Return the schemas of a section's components."""
    entry = crds.schema(kind)["properties"]["spec"]["properties"][section]["items"]["properties"]
    return {name: one for name, one in entry.items() if name not in ENTRY}


def leaves(schema: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the settings of a component's schema; a reference to a Secret's key is one."""
    for key, one in schema.get("properties", {}).items():
        inner, here = (one["items"], (*path, key, "[]")) if one.get("type") == "array" else (one, (*path, key))
        if inner.get("properties") and "secretKeyRef" not in inner["properties"]:
            yield from leaves(inner, here)
        else:
            yield (*path, key), one


def settings(kind: str, section: str) -> Iterator[Setting]:
    """Yield the change of each setting of each component of a section."""
    for port, (component, schema) in enumerate(section_of(kind, section).items(), start=1):
        found = [_Leaf(path, *_pair(component, path, one, 10000 + 10 * port)) for path, one in leaves(schema)]
        needed = set(_required(schema))
        for leaf in found:
            before, after = _accepted(kind, section, component, leaf, found, needed)
            yield Setting(component, leaf.path, before, after, leaf.secrets())


class _Leaf(NamedTuple):
    path: Path
    before: Any
    after: Any

    def secrets(self) -> tuple[str, ...]:
        pair = [one[0] if isinstance(one, list) else one for one in (self.before, self.after)]
        if self.path[-1] in _OF_TLS:
            return tuple(pair)
        return tuple(one["secretKeyRef"]["name"] for one in pair if isinstance(one, Mapping) and "secretKeyRef" in one)


def _required(schema: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    for key in schema.get("required", ()):
        inner = schema["properties"][key]
        more = list(_required(inner, (*path, key))) if "secretKeyRef" not in inner.get("properties", {}) else []
        yield from more or [(*path, key)]


def _pair(component: str, path: Path, schema: Mapping[str, Any], port: int) -> tuple[Any, Any]:
    """Return two values of a setting."""
    if path[-1] in _NAMED:
        return _NAMED[path[-1]]
    if path[-1] == "port":
        return port, port + 1
    if schema.get("type") == "array":
        first, second = _pair(component, (*path, "[]"), schema["items"], port)
        return [first], [second]
    secrets = [f"{component}-{path[-1].strip('[]') or path[-2]}-{which}".lower() for which in "ab"]
    if path[-1] in _OF_TLS:
        return secrets[0], secrets[1]
    if "secretKeyRef" in schema.get("properties", {}):
        return tuple({"secretKeyRef": {"name": name, "key": "key"}} for name in secrets)  # type: ignore[return-value]
    return _scalars(path, schema)


def _scalars(path: Path, schema: Mapping[str, Any]) -> tuple[Any, Any]:
    if "enum" in schema:
        return schema["enum"][0], schema["enum"][1]
    if schema.get("type") == "boolean":
        return False, True
    if schema.get("type") == "integer":
        return schema.get("minimum", 0) + 1, schema.get("minimum", 0) + 2
    if schema.get("type") == "object":
        return {"a": "b"}, {"a": "c"}
    pattern = re.compile(schema.get("pattern", ""), re.ASCII)
    for words in _WORDS:
        if all(pattern.search(word) for word in words):
            return words
    raise AssertionError(f"{'.'.join(path)}: no two words are known that {schema} takes")


def _accepted(
    kind: str, section: str, component: str, leaf: _Leaf, others: Sequence[_Leaf], needed: set[Path]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return settings before and after, with as few others as the rules demand."""
    always = [one for one in others if one.path in needed and one.path != leaf.path]
    free = [one for one in others if one.path not in needed and one.path != leaf.path]
    wrong: list[Any] = []
    for count in range(3):
        for some in itertools.combinations(free, count):
            pair = tuple(_filled([*always, *some, leaf._replace(before=value)]) for value in (leaf.before, leaf.after))
            wrong = [problem for one in pair for problem in _problems(kind, section, component, one)]
            if not wrong:
                return pair[0], pair[1]
    raise AssertionError(f"{section} {component} {'.'.join(leaf.path)}: {wrong}")


def _filled(some: Iterable[_Leaf]) -> Mapping[str, Any]:
    """Return settings that say so much; the items of a list are one."""
    made: dict[str, Any] = {}
    for leaf in some:
        here: Any = made
        for step, following in itertools.pairwise(leaf.path):
            if step == "[]":
                here = here[0]
            elif following == "[]":
                here = here.setdefault(step, [{}])
            else:
                here = here.setdefault(step, {})
        here[leaf.path[-1]] = copy.deepcopy(leaf.before)
    return made


def _problems(kind: str, section: str, component: str, said: Mapping[str, Any]) -> list[Any]:
    spec = {**_REST[section], section: [{"name": "a", component: said}]}
    return rules.examine({"apiVersion": API, "kind": kind, "metadata": {"name": "x"}, "spec": spec})[1]


class Consequence(NamedTuple):
    """What else changes with a setting, beside the config."""

    pods: bool = False
    """new ones, for they have another config"""
    port: bool = False
    """the pod's and the Service's, of the entry"""
    mounts: bool = False
    """the pod's, of the setting's volumes"""
    alerts: bool = False


def changes(kind: str, section: str) -> list[Change]:
    """Return the changes of all settings of a section."""
    rounds: dict[Consequence, dict[str, list[Setting]]] = {}
    for one in settings(kind, section):
        rounds.setdefault(_consequence(section, one), {}).setdefault(one.component, []).append(one)
    return [
        _change(kind, section, [one for one in row if one is not None], consequence)
        for consequence, by_component in rounds.items()
        for row in itertools.zip_longest(*by_component.values())
    ]


def _consequence(section: str, one: Setting) -> Consequence:
    """What a pod listens on, and files that it has, are the pod's; a listener's settings need new pods.

    All else is in the config alone, which pods read again.
    """
    listens = section != "targets" and "port" in one.after
    if listens and one.path in (("port",), ("protocol",)):
        return Consequence(pods=True, port=True, alerts=one.path == ("protocol",))
    return Consequence(pods=listens or bool(one.volumes()), mounts=bool(one.volumes()))


def _change(kind: str, section: str, row: Sequence[Setting], consequence: Consequence) -> Change:
    """Return the change of several components' settings side by side."""
    role = kind.removeprefix("Rutta").lower()
    config, pod, service = f"ConfigMap/x-{role}", f"Deployment/x-{role}", f"Service/x-{role}"
    names = [one.component.lower() for one in row]
    entries = [f"data.{section}[{name}].{one.component}" for name, one in zip(names, row, strict=True)]
    each = {config: [f"{entry}.{_written(section, one)}" for entry, one in zip(entries, row, strict=True)]}
    may = {config: [f"{entry}.tls.keyFile" for entry, one in zip(entries, row, strict=True) if one.is_tls_file]}
    if consequence.pods:
        each[pod] = [CONFIG_NAME]
    if consequence.port:
        each[pod] += [f"{CONTAINER}.ports[{name}]" for name in names]
        each[service] = [f"spec.ports[{name}]" for name in names]
    if consequence.mounts:
        each[pod] += [f"{CONTAINER}.volumeMounts[{name}]" for one in row for name in one.volumes()]
        may[pod] = [f"{TEMPLATE}.volumes[{name}]" for one in row for name in one.volumes()]
    expected = {child: [*paths, *may.get(child, [])] for child, paths in each.items()}
    if consequence.alerts:
        expected[f"PrometheusRule/x-{role}"] = ["spec.groups"]
    before, after = (
        {section: [{"name": name, one.component: what} for name, one, what in zip(names, row, pick, strict=True)]}
        for pick in ([one.before for one in row], [one.after for one in row])
    )
    return Change(" ".join(one.field(section) for one in row), after, expected, before, each=each)


def _written(section: str, one: Setting) -> str:
    """Return how the data plane's config calls a setting: a list is one thing there, and TLS has files."""
    if section != "targets" and one.path == ("port",):
        return "bind"
    if one.path[-1] == "caSecretName":
        return "tls.clientCaFile" if section != "targets" or one.component == "sse" else "tls.caFile"
    if one.path[-1] == "secretName":
        return "tls.certFile"
    return ".".join(itertools.takewhile(lambda step: step != "[]", one.path))
