"""The types that settings are made of: durations, sizes, ports, secrets.

A component's ``Config`` is a frozen ``msgspec.Struct`` of these and of plain types; each field carries
its text in ``Annotated[..., Meta(description=...)]``, which becomes help, schema and CRD text.
"""

import contextlib
import functools
import os
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, _json_schema, json

from rutta.errors import ConfigError

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
# Kubernetes' quantity suffixes: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)B?")
_FACTOR: Final = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip


class Duration(float):
    """A length of time in seconds; written ``500ms``, ``10s``, ``1m30s``, ``2h`` or a number of seconds."""

    @classmethod
    def parse(cls, value: object) -> "Duration":
        """Read a duration; ``ValueError`` says what is accepted."""
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        if isinstance(value, str):
            text = value.strip()
            if re.fullmatch(r"\d+(\.\d+)?", text):
                return cls(text)
            parts = _DURATION.findall(text)
            if parts and "".join(n + u for n, u in parts) == text:
                return cls(sum(float(n) * _SECONDS[u] for n, u in parts))
        raise ValueError(f"{value!r} is not a duration; write it like 500ms, 10s, 5m or 1h30m")


class Size(int):
    """A number of bytes; written ``64Mi``, ``1Gi``, ``500k`` or a number."""

    @classmethod
    def parse(cls, value: object) -> "Size":
        """Read a size; ``ValueError`` says what is accepted."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
            return cls(int(float(match[1]) * _FACTOR[match[2]]))
        raise ValueError(f"{value!r} is not a size; write it like 64Mi, 1Gi or 1048576")


class Secret:
    """A value that never shows: given in place, by ``{"file": PATH}`` or by ``{"env": NAME}``.

    ``reveal`` reads the file each time, so that a rotated secret is taken at the next use.
    """

    __slots__ = ("_env", "_file", "_value")

    def __init__(self, *, value: str | None = None, file: str | None = None, env: str | None = None) -> None:
        """Exactly one of the three is given."""
        self._value, self._file, self._env = value, file, env

    @classmethod
    def parse(cls, value: object) -> "Secret":
        """Read a secret setting; ``ValueError`` says what is accepted."""
        if isinstance(value, str):
            return cls(value=value)
        if isinstance(value, dict) and len(value) == 1:
            ((key, text),) = value.items()
            if key in ("file", "env") and isinstance(text, str) and text:
                return cls(**{key: text})
        raise ValueError('is not a secret; write a string, {"file": PATH} or {"env": NAME}')

    def reveal(self) -> str:
        """Return the value; ``ConfigError`` names a missing file or variable."""
        if self._value is not None:
            return self._value
        if self._file is not None:
            try:
                return Path(self._file).read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as exc:
                raise ConfigError(f"the secret file {self._file} cannot be read: {exc}") from exc
        name = self._env or ""
        try:
            return os.environ[name]
        except KeyError:
            raise ConfigError(f"the environment variable {name} of a secret is not set") from None

    def __repr__(self) -> str:
        """Tell where the value is from, never the value."""
        if self._file is not None:
            return f"Secret(file={self._file!r})"
        return f"Secret(env={self._env!r})" if self._env is not None else "Secret(***)"


Port = Annotated[int, Meta(ge=1, le=65535, extra_json_schema={"format": "port"})]
Description = Meta


class Tls(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """TLS of a listener: its certificate, and the authority its clients must show one of."""

    cert_file: Annotated[str, Meta(description="PEM file of the certificate chain")]
    key_file: Annotated[str, Meta(description="PEM file of the private key")]
    client_ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the authority that clients must have a certificate of (mTLS)"),
    ] = None


class ClientTls(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """TLS of a target: whom to trust, and what to show."""

    ca_file: Annotated[str | None, Meta(description="PEM file of the authorities to trust; absent: the system's")] = (
        None
    )
    cert_file: Annotated[str | None, Meta(description="PEM file of a client certificate (mTLS)")] = None
    key_file: Annotated[str | None, Meta(description="PEM file of the client certificate's key")] = None
    insecure_skip_verify: Annotated[bool, Meta(description="do not check the server's certificate")] = False


_CUSTOM: Final[tuple[type[Duration] | type[Size] | type[Secret], ...]] = (Duration, Size, Secret)


def dec_hook(kind: type, value: object) -> object:
    """Let msgspec read our types."""
    if kind in _CUSTOM:
        return kind.parse(value)
    raise NotImplementedError(f"no such setting type: {kind}")


def enc_hook(value: object) -> object:
    """Let msgspec write our types (a secret is never written)."""
    if isinstance(value, Duration):
        number, unit = (value, "s") if value >= 1 or not value else (value * 1000, "ms")
        return f"{number:.6f}".rstrip("0").rstrip(".") + unit
    if isinstance(value, Size):
        return int(value)
    if isinstance(value, Secret):
        return repr(value)
    raise NotImplementedError(f"no such setting type: {type(value)}")


def schema_hook(kind: type) -> dict[str, Any]:
    """JSON schema of our types."""
    if kind is Duration:
        return {"type": "string", "format": "duration", "pattern": r"^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d)?)+$"}
    if kind is Size:
        return {
            "type": ["string", "integer"],
            "format": "size",
            "pattern": r"^\d+(\.\d+)?(Ki|Mi|Gi|Ti|k|M|G|T)?B?$",
        }
    if kind is Secret:
        one = {"type": "string", "minLength": 1}
        return {
            "format": "secret",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"file": one},
                    "required": ["file"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"env": one},
                    "required": ["env"],
                    "additionalProperties": False,
                },
            ],
        }
    raise NotImplementedError(f"no such setting type: {kind}")


def default(kind: type[Duration] | type[Size], text: str) -> Any:
    """Give a field of our types its default, e.g. ``default(Duration, "10s")``."""
    value = kind.parse(text)
    return msgspec.field(default_factory=lambda: value)


def schema(kind: type) -> dict[str, Any]:
    """Return the JSON schema of a settings struct, defaults of our own types included."""
    with _our_defaults():
        whole = json.schema(kind, schema_hook=schema_hook)
    for struct in _structs(kind, set()):
        shape = whole.get("$defs", {}).get(struct.__name__, {}).get("properties", {})
        for field in msgspec.structs.fields(struct):
            if field.default_factory is not msgspec.NODEFAULT and field.encode_name in shape:
                shape[field.encode_name]["default"] = msgspec.to_builtins(field.default_factory(), enc_hook=enc_hook)
    return whole


@contextlib.contextmanager
def _our_defaults() -> Iterator[None]:
    """Let msgspec write defaults of our types into a schema: it has a hook for types, but none for default values."""
    original = _json_schema.to_builtins  # type: ignore[attr-defined]
    _json_schema.to_builtins = functools.partial(msgspec.to_builtins, enc_hook=enc_hook)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        _json_schema.to_builtins = original  # type: ignore[attr-defined]


def bare(kind: Any) -> Any:
    """Take ``Annotated``, and the ``None`` of an optional, off a type."""
    if get_origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        rest = [one for one in get_args(kind) if one is not type(None)]
        if len(rest) == 1:
            return bare(rest[0])
    return kind


def _structs(kind: Any, seen: set[type[Struct]]) -> set[type[Struct]]:
    """All structs that ``kind`` is made of."""
    core = bare(kind)
    if isinstance(core, type) and issubclass(core, Struct):
        if core not in seen:
            seen.add(core)
            for field in msgspec.structs.fields(core):
                _structs(field.type, seen)
    else:
        for one in get_args(core):
            _structs(one, seen)
    return seen
