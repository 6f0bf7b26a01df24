"""Units of measure: read them, write them, and show a gauge as people read it (reference §3.5, §4.5)."""

from collections.abc import Callable
from typing import Any, Final

from rutta.events.event import SCALAR, Gauge, Unit
from rutta.events.values import Mismatch, called, expected, mapping, number, text, unwrap

# word: (name, symbol); https://github.com/logary/logary writes joules and grams with a capital in names only.
WORDS: Final = {
    "bits": ("bits", "bit"), "bytes": ("bytes", "B"), "seconds": ("seconds", "s"), "metres": ("metres", "m"),
    "scalar": ("units", ""), "amperes": ("amperes", "A"), "kelvins": ("kelvins", "K"), "moles": ("moles", "mol"),
    "candelas": ("candelas", "cd"), "percent": ("percent", "%"), "watts": ("watts", "W"), "hertz": ("hertz", "Hz"),
    "joules": ("Joules", "J"), "grams": ("Grams", "g"),
}  # fmt: skip
_PLAIN: Final = {word: Unit(word) for word in WORDS}


def currency(code: str) -> Unit:
    """Make the unit of an amount of money; codes are upper-cased."""
    return Unit("currency", text=code.strip().upper())


def parse(value: object) -> Unit:
    """Read a unit: a word, any other text (a custom unit, lower-cased), or an object by ``type`` (v6 and v5 keys)."""
    if isinstance(value, str):
        word = value.lower()
        return _PLAIN.get(word) or Unit("other", text=word)
    if not isinstance(value, dict):
        raise expected("a unit", value)
    kind = text(value.get("type")).lower()
    if kind in _PLAIN:
        return _PLAIN[kind]
    read = _COMPOUND.get(kind)
    if read is None:
        raise Mismatch(f"{kind!r} is not a unit; there are {', '.join((*WORDS, *_COMPOUND))}", path=".type")
    return read(value)


def _part(value: dict[str, Any], *keys: str) -> Unit:
    """Read the unit under the first of these keys (v6's, v5's)."""
    for key in keys:
        if key in value:
            try:
                return parse(value[key])
            except Mismatch as problem:
                raise problem.under(key) from None
    raise Mismatch("is required", path=f".{keys[0]}")


def _number(value: dict[str, Any], key: str) -> float:
    try:
        return number(value.get(key))
    except Mismatch as problem:
        raise problem.under(key) from None


_COMPOUND: Final[dict[str, Callable[[dict[str, Any]], Unit]]] = {
    "currency": lambda v: currency(text(v.get("currency"))),
    "other": lambda v: Unit("other", text=text(v.get("unit")).lower()),
    "scaled": lambda v: Unit("scaled", of=(_part(v, "unit"),), number=_number(v, "value")),
    "offset": lambda v: Unit("offset", of=(_part(v, "unit"),), number=_number(v, "value")),
    "mul": lambda v: Unit("mul", of=(_part(v, "unitA", "a"), _part(v, "unitB", "b"))),
    "pow": lambda v: Unit("pow", of=(_part(v, "base", "unit"),), number=_number(v, "power")),
    "div": lambda v: Unit("div", of=(_part(v, "numerator", "nom"), _part(v, "denominator", "denom"))),
    "root": lambda v: Unit("root", of=(_part(v, "unit", "base"),)),
    "log10": lambda v: Unit("log10", of=(_part(v, "base", "unit"),)),
}


def to_json(unit: Unit) -> str | dict[str, Any]:
    """Write a unit so that ``parse`` gives the same again."""
    kind, of = unit.kind, [to_json(one) for one in unit.of]
    match kind:
        case "currency":
            return {"type": kind, "currency": unit.text}
        case "other":
            # A custom unit named like a word of ours would be read as that word.
            return {"type": kind, "unit": unit.text} if unit.text in WORDS else unit.text
        case "scaled" | "offset":
            return {"type": kind, "unit": of[0], "value": unit.number}
        case "mul":
            return {"type": kind, "unitA": of[0], "unitB": of[1]}
        case "pow":
            return {"type": kind, "base": of[0], "power": unit.number}
        case "div":
            return {"type": kind, "numerator": of[0], "denominator": of[1]}
        case "root":
            return {"type": kind, "unit": of[0]}
        case "log10":
            return {"type": kind, "base": of[0]}
    return kind


def symbol(unit: Unit) -> str:
    """Write a unit in short: ``B``, ``m/s``, ``(a*b)``."""
    of = [symbol(one) for one in unit.of]
    match unit.kind:
        case "currency" | "other":
            return unit.text
        case "scaled" | "offset":
            return of[0]
        case "mul":
            return f"({of[0]}*{of[1]})"
        case "pow":
            return f"{of[0]}^({unit.number:g})"
        case "div":
            return f"{of[0]}/{of[1]}"
        case "root":
            return f"√({of[0]})"
        case "log10":
            return f"log10({of[0]})"
    return WORDS[unit.kind][1]


