"""What a unit gets of each flag, and why. The shape of definitions stands in ``flag_definitions``.

A flag is decided in this order: the switch; the prerequisites; the rules, of which the first that
matches decides; for a flag without variants ``countries`` and ``share``; the default. A flag that is
switched off has no value, and says by its variant which one it would have; one whose prerequisite
does not hold gets its variant ``off``, or has no value where there is none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from apps.engine.bucketing import Split
from apps.engine.flags.conditions import (
    CannotEvaluateError,
    Context,
    Predicate,
    Segments,
    make_condition,
)
from apps.engine.section_types.flag_definitions import (
    PAIR,
    SEGMENTS,
    find_default,
    find_variants,
    is_fractional,
    list_needs,
    whole,
)
from apps.engine.section_types.flag_needs import MAX_LEVEL, levels
from apps.engine.section_types.section_type import find_number
from apps.engine.values import Tree, compact

STATIC: Final = "STATIC"
TARGETING_MATCH: Final = "TARGETING_MATCH"
SPLIT: Final = "SPLIT"
DISABLED: Final = "DISABLED"
UNKNOWN: Final = "UNKNOWN"

FLAG_NOT_FOUND: Final = "FLAG_NOT_FOUND"
PARSE_ERROR: Final = "PARSE_ERROR"
TARGETING_KEY_MISSING: Final = "TARGETING_KEY_MISSING"

MESSAGES: Final = {
    FLAG_NOT_FOUND: "There is no such flag.",
    PARSE_ERROR: "The flag cannot be evaluated as it is defined, or as far as you may see it.",
    TARGETING_KEY_MISSING: "The flag is split by units: send a targetingKey in the context.",
}


class Evaluation(NamedTuple):
    """What came out: a variant and why, by the terms of OpenFeature (specification, "Types").

    ``variant`` is empty where there is none. ``has_value`` says whether there is a value to use. ``rule``
    is the place of the rule that decided, from 0; ``error`` a code of OpenFeature, or empty.
    """

    flag: str
    variant: str = ""
    reason: str = UNKNOWN
    has_value: bool = False
    rule: int | None = None
    error: str = ""


class _NoUnitError(Exception):
    """A split has no unit to go by."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """Who it is about (``None``: everyone), and what they get: a variant, or a split.

    ``number`` is its place among the flag's rules; ``None`` for ``countries`` and ``share``.
    """

    number: int | None
    condition: Predicate | None
    variant: str
    split: Split | None

    def choose(self, context: Context) -> tuple[str, str]:
        """The variant and the reason."""
        if self.split is None:
            return self.variant, TARGETING_MATCH
        unit = context.targeting_key
        if unit is None:
            raise _NoUnitError
        return self.split.choose(unit), SPLIT


@dataclass(frozen=True, slots=True)
class Definition:
    """A flag that can be evaluated. ``texts`` are the variants' values as JSON.

    ``off`` is empty where there is no such variant, ``needs`` are the flags it needs with the
    variants of each that will do (``None``: any but its ``off``).
    """

    name: str
    flag: dict[str, Tree]
    enabled: bool
    variants: Mapping[str, Tree]
    texts: Mapping[str, str]
    off: str
    default: str
    rules: tuple[_Rule, ...]
    needs: tuple[tuple[str, frozenset[str] | None], ...]

    @property
    def is_static(self) -> bool:
        """Whether everyone gets the same."""
        return not self.rules and not self.needs

    @property
    def serves_everyone(self) -> bool:
        """Whether it is on and its first rule, or its default, gives everybody one variant."""
        if not self.enabled or self.needs:
            return False
        first = next(iter(self.rules), None)
        if first is None:
            return True
        return first.condition is None and (first.split is None or first.split.only is not None)


class FlagSet:
    """The flags of one section, ready to be asked. What is broken says so when it is asked."""

    def __init__(self, section: Tree) -> None:
        given = section if isinstance(section, dict) else {}
        segments = Segments(given.get(SEGMENTS))
        flags = {name: whole(each) for name, each in sorted(given.items()) if name != SEGMENTS}
        needs = {
            name: {need["flag"] for _at, need in list_needs(flag)} for name, flag in flags.items()
        }
        deep = levels(needs)
        self.definitions = {
            name: _find_definition(name, flag, segments)
            if deep.get(name, MAX_LEVEL + 1) <= MAX_LEVEL
            else None
            for name, flag in flags.items()
            if "enabled" in flag  # else it is hidden, or nothing is known of it
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self.definitions)

    def evaluate(self, name: str, context: Context) -> Evaluation:
        """What the context's unit gets of a flag."""
        known: Evaluation | None = context.known.get((self, name))
        if known is None:
            known = context.known[self, name] = self._evaluate(name, context)
        return known

    def _evaluate(self, name: str, context: Context) -> Evaluation:
        if name not in self.definitions:
            return Evaluation(name, error=FLAG_NOT_FOUND)
        definition = self.definitions[name]
        if definition is None:
            return Evaluation(name, error=PARSE_ERROR)
        if not definition.enabled:
            return Evaluation(name, definition.off, DISABLED)
        for needed, wanted in definition.needs:
            found = self.evaluate(needed, context)
            if found.error:
                error = PARSE_ERROR if found.error == FLAG_NOT_FOUND else found.error
                return Evaluation(name, error=error)
            if not self._will_do(found, wanted):
                reason = TARGETING_MATCH if definition.off else DISABLED
                return Evaluation(name, definition.off, reason, bool(definition.off))
        return _decide(definition, context)

    def _will_do(self, found: Evaluation, wanted: frozenset[str] | None) -> bool:
        needed = self.definitions[found.flag]
        assert needed is not None  # noqa: S101 - it was evaluated without an error
        if wanted is None:
            return found.has_value and found.variant != needed.off
        return found.variant in wanted


