"""Writing the installation, or a part of it, as a folder tree of files."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Event, append
from apps.configs import describing
from apps.configs.selectors.configurations import Published, find_live
from apps.configs.selectors.places import list_environments, list_services
from apps.configs.selectors.rules import list_rules
from apps.configs.selectors.sections import list_sections
from apps.configs.selectors.templates import list_template_versions, list_templates
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import NotFoundError
from apps.engine.importers import tree
from apps.engine.importers.tree import Installation, ServicePart, Text
from apps.engine.values import Tree, parse_canonical
from apps.registry.models import Environment, Service


@dataclass(frozen=True, slots=True)
class Exported:
    """The files by path, and the versions whose documents are in them."""

    files: dict[str, bytes]
    given: list[Published]


def export_tree(
    *,
    actor: Actor,
    services: Collection[str] = (),
    environments: Collection[str] = (),
) -> Exported:
    """The files of what the actor may read, by path: of the named services and environments, or
    of all. Values of secrets are not in it. An act of its own in the ledger.

    Raises :class:`NotFoundError` for a name that he may not know of.
    """
    policy.require_anywhere(actor, "read")
    given: list[Published] = []
    chosen = _chosen(list(list_services(actor=actor)), services)
    where = _chosen(list(list_environments(actor=actor)), environments)
    made = Installation(
        environments=[describing.environment(each) for each in where],
        templates={each.slug: _template(actor, each) for each in list_templates(actor=actor)},
        rules=[
            describing.rule(each)
            for each in list_rules(actor=actor)
            if each.service in (None, *chosen) and each.environment in (None, *where)
        ],
        services={each.slug: _service(actor, each, where, given) for each in chosen},
    )
    files = tree.write(made)
    with writing():
        data: dict[str, Tree] = {"services": len(chosen), "files": len(files)}
        append([Event("installation.exported", "installation", data)], actor=actor)
    return Exported(files, given)


def _service(
    actor: Actor, service: Service, where: list[Environment], given: list[Published]
) -> ServicePart:
    """A service's part; the versions in it are added to ``given``."""
    sections = {
        each.key: describing.section(each) for each in list_sections(actor=actor, service=service)
    }
    texts = {}
    for environment in where:
        place = Place(service, environment)
        if not (policy.sees(actor, place) and policy.allowed(actor, "read", place)):
            continue
        live = find_live(actor=actor, place=place)
        if live is not None and not live.row.retired:
            texts[environment.slug] = _text(live)
            given.append(live)
    return ServicePart(describing.service(service), sections, texts, "")


def _text(live: Published) -> Text:
    return Text(live.source.encode(), live.format, live.extends, "")


def _template(actor: Actor, row: Any) -> dict[str, Tree]:
    newest = list_template_versions(actor=actor, template=row)[0]
    return {
        "name": row.name,
        "parameters": parse_canonical(newest.parameters),
        "extends": parse_canonical(newest.extends),
        "content": parse_canonical(newest.content.content),
    }


def _chosen(rows: list[Any], names: Collection[str]) -> list[Any]:
    """The rows of those names, or all of them."""
    known = {row.slug.lower(): row for row in rows}
    missing = [name for name in names if name.lower() not in known]
    if missing:
        raise NotFoundError(f"There is no '{missing[0]}' that you may see.")
    wanted = {name.lower() for name in names}
    return [row for row in rows if not wanted or row.slug.lower() in wanted]
