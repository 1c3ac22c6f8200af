"""Kubernetes quantities (`100m`, `1.5Gi`, `1e3`), exact: no float ever touches them.

A quantity is held as a whole number of nanos, the finest unit Kubernetes keeps; finer input is rounded up, as there.
Source: apimachinery pkg/api/resource/quantity.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Literal, NamedTuple

Form = Literal["binary", "decimal", "exponent"]
NANO = 10**9
_LARGEST = (2**63 - 1) * NANO

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX_OF = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_PATTERN = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?")

INVALID = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


class Quantity(NamedTuple):
    nanos: int
    form: Form

    def __str__(self) -> str:
        return format_quantity(self.nanos, self.form)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Quantity:
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(INVALID)
    sign, digits, binary, decimal, exponent = found.groups()
    if binary:
        form: Form = "binary"
        scale = Fraction(_BINARY[binary])
    elif exponent is not None:
        form = "exponent"
        scale = Fraction(10) ** max(min(int(exponent), 64), -64)
    else:
        form = "decimal"
        scale = Fraction(10) ** _DECIMAL[decimal or ""]
    nanos = min(ceil(Fraction(digits.rstrip(".")) * scale * NANO), _LARGEST)
    return Quantity(-nanos if sign == "-" else nanos, form)


def parse_quantity(value: str | int | float) -> Quantity:
    """Raises: ValueError, with Kubernetes' sentence, when `value` is no quantity."""
    return _parse(value if isinstance(value, str) else str(value))


def is_quantity(value: object) -> bool:
    try:
        parse_quantity(value)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def format_quantity(nanos: int, form: Form = "decimal") -> str:
    """The canonical text: the largest suffix that leaves no fraction."""
    if nanos == 0:
        return "0"
    if form == "binary" and -1024 * NANO < nanos < 1024 * NANO:
        form = "decimal"
    if form == "binary" and nanos % NANO == 0:
        amount, suffix = nanos // NANO, ""
        for name, factor in _BINARY.items():
            if (nanos // NANO) % factor:
                break
            amount, suffix = nanos // NANO // factor, name
        return f"{amount}{suffix}"
    amount, exponent = nanos, -9
    while amount % 1000 == 0 and exponent < 18:
        amount //= 1000
        exponent += 3
    if form == "exponent":
        return f"{amount}e{exponent}" if exponent else str(amount)
    return f"{amount}{_SUFFIX_OF[exponent]}"


def canonical(value: str | int | float) -> str:
    """How Kubernetes would write `value` back: `0.1` is `100m`, `1024Mi` is `1Gi`. Raises: ValueError."""
    return str(parse_quantity(value))


def millis(value: str | int | float | None) -> int:
    """CPU in thousandths, rounded up; 0 for None."""
    return 0 if value is None else -(-parse_quantity(value).nanos // 10**6)


def whole(value: str | int | float | None) -> int:
    """Memory in bytes, or a count, rounded up; 0 for None."""
    return 0 if value is None else -(-parse_quantity(value).nanos // NANO)


def compare(left: str | int | float, right: str | int | float) -> int:
    """Negative, zero or positive, as `left` is less than, equal to or more than `right`."""
    return parse_quantity(left).nanos - parse_quantity(right).nanos


def total(values: Iterable[str | int | float]) -> str:
    """The sum in canonical form, in the first non-zero value's own form."""
    form: Form = "decimal"
    nanos = 0
    for value in values:
        parsed = parse_quantity(value)
        if nanos == 0 and parsed.nanos:
            form = parsed.form
        nanos += parsed.nanos
    return format_quantity(nanos, form)
