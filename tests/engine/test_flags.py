"""What a context gets of each flag, and why."""

import time
from datetime import UTC, datetime

import pytest

from apps.engine import formats
from apps.engine.flags.conditions import Context
from apps.engine.flags.evaluation import FlagSet
from apps.engine.section_types.feature_flags import TYPE
from apps.engine.versioning import VersionRange
from tests.limits import CPU_SECONDS

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def flags(text):
    """The flags of a section that its type has nothing against."""
    tree = formats.parse(text, "yaml").tree
    assert TYPE.check(tree).errors == []
    return FlagSet(tree)


def ask(text, name="f", **attributes):
    return flags(text).evaluate(name, Context(attributes, NOW))


def told(evaluation):
    """Variant, reason and error, in a few words."""
    words = [evaluation.variant, evaluation.reason if not evaluation.error else evaluation.error]
    return " ".join(filter(None, words)) + ("" if evaluation.has_value else " -")


TWO = "variants: {a: 1, b: 2}, default: a"

DECISIONS = {
    "shorthand on": ("{f: true}", {}, "on STATIC"),
    "shorthand off": ("{f: false}", {}, "off DISABLED -"),
    "no such flag": ("{g: true}", {}, "FLAG_NOT_FOUND -"),
    "default": (f"{{f: {{enabled: true, {TWO}}}}}", {}, "a STATIC"),
    "switched off names its off": (
        f"{{f: {{enabled: false, off: b, {TWO}}}}}",
        {},
        "b DISABLED -",
    ),
    "switched off without one": (f"{{f: {{enabled: false, {TWO}}}}}", {}, "DISABLED -"),
    "first rule that matches": (
        f"{{f: {{enabled: true, {TWO}, rules: ["
        "{when: {country: CH}, variant: b}, {when: {country: [CH, DE]}, variant: a}]}}",
        {"country": "CH"},
        "b TARGETING_MATCH",
    ),
    "no rule matches": (
        f"{{f: {{enabled: true, {TWO}, rules: [{{when: {{country: CH}}, variant: b}}]}}}}",
        {"country": "FR"},
        "a TARGETING_MATCH",
    ),
    "a split without a unit": ("{f: {enabled: true, share: 50}}", {}, "TARGETING_KEY_MISSING -"),
    "an empty unit is none": (
        "{f: {enabled: true, share: 50}}",
        {"targetingKey": ""},
        "TARGETING_KEY_MISSING -",
    ),
    "a split that is not reached needs no unit": (
        "{f: {enabled: true, countries: [DE], share: 50}}",
        {"country": "FR"},
        "off TARGETING_MATCH",
    ),
    "everyone of a country": (
        "{f: {enabled: true, countries: [DE], share: 100}}",
        {"country": "DE", "targetingKey": "u"},
        "on SPLIT",
    ),
    "a prerequisite holds": (
        "{g: true, f: {enabled: true, prerequisites: [{flag: g, variant: 'on'}]}}",
        {},
        "on TARGETING_MATCH",
    ),
    "a prerequisite is off": (
        "{g: false, f: {enabled: true, prerequisites: [{flag: g}]}}",
        {},
        "off TARGETING_MATCH",
    ),
    "a prerequisite is off, and there is no off": (
        f"{{g: false, f: {{enabled: true, {TWO}, prerequisites: [{{flag: g}}]}}}}",
        {},
        "DISABLED -",
    ),
    "a prerequisite has one of several": (
        f"{{g: {{enabled: true, {TWO}}}, f: {{enabled: true, prerequisites: "
        "[{flag: g, variants: [a, b]}]}}",
        {},
        "on TARGETING_MATCH",
    ),
    "a prerequisite lacks its unit": (
        "{g: {enabled: true, share: 50}, f: {enabled: true, prerequisites: [{flag: g}]}}",
        {},
        "TARGETING_KEY_MISSING -",
    ),
}


@pytest.mark.parametrize("case", DECISIONS)
def test_evaluate__decisions__are_as_documented(case):
    text, attributes, wanted = DECISIONS[case]

    assert told(ask(text, **attributes)) == wanted


def test_evaluate__rule__is_the_one_that_was_written():
    ruled = f"{{f: {{enabled: true, {TWO}, rules: [{{variant: b}}]}}}}"

    assert ask(ruled).rule == 0
    for text in ("{f: {enabled: true, share: 100}}", "{f: {enabled: true, countries: [DE]}}"):
        assert ask(text, targetingKey="u").rule is None


