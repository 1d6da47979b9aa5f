"""Versions after Semantic Versioning 2.0.0 (semver.org), and ranges of them.

A range is comparators with blanks between them, all of which hold; ``||`` stands between ranges of
which one holds: ``>=1.4.0 <2``, ``^2.1 || ~3.0.4``. A comparator is one of ``= > >= < <= ^ ~`` (none:
``=``) and a version whose minor and patch may be left out. ``^``, ``~`` and what is left out as in
node-semver, but that a pre-release is compared by its precedence like every other version.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

MAX_TEXT: Final = 256
PARTS: Final = 3
_NUMBER: Final = r"(?:0|[1-9][0-9]{0,8})"
_IDENTIFIER: Final = r"[0-9A-Za-z-]+"
_COMPARATOR: Final = re.compile(
    rf"(?:>=|<=|[=><^~])?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}"
    rf"(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?)?)?"
)


_VERSION: Final = re.compile(
    rf"[vV]?({_NUMBER})(?:\.({_NUMBER})(?:\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    rf"(?:\+{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?)?)?"
)
_OPERATOR: Final = re.compile(r"(>=|<=|[=><^~])?(.*)")

Precedence = tuple[Any, ...]
"""Sorts as section 11 of Semantic Versioning says."""

Bound = tuple[Callable[[Precedence, Precedence], bool], Precedence]


def is_version_range(text: str) -> bool:
    """Whether ``text`` is a range of versions."""
    if len(text) > MAX_TEXT:
        return False
    alternatives = [each.split() for each in text.split("||")]
    return all(
        parts and all(_COMPARATOR.fullmatch(part) for part in parts) for parts in alternatives
    )


def find_precedence(text: str) -> Precedence | None:
    """What a version is compared by; ``None`` when it is none.

    A ``v`` before it is passed over, minor and patch that are left out are 0.
    """
    found = _VERSION.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None:
        return None
    *numbers, before = found.groups()
    return _precedence([int(each or 0) for each in numbers], before)


def _precedence(numbers: list[int], before: str | None = None) -> Precedence:
    if before is None:
        return (*numbers, (1,))
    identifiers = tuple(
        (0, int(each), "") if each.isdigit() else (1, 0, each) for each in before.split(".")
    )
    return (*numbers, (0, identifiers))


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range of versions. ``alternatives``: of one of them every bound holds."""

    alternatives: tuple[tuple[Bound, ...], ...]

    @classmethod
    def find(cls, text: str) -> "VersionRange | None":
        """The range that ``text`` is; ``None`` when it is none."""
        if not is_version_range(text):
            return None
        return cls(
            tuple(
                tuple(bound for part in each.split() for bound in _bounds(part))
                for each in text.split("||")
            )
        )

    def holds(self, version: str) -> bool:
        """Whether ``version`` is in the range; ``False`` for what is no version."""
        precedence = find_precedence(version)
        return precedence is not None and any(
            all(compare(precedence, bound) for compare, bound in bounds)
            for bounds in self.alternatives
        )


def _at_least(version: Precedence, bound: Precedence) -> bool:
    return version >= bound


def _below(version: Precedence, bound: Precedence) -> bool:
    return version < bound


def _bounds(comparator: str) -> list[Bound]:
    """A comparator as half-open intervals of precedence."""
    operator, text = _OPERATOR.fullmatch(comparator).groups()  # type: ignore[union-attr] # matches all
    *parts, before = _VERSION.fullmatch(text).groups()  # type: ignore[union-attr] # is_version_range
    given = [int(each) for each in parts if each is not None]
    low = _precedence([*given, 0, 0][:3], before)
    if operator in (">=", "<"):
        first = low if operator == ">=" or len(given) == PARTS else _start(given)
        return [(_at_least if operator == ">=" else _below, first)]
    above = _after(low) if len(given) == PARTS else _start(_next(given, len(given)))
    if operator in (">", "<="):
        return [(_at_least if operator == ">" else _below, above)]
    if operator == "^":
        firm = next((i for i, each in enumerate(given) if each), len(given) - 1)
        above = _start(_next(given, firm + 1))
    elif operator == "~":
        above = _start(_next(given, min(len(given), 2)))
    return [(_at_least, low), (_below, above)]


def _after(version: Precedence) -> Precedence:
    """Above ``version``, and not above any version that is."""
    *numbers, last = version
    return (*numbers, (*last, ()))


def _next(given: list[int], count: int) -> list[int]:
    """The first ``count`` numbers, the last of them one more."""
    return [*given[: count - 1], given[count - 1] + 1]


def _start(given: list[int]) -> Precedence:
    """Below every version that begins with ``given``, its pre-releases too."""
    return (*[*given, 0, 0][:3], (0, ()))
