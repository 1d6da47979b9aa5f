"""References between configurations: who may make one, who takes what from whom."""

from collections.abc import Collection, Sequence

from apps.access import policy
from apps.access.policy import Place
from apps.configs.world import World
from apps.core.actor import Actor
from apps.engine.guarding import Guard
from apps.engine.paths import Path, format_path
from apps.engine.uses import Name, Target, Use
from apps.engine.ways import May, everything
from apps.registry.models import Configuration, Dependency
from apps.registry.selectors import find_environment, find_service, refers_to


def references_of(actor: Actor, world: World) -> May:
    """Which references the actor may make: each that is not in the live version needs ``read`` on
    its target and on everything in it. One that stays where it was, or moves within its list, may
    stay.

    The right alone decides, by the target's name, before anything is read, so that no answer says
    anything of what is there.
    """
    if actor.is_superuser:
        return everything
    readable = new_references_of(actor)
    known: dict[Name, set[tuple[Path, Target]]] = {}

    def may(document: Name, path: Path, target: Target) -> bool:
        if document not in known:
            known[document] = {
                _mark(use.path, use.target) for use in world.uses(document) if use.hops == 1
            }
        return _mark(path, target) in known[document] or readable(document, path, target)

    return may


def new_references_of(actor: Actor) -> May:
    """Which references the actor may make where there are none yet: the same, whatever is live."""
    if actor.is_superuser:
        return everything
    guards: dict[Name, Guard | None] = {}

    def may(_document: Name, _path: Path, target: Target) -> bool:
        if target.document not in guards:
            guards[target.document] = _guard(actor, target.document)
        reads = guards[target.document]
        return reads is not None and reads.allows_whole(target.path)

    return may


def _mark(path: Path, target: Target) -> tuple[Path, Target]:
    return tuple("" if isinstance(step, int) else step for step in path), target


def _guard(actor: Actor, name: Name) -> Guard | None:
    service, environment = find_service(name.service), find_environment(name.environment)
    if service is None or environment is None:
        return None
    return policy.guard(actor, "read", Place(service, environment))


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
    if not names or (len(names) == 1 and not refers_to(*(name.service for name in names))):
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
