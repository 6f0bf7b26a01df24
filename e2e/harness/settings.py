"""Every setting of every listener, source and target, changed once: made from the definitions, for scenario 3.

The components of a section are changed side by side, each with an entry of its own: the n-th change is of the n-th
setting of each of them. So there are as many changes as the component with most settings has, and not five hundred.
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
_OF_THE_NODE = ("path", "state", "procPath", "rootPath")

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
    is_secret: bool

    @property
    def is_tls_file(self) -> bool:
        """Whether it names a Secret with files."""
        return self.path[0] == "tls" and self.path[-1] in ("secretName", "caSecretName")

    def field(self, section: str) -> str:
        """Return the setting's place in the spec."""
        steps = (section, self.component, *self.path, *(["secretKeyRef"] if self.is_secret else []))
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
        found = [_Leaf(path, *_pair(path, one, 10000 + 10 * port)) for path, one in leaves(schema)]
        needed = set(_required(schema))
        for leaf in found:
            before, after = _accepted(kind, section, component, leaf, found, needed)
            yield Setting(component, leaf.path, before, after, leaf.is_secret)


class _Leaf(NamedTuple):
    path: Path
    before: Any
    after: Any

    @property
    def is_secret(self) -> bool:
        one = self.before[0] if isinstance(self.before, list) else self.before
        return isinstance(one, Mapping) and "secretKeyRef" in one


def _required(schema: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    for key in schema.get("required", ()):
        inner = schema["properties"][key]
        more = list(_required(inner, (*path, key))) if "secretKeyRef" not in inner.get("properties", {}) else []
        yield from more or [(*path, key)]


def _pair(path: Path, schema: Mapping[str, Any], port: int) -> tuple[Any, Any]:
    """Return two values of a setting."""
    if path[-1] in _NAMED:
        return _NAMED[path[-1]]
    if path[-1] == "port":
        return port, port + 1
    if "secretKeyRef" in schema.get("properties", {}):
        return _key("one"), _key("other")
    if schema.get("type") == "array":
        return tuple([one] for one in _pair((*path, "[]"), schema["items"], port))  # type: ignore[return-value]
    return _scalars(path, schema)


def _key(name: str) -> Mapping[str, Any]:
    return {"secretKeyRef": {"name": name, "key": "key"}}


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

    pod: tuple[str, ...] = ()
    """beginnings of the workload's paths"""
    port: bool = False
    """the Service's port of the entry, too"""
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
    """What a pod listens on, and files that it has, are the pod's; a listener's settings need new ones.

    All else is in the config alone, which pods read again.
    """
    listens = section != "targets" and "port" in one.after
    if listens and one.path in (("port",), ("protocol",)):
        return Consequence((f"{CONTAINER}.ports", CONFIG_NAME), port=True, alerts=one.path == ("protocol",))
    is_mounted = one.component in ("containerLogs", "hostMetrics") and one.path[0] in _OF_THE_NODE
    if one.is_secret or one.is_tls_file or is_mounted:
        return Consequence((f"{TEMPLATE}.volumes", f"{CONTAINER}.volumeMounts"))
    return Consequence((CONFIG_NAME,) if listens else ())


def _change(kind: str, section: str, row: Sequence[Setting], consequence: Consequence) -> Change:
    """Return the change of several components' settings side by side."""
    role = kind.removeprefix("Rutta").lower()
    config, names = f"ConfigMap/x-{role}", [one.component.lower() for one in row]
    said = [
        f"data.{section}[{name}].{one.component}.{_written(section, one)}" for name, one in zip(names, row, strict=True)
    ]
    each = {config: said}
    expected: dict[str, list[str]] = {}
    if consequence.pod:
        expected[f"Deployment/x-{role}"] = list(consequence.pod)
    if consequence.port:
        each[f"Service/x-{role}"] = [f"spec.ports[{name}]" for name in names]
    if consequence.alerts:
        expected[f"PrometheusRule/x-{role}"] = ["spec.groups"]
    before, after = (
        {section: [{"name": name, one.component: what} for name, one, what in zip(names, row, pick, strict=True)]}
        for pick in ([one.before for one in row], [one.after for one in row])
    )
    return Change(" ".join(one.field(section) for one in row), after, {**expected, **each}, before, each=each)


def _written(section: str, one: Setting) -> str:
    """Return how the data plane's config calls a setting: a list is one thing there, and TLS has files."""
    if section != "targets" and one.path == ("port",):
        return "bind"
    if one.is_tls_file:
        return "tls."
    return ".".join(itertools.takewhile(lambda step: step != "[]", one.path))
