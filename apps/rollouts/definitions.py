"""What an experiment may say, checked member by member."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from apps.core import clock
from apps.core.names import check_slug, check_text, refuse_unknown
from apps.engine import values
from apps.engine.errors import InvalidError, Problem, invalid, taken
from apps.engine.section_types.flag_conditions import check_condition
from apps.engine.section_types.section_type import Findings, find_number
from apps.engine.values import Tree

MEMBERS: Final = (
    "description",
    "audience",
    "holdout",
    "share",
    "exclusion",
    "metrics",
    "alpha",
    "tuned_for",
    "variants",
    "starts_at",
    "ends_at",
)
WHILE_RUNNING: Final = ("description", "ends_at")
"""What may change once it runs: anything else would make its results mean nothing."""
KINDS: Final = ("conversion", "value")
GOALS: Final = ("increase", "decrease")
MAX_VARIANTS: Final = 10
MAX_METRICS: Final = 10
MAX_NAME: Final = 64
MOST_TUNED_FOR: Final = 1_000_000_000
LEAST_WEIGHT: Final = 0.000_001
MOST_WEIGHT: Final = 1_000_000
CONTEXT: Final = ("targetingKey", "account", "instance", "now")
"""The attributes that an audience may ask for."""


@dataclass(frozen=True, slots=True)
class VariantInput:
    """A variant as it was sent: ``patch`` is ``None`` for the control."""

    name: str
    weight: float
    patch: Tree


def read_definition(members: Mapping[str, Tree]) -> dict[str, Any]:
    """The members that are given, each checked and in the form that the model keeps.

    Raises :class:`InvalidError` with the place of the first that cannot be.
    """
    refuse_unknown(members, MEMBERS)
    readers: dict[str, Callable[[Tree], Any]] = {
        "description": lambda each: check_text("description", each, 10_000),
        "audience": _read_audience,
        "holdout": lambda each: _read_percentage("holdout", each, low=0, high=99),
        "share": lambda each: _read_percentage("share", each, low=0.01, high=100),
        "exclusion": _read_exclusion,
        "metrics": _read_metrics,
        "alpha": lambda each: _read_within("alpha", each, 0.0001, 0.5),
        "tuned_for": _read_tuned_for,
        "variants": _read_variants,
        "starts_at": lambda each: _read_time("starts_at", each),
        "ends_at": lambda each: _read_time("ends_at", each),
    }
    return {name: readers[name](members[name]) for name in readers if name in members}


def _read_audience(given: Tree) -> str:
    found = Findings()
    values.check({"audience": given})
    check_condition((), given, (), found)
    asked = set(_attributes(given))
    for name in sorted(asked - set(CONTEXT)):
        found.error((name,), "attribute", f"An audience knows {', '.join(CONTEXT)} alone.")
    if found.errors:
        problems = [
            Problem(f"/audience{each.pointer}", each.code, each.message) for each in found.errors
        ]
        raise InvalidError("The audience cannot be judged.", problems)
    return values.canonical(given)


def _attributes(condition: Tree) -> list[str]:
    if not isinstance(condition, dict):
        return []
    found = []
    for name, test in condition.items():
        if name in ("any", "all"):
            parts = test if isinstance(test, list) else ()
            found += [one for each in parts for one in _attributes(each)]
        elif name == "not":
            found += _attributes(test)
        elif name != "segment":
            found.append(name)
    return found


def _read_tuned_for(given: Tree) -> int:
    number = _read_within("tuned_for", given, 100, MOST_TUNED_FOR)
    if not number.is_integer():
        raise invalid("/tuned_for", "type", "This is a whole number of units.")
    return int(number)


def _read_within(name: str, given: Tree, low: float, high: float) -> float:
    number = find_number(given)
    if number is None or not low <= number <= high:
        raise invalid(f"/{name}", "type", f"This is a number from {low:g} to {high:g}.")
    return number


def _read_percentage(name: str, given: Tree, *, low: float, high: float) -> float:
    number = _read_within(name, given, low, high)
    if not math.isclose(number * 100, round(number * 100), abs_tol=1e-6):
        raise invalid(f"/{name}", "type", "A percentage has two decimals at most.")
    return number


def _read_exclusion(given: Tree) -> str:
    if given in (None, ""):
        return ""
    try:
        return check_slug(given)
    except InvalidError as error:
        raise invalid("/exclusion", "slug", error.detail) from error


def _read_name(at: str, given: Tree) -> str:
    try:
        name = check_slug(given)
    except InvalidError as error:
        raise invalid(at, "slug", error.detail) from error
    if len(name) > MAX_NAME:
        raise invalid(at, "slug", f"This name is at most {MAX_NAME} characters.")
    return name


def _read_metrics(given: Tree) -> str:
    if not isinstance(given, list) or len(given) > MAX_METRICS:
        raise invalid("/metrics", "type", f"This is a list of at most {MAX_METRICS} metrics.")
    metrics: list[Tree] = []
    for index, each in enumerate(given):
        at = f"/metrics/{index}"
        if not isinstance(each, dict):
            raise invalid(at, "type", "A metric is an object: name, kind, goal.")
        if unknown := sorted(each.keys() - {"name", "kind", "goal"}):
            raise invalid(f"{at}/{unknown[0]}", "unknown_member", "There is no such member.")
        metric = {"name": _read_name(f"{at}/name", each.get("name"))}
        for member, known in (("kind", KINDS), ("goal", GOALS)):
            metric[member] = str(each.get(member, known[0]))
            if metric[member] not in known:
                raise invalid(f"{at}/{member}", member, f"This is {' or '.join(known)}.")
        metrics.append(metric)
    names = [str(each["name"]).lower() for each in metrics]
    if len(set(names)) < len(names):
        raise taken("/metrics", "Two metrics have the same name.")
    return values.canonical(metrics)


def _read_variants(given: Tree) -> list[VariantInput]:
    if not isinstance(given, list) or not 2 <= len(given) <= MAX_VARIANTS:  # noqa: PLR2004 - a control and one beside it
        message = f"This is a list of 2 to {MAX_VARIANTS} variants, the control first."
        raise invalid("/variants", "type", message)
    found = [_read_variant(f"/variants/{index}", each) for index, each in enumerate(given)]
    if found[0].patch not in (None, {}):
        message = "The first variant is the control, which changes nothing."
        raise invalid("/variants/0/patch", "control", message)
    for index, each in enumerate(found[1:], start=1):
        if not isinstance(each.patch, dict):
            message = "A variant is a merge patch: an object of what is another in it."
            raise invalid(f"/variants/{index}/patch", "type", message)
    names = [each.name.lower() for each in found]
    if len(set(names)) < len(names):
        raise taken("/variants", "Two variants have the same name.")
    return found


def _read_variant(at: str, given: Tree) -> VariantInput:
    if not isinstance(given, dict):
        raise invalid(at, "type", "A variant is an object: name, weight, patch.")
    if unknown := sorted(given.keys() - {"name", "weight", "patch"}):
        raise invalid(f"{at}/{unknown[0]}", "unknown_member", "There is no such member.")
    name = _read_name(f"{at}/name", given.get("name"))
    weight = find_number(given.get("weight", 1))
    if weight is None or not LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        message = f"A weight is a number from {LEAST_WEIGHT:f} to {MOST_WEIGHT}."
        raise invalid(f"{at}/weight", "type", message)
    return VariantInput(name, weight, given.get("patch"))


def _read_time(name: str, given: Tree) -> datetime | None:
    if given in (None, ""):
        return None
    try:
        return clock.read_rfc3339(str(given))
    except ValueError as error:
        message = "This is a time such as 2026-11-24T09:30:00Z."
        raise invalid(f"/{name}", "type", message) from error