CONDITIONS = [
    ("{x: 1}", {"x": 1.0}, True),
    ("{x: 1}", {"x": True}, False),
    ("{x: true}", {"x": 1}, False),
    ("{x: '1'}", {"x": 1}, False),
    ("{x: [DE, AT]}", {"x": "AT"}, True),
    ("{x: [DE, AT]}", {}, False),
    ("{x: {one_of: [1, 2]}}", {"x": [7, 2]}, True),
    ("{x: {none_of: [1, 2]}}", {"x": [7, 2]}, False),
    ("{x: {none_of: [1, 2]}}", {}, True),
    ("{x: {not_equals: a}}", {"x": "b"}, True),
    ("{x: {not_equals: a}}", {}, True),
    ("{x: {at_least: 18, less_than: 65}}", {"x": 18}, True),
    ("{x: {at_least: 18, less_than: 65}}", {"x": 65}, False),
    ("{x: {more_than: 18}}", {"x": "19"}, False),
    ("{x: {at_most: 2.5}}", {"x": 2.5}, True),
    ("{x: {starts_with: [ab, cd]}}", {"x": "cde"}, True),
    ("{x: {ends_with: '@shop.example'}}", {"x": "a@shop.example"}, True),
    ("{x: {ends_with: '@shop.example'}}", {"x": ["a@b", "c@shop.example"]}, True),
    ("{x: {contains: b}}", {"x": "abc"}, True),
    ("{x: {contains: b}}", {"x": 5}, False),
    ("{x: {exists: true}}", {"x": 0}, True),
    ("{x: {exists: true}}", {"x": None}, False),
    ("{x: {exists: false}}", {}, True),
    ("{a.b: 1}", {"a": {"b": 1}}, True),
    ("{a.b: 1}", {"a.b": 1}, True),
    ("{a.b: 1}", {"a": 1}, False),
    ("{now: {after: 2026-11-27, before: '2026-11-27T12:00:01Z'}}", {}, True),
    ("{now: {after: '2026-11-27T12:00:00Z'}}", {}, True),
    ("{now: {before: '2026-11-27T12:00:00Z'}}", {}, False),
    ("{now: {after: 2030-01-01}}", {"now": "2031-01-01"}, True),
    ("{x: {after: '2026-01-01T00:00:00+02:00'}}", {"x": "2025-12-31T22:00:00Z"}, True),
    ("{x: {after: 2026-01-01}}", {"x": "soon"}, False),
    ("{x: {version: '>=2.1 <3'}}", {"x": "2.1.0"}, True),
    ("{any: [{x: 1}, {y: 1}]}", {"y": 1}, True),
    ("{all: [{x: 1}, {y: 1}]}", {"y": 1}, False),
    ("{not: {x: 1}}", {"x": 2}, True),
    ("{x: 1, y: 1}", {"x": 1}, False),
    ("{segment: staff}", {"mail": "a@shop.example"}, True),
    ("{segment: [staff, beta]}", {"beta": True}, True),
    ("{segment: both}", {"beta": True}, False),
    ("{segment: both}", {"beta": True, "mail": "a@shop.example"}, True),
    ("{}", {}, True),
]
SEGMENTS = (
    "{staff: {mail: {ends_with: '@shop.example'}}, beta: {beta: true},"
    " both: {all: [{segment: staff}, {segment: beta}]}}"
)


@pytest.mark.parametrize(("condition", "attributes", "wanted"), CONDITIONS)
def test_evaluate__condition__matches_as_documented(condition, attributes, wanted):
    text = (
        f"{{f: {{enabled: true, rules: [{{when: {condition}, variant: 'off'}}]}},"
        f" segments: {SEGMENTS}}}"
    )

    assert ask(text, **attributes).variant == ("off" if wanted else "on")


RANGES = [
    ("1.2.3", "1.2.3 1.2.3+build", "1.2.4 1.2.3-a"),
    ("1.2", "1.2.0 1.2.9 v1.2", "1.3.0-0 1.1.9"),
    ("=1", "1.0.0 1.9", "2.0.0-rc.1"),
    (">=1.4.0 <2", "1.4.0 1.99.0", "1.4.0-beta 2.0.0-rc.1 2.0.0"),
    (">1.2", "1.3.0", "1.2.9 1.2"),
    (">1.2.3", "1.2.4-a 1.2.4", "1.2.3 1.2.3-z"),
    ("<=1.2", "1.2.9 0.1", "1.3.0-0"),
    ("<=1.2.3", "1.2.3 1.2.3-z", "1.2.4-0"),
    ("^2.1", "2.1.0 2.9.9", "3.0.0-0 2.0.9"),
    ("^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2"),
    ("^0.0.3", "0.0.3", "0.0.4"),
    ("^0.0", "0.0.0 0.0.9", "0.1.0"),
    ("^0", "0.9.9", "1.0.0-0"),
    ("~1.2.3", "1.2.3 1.2.9", "1.3.0-0"),
    ("~1", "1.9.0", "2.0.0"),
    ("^1.2 || ~3.0.4", "1.2.0 3.0.9", "2.0.0 3.1.0 nonsense 1.2.3.4"),
    (">=1.0.0-alpha.2", "1.0.0-alpha.10 1.0.0-beta 1.0.0", "1.0.0-alpha.1 1.0.0-alpha 1.0.0-2"),
]


