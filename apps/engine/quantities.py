"""Quantities of resources as Kubernetes writes them: ``250m``, ``1.5Gi``, ``2e3``.

The grammar is the one documented for ``resource.Quantity`` (k8s.io/apimachinery,
pkg/api/resource): a signed decimal number and a binary suffix (``Ki`` to ``Ei``, powers of 1024), a
decimal one (``n u m``, none, ``k M G T P E``) or an exponent. As there, nothing is larger than
2^63-1; what is finer than a billionth is refused here, where Kubernetes rounds it up.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from apps.engine.values import Number, Tree

MAX_TEXT: Final = 64
LARGEST: Final = 2**63 - 1
NANO: Final = 10**9
_QUANTITY: Final = re.compile(
    r"([+-]?)(?:([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))"
    r"(Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2}|[numkMGTPE]?)"
)
_BINARY: Final = {
    name: 1024 ** (step + 1) for step, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))
}
_DECIMAL: Final = {
    "n": -9,
    "u": -6,
    "m": -3,
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
    "P": 15,
    "E": 18,
}

_NANOS: Final = {name: 10 ** (exponent + 9) for name, exponent in _DECIMAL.items()}


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An exact amount, in billionths of its unit. ``binary``: written with a power of 1024."""

    nanos: int
    binary: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """The canonical form: no fraction, the largest suffix that leaves none."""
        whole, rest = divmod(abs(self.nanos), NANO)
        sign = "-" if self.nanos < 0 else ""
        if self.binary and rest == 0:
            name, factor = _largest(whole, _BINARY)
            return f"{sign}{whole // factor}{name}"
        name, factor = _largest(abs(self.nanos), _NANOS)
        return f"{sign}{abs(self.nanos) // factor}{name}"

    @property
    def plain(self) -> str:
        """The amount as a decimal number without a suffix: ``0.25`` for ``250m``."""
        whole, rest = divmod(abs(self.nanos), NANO)
        fraction = f".{rest:09d}".rstrip("0").rstrip(".")
        return f"{'-' if self.nanos < 0 else ''}{whole}{fraction}"


def find_quantity(value: Tree) -> Quantity | None:
    """The quantity that a text or a number says; ``None`` when it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Number)):
        return None
    if isinstance(value, int):
        return Quantity(value * NANO) if abs(value) <= LARGEST else None
    text = str(value)
    return _read(text) if len(text) <= MAX_TEXT else None


@lru_cache(maxsize=4_096)
def _read(text: str) -> Quantity | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, alone, suffix = match.groups()
    return _exact(sign == "-", whole or "0", fraction or alone or "", suffix)


def _exact(negative: bool, whole: str, fraction: str, suffix: str) -> Quantity | None:
    nanos = int(whole + fraction) * NANO * _BINARY.get(suffix, 1)
    exponent = _exponent(suffix) - len(fraction)
    nanos, left = divmod(nanos * 10 ** max(exponent, 0), 10 ** max(-exponent, 0))
    if left or nanos > LARGEST * NANO:
        return None
    return Quantity(-nanos if negative else nanos, suffix in _BINARY)


def _exponent(suffix: str) -> int:
    if suffix in _BINARY:
        return 0
    return _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])


def _largest(amount: int, factors: dict[str, int]) -> tuple[str, int]:
    """The name and size of the largest factor that divides ``amount``; of the unit for nothing."""
    dividing = [(factor, name) for name, factor in factors.items() if amount % factor == 0]
    if amount == 0 or not dividing:
        return "", factors.get("", 1)
    factor, name = max(dividing)
    return name, factor
