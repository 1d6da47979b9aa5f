"""Which choice a unit gets by shares: the same in every process, and in every language.

Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005).
For each choice of a weight above 0:

    h     = the first 8 bytes of SHA-256 over the UTF-8 bytes of seed, NUL, choice, NUL, unit,
            as a big-endian number, shifted 11 bits to the right (so 0 <= h < 2**53)
    score = -ln((h + 0.5) / 2**53) / weight

The unit gets the choice of the smallest score (of equal ones the name that sorts first by code
point). Weights count by their ratio. What follows from it: other seeds give independent choices;
a larger weight takes units from the other choices and moves none between them, a smaller one gives
units to them; a new choice takes units alone; names and order of the others mean nothing. With three
or more choices no function of the weights alone moves the fewest units at every change: here a unit
moves only away from a choice whose share fell, or to one whose share rose.

:data:`VECTORS` are for other implementations.
"""

import math
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

SLOTS: Final = 10_000
"""Into how many equal parts the units of a slotted space fall."""

VECTORS: Final[tuple[tuple[str, str, dict[str, float], str], ...]] = (
    ("new_search", "user-1", {"on": 25, "off": 75}, "off"),
    ("new_search", "user-2", {"on": 25, "off": 75}, "off"),
    ("new_search", "user-3", {"on": 25, "off": 75}, "off"),
    ("new_search", "user-9", {"on": 25, "off": 75}, "on"),
    ("checkout_page", "user-1", {"classic": 50, "short": 50}, "classic"),
    ("checkout_page", "user-2", {"classic": 50, "short": 50}, "classic"),
    ("price", "ünïcode-☃", {"none": 10, "cents": 30, "fünf": 60}, "fünf"),
    ("price", "0", {"none": 10, "cents": 30, "fünf": 60}, "cents"),
    ("price", "42", {"none": 10, "cents": 30, "fünf": 60}, "fünf"),
    ("price", "a b/c", {"none": 10, "cents": 30, "fünf": 60}, "fünf"),
    ("s", "u", {"a": 0, "b": 100}, "b"),
    ("s", "7b6f", {"a": 0.01, "b": 99.99}, "b"),
    ("s", "日本", {"x": 1, "y": 1, "z": 1, "w": 1}, "y"),
    ("", "u", {"x": 33.3, "y": 66.7}, "x"),
)
"""Seed, unit and weights, and the choice that the unit gets."""

SLOT_VECTORS: Final[tuple[tuple[str, str, int], ...]] = (
    ("layer", "user-1", 4750),
    ("layer", "user-2", 779),
    ("checkout", "ünï", 2817),
    ("", "x", 2363),
)
"""Seed and unit, and the slot that the unit falls into."""

_SPAN: Final = 2.0**53


class Split:
    """Shares under a seed. ``weights`` are finite and not negative; at least one is above 0."""

    __slots__ = ("_choices",)

    def __init__(
        self, seed: str, weights: Mapping[str, float] | Iterable[tuple[str, float]]
    ) -> None:
        prefix = f"{seed}\0".encode()
        self._choices = [
            (name, sha256(prefix + f"{name}\0".encode()), weight)
            for name, weight in sorted(dict(weights).items())
            if weight > 0
        ]
        if not self._choices:
            raise ValueError("No weight is above 0.")

    @property
    def only(self) -> str | None:
        """The choice that every unit gets, where there is but one."""
        return self._choices[0][0] if len(self._choices) == 1 else None

    def choose(self, unit: str) -> str:
        """The choice that ``unit`` gets."""
        text = unit.encode()
        best, least = self._choices[0][0], math.inf  # beyond a double, weights give no score
        for name, begun, weight in self._choices:
            digest = begun.copy()
            digest.update(text)
            high = int.from_bytes(digest.digest()[:8], "big") >> 11
            score = -math.log((high + 0.5) / _SPAN) / weight
            if score < least:
                best, least = name, score
        return best


def slot(seed: str, unit: str) -> int:
    """Which of ``SLOTS`` equal parts a unit falls into: the number of its first 8 bytes of SHA-256
    over seed, NUL and unit, times ``SLOTS``, divided by 2**64 and rounded down.
    """
    digest = sha256(f"{seed}\0{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * SLOTS >> 64
