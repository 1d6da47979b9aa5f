"""Conditions of feature flags on the context of an evaluation.

    {country: DE}                              an attribute that equals a value
    {country: [DE, AT], plan: {not_equals: free}}    one of a list; all members hold
    {app.version: {version: ">=2.1 <3"}}       a range, see apps.engine.versioning
    {age: {at_least: 18, less_than: 65}}
    {email: {ends_with: ["@shop.example", "@shop.test"]}}
    {now: {after: "2026-11-24T00:00:00Z", before: "2026-12-27"}}
    {beta: {exists: true}}
    {segment: staff}                           a condition of the section's ``segments``, or a list
    {any: [{…}, {…}], not: {…}, all: [{…}]}

An attribute is a name in the context, or names with dots into its objects. ``now`` is the time of
the evaluation unless the context gives another. ``before`` is exclusive, ``after`` inclusive; a date is
its midnight in UTC. An attribute that is absent, or of another type than the operator's, does not
match (``not_equals`` and ``none_of`` then do). One that is a list matches when something in it does, and
``not_equals`` and ``none_of`` when nothing in it is the value. ``any``, ``all``, ``not`` and ``segment`` are no attributes.
"""

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Final

from apps.engine.paths import Path
from apps.engine.section_types.section_type import UNKNOWN, Findings, find_number
from apps.engine.values import Number, Tree
from apps.engine.versioning import is_version_range

MAX_TIME: Final = 40
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))?"
)
_SCALARS: Final = (str, bool, int, float, Number)
_NUMBER: Final = "This operator takes a number."
_RANGES: Final = (
    ("at_least", "at_most", False),
    ("at_least", "less_than", True),
    ("more_than", "at_most", True),
    ("more_than", "less_than", True),
    ("after", "before", True),
)
"""A lower bound, an upper one, and whether nothing is left when both are the same."""


def find_time(text: str) -> datetime | None:
    """The moment of an RFC 3339 date-time, or of a date: its midnight in UTC."""
    if len(text) > MAX_TIME or not _TIME.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_scalar(value: Tree) -> bool:
    return isinstance(value, _SCALARS)


def _is_list(value: Tree) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_known(each) for each in value)


def _is_known(value: Tree) -> bool:
    return value is UNKNOWN or _is_scalar(value)


def _is_number(value: Tree) -> bool:
    return find_number(value) is not None


def _is_text(value: Tree) -> bool:
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(each, str) or each is UNKNOWN for each in texts)


def _is_range(value: Tree) -> bool:
    return isinstance(value, str) and is_version_range(value)


def _is_time(value: Tree) -> bool:
    return isinstance(value, str) and find_time(value) is not None


def _is_boolean(value: Tree) -> bool:
    return isinstance(value, bool)


OPERATORS: Final[dict[str, tuple[Callable[[Tree], bool], str]]] = {
    **dict.fromkeys(("equals", "not_equals"), (_is_scalar, "This operator takes a plain value.")),
    **dict.fromkeys(
        ("one_of", "none_of"), (_is_list, "This operator takes a list of plain values.")
    ),
    **dict.fromkeys(("less_than", "at_most", "more_than", "at_least"), (_is_number, _NUMBER)),
    **dict.fromkeys(
        ("starts_with", "ends_with", "contains"),
        (_is_text, "This operator takes text, or a list of it."),
    ),
    "version": (_is_range, "This operator takes a range of versions, as >=1.4.0 <2."),
    **dict.fromkeys(
        ("after", "before"), (_is_time, "This operator takes an RFC 3339 date, or date and time.")
    ),
    "exists": (_is_boolean, "This operator takes true or false."),
}
"""By name: whether an operand is one of it, and what to say when it is not."""


def check_condition(
    path: Path, condition: Tree, segments: Collection[str] | None, findings: Findings
) -> set[str]:
    """Note what is wrong with a condition; the names of the segments that it refers to.

    ``segments`` are those that there are, ``None`` where that is not known.
    """
    used: set[str] = set()
    if not isinstance(condition, dict):
        if condition is not UNKNOWN:
            findings.error(
                path, "condition", "A condition is an object: attributes and their tests."
            )
        return used
    for name, test in condition.items():
        place = (*path, name)
        if name in ("any", "all"):
            used |= _check_several(place, test, segments, findings)
        elif name == "not":
            used |= check_condition(place, test, segments, findings)
        elif name == "segment":
            used |= _check_segments(place, test, segments, findings)
        else:
            _check_test(place, test, findings)
    return used


def _check_several(
    path: Path, tests: Tree, segments: Collection[str] | None, findings: Findings
) -> set[str]:
    used: set[str] = set()
    if isinstance(tests, list) and tests:
        for index, each in enumerate(tests):
            used |= check_condition((*path, index), each, segments, findings)
    elif tests is not UNKNOWN:
        findings.error(path, "condition", "'any' and 'all' take a list of conditions.")
    return used


def _check_segments(
    path: Path, named: Tree, segments: Collection[str] | None, findings: Findings
) -> set[str]:
    names = named if isinstance(named, list) else [named]
    used = {name for name in names if isinstance(name, str)}
    if names and all(name is UNKNOWN or isinstance(name, str) for name in names):
        for name in sorted(used.difference(used if segments is None else segments)):
            message = "There is no such segment in this section's 'segments'."
            findings.error(path, "segment", message, ("segments", name))
    else:
        findings.error(path, "segment", "'segment' takes a name, or a list of names.")
    return used


def _check_test(path: Path, test: Tree, findings: Findings) -> None:
    if test is UNKNOWN or _is_scalar(test) or _is_list(test):
        return
    if not isinstance(test, dict) or not test:
        message = "A test is a value, a list of values, or an object of operators."
        findings.error(path, "condition", message)
        return
    for name, operand in test.items():
        known = OPERATORS.get(name)
        if known is None:
            message = f"There is no such operator; there are {', '.join(OPERATORS)}."
            findings.error((*path, name), "operator", message)
        elif operand is not UNKNOWN and not known[0](operand):
            findings.error((*path, name), "operand", known[1])
    for low, high, exclusive in _RANGES:
        if low in test and high in test and _is_empty(test[low], test[high], exclusive):
            message = f"'{low}' and '{high}' leave nothing between them: this never matches."
            findings.warn((*path, low), "never", message, (*path, high))


def _is_empty(low: Tree, high: Tree, exclusive: bool) -> bool:
    bounds = [
        find_time(each) if isinstance(each, str) else find_number(each) for each in (low, high)
    ]
    first, last = bounds
    if first is None or last is None or type(first) is not type(last):
        return False
    return first > last or (exclusive and first == last)  # type: ignore[operator] # of one type
