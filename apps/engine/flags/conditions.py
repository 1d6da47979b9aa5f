"""Conditions of flags as functions of a context; what they say stands in ``flag_conditions``."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from apps.engine.section_types.flag_conditions import check_condition, find_time
from apps.engine.section_types.flag_needs import MAX_LEVEL, levels
from apps.engine.section_types.section_type import Findings, find_number
from apps.engine.values import Tree
from apps.engine.versioning import VersionRange


class CannotEvaluateError(Exception):
    """A definition has not the shape that it needs; ``args`` say what is wrong."""


@dataclass(slots=True)
class Context:
    """About whom a flag is asked: attributes by name, the unit of shares, and the time (UTC).

    ``known`` is what was already found out about it.
    """

    attributes: Mapping[str, Tree]
    now: datetime
    known: dict[Any, Any] = field(default_factory=dict)

    @property
    def targeting_key(self) -> str | None:
        """The unit; ``None`` where the context has none."""
        key = self.attributes.get("targetingKey")
        return key if isinstance(key, str) and key else None

    def find(self, name: str) -> Tree:
        """An attribute by its name, or by names with dots into objects; ``None`` when absent."""
        if name in self.attributes:
            return self.attributes[name]
        if name == "now":
            return self.now
        found: Any = self.attributes
        for step in name.split("."):
            if not isinstance(found, Mapping) or step not in found:
                return None
            found = found[step]
        return found


Predicate = Callable[[Context], bool]
Test = Callable[[Tree], bool]


class Segments:
    """The conditions that flags share. Each is asked once for a context."""

    def __init__(self, definitions: Tree) -> None:
        given = definitions if isinstance(definitions, dict) else {}
        uses = {name: check_condition((), each, None, Findings()) for name, each in given.items()}
        self._made: dict[str, Predicate] = {}
        for name, level in sorted(levels(uses).items(), key=lambda each: each[1]):
            if level <= MAX_LEVEL:
                with contextlib.suppress(CannotEvaluateError):
                    self._made[name] = self._asked_once(name, make_condition(given[name], self))

    def get(self, name: Tree) -> Predicate:
        """One of them. Raises :class:`CannotEvaluateError` for one that is not there, or broken."""
        found = self._made.get(name) if isinstance(name, str) else None
        if found is None:
            raise CannotEvaluateError("A segment that it names is not there.")
        return found

    def _asked_once(self, name: str, condition: Predicate) -> Predicate:
        def asked(context: Context) -> bool:
            known = context.known.get((self, name))
            if known is None:
                known = context.known[self, name] = condition(context)
            return bool(known)

        return asked


def make_condition(definition: Tree, segments: Segments) -> Predicate:
    """A condition as a function. Raises :class:`CannotEvaluateError`."""
    if not isinstance(definition, dict):
        raise CannotEvaluateError("A condition is no object.")
    return _all([_make_part(name, test, segments) for name, test in definition.items()])


def _make_part(name: str, test: Tree, segments: Segments) -> Predicate:
    if name in ("any", "all"):
        if not isinstance(test, list):
            raise CannotEvaluateError("'any' and 'all' take a list of conditions.")
        parts = [make_condition(each, segments) for each in test]
        return _all(parts) if name == "all" else _any(parts)
    if name == "not":
        negated = make_condition(test, segments)
        return lambda context: not negated(context)
    if name == "segment":
        return _any([segments.get(each) for each in (test if isinstance(test, list) else [test])])
    return _make_attribute(name, test)


def _all(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda context: all(part(context) for part in parts)


def _any(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda context: any(part(context) for part in parts)


def _make_attribute(name: str, test: Tree) -> Predicate:
    if isinstance(test, list):
        test = {"one_of": test}
    elif not isinstance(test, dict):
        test = {"equals": test}
    parts = [_make_operator(name, operator, operand) for operator, operand in test.items()]
    return _all(parts)


def _make_operator(name: str, operator: str, operand: Tree) -> Predicate:
    if operator == "exists":
        return lambda context: (context.find(name) is not None) is operand
    if operator in NEGATED:
        matches = _make_test(NEGATED[operator], operand)
        return lambda context: not _holds(matches, context.find(name))
    matches = _make_test(operator, operand)
    return lambda context: _holds(matches, context.find(name))


def _holds(matches: Test, value: Tree) -> bool:
    """Whether a value matches, or one of a list of them."""
    if isinstance(value, list):
        return any(map(matches, value))
    return matches(value)


NEGATED: Final = {"not_equals": "equals", "none_of": "one_of"}


def _make_test(operator: str, operand: Tree) -> Test:
    maker = _MAKERS.get(operator)
    if maker is None:
        raise CannotEvaluateError(f"There is no operator '{operator}'.")
    return maker(operand)


def _identity(value: Tree) -> tuple[str, Any] | None:
    """What plain values of one kind are compared by: 1 and 1.0 are one number, true is none."""
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, str):
        return "string", value
    number = find_number(value)
    return None if number is None else ("number", number)


def _one_of(operand: Tree) -> Test:
    wanted = {_identity(each) for each in operand} if isinstance(operand, list) else {None}
    if None in wanted:
        raise CannotEvaluateError("An operator takes plain values.")
    return lambda value: _identity(value) in wanted


def _equals(operand: Tree) -> Test:
    return _one_of([operand])


def _compared(holds: Callable[[float, float], bool]) -> Callable[[Tree], Test]:
    def make(operand: Tree) -> Test:
        bound = find_number(operand)
        if bound is None:
            raise CannotEvaluateError("An operator takes a number.")

        def test(value: Tree) -> bool:
            number = find_number(value)
            return number is not None and holds(number, bound)

        return test

    return make


def _text(holds: Callable[[str, tuple[str, ...]], bool]) -> Callable[[Tree], Test]:
    def make(operand: Tree) -> Test:
        texts = tuple(operand) if isinstance(operand, list) else (operand,)
        if not all(isinstance(each, str) for each in texts):
            raise CannotEvaluateError("An operator takes text.")
        return lambda value: isinstance(value, str) and holds(value, texts)

    return make


def _moment(value: Tree) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return find_time(value) if isinstance(value, str) else None


def _timed(holds: Callable[[datetime, datetime], bool]) -> Callable[[Tree], Test]:
    def make(operand: Tree) -> Test:
        bound = _moment(operand)
        if bound is None:
            raise CannotEvaluateError("An operator takes a date, or a date and time.")

        def test(value: Tree) -> bool:
            moment = _moment(value)
            return moment is not None and holds(moment, bound)

        return test

    return make


def _version(operand: Tree) -> Test:
    wanted = VersionRange.find(operand) if isinstance(operand, str) else None
    if wanted is None:
        raise CannotEvaluateError("An operator takes a range of versions.")
    return lambda value: isinstance(value, str) and wanted.holds(value)


_MAKERS: Final[dict[str, Callable[[Tree], Test]]] = {
    "equals": _equals,
    "one_of": _one_of,
    "less_than": _compared(lambda value, bound: value < bound),
    "at_most": _compared(lambda value, bound: value <= bound),
    "more_than": _compared(lambda value, bound: value > bound),
    "at_least": _compared(lambda value, bound: value >= bound),
    "starts_with": _text(lambda value, texts: value.startswith(texts)),
    "ends_with": _text(lambda value, texts: value.endswith(texts)),
    "contains": _text(lambda value, texts: any(each in value for each in texts)),
    "after": _timed(lambda value, bound: value >= bound),
    "before": _timed(lambda value, bound: value < bound),
    "version": _version,
}
