"""The model of one event, as the v6 schema has it; what targets read that must look inside.

Only code that needs whole events builds these: the way from a listener to a target that does not look inside
handles bytes. Levels, kinds and unit names are the original's and appear on the wire.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

Kind = Literal["event", "gauge", "histogram", "span", "identifyUser", "setUserProperty", "forgetUser"]
KINDS: Final[tuple[Kind, ...]] = (
    "event", "gauge", "histogram", "span", "identifyUser", "setUserProperty", "forgetUser",
)  # fmt: skip

VERBOSE: Final = 1
DEBUG: Final = 2
INFO: Final = 3
WARN: Final = 4
ERROR: Final = 5
FATAL: Final = 6
LEVEL_WORDS: Final = ("", "verbose", "debug", "info", "warn", "error", "fatal")  # index is the level

NO_ID: Final = b""
NO_TIME: Final = -(2**63)  # a timestamp that is not known yet; ``formats.events`` puts the block's or the received time

# A value of a field: what JSON has, plus whole numbers of any size. ``{"type": "fraction", …}`` and other
# typed objects stay the dictionaries they came as, but for int64, bigint, float, string and bool: these are unwrapped.
Value = Any


class Unit(Struct, frozen=True):
    """A unit of measure.

    ``kind`` is a word of ``units.py`` (``bytes``, ``seconds``, …, ``scalar``) or one of ``currency other scaled
    offset mul pow div root log10``; ``of`` holds the units it is made of, ``number`` a scale, offset or power,
    ``text`` a currency's code (upper case) or another unit's name.
    """

    kind: str
    of: tuple["Unit", ...] = ()
    number: float = 1.0
    text: str = ""


SCALAR: Final = Unit("scalar")


class Gauge(Struct, frozen=True):
    """A measured value and its unit; money is a gauge whose unit is a currency."""

    value: int | float | Value
    unit: Unit = SCALAR


class Frame(Struct, frozen=True, rename="camel", omit_defaults=True):
    """One frame of a stack trace (v6 schema: site, file, functionName, …)."""

    site: str | None = None
    file: str | None = None
    function_name: str | None = None
    original_function_name: str | None = None
    line_no: int | None = None
    col_no: int | None = None
    source_version: str | None = None
    load_module: Mapping[str, Any] | None = None


class StackTrace(Struct, frozen=True, rename="camel"):
    """Frames, outermost call first as they came, and how many the sender left out."""

    frames: tuple[Frame, ...] = ()
    dropped_frames_count: int = 0


class Error(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An error: its text, its type, where it happened, and what caused it."""

    message: str | None = None
    error_type: str | None = None
    stack_trace: StackTrace | None = None
    inner: "Error | None" = None


class Span(Struct, frozen=True):
    """What a span has beside the keys of all events. Ids are bytes (16 and 8), times ns; 0 is not finished.

    ``kind`` and ``status`` use the original's numbers: kind 0 internal, 1 client, 2 server, 3 consumer,
    4 producer; status code 0 unset, 1 error, 2 ok. ``links``, ``events``, ``state`` and ``baggage`` stay as they came.
    """

    trace_id: bytes = NO_ID
    span_id: bytes = NO_ID
    parent_span_id: bytes = NO_ID
    flags: int = 1
    label: str = ""
    kind: int = 0
    started: int = 0
    finished: int = 0
    status: Mapping[str, Any] | None = None
    links: tuple[Any, ...] = ()
    events: tuple[Any, ...] = ()
    state: Any = None
    baggage: Mapping[str, str] | None = None


class Event(Struct, kw_only=True, gc=False):
    """One event of any kind, normalised: every target that looks inside reads this, whatever codec it came by.

    ``id`` is 16 bytes; an event that had none has one derived from its batch (``formats.derived_id``), so a retry
    has the same. ``timestamp`` and ``received`` are ns since the Unix epoch; a codec leaves ``timestamp`` at
    ``NO_TIME`` when the input has none. Nothing that came is left out: keys that the schema does not know are in
    ``fields``. It is not tracked by the garbage collector: JSON values hold no cycles.
    """

    kind: Kind = "event"
    id: bytes = NO_ID
    parent_span_id: bytes = NO_ID
    name: str = ""
    level: int = DEBUG
    timestamp: int = 0
    received: int = 0
    text: str = ""
    context: dict[str, Value] = {}
    fields: dict[str, Value] = {}
    gauges: dict[str, Gauge] = {}
    money: Gauge | None = None  # monetaryValue
    error: Error | None = None
    gauge: Gauge | None = None  # kind gauge
    labels: dict[str, str] = {}  # kinds gauge and histogram
    buckets: dict[str, float] = {}  # kind histogram: upper bound as written → count
    sum: float = 0
    span: Span | None = None  # kind span
    user: dict[str, Value] = {}  # user kinds: their keys as in the schema (userId, prevUserId, newUserId, key, value)
