"""What a template gives with parameters that one tries, under its form."""

from typing import Any

from apps.access.policy import Place
from apps.configs.models import Template
from apps.configs.selectors.configurations import resolve_place
from apps.configs.services import templates
from apps.core.actor import Actor
from apps.engine import formats, templating
from apps.engine.errors import DomainError, Problem
from apps.engine.values import parse_canonical


def preview(actor: Actor, row: Template, given: str | None, at: str) -> dict[str, Any] | None:
    """What the newest version gives with the parameters of a YAML text, or with its examples, and
    what its references would be ``at`` a configuration, if one is named.
    """
    newest = row.versions.select_related("content").first()
    if newest is None:
        return None
    if given is None:
        sample = templating.sample(parse_canonical(newest.parameters))
        given = formats.render(sample, "yaml") if sample else ""
    found: dict[str, Any] = {"version": newest.number, "given": given, "at": at}
    try:
        tree = formats.parse(given, "yaml").tree if given.strip() else {}
        place = _place(actor, at) if at else None
        _version, made = templates.render_template(
            actor=actor, template=row, given=tree, place=place
        )
        return {**found, "text": formats.render(made, "yaml")}
    except DomainError as error:
        return {**found, "problems": error.problems or [Problem("", error.code, error.detail)]}


def _place(actor: Actor, name: str) -> Place:
    service, _at, environment = name.partition("@")
    return resolve_place(actor=actor, service=service, environment=environment, verb="read")
