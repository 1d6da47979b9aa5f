"""Feature flags: whether the definitions of a section can be evaluated (see ``flag_definitions``)."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.engine.paths import Path
from apps.engine.section_types.flag_conditions import check_condition, find_time
from apps.engine.section_types.flag_definitions import (
    SEGMENTS,
    TYPES,
    find_default,
    find_variants,
    is_whole,
    kind_of,
    list_needs,
    whole,
)
from apps.engine.section_types.flag_needs import MAX_LEVEL, in_cycles, levels
from apps.engine.section_types.section_type import UNKNOWN, Findings, SectionType, find_number
from apps.engine.values import Tree

WHOLE: Final = 100
CLOSE: Final = 1e-6
NUMERIC: Final[dict[Tree, str]] = {"integer": "number", "float": "number"}
_NAME: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": 256}
_PERCENT: Final[dict[str, Any]] = {"type": "number", "minimum": 0, "maximum": WHOLE}
_RULE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "when": {"type": "object", "description": "Attributes and their tests; absent: everyone"},
        "variant": {**_NAME, "description": "Who matches gets this one"},
        "shares": {
            "type": "object",
            "description": "Percentages by variant, together 100",
            "additionalProperties": _PERCENT,
        },
        "description": {"type": "string"},
    },
}
_PREREQUISITE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["flag"],
    "properties": {
        "flag": {**_NAME, "description": "Another flag of this section"},
        "variant": {**_NAME, "description": "The variant that it must have"},
        "variants": {"type": "array", "minItems": 1, "items": _NAME},
    },
}
_FLAG: Final[dict[str, Any]] = {
    "type": ["object", "boolean"],
    "required": ["enabled"],
    "properties": {
        "enabled": {"type": "boolean", "description": "The switch"},
        "description": {"type": "string", "description": "What it is for"},
        "type": {"enum": list(TYPES), "description": "Of the variants' values"},
        "variants": {
            "type": ["object", "array"],
            "description": "Values by name, or names alone; absent: on and off",
            "items": _NAME,
        },
        "default": {**_NAME, "description": "The variant for whom no rule is about"},
        "off": {**_NAME, "description": "The variant while it is not enabled"},
        "rules": {"type": "array", "items": _RULE, "description": "The first that matches decides"},
        "share": {**_PERCENT, "description": "Percentage that gets 'on'"},
        "countries": {
            "type": "array",
            "description": "Where it may be on: two letters each",
            "items": {"type": "string", "pattern": "^[A-Z]{2}$"},
        },
        "prerequisites": {"type": "array", "items": _PREREQUISITE},
        "expires": {"type": "string", "description": "A date, or a date and time (RFC 3339)"},
        "seed": {**_NAME, "description": "Decides which units a share takes"},
    },
}
_MEMBERS: Final = frozenset(_FLAG["properties"]) | {"owner", "tags"}
_OF_RULES: Final = frozenset(_RULE["properties"]) | {"name"}


def _examine(section: dict[str, Tree], findings: Findings) -> None:
    given = section.get(SEGMENTS, {})
    segments = given if isinstance(given, dict) else None
    _check_segments(segments or {}, findings)
    flags = {name: whole(flag) for name, flag in section.items() if isinstance(flag, (bool, dict))}
    flags.pop(SEGMENTS, None)
    variants = {name: find_variants(flags[name]) if name in flags else None for name in section}
    for name, flag in flags.items():
        _FlagCheck(name, flag, variants, segments, findings).run()
    needs = {name: {each["flag"] for _at, each in list_needs(flag)} for name, flag in flags.items()}
    _check_depth(needs, lambda name: (name, "prerequisites"), "Flags are needed by", findings)


def _check_segments(segments: dict[str, Tree], findings: Findings) -> None:
    uses = {
        name: check_condition((SEGMENTS, name), each, segments, findings)
        for name, each in segments.items()
    }
    _check_depth(uses, lambda name: (SEGMENTS, name), "Segments refer to", findings)


def _check_depth(
    needs: Mapping[str, Collection[str]], path_of: Callable[[str], Path], what: str, found: Findings
) -> None:
    """Note circles, and what goes deeper than ``MAX_LEVEL`` steps."""
    for name in in_cycles(needs):
        message = f"{what} each other in a circle."
        found.error(path_of(name), "cycle", message, ())
    for name, level in levels(needs).items():
        if level > MAX_LEVEL:
            message = f"{what} each other over more than {MAX_LEVEL} steps."
            found.error(path_of(name), "depth", message, ())


@dataclass(frozen=True, slots=True)
class _FlagCheck:
    """Checks one flag among the others."""

    name: str
    flag: dict[str, Tree]
    variants: Mapping[str, Mapping[str, Tree] | None]
    segments: Collection[str] | None
    findings: Findings

    @property
    def path(self) -> Path:
        """Where the flag stands."""
        return (self.name,)

    def run(self) -> None:
        """Note everything."""
        for name in self.flag:
            if name not in _MEMBERS and not name.startswith("x-"):
                message = "A flag has no such member: is it written right?"
                self.findings.warn((*self.path, name), "unknown_member", message)
        self._check_variants()
        self._check_names()
        self._check_split()
        self._check_rules()
        self._check_needs()
        expires = self.flag.get("expires")
        if isinstance(expires, str) and find_time(expires) is None:
            message = "This is no RFC 3339 date, nor a date and time."
            self.findings.error((*self.path, "expires"), "time", message)

    def _check_variants(self) -> None:
        given, path = self.flag.get("variants"), (*self.path, "variants")
        if given in ({}, []):
            self.findings.error(path, "variants", "A flag that has variants has at least one.")
        variants, declared = self.variants[self.name], self.flag.get("type")
        if isinstance(given, list) and variants and len(variants) < len(given):
            self.findings.error(path, "variants", "A variant stands here twice.")
        if isinstance(given, dict):
            self._check_values(path, given, declared)
        elif (
            variants
            and isinstance(declared, str)
            and NUMERIC.get(declared, declared) not in map(kind_of, variants.values())
        ):
            message = "Its variants are of another type."
            self.findings.error((*self.path, "type"), "variant_type", message, path)

    def _check_values(self, path: Path, variants: dict[str, Tree], declared: Tree) -> None:
        known = {name: value for name, value in variants.items() if value is not UNKNOWN}
        first = next(filter(None, map(kind_of, known.values())), None)
        wanted = NUMERIC.get(declared, declared) if declared in TYPES else first
        for name, value in known.items():
            fits = wanted is not None and kind_of(value) == wanted
            if not fits or (declared == "integer" and not is_whole(value)):
                message = f"All variants are of the flag's one type: {', '.join(TYPES)}."
                others = (path, (*self.path, "type"))
                self.findings.error((*path, name), "variant_type", message, *others)

    def _check_names(self) -> None:
        for member in ("default", "off"):
            if member in self.flag:
                self._check_variant((*self.path, member), self.flag[member])
        if self.variants[self.name] and "default" not in self.flag and not find_default(self.flag):
            message = "Say by 'default' which of the variants those get who no rule is about."
            self.findings.error(self.path, "default", message)

    def _check_variant(self, path: Path, name: Tree) -> None:
        variants = self.variants[self.name]
        if isinstance(name, str) and variants is not None and name not in variants:
            message = "The flag has no variant of this name."
            self.findings.error(path, "variant", message, (*self.path, "variants"))

    def _check_split(self) -> None:
        for member in ("share", "countries"):
            if member in self.flag and "variants" in self.flag:
                message = f"'{member}' is for flags without variants: say it by rules."
                self.findings.error(
                    (*self.path, member), "split", message, (*self.path, "variants")
                )

    def _check_rules(self) -> None:
        rules, path = self.flag.get("rules"), (*self.path, "rules")
        everyone = False
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(rule, dict):
                if everyone:
                    message = "The rule before it is about everyone: this one is never asked."
                    self.findings.warn((*path, index), "unreachable", message)
                self._check_rule((*path, index), rule)
                everyone = everyone or not rule.get("when")

    def _check_rule(self, path: Path, rule: dict[str, Tree]) -> None:
        if "when" in rule:
            check_condition((*path, "when"), rule["when"], self.segments, self.findings)
        for name in rule.keys() - _OF_RULES:
            if not name.startswith("x-"):
                message = "A rule has no such member: is it written right?"
                self.findings.warn((*path, name), "unknown_member", message)
        if ("variant" in rule) == ("shares" in rule):
            self.findings.error(path, "rule", "A rule says either a variant or shares.")
        self._check_variant((*path, "variant"), rule.get("variant"))
        if isinstance(rule.get("shares"), dict):
            self._check_shares((*path, "shares"), rule["shares"])

    def _check_shares(self, path: Path, shares: dict[str, Tree]) -> None:
        for name in shares:
            self._check_variant((*path, name), name)
        amounts = [find_number(each) for each in shares.values()]
        known = [each for each in amounts if each is not None]
        if any(each < 0 for each in known):
            self.findings.error(path, "shares", "A share is not negative.")
        elif len(known) == len(amounts) and not math.isclose(
            math.fsum(known), WHOLE, abs_tol=CLOSE
        ):
            self.findings.error(
                path, "shares", "The shares are percentages: together they are 100."
            )

    def _check_needs(self) -> None:
        for index, each in list_needs(self.flag):
            path, needed = (*self.path, "prerequisites", index), each["flag"]
            if needed not in self.variants:
                message = "There is no such flag in this section."
                self.findings.error((*path, "flag"), "flag", message, (needed,))
                continue
            variants = self.variants[needed]
            named = (
                each["variants"]
                if isinstance(each.get("variants"), list)
                else [each.get("variant")]
            )
            known = [name for name in named if isinstance(name, str)]
            if variants is not None and any(name not in variants for name in known):
                message = "The flag that is needed has no variant of this name."
                self.findings.error(path, "variant", message, (needed, "variants"))


TYPE: Final = SectionType(
    name="feature_flags",
    label="Feature flags",
    description="Flags by name: whether they are on, their variants, rules and shares.",
    schema={
        "type": "object",
        "properties": {SEGMENTS: {"type": "object", "description": "Conditions that flags share"}},
        "additionalProperties": _FLAG,
    },
    example={
        "new_search": {"enabled": True, "share": 25},
        "checkout_page": {
            "enabled": True,
            "description": "Which page people pay on",
            "variants": {"classic": "checkout-1", "short": "checkout-2"},
            "default": "classic",
            "rules": [
                {"when": {"segment": "staff"}, "variant": "short"},
                {"when": {"country": ["DE", "AT"]}, "shares": {"classic": 50, "short": 50}},
            ],
        },
        SEGMENTS: {"staff": {"email": {"ends_with": "@shop.example"}}},
    },
    examine=_examine,
)
