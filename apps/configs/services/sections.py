"""Sections: what a service's top-level keys must look like."""

from typing import Any, Final

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Event, append
from apps.configs.models import Section
from apps.configs.selectors.sections import target_of
from apps.configs.services.kernel import lock_composition, mark_outdated
from apps.configs.services.live_failures import refuse_failing
from apps.configs.services.recomposing import judge_merging, world_of
from apps.configs.validating import check_sections
from apps.configs.world import World
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.names import check_text, refuse_unknown
from apps.core.transactions import locked, writing
from apps.engine import schemas, sections, values
from apps.engine.errors import invalid, taken
from apps.engine.specific import check_marks
from apps.engine.values import Tree, canonical
from apps.registry.models import Service

MEMBERS: Final = ("type", "schema", "description")


def create_section(
    *, actor: Actor, service: Service, key: str, acknowledge: bool = False, **members: Any
) -> Section:
    """Declare a section. Members: ``type, schema, description``. Needs ``manage`` on the service.

    Raises :class:`InvalidError` naming the live configurations that would fail, unless
    ``acknowledge``: they stay as they are, and the schema holds from their next publish on. What
    would compose otherwise by its merge keys is outdated.
    """
    policy.require(actor, "manage", Place(service))
    if not isinstance(key, str) or not key:
        raise invalid("/key", "type", "A section's key is text of at least one character.")
    values.check({key: None})
    with writing():
        lock_composition()
        if Section.objects.filter(service=service, key=key).exists():
            raise taken("/key", "The service has this section already.")
        section = Section(service=service, key=key, type="", created_at=clock.now())
        _fill(section, {"type": "application_settings", **members})
        _save(section, actor, "section.created", acknowledge)
    return section


def update_section(
    *, actor: Actor, section: Section, acknowledge: bool = False, **members: Any
) -> Section:
    """Change a section's type, schema or description. Raises what :func:`create_section` raises."""
    policy.require(actor, "manage", Place(section.service))
    with writing():
        lock_composition()
        section = locked(section)
        before = section.type, section.schema
        _fill(section, members)
        same = before == (section.type, section.schema)
        _save(section, actor, "section.updated", acknowledge or same)
    return section


def delete_section(*, actor: Actor, section: Section, acknowledge: bool = False) -> None:
    """Take the declaration away; the values stay, free of a schema. Where lists merge otherwise
    without it, it raises what :func:`create_section` raises.
    """
    policy.require(actor, "manage", Place(section.service))
    with writing():
        lock_composition()
        section = locked(section)
        before = world_of(section.service)
        target = _target(section)
        mark_history(section, actor)
        section.delete()
        append(
            [Event("section.deleted", target, _merged(section, actor, before, acknowledge))],
            actor=actor,
        )


def _fill(section: Section, members: dict[str, Any]) -> None:
    refuse_unknown(members, MEMBERS)
    if "type" in members:
        if not isinstance(members["type"], str) or members["type"] not in sections.SECTION_TYPES:
            known = ", ".join(sections.SECTION_TYPES)
            raise invalid("/type", "type", f"The type is one of {known}.")
        section.type = members["type"]
    if "schema" in members:
        values.check(members["schema"])
        schemas.check_schema(members["schema"])
        check_marks(members["schema"])
        section.schema = canonical(members["schema"])
    if "description" in members:
        section.description = check_text("description", members["description"], 10_000)


def refuse_breaking(*, actor: Actor, section: Section, acknowledge: bool = False) -> int:
    """Raise :class:`InvalidError` naming the live configurations that break the section, as far as
    the actor sees them, unless ``acknowledge``. Returns how many do.
    """
    return refuse_failing(
        actor,
        Place(section.service),
        lambda _place, tree, secrets: check_sections([section], tree, secrets).errors,
        acknowledge=acknowledge,
    )


def _save(section: Section, actor: Actor, action: str, acknowledge: bool) -> None:
    known = refuse_breaking(actor=actor, section=section, acknowledge=acknowledge)
    before = world_of(section.service)
    mark_history(section, actor)
    section.save()
    data: dict[str, Tree] = {"type": section.type, "schema": values.checksum(section.schema)}
    if known:
        data["failing"] = known
    data |= _merged(section, actor, before, acknowledge)
    append([Event(action, _target(section), data)], actor=actor)


def _merged(section: Section, actor: Actor, before: World, acknowledge: bool) -> dict[str, Tree]:
    """Mark outdated what would compose otherwise than ``before``, and say how many there are."""
    moved = judge_merging(
        actor=actor, service=section.service, before=before, acknowledge=acknowledge
    )
    mark_outdated(moved)
    return {"outdated": len(moved)} if moved else {}


def _target(section: Section) -> str:
    return target_of(section.service.slug, section.key)
