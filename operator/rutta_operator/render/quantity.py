"""Quantities of resources: their value, and the one way in which the API server writes each.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import ROUND_UP, Decimal
from typing import Final

_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)(?:([eE][-+]?\d+)|([KMGTPE]i)|([numkMGTPE]))?")
_MOST: Final = 2**63  # the API server takes no more, whatever is written
_BINARY: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL: Final = {-1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T", 5: "P", 6: "E"}
_POWERS: Final = {"n": -3, "u": -2, **{suffix: power for power, suffix in _DECIMAL.items()}}


def value(quantity: str | int) -> Decimal:
    """Return what a quantity amounts to. It has passed its check."""
    number, exponent, binary, decimal = _parts(quantity)
    if exponent:
        return Decimal(number + exponent) if len(exponent) < 5 else Decimal("Infinity")
    if binary:
        return Decimal(number) * Decimal(1024) ** _BINARY.index(binary)
    return Decimal(number) * Decimal(1000) ** _POWERS[decimal]


def canonical(quantity: str | int) -> str:
    """Write a quantity as the API server does: ``1024Mi`` is ``1Gi``, ``1000m`` is ``1``, ``0.5`` is ``500m``."""
    _, exponent, binary, _ = _parts(quantity)
    amount = value(quantity)
    if amount >= _MOST:
        return str(quantity)
    amount = amount.quantize(Decimal("0.001"), ROUND_UP)  # what containers get is never finer than 1m
    if binary and amount >= 1024 and amount == int(amount):
        return _binary(int(amount))
    number, power = _decimal(amount)
    if exponent:
        return f"{number}{exponent[0]}{3 * power}" if power else str(number)
    return f"{number}{_DECIMAL[power]}"


def _parts(quantity: str | int) -> tuple[str, str, str, str]:
    match = _FORM.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity")
    number, exponent, binary, decimal = match.groups(default="")
    return number, exponent, binary, decimal


def _binary(amount: int) -> str:
    power = 0
    while amount % 1024 == 0 and power < len(_BINARY) - 1:
        amount, power = amount // 1024, power + 1
    return f"{amount}{_BINARY[power]}"


def _decimal(amount: Decimal) -> tuple[int, int]:
    """Return the least whole number, and the power of 1000 that it stands before."""
    power = min(_DECIMAL)
    number = int(amount * 1000)
    if not number:
        return 0, 0
    while number % 1000 == 0 and power < max(_DECIMAL):
        number, power = number // 1000, power + 1
    return number, power