def _decide(definition: Definition, context: Context) -> Evaluation:
    try:
        for rule in definition.rules:
            if rule.condition is None or rule.condition(context):
                variant, reason = rule.choose(context)
                return Evaluation(definition.name, variant, reason, True, rule.number)
    except _NoUnitError:
        return Evaluation(definition.name, error=TARGETING_KEY_MISSING)
    reason = STATIC if definition.is_static else TARGETING_MATCH
    return Evaluation(definition.name, definition.default, reason, True)


def _find_definition(name: str, flag: dict[str, Tree], segments: Segments) -> Definition | None:
    """A flag, ready; ``None`` when it cannot be evaluated."""
    try:
        return _definition(name, flag, segments)
    except CannotEvaluateError:
        return None


def _definition(name: str, flag: dict[str, Tree], segments: Segments) -> Definition:
    variants = find_variants(flag)
    if not variants or not isinstance(flag["enabled"], bool):
        raise CannotEvaluateError("It has no variants, or no switch.")
    seed = flag.get("seed", name)
    default, off = find_default(flag), flag.get("off", "off" if variants is PAIR else "")
    rules = [
        _rule(number, each, variants, seed, segments)
        for number, each in enumerate(_list(flag, "rules"))
    ]
    if variants is PAIR:
        rules += _pair_rules(flag, seed)
    if (
        default is None
        or default not in variants
        or not isinstance(off, str)
        or (off and off not in variants)
    ):
        raise CannotEvaluateError("It has no default, or no such variant.")
    return Definition(
        name,
        flag,
        flag["enabled"],
        variants,
        _texts(flag, variants),
        off,
        default,
        tuple(rules),
        tuple((str(each["flag"]), _wanted(each)) for _index, each in list_needs(flag)),
    )


def _list(flag: dict[str, Tree], member: str) -> list[Tree]:
    found = flag.get(member, [])
    if not isinstance(found, list):
        raise CannotEvaluateError(f"'{member}' is no list.")
    return found


def _wanted(need: dict[str, Tree]) -> frozenset[str] | None:
    named = need.get("variants", [need["variant"]] if "variant" in need else None)
    if named is None:
        return None
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise CannotEvaluateError("A prerequisite names no variants.")
    return frozenset(named)


def _rule(
    number: int, rule: Tree, variants: Mapping[str, Tree], seed: Tree, segments: Segments
) -> _Rule:
    if not isinstance(rule, dict):
        raise CannotEvaluateError("A rule is no object.")
    when = rule.get("when")
    condition = make_condition(when, segments) if when else None
    if "shares" in rule:
        return _Rule(number, condition, "", _split(seed, rule["shares"], variants))
    if rule.get("variant") not in variants:
        raise CannotEvaluateError("A rule names no variant of the flag.")
    return _Rule(number, condition, str(rule["variant"]), None)


def _split(seed: Tree, shares: Tree, variants: Mapping[str, Tree]) -> Split:
    weights = {
        name: find_number(share)
        for name, share in (shares.items() if isinstance(shares, dict) else ())
    }
    known = {name: each for name, each in weights.items() if each is not None and each >= 0}
    if len(known) < len(weights) or not known.keys() <= variants.keys() or not any(known.values()):
        raise CannotEvaluateError("Shares are percentages of the flag's variants.")
    if not isinstance(seed, str):
        raise CannotEvaluateError("A seed is text.")
    return Split(seed, known)


def _pair_rules(flag: dict[str, Tree], seed: Tree) -> list[_Rule]:
    """``countries`` and ``share`` of a flag without variants, as rules."""
    rules = []
    if "countries" in flag:
        outside = {"country": {"none_of": _list(flag, "countries")}}
        rules.append(_Rule(None, make_condition(outside, Segments(None)), "off", None))
    if "share" in flag:
        share = find_number(flag["share"])
        if share is None:
            raise CannotEvaluateError("A share is a percentage.")
        rules.append(_Rule(None, None, "", _split(seed, {"on": share, "off": 100 - share}, PAIR)))
    return rules


def _texts(flag: dict[str, Tree], variants: Mapping[str, Tree]) -> dict[str, str]:
    """The variants' values as JSON: all numbers of a flag with a fraction, or none."""
    texts = {name: compact(value) for name, value in variants.items()}
    if is_fractional(flag, variants):
        return {
            name: text if set(text) & set(".eE") else f"{text}.0" for name, text in texts.items()
        }
    return texts
