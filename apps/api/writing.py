"""Reading what a write says: the document, its base, and the members beside it."""

from typing import Any

from django.http import HttpResponse
from rest_framework.exceptions import UnsupportedMediaType

from apps.access.policy import Place
from apps.api.base import (
    answer_json,
    bad_member,
    content_type,
    read_body,
    read_flag,
    read_members,
    read_number,
    refuse_unknown,
    typed,
)
from apps.configs import sources
from apps.configs.services.bases import Base, Options
from apps.configs.services.kernel import Affected, Outcome
from apps.configs.sources import Source
from apps.engine import values
from apps.engine.errors import MalformedError
from apps.engine.values import Tree

DOCUMENT_TYPES = {
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "application/toml": "toml",
    "application/xml": "xml",
}
OPTION_MEMBERS = (
    "environment",
    "base_version",
    "on_stale",
    "dependents",
    "message",
    "dry_run",
    "propose",
)
PUBLISH_MEMBERS = (*OPTION_MEMBERS, "config", "content", "format", "extends", "choices")
PUBLISH_PARAMETERS = OPTION_MEMBERS
FLAGS = ("dry_run", "propose")


def members_of_query(request: Any, known: tuple[str, ...] = PUBLISH_PARAMETERS) -> dict[str, Tree]:
    """Write members that came as query parameters, in their own types."""
    found: dict[str, Tree] = dict(request.GET.items())
    refuse_unknown(found, known)
    for name in FLAGS:
        if name in found:
            found[name] = read_flag(found[name], name)
    if "base_version" in found:
        found["base_version"] = read_number(found["base_version"], "base_version")
    return found


def read_publication(request: Any) -> tuple[Source, dict[str, Tree]]:
    """The source and the other members of a publish, from JSON or from the document itself."""
    kind = content_type(request)
    if kind in DOCUMENT_TYPES:
        members, body = members_of_query(request), read_body(request)
        if not body.strip():
            raise MalformedError("The body is empty: send the document.")
        return sources.from_text(body, DOCUMENT_TYPES[kind]), members
    if kind != "application/json":
        raise UnsupportedMediaType(kind)
    members = read_members(request, PUBLISH_MEMBERS)
    return read_source(members), members


def read_source(members: dict[str, Tree]) -> Source:
    """``config``, or ``content`` and ``format``, with ``extends``."""
    extends = members.get("extends")
    if ("config" in members) == ("content" in members):
        raise MalformedError("Send either 'config', or 'content' with 'format'.")
    if "config" in members:
        if not isinstance(members["config"], dict):
            raise bad_member("config", "'config' must be an object.")
        return sources.from_tree(members["config"], extends)
    content = typed(members, "content", str, "")
    values.check({"content": content})
    return sources.from_text(content, typed(members, "format", str, "json"), extends)


def environment_of(request: Any, members: dict[str, Tree]) -> str | None:
    """The environment of the body or the query; both and different is refused."""
    named = typed(members, "environment", str)
    queried: str | None = request.GET.get("environment")
    if named and queried and named.lower() != queried.lower():
        raise bad_member("environment", "The body and the address name different environments.")
    return named or queried


def read_options(request: Any, members: dict[str, Tree]) -> Options:
    """The options of a write, with the base from the body or from ``If-Match``."""
    match = request.headers.get("If-Match")
    version = typed(members, "base_version", int)
    base = Base(version_ids=_versions_of_tags(match)) if match else Base(version=version)
    return Options(
        message=typed(members, "message", str, ""),
        base=base,
        on_stale=typed(members, "on_stale", str, "reject"),
        dependents=typed(members, "dependents", str, "refuse"),
        dry_run=typed(members, "dry_run", bool, False),
        propose=typed(members, "propose", bool, False),
        choices=_choices(members),
    )


def _choices(members: dict[str, Tree]) -> dict[str, str]:
    given: dict[str, Any] = typed(members, "choices", dict, {})
    if not all(isinstance(each, str) for each in given.values()):
        raise bad_member("choices", "'choices' gives base, ours or theirs by pointer.")
    return given


def _versions_of_tags(header: str) -> tuple[str, ...]:
    """The versions that entity tags name; a tag of any view will do."""
    tags = (each.strip().removeprefix("W/").strip('"') for each in header.split(","))
    return tuple(tag.partition("-")[0] for tag in tags if tag)


def answer_outcome(outcome: Outcome, place: Place, location: str) -> HttpResponse:
    """201 for a new version, 200 for unchanged and for a dry run."""
    data = {**present_outcome(outcome), "affected": present_affected(outcome.affected)}
    if outcome.dry_run:
        return answer_json({**data, "dry_run": True})
    headers = {"ETag": f'"{outcome.version_id}"'}
    if outcome.unchanged:
        return answer_json(data, 200, headers)
    version = f"{location}/versions/{outcome.version}?environment={outcome.environment}"
    return answer_json(data, 201, {**headers, "Location": version})


def present_outcome(outcome: Outcome) -> dict[str, Tree]:
    """What became of one configuration, or would."""
    data: dict[str, Tree] = {}
    if not outcome.dry_run:
        data = {"version": outcome.version, "revision": outcome.revision}
    data |= {
        "checksum": outcome.checksum,
        "changes": [change.as_dict() for change in outcome.changes],
        "warnings": [warning.as_dict() for warning in outcome.warnings],
    }
    if outcome.pinned:
        data["pinned"] = True
    if outcome.unchanged:
        data["unchanged"] = True
    if outcome.retired:
        data["retired"] = True
    return data


def present_affected(affected: list[Affected]) -> list[Tree]:
    """The affected configurations that the caller may list, and a count of the others."""
    shown = [_present(each) for each in affected if each.place.service]
    hidden = len(affected) - len(shown)
    return [*shown, {"hidden": hidden}] if hidden else shown


def _present(each: Affected) -> Tree:
    members: dict[str, Tree] = {
        "service": str(each.place.service),
        "environment": str(each.place.environment),
        "changes": [change.as_dict() for change in each.changes],
    }
    return {**members, "outdated": each.left} if each.left else members
