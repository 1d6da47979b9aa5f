"""Feature flags: definitions that can be evaluated, by name.

    new_search: true                      shorthand for {enabled: true}
    gift_wrapping: {enabled: true, countries: [DE, AT]}
    express: {enabled: true, share: 25}   on for a quarter of the units
    product_page: {enabled: true, variants: [classic, tall-photos]}
    price_rounding:
      enabled: true
      description: How prices are rounded
      type: number                        boolean, string, integer, float, number or object
      variants: {none: 0, cents: 2}
      default: cents                      who no rule is about
      off: none                           while it is not enabled, or a prerequisite fails
      rules:                              the first that matches decides
        - {when: {country: [CH]}, variant: none}
        - {when: {segment: staff}, shares: {none: 50, cents: 50}}
      prerequisites: [{flag: new_search, variant: on}]
      expires: 2027-03-01
      seed: rounding-2
    segments: {staff: {email: {ends_with: "@shop.example"}}}

A flag without ``variants`` has ``on`` (true) and ``off`` (false). A list of variants is names that are
their own values. ``type`` is that of the variants' values, and may be left out; a ``number`` is a
``float`` when a variant has a fraction, and then all of them are given out with one. ``default`` is by
default ``on``, the first of a list, or the only variant; other objects name theirs. Without ``off`` a
flag that is not enabled has no value (but ``off`` where there are no variants). ``share`` is the
percentage that gets ``on``, ``countries`` whose it may be: both are for flags without variants.
``shares`` are percentages by variant, together 100. A rule without ``when`` is about everyone.
``when`` is a condition (see ``flag_conditions``), ``segments`` conditions that flags share: that
name is no flag's. ``prerequisites`` name flags and the ``variant`` (or a list, ``variants``) that each
must have. ``seed`` decides which units a share takes; by default the flag's name.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from apps.engine.section_types.section_type import find_number
from apps.engine.values import Number, Tree, same

SEGMENTS: Final = "segments"
TYPES: Final = ("boolean", "string", "integer", "float", "number", "object")
PAIR: Final[Mapping[str, Tree]] = {"on": True, "off": False}
IDLE: Final = frozenset({"description", "expires", "owner", "tags"})
"""Members of a flag that decide nothing."""


class Flag(NamedTuple):
    """A flag as it is shown. ``enabled`` is ``None`` where that is not known."""

    name: str
    enabled: bool | None
    kind: str
    variants: list[str]
    default: str
    serves: str
    rules: int
    expires: str
    description: str


def list_flags(section: Tree) -> list[Flag]:
    """The flags of a section by name; what has another shape is left out."""
    flags = section if isinstance(section, dict) else {}
    return [
        _flag(name, whole(flag))
        for name, flag in sorted(flags.items())
        if name != SEGMENTS and isinstance(flag, (bool, dict))
    ]


def _flag(name: str, flag: dict[str, Tree]) -> Flag:
    enabled, variants = flag.get("enabled"), find_variants(flag) or {}
    rules = flag.get("rules")
    return Flag(
        name,
        enabled if isinstance(enabled, bool) else None,
        next(filter(None, map(kind_of, variants.values())), ""),
        list(variants),
        find_default(flag) or "",
        _serves(flag),
        len(rules) if isinstance(rules, list) else 0,
        _text(flag.get("expires")),
        _text(flag.get("description")),
    )


def _serves(flag: dict[str, Tree]) -> str:
    """To whom a flag without variants is on, in a few words."""
    share, countries = find_number(flag.get("share")), flag.get("countries")
    words = [f"{share:g} %"] if share is not None else []
    if isinstance(countries, list):
        words.append(", ".join(each for each in countries if isinstance(each, str)))
    return " of ".join(words)


def _text(value: Tree) -> str:
    return value if isinstance(value, str) else ""


def find_variants(flag: dict[str, Tree]) -> Mapping[str, Tree] | None:
    """The variants of a flag by name; ``None`` where they are not known or have another shape."""
    given = flag.get("variants", PAIR)
    if isinstance(given, list) and all(isinstance(each, str) for each in given):
        return {each: each for each in given}
    return given if isinstance(given, dict) else None


def find_default(flag: dict[str, Tree]) -> str | None:
    """The variant for whom no rule is about; ``None`` where it is not known or not decided."""
    if "default" in flag:
        return _text(flag["default"]) or None
    variants = find_variants(flag) or {}
    if variants is PAIR:
        return "on"
    alone = len(variants) == 1 or isinstance(flag.get("variants"), list)
    return next(iter(variants), None) if alone else None


def whole(flag: Tree) -> dict[str, Tree]:
    """A flag without the shorthand."""
    return flag if isinstance(flag, dict) else {"enabled": flag}


def keep_known(section: Tree, seen: Tree) -> Tree:
    """What is ``seen`` of a section of flags, without the flags and segments of which something is
    hidden that decides: half of its rules would give another variant than all of them.
    """
    given = section if isinstance(section, dict) else {}
    shown = seen if isinstance(seen, dict) else {}
    kept = {
        name: flag
        for name, flag in shown.items()
        if name != SEGMENTS and same(_deciding(flag), _deciding(given.get(name)))
    }
    segments, known = given.get(SEGMENTS), shown.get(SEGMENTS)
    if isinstance(segments, dict) and isinstance(known, dict):
        kept[SEGMENTS] = {
            name: each for name, each in known.items() if same(each, segments.get(name))
        }
    return kept


def _deciding(flag: Tree) -> Tree:
    if not isinstance(flag, dict):
        return flag
    return {
        name: each for name, each in flag.items() if name not in IDLE and not name.startswith("x-")
    }


def kind_of(value: Tree) -> str | None:
    """The type of a variant's value; ``None`` when it can be no variant's."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float, Number)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, dict) else None


def is_fractional(flag: dict[str, Tree], variants: Mapping[str, Tree]) -> bool:
    """Whether the variants are numbers that are given out with a fraction (3 as 3.0)."""
    numbers = [value for value in variants.values() if kind_of(value) == "number"]
    if not numbers or len(numbers) < len(variants) or flag.get("type") == "integer":
        return False
    return flag.get("type") == "float" or not all(map(is_whole, numbers))


def is_whole(value: Tree) -> bool:
    """Whether a number is written without a fraction and an exponent."""
    return isinstance(value, int) or (isinstance(value, Number) and value.literal == "-0")


def list_needs(flag: dict[str, Tree]) -> Iterator[tuple[int, dict[str, Tree]]]:
    """The prerequisites of a flag that name a flag, with their places in the list."""
    needed = flag.get("prerequisites")
    for index, each in enumerate(needed if isinstance(needed, list) else ()):
        if isinstance(each, dict) and isinstance(each.get("flag"), str):
            yield index, each
