"""References between configurations: who may make one, who takes what from whom."""

from collections.abc import Collection, Sequence

from apps.access import policy
from apps.access.policy import Place
from apps.core.actor import Actor
from apps.engine.errors import Problem
from apps.engine.guarding import Guard
from apps.engine.paths import Path, format_path, pointer
from apps.engine.resolving import Name, Target, Use
from apps.engine.spots import Spot
from apps.registry.models import Configuration, Dependency
from apps.registry.selectors import find_environment, find_service


def check_references(
    actor: Actor, here: Name, uses: Sequence[Use], known: Collection[Use]
) -> list[Problem]:
    """What is wrong with the references of a document: each that is not ``known`` from the live
    version needs ``read`` on its target and on everything in it.

    The right alone decides, by the target's name, so that the answer says nothing of what is
    there. One that stays where it was, or moves within its list, is known.
    """
    before = {_mark(use) for use in known}
    guards: dict[Name, Guard | None] = {}
    problems = []
    for use in uses:
        name = use.target.document
        if use.hops != 1 or name == here or _mark(use) in before:
            continue
        if name not in guards:
            guards[name] = _guard(actor, name)
        reads = guards[name]
        if reads is None or not reads.allows_whole(use.target.path):
            message = f"There is no {use.target} that you may read."
            problems.append(Problem(pointer(use.path), "reference", message))
    return problems


def _mark(use: Use) -> tuple[Path, Target]:
    return tuple("" if isinstance(step, int) else step for step in use.path), use.target


def _guard(actor: Actor, name: Name) -> Guard | None:
    service, environment = find_service(name.service), find_environment(name.environment)
    if service is None or environment is None:
        return None
    return policy.guard(actor, "read", Place(service, environment))


def taken(secrets: Sequence[Spot], uses: Sequence[Use]) -> list[Spot]:
    """The secrets that references brought here: nobody wrote their names."""
    brought = {use.path for use in uses}
    return [
        spot
        for spot in secrets
        if any(spot.path[:length] in brought for length in range(len(spot.path) + 1))
    ]


def note_references(configuration: Configuration, uses: Sequence[Use]) -> None:
    """Make the rows that say what the live configuration takes from where what it is now.

    What earlier versions took stays noted, as not live.
    """
    wanted = {
        (
            format_path(use.path),
            use.target.document.service,
            use.target.document.environment,
            format_path(use.target.path),
            use.hops,
        )
        for use in uses
    }
    rows = Dependency.objects.filter(configuration=configuration)
    present = {(r.key, r.service, r.environment, r.target, r.hops): r for r in rows}
    moved = [row for each, row in present.items() if row.live != (each in wanted)]
    for row in moved:
        row.live = not row.live
    Dependency.objects.bulk_update(moved, ["live"])
    Dependency.objects.bulk_create(
        Dependency(
            configuration=configuration,
            key=key,
            service=service,
            environment=environment,
            target=target,
            hops=hops,
        )
        for key, service, environment, target, hops in sorted(wanted - present.keys())
    )


def list_rows_to(names: Collection[Name]) -> list[Dependency]:
    """What live configurations take from those called ``names``, each itself aside."""
    if not names:
        return []
    rows = Dependency.objects.select_related(
        "configuration__service", "configuration__environment"
    ).filter(service__in={name.service for name in names}, live=True)
    return [
        row
        for row in rows
        if (there := Name(row.service, row.environment)) in names
        and there
        != Name(row.configuration.service.slug.lower(), row.configuration.environment.slug.lower())
    ]


def list_referring(name: Name) -> list[Configuration]:
    """The live configurations that take something from the one called ``name``, by their names."""
    found = {row.configuration.pk: row.configuration for row in list_rows_to({name})}
    return sorted(found.values(), key=str)