# --- gauges -----------------------------------------------------------------------------------------------------


def gauge(value: object) -> Gauge:
    """Read ``{"type": "gauge", …}`` or ``{"type": "money", …}``; v5's typed values and units too."""
    given = mapping(value)
    kind = given.get("type")
    if kind == "money":
        return _money(given)
    if kind != "gauge":
        raise Mismatch(f"expected gauge or money, got {kind if isinstance(kind, str) else called(kind)}", path=".type")
    try:
        measured = gauge_value(given.get("value"))
    except Mismatch as problem:
        raise problem.under("value") from None
    try:
        unit = parse(given["unit"]) if "unit" in given else SCALAR
    except Mismatch as problem:
        raise problem.under("unit") from None
    return Gauge(measured, unit)


def gauge_value(value: object) -> Any:
    """Read what a gauge measures: any scalar value; a fraction stays one."""
    plain = unwrap(value)
    if isinstance(plain, str | bool) or (isinstance(plain, dict) and plain.get("type") == "fraction"):
        return plain
    return number(plain)


def money(value: object) -> Gauge:
    """Read ``{"amount": 12.5, "currency": "sek"}``, or a gauge."""
    given = mapping(value)
    return _money(given) if "amount" in given else gauge(given)


def _money(given: dict[str, Any]) -> Gauge:
    try:
        amount = number(given.get("amount"))
    except Mismatch as problem:
        raise problem.under("amount") from None
    code = given.get("currency")
    if not isinstance(code, str):
        raise expected("a currency's code", code).under("currency")
    return Gauge(amount, currency(code))


def gauge_to_json(measured: Gauge) -> dict[str, Any]:
    """Write a gauge so that ``gauge`` gives the same again."""
    if measured.unit.kind == "currency" and isinstance(measured.value, int | float):
        return {"type": "money", "amount": measured.value, "currency": measured.unit.text}
    return {"type": "gauge", "value": measured.value, "unit": to_json(measured.unit)}


def as_number(value: object) -> float:
    """A value as a number: true is 1, a fraction its quotient (0 over zero), text 0 (reference §4.5)."""
    if isinstance(value, dict):
        pair = value.get("value")
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, int) for one in pair) and pair[1]):
            return 0.0
        return _divided(pair[0], pair[1])
    if isinstance(value, int | float):
        return _divided(value, 1)
    return 0.0


def _divided(value: float, by: int) -> float:
    try:
        return float(value / by)
    except OverflowError:
        return float("inf") if (value < 0) == (by < 0) else float("-inf")


_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
_LARGE: Final = ("", "k", "M", "G", "T", "P", "E", "Z")
_SMALL: Final = ("", "m", "μ", "n", "p", "f", "a", "z", "y")
_TIMES: Final = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_UNSCALED: Final = frozenset({"other", "offset", "mul", "pow", "div", "root", "log10"})


def display(measured: Gauge) -> str:
    """Show a gauge: scaled to a prefix that reads well, two decimals; money as ``USD 45.00``."""
    if isinstance(measured.value, str):
        return f"{measured.value} {symbol(measured.unit)}".rstrip()
    if measured.unit.kind == "currency":
        return f"{measured.unit.text} {as_number(measured.value):.2f}"
    value, short = scaled(as_number(measured.value), measured.unit)
    return f"{value:.2f} {short}".rstrip()


def scaled(value: float, unit: Unit) -> tuple[float, str]:
    """Return the value in the prefix it reads best in, and that unit's symbol."""
    if unit.kind == "scaled":
        return scaled(value / unit.number if unit.number else value, unit.of[0])
    if unit.kind in _UNSCALED or unit.kind == "currency":
        return value, symbol(unit)
    if unit.kind == "percent":
        return value * 100, "%"
    if unit.kind == "seconds":
        return _time(value)
    return _binary(value) if unit.kind == "bytes" else _decimal(value, symbol(unit))


def _time(value: float) -> tuple[float, str]:
    for size, short in _TIMES:
        if abs(value) >= size:
            return value / size, short
    return (value / 1e-9, "ns") if value else (value, "s")


def _binary(value: float) -> tuple[float, str]:
    step = 0
    while abs(value) >= 1024 and step < len(_BINARY) - 1:
        value, step = value / 1024, step + 1
    return value, _BINARY[step] + "B"


def _decimal(value: float, short: str) -> tuple[float, str]:
    if value == 0 or not abs(value) < float("inf"):
        return value, short
    step = 0
    if abs(value) >= 1:
        while abs(value) >= 1000 and step < len(_LARGE) - 1:
            value, step = value / 1000, step + 1
        return value, _LARGE[step] + short
    while abs(value) < 1 and step < len(_SMALL) - 1:
        value, step = value * 1000, step + 1
    return value, _SMALL[step] + short
