"""What the configuration page knows of sections: help while one writes, and what is live at a glance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from apps.access.policy import Place
from apps.configs.models import Section
from apps.configs.selectors.sections import get_section, list_sections
from apps.core.actor import Actor
from apps.engine import editing, formats
from apps.engine.errors import UnrepresentableError, invalid
from apps.engine.section_types.environment_variables import list_variables
from apps.engine.section_types.examples import example_of
from apps.engine.section_types.flag_definitions import list_flags
from apps.engine.section_types.resource_limits import list_limits
from apps.engine.section_types.security_settings import list_statements
from apps.engine.section_types.service_discovery import list_entries
from apps.engine.sections import SECTION_TYPES
from apps.engine.values import Number, Tree, parse_canonical
from apps.portal.shared import actor_of, answers_json, place_of

MAX_ROWS: Final = 200
LISTS: Final[dict[str, Callable[[Tree], Sequence[Any]]]] = {
    "environment_variables": list_variables,
    "service_discovery": list_entries,
    "security_settings": list_statements,
    "feature_flags": list_flags,
    "resource_limits": list_limits,
}


@dataclass(frozen=True, slots=True)
class Glance:
    """What a live section says, in rows that suit its type; ``more`` rows are left out."""

    key: str
    kind: str
    label: str
    rows: list[Any]
    more: int


def plain(tree: Tree) -> Tree:
    """``tree`` for the page's script, which only offers it for completion: plain numbers."""
    if isinstance(tree, dict):
        return {key: plain(child) for key, child in tree.items()}
    if isinstance(tree, list):
        return [plain(child) for child in tree]
    return tree.literal if isinstance(tree, Number) else tree


def help_of(actor: Actor, place: Place) -> dict[str, Any]:
    """By key: the section's type in words, its description, and the schemas that hold for it."""
    if place.service is None:
        return {}
    return {
        section.key: {
            "kind": section.type,
            "type": SECTION_TYPES[section.type].label,
            "about": SECTION_TYPES[section.type].description,
            "description": section.description,
            "schema": plain(parse_canonical(section.schema)),
            "shape": SECTION_TYPES[section.type].schema,
        }
        for section in list_sections(actor=actor, service=place.service)
    }


def glances(actor: Actor, place: Place, tree: Tree) -> list[Glance]:
    """The sections of ``tree``, a document in the actor's view, that have rows to show."""
    declared = list_sections(actor=actor, service=place.service) if place.service else []
    found = [_glance(section, tree.get(section.key)) for section in declared]
    return [each for each in found if each.rows]


def _glance(section: Section, tree: Tree) -> Glance:
    kind = SECTION_TYPES[section.type]
    listed = LISTS.get(section.type)
    rows = list(listed(tree)) if listed else []
    more = max(len(rows) - MAX_ROWS, 0)
    return Glance(section.key, kind.name, kind.label, rows[:MAX_ROWS], more)


@require_POST
@answers_json
def insert_example(request: HttpRequest, service: str, environment: str) -> HttpResponse:
    """The text with an example of a section put in, beside what the section has already."""
    place = place_of(request, service, environment)
    if place.service is None:
        raise invalid("/section", "section", "There is no such section.")
    key, format_ = request.POST.get("section", ""), request.POST.get("format", "")
    section = get_section(actor=actor_of(request), service=place.service, key=key)
    if format_ not in formats.FORMATS:
        raise invalid("/format", "format", "There is no such format.")
    content = request.POST.get("content", "").replace("\r\n", "\n")
    tree = formats.parse(content, format_).tree
    there = tree.get(section.key, {})
    if not isinstance(there, dict):
        raise invalid(f"/{key}", "type", "The section is no object: an example cannot be added.")
    example = example_of(SECTION_TYPES[section.type], parse_canonical(section.schema))
    wanted = {**tree, section.key: {**example, **there}}
    try:
        edited = editing.edit(content, format_, wanted).text
    except UnrepresentableError as error:
        return JsonResponse({"detail": error.detail, "code": error.code}, status=422)
    return JsonResponse({"content": edited, "added": len(wanted[section.key]) - len(there)})