@pytest.mark.parametrize(("text", "inside", "outside"), RANGES)
def test_version_range__holds_what_node_semver_and_precedence_say(text, inside, outside):
    found = VersionRange.find(text)

    assert [each for each in inside.split() if not found.holds(each)] == []
    assert [each for each in outside.split() if found.holds(each)] == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{enabled: true, variants: {a: 3, b: 4}, default: a}", "3"),
        ("{enabled: true, variants: {a: 3, b: 4.5}, default: a}", "3.0"),
        ("{enabled: true, type: float, variants: {a: 3}}", "3.0"),
        ("{enabled: true, type: float, variants: {a: 1e3}}", "1e3"),
        ("{enabled: true, type: integer, variants: {a: 3}}", "3"),
        ("{enabled: true, variants: {a: 2.50}}", "2.50"),
        ("{enabled: true, variants: {a: true}}", "true"),
        ("{enabled: true, variants: [short]}", '"short"'),
        ("{enabled: true, variants: {a: {n: 1}}}", '{"n":1}'),
    ],
)
def test_texts__numbers__have_the_type_of_the_flag(text, wanted):
    definition = flags(f"{{f: {text}}}").definitions["f"]

    assert definition.texts[definition.default] == wanted


BROKEN = {
    "no variant of a rule": "{enabled: true, rules: [{when: {x: 1}, variant: gone}]}",
    "no segment": "{enabled: true, rules: [{when: {segment: gone}, variant: 'on'}]}",
    "no default": "{enabled: true, variants: {a: 1, b: 2}}",
    "a circle": "{enabled: true, prerequisites: [{flag: f}]}",
    "a secret as the switch": "{enabled: {$secret: s}}",
    "rules that are no list": "{enabled: true, rules: 5}",
    "no operator": "{enabled: true, rules: [{when: {x: {near: 1}}, variant: 'on'}]}",
    "shares of nothing": "{enabled: true, rules: [{shares: {on: 0}}]}",
}


@pytest.mark.parametrize("case", BROKEN)
def test_evaluate__what_is_broken_or_partly_hidden__is_an_error_of_this_flag_alone(case):
    tree = formats.parse(f"{{f: {BROKEN[case]}, g: true}}", "yaml").tree
    found = FlagSet(tree)

    assert found.evaluate("f", Context({}, NOW)).error == "PARSE_ERROR"
    assert found.evaluate("g", Context({}, NOW)).variant == "on"


def test_evaluate__a_flag_without_its_switch__is_not_there():
    assert list(FlagSet({"f": {"variants": ["a"]}})) == []


def test_evaluate__deep_and_wide_needs__are_linear_and_bounded():
    """Each of 32 levels needs both of the level below, and segments likewise."""

    def level(number):
        below = [{"flag": f"{kind}{number - 1}"} for kind in "fg"] if number else []
        when = {"all": [{"segment": f"{kind}{number}"} for kind in "fg"]}
        return {"enabled": True, "prerequisites": below, "rules": [{"when": when, "variant": "on"}]}

    def segment(number):
        below = [{"segment": f"{kind}{number - 1}"} for kind in "fg"]
        return {"all": below} if number else {"x": 1}

    section = {f"{kind}{n}": level(n) for n in range(33) for kind in "fg"}
    section["segments"] = {f"{kind}{n}": segment(n) for n in range(33) for kind in "fg"}
    began = time.process_time()

    assert TYPE.check(section).errors == []
    assert FlagSet(section).evaluate("f32", Context({"x": 1}, NOW)).variant == "on"
    assert time.process_time() - began < CPU_SECONDS

    section |= {"f33": level(32) | {"prerequisites": [{"flag": "f32"}]}}
    assert {each.code for each in TYPE.check(section).errors} == {"depth"}
    assert FlagSet(section).evaluate("f33", Context({"x": 1}, NOW)).error == "PARSE_ERROR"
