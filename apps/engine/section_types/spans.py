"""Members that are spans of time, known by the end of their name: ``timeout``, ``poll_interval``.

Text is a duration (``300ms``, ``1h30m``); a number counts what the name says (``timeout_ms``), or a
unit that is the reader's own.
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple

from apps.engine.durations import find_duration
from apps.engine.paths import Path
from apps.engine.section_types.section_type import Findings, find_number
from apps.engine.values import Tree

SPAN: Final[dict[str, Any]] = {"type": ["string", "number"], "examples": ["5s", "300ms"]}
_ENDS: Final = ("timeout", "interval", "lifetime", "ttl", "period", "delay", "leeway", "duration")
_UNITS: Final = {
    "_us": 10**3,
    "_ms": 10**6,
    "_seconds": 10**9,
    "_minutes": 60 * 10**9,
    "_hours": 3600 * 10**9,
    "_days": 86_400 * 10**9,
}
_MESSAGE: Final = "This is no span of time: write it as 300ms, 5s, 1h30m, or as a number."


class Span(NamedTuple):
    """A span of time: nanoseconds, or a count of nobody knows what."""

    amount: float
    counted: bool

    def is_more_than(self, other: "Span") -> bool:
        """Whether it is surely longer than ``other``: both are counted alike."""
        return self.counted == other.counted and self.amount > other.amount


@lru_cache(maxsize=4_096)
def is_span(name: str) -> bool:
    """Whether a member of that name is a span of time."""
    return _base(name)[0].endswith(_ENDS)


def find_span(name: str, value: Tree) -> Span | None:
    """The span that the member ``name`` says; ``None`` when it says none."""
    if isinstance(value, str):
        nanos = find_duration(value)
        return None if nanos is None else Span(nanos, counted=False)
    number = find_number(value)
    if number is None:
        return None
    unit = _base(name)[1]
    return Span(number * (unit or 1), counted=unit == 0)


def check_span(path: Path, value: Tree, findings: Findings) -> None:
    """Note what is wrong with a member that is a span of time."""
    if isinstance(value, str) and find_duration(value) is None:
        findings.error(path, "duration", _MESSAGE)
    elif (find_number(value) or 0) < 0:
        findings.error(path, "duration", "A span of time is not negative.")


def check_spans(path: Path, tree: dict[str, Tree], findings: Findings) -> None:
    """The same for those members of an object that are spans by their names."""
    for name, value in tree.items():
        if is_span(name):
            check_span((*path, name), value, findings)


def _base(name: str) -> tuple[str, int]:
    """A name without the unit at its end, and that unit in nanoseconds, 0 for none."""
    for end, unit in _UNITS.items():
        if name.endswith(end):
            return name.removesuffix(end), unit
    return name, 0
