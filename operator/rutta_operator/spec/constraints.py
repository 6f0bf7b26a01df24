"""What settings of one component must be together, or cannot be: the data plane's rules that no schema holds. Pure.

The data plane checks them when it reads its config (``__post_init__`` of the components), where a pod would end with
them; here they are said before there is one, by the operator and ``ruttactl`` (``relations``) and by the API server
(``cel``). Tests hold every row to the data plane. Rules of text alone (a topic's placeholders, a URL) are left to it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from rutta_operator.spec.components import Section

Settings = Mapping[str, Any]


class Constraint(NamedTuple):
    """One rule between settings of a component."""

    name: str
    cel: str
    """the rule as the API server reads it, ``self`` being the settings; empty: CEL cannot, ``one_of`` says it"""
    holds: Callable[[Settings], bool]
    message: str
    field: str
    """the setting to look at"""
    one_of: tuple[str, ...] = ()
    """the settings of which the schema itself demands one, where no CEL can read them: they are text or a list"""


def _said(settings: Settings, field: str) -> bool:
    return settings.get(field) is not None


def _together(*fields: str) -> Constraint:
    first, *rest = fields
    cel = " && ".join(f"has(self.{first}) == has(self.{one})" for one in rest)
    text = f"{', '.join(fields[:-1])} and {fields[-1]} go together"
    return Constraint("-".join(fields), cel, lambda of: len({_said(of, one) for one in fields}) == 1, text, first)


def _at_most_one(*fields: str) -> Constraint:
    cel = f"[{', '.join(f'has(self.{one})' for one in fields)}].filter(x, x).size() <= 1"
    text = f"give only one of {', '.join(fields[:-1])} and {fields[-1]}"
    return Constraint(f"{fields[0]}-alone", cel, lambda of: sum(_said(of, one) for one in fields) <= 1, text, fields[0])


def _exactly_one(*fields: str) -> Constraint:
    cel = f"[{', '.join(f'has(self.{one})' for one in fields)}].exists_one(x, x)"
    text = f"give either {' or '.join(fields)}"
    return Constraint(
        f"{fields[0]}-or-{fields[1]}", cel, lambda of: sum(_said(of, one) for one in fields) == 1, text, fields[0]
    )


def _never(field: str, value: str, text: str) -> Constraint:
    cel = f"self.?{field}.orValue('') != '{value}'"
    return Constraint(f"{field}-{value.lower()}", cel, lambda of: of.get(field) != value, text, field)


def _only_with(field: str, value: str | bool, other: str, allowed: tuple[str, ...], default: str) -> Constraint:
    """Let a value of a field go with some values of another only, which is ``default`` if nothing is said."""
    absent, wanted = ("false", "true") if value is True else ("''", f"'{value}'")
    cel = f"self.?{field}.orValue({absent}) != {wanted} || self.?{other}.orValue('{default}') in {list(allowed)}"
    text = f"goes with {other} {' or '.join(allowed)} only"
    holds = _holds_with(field, value, other, allowed, default)
    return Constraint(f"{field}-{other}", cel, holds, text, field)


def _holds_with(
    field: str, value: str | bool, other: str, allowed: tuple[str, ...], default: str
) -> Callable[[Settings], bool]:
    return lambda of: of.get(field) != value or of.get(other, default) in allowed


def _closes_files(settings: Settings) -> bool:
    said = [one for key in ("rotate", "keep") if isinstance(inner := settings.get(key), dict) for one in inner.values()]
    return any(one is not None for one in said) or settings.get("compression", "None") != "None"


_CLOSED_FILES: Final = ("?rotate.?maxBytes", "?rotate.?every", "?keep.?files", "?keep.?age", "?keep.?maxBytes")
_USER: Final = _together("username", "password")
_BEARER: Final = _at_most_one("bearer", "username")
_GZIP: Final = _never("compression", "Zstd", "the service reads gzip only; take Gzip or None")

_Place = tuple[Section, str, str]  # the section, the component, and a mapping in it ("": its settings themselves)
_ROWS: Final[Mapping[_Place, tuple[Constraint, ...]]] = {
    ("targets", "aliyun", ""): (
        Constraint(
            "region", "self.?signature.orValue('') != 'V4' || has(self.region)",
            lambda of: of.get("signature") != "V4" or _said(of, "region"),
            "signature V4 needs the region, like cn-hangzhou", "region",
        ),
    ),
    ("targets", "applicationinsights", ""): (_exactly_one("connectionString", "instrumentationKey"),),
    ("targets", "bigquery", ""): (_GZIP,),
    ("targets", "console", ""): (
        _only_with("includeResource", True, "format", ("logfmt",), "logfmt"),
        _only_with("colour", "Always", "format", ("logfmt",), "logfmt"),
    ),
    ("targets", "elasticsearch", ""): (
        _at_most_one("endpoint", "publishTo"),
        _at_most_one("dataStream", "index", "indexName"),
        Constraint(
            "action", "!has(self.dataStream) || self.?action.orValue('') != 'Index'",
            lambda of: not _said(of, "dataStream") or of.get("action") != "Index",
            "a data stream is appended to only; leave it at Create", "action",
        ),
        _USER,
        _at_most_one("password", "apiKey", "bearer"),
        _GZIP,
    ),
    ("targets", "file", ""): (
        Constraint(
            "columns", "self.?columns.orValue([]).size() == 0 || self.?codec.orValue('ndjson') == 'ndjson'",
            lambda of: not of.get("columns") or of.get("codec", "ndjson") == "ndjson",
            "go with codec ndjson only", "columns",
        ),
        Constraint(
            "path", f"self.path != '-' || !({' || '.join(f'self.{one}.hasValue()' for one in _CLOSED_FILES)} "
            "|| self.?compression.orValue('None') != 'None')",
            lambda of: of.get("path") != "-" or not _closes_files(of),
            "- is standard output, which has no files to rotate, keep or compress", "path",
        ),
    ),
    ("targets", "http", ""): (_USER, _BEARER, _only_with("body", "Array", "codec", ("ndjson", "json"), "ndjson")),
    ("targets", "influxdb", ""): (
        _USER,
        _together("org", "bucket"),
        Constraint(
            "token", "!has(self.token) || (has(self.bucket) && !has(self.username))",
            lambda of: not _said(of, "token") or (_said(of, "bucket") and not _said(of, "username")),
            "goes with org and bucket (version 2), and not with username", "token",
        ),
        _GZIP,
    ),
    ("targets", "kafka", ""): (_USER,),
    ("targets", "loki", ""): (_USER, _BEARER, _GZIP),
    ("targets", "mixpanel", ""): (
        _together("username", "password", "projectId"), _exactly_one("token", "username"), _GZIP,
    ),
    ("targets", "otlp", ""): (_USER, _BEARER),
    ("targets", "shipper", ""): (_exactly_one("pushTo", "publishTo")._replace(cel="", one_of=("pushTo", "publishTo")),),
    ("targets", "stackdriver", ""): (_GZIP,),
    ("listeners", "http", "auth"): (
        Constraint(
            "key", "self.?bearer.orValue([]).size() + self.?basic.orValue([]).size() > 0",
            lambda of: bool(of.get("bearer") or of.get("basic")),
            "needs a bearer token or a basic user, or nobody could post", "",
        ),
    ),
    ("sources", "containerLogs", "multiline"): (
        Constraint(
            "start", "!has(self.start) || !self.?traces.orValue(false)",
            lambda of: not _said(of, "start") or of.get("traces") is not True,
            "multiline has either traces or start", "start",
        ),
    ),
}  # fmt: skip


def constraints(section: Section) -> Iterator[tuple[str, str, Constraint]]:
    """Yield the rules for a section's components: component, mapping in it, rule. Every listener is a source, too."""
    sections: tuple[Section, ...] = ("listeners", "sources") if section == "sources" else (section,)
    for (its, component, inside), rows in _ROWS.items():
        if its in sections:
            yield from ((component, inside, one) for one in rows)
