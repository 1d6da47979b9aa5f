"""Checking an effective document against the sections that its service declares."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from apps.configs.models import Section
from apps.engine import credentials, formats, schemas, sections, spots
from apps.engine.errors import Problem
from apps.engine.paths import outermost_list, pointer
from apps.engine.schema_problems import ON_NAMES
from apps.engine.section_types.section_type import UNKNOWN, Findings
from apps.engine.spots import Spot
from apps.engine.values import Tree, escape, parse_canonical
from apps.registry.models import Environment, Service


def check_sections(
    declared: Iterable[Section], effective: Tree, secrets: Sequence[Spot]
) -> Findings:
    """What of the document breaks the schemas of its sections and of their types, and what does not
    make sense in a section of its type. Where a secret stands, nothing is said: its value is not
    known here.
    """
    found = Findings()
    known = spots.blank(effective, secrets, UNKNOWN)
    unsaid = {spot.pointer for spot in secrets}
    inside = tuple(f"{each}/" for each in unsaid)
    for section in declared:
        if section.key not in effective:
            continue
        broken = _break_schema(section, effective[section.key])
        found.errors += [
            each
            for each in broken
            if not each.pointer.startswith(inside)
            and (each.pointer not in unsaid or each.code in ON_NAMES)
        ]
        told = sections.SECTION_TYPES[section.type].check(known[section.key])
        found.errors += [_prefixed(each, section) for each in told.errors]
        found.warnings += [_prefixed(each, section) for each in told.warnings]
    return found


def find_credentials(declared: Iterable[Section], effective: Tree) -> Findings:
    """What looks like a credential in plain text: errors in security sections, else warnings. A list
    is seen whole or not at all, so what is said of an item depends on all of it.
    """
    security = {section.key for section in declared if section.type == "security_settings"}
    found = Findings()
    for each in credentials.find(effective):
        message = f"This looks like a credential ({each.kind}): make it a secret and name it here."
        kept = found.errors if each.path[0] in security else found.warnings
        around = outermost_list(each.path)
        beside = () if around == each.path else (pointer(around),)
        kept.append(Problem(pointer(each.path), "credential", message, beside=beside))
    return found


def locate(
    problems: Iterable[Problem],
    service: Service,
    environment: Environment,
    positions: formats.Positions | None,
) -> list[Problem]:
    """The problems with their place in the author's text, and whose they are."""
    return [_located(problem, service, environment, positions) for problem in problems]


def _break_schema(section: Section, tree: Tree) -> list[Problem]:
    built_in = sections.SECTION_TYPES[section.type].schema
    problems = [*schemas.validate(built_in, tree)]
    problems += schemas.validate(parse_canonical(section.schema), tree)
    return [_prefixed(each, section) for each in dict.fromkeys(problems)]


def _prefixed(problem: Problem, section: Section) -> Problem:
    prefix = f"/{escape(section.key)}"
    beside = tuple(prefix + each for each in problem.beside)
    return replace(problem, pointer=prefix + problem.pointer, beside=beside)


def _located(
    problem: Problem,
    service: Service,
    environment: Environment,
    positions: formats.Positions | None,
) -> Problem:
    line, column = (positions.find(problem.pointer) if positions else None) or (None, None)
    return replace(
        problem,
        line=line,
        column=column,
        service=service.slug,
        environment=environment.slug,
    )
