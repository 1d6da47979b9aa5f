"""Checking an effective document against the sections that its service declares."""

from collections.abc import Sequence
from dataclasses import replace

from apps.configs.models import Section
from apps.engine import credentials, formats, schemas, sections, spots
from apps.engine.errors import Problem
from apps.engine.paths import pointer
from apps.engine.section_types.section_type import UNKNOWN, Findings
from apps.engine.spots import Spot
from apps.engine.values import Tree, escape, parse_canonical
from apps.registry.models import Environment, Service


def validate(
    service: Service,
    environment: Environment,
    effective: Tree,
    positions: formats.Positions | None = None,
    declared: Sequence[Section] | None = None,
    secrets: Sequence[Spot] = (),
) -> list[Problem]:
    """Every problem of ``effective``; lines and columns where the author's text has the place.

    ``declared`` are the service's sections, when the caller has read them already. Where a secret
    stands, nothing is said: its value is not known here.
    """
    found: list[Problem] = []
    rows = Section.objects.filter(service=service) if declared is None else declared
    for section in rows:
        if section.key in effective:
            found += _check_section(section, effective[section.key])
    hidden = {spot.pointer for spot in secrets}
    inside = tuple(f"{each}/" for each in hidden)
    told = [
        each for each in found if each.pointer not in hidden and not each.pointer.startswith(inside)
    ]
    return locate(told, service, environment, positions)


def check_types(
    service: Service,
    environment: Environment,
    effective: Tree,
    positions: formats.Positions | None,
    declared: Sequence[Section],
    secrets: Sequence[Spot],
) -> Findings:
    """What does not make sense in sections by their types, beyond the shapes that schemas hold."""
    found = Findings()
    known = spots.blank(effective, secrets, UNKNOWN)
    for section in declared:
        told = sections.SECTION_TYPES[section.type].check(known.get(section.key))
        prefix = f"/{escape(section.key)}"
        for kept, part in ((found.errors, told.errors), (found.warnings, told.warnings)):
            problems = [_prefixed(each, prefix) for each in part]
            kept.extend(locate(problems, service, environment, positions))
    return found


def find_credentials(
    service: Service,
    environment: Environment,
    effective: Tree,
    positions: formats.Positions | None,
    declared: Sequence[Section],
) -> tuple[list[Problem], list[Problem]]:
    """What looks like a credential in plain text: errors in security sections, else warnings."""
    security = {section.key for section in declared if section.type == "security_settings"}
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for found in credentials.find(effective):
        message = f"This looks like a credential ({found.kind}): make it a secret and name it here."
        wrong = found.path[0] in security
        kept = errors if wrong else warnings
        kept.append(Problem(pointer(found.path), "credential", message))
    return tuple(  # type: ignore[return-value] # two of them
        locate(each, service, environment, positions) for each in (errors, warnings)
    )


def locate(
    problems: Sequence[Problem],
    service: Service,
    environment: Environment,
    positions: formats.Positions | None,
) -> list[Problem]:
    """The problems with their place in the author's text, and whose they are."""
    return [_located(problem, service, environment, positions) for problem in problems]


def _check_section(section: Section, tree: Tree) -> list[Problem]:
    built_in = sections.SECTION_TYPES[section.type].schema
    problems = [*schemas.validate(built_in, tree)]
    problems += schemas.validate(parse_canonical(section.schema), tree)
    prefix = f"/{escape(section.key)}"
    return [_prefixed(each, prefix) for each in _distinct(problems)]


def _prefixed(problem: Problem, prefix: str) -> Problem:
    beside = tuple(prefix + each for each in problem.beside)
    return replace(problem, pointer=prefix + problem.pointer, beside=beside)


def _distinct(problems: Sequence[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))


def _located(
    problem: Problem,
    service: Service,
    environment: Environment,
    positions: formats.Positions | None,
) -> Problem:
    place = positions.find(problem.pointer) if positions else None
    line, column = place or (None, None)
    return replace(
        problem,
        line=line,
        column=column,
        service=service.slug,
        environment=environment.slug,
    )
