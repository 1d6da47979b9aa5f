"""Taking a value out of every text that was kept, for a secret that was published by mistake.

Versions, digests and the ledger stay as they are; the texts hold ``{"$redacted": true}`` instead.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import connection

from apps.access import idempotency, policy
from apps.access.policy import EVERYWHERE, Place
from apps.audit.services import Event, append
from apps.configs import holders
from apps.configs.models import Change, Redaction, TemplateVersion, Version
from apps.configs.searching import REDACTED, Kept, Search, texts_of, texts_over
from apps.configs.services.kernel import lock_composition
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import paths
from apps.engine.errors import NotFoundError, invalid
from apps.engine.values import Tree, canonical, parse_canonical, same
from apps.registry.models import Service


@dataclass(frozen=True, slots=True)
class Redacted:
    """What an act of redaction did: how many texts and drafts it changed, and its revision.

    ``templates`` (and rules for all) hold the value too, and keep it: they are everybody's, and the
    actor has no right on all that there is.
    """

    texts: int
    drafts: int
    revision: int
    templates: tuple[str, ...] = ()


def redact(*, actor: Actor, place: Place, number: int, key: str, message: str = "") -> Redacted:
    """Redact the value that version ``number`` had at ``key`` from all that is kept.

    ``message`` is kept in the ledger, and may not hold the value. Sources, effective documents and
    drafts of the service in every environment, and of the services that share the value by a
    reference, the histories of their rules, and remembered answers, lose it. Needs ``secure`` on
    the key, and on each of the services in every environment; with it everywhere, templates and
    rules for all lose the value too. Raises :class:`InvalidError` while a live configuration, a
    rule, or the newest version of such a template, still holds it (publish without it first),
    :class:`NotFoundError` for a version or key that is not there.
    """
    path = paths.parse_path(key)
    policy.require(actor, "secure", place)
    policy.require(actor, "secure", place, [path])
    assert place.service is not None  # noqa: S101 - a version is of one
    holders.require_secure(actor, [place.service])
    with writing():
        lock_composition()
        search = Search(_value_at(place, number, path))
        if search.is_told(message):
            raise invalid("/message", "value", "The reason holds the value itself: say it without.")
        services = holders.services_with(search, place.service)
        holders.require_secure(actor, services)
        holders.refuse_live(actor, search, services)
        rules = holders.rules_with(search, services, path, actor)
        holders.refuse_rules(actor, rules.now)
        versions = holders.versions_of(services)
        texts, kept = _texts_to_change(actor, search, versions)
        replaced = dict(search.replacements([*texts, *texts_over(services)]))
        drafts = _redact_drafts(services, search)
        data: dict[str, Tree] = {
            "version": number,
            "key": key,
            "texts": sorted(replaced),
            "drafts": drafts,
            "rules": holders.redact_rules(rules.past),
            "answers": sum(
                idempotency.forget_answers(search.written, service=each.slug) for each in services
            ),
            "services": sorted(each.slug for each in services),
            "message": message,
        }
        event = Event("configuration_text.redacted", f"configuration:{place}", data)
        revision = _replace(actor, event, replaced)
    names = {each.template.slug for each in kept} | _parameters_with(search, versions, actor)
    names |= {f"rule {each.name}" for each in rules.kept}
    return Redacted(len(replaced), drafts, revision, tuple(sorted(names)))


def _texts_to_change(
    actor: Actor, search: Search, versions: Iterable[Version]
) -> tuple[list[Kept], list[TemplateVersion]]:
    """The texts that may hold the value and lose it, and versions of templates that keep it."""
    texts, templates = texts_of(versions), _templates_with(search)
    if policy.allowed_free(actor, "secure", EVERYWHERE):
        _refuse_newest(templates)
        return [*texts, *((each.content, "") for each in templates)], []
    shared = {text.digest for text, _format in texts}
    _refuse_newest(each for each in templates if each.content_id in shared)
    return texts, [each for each in templates if each.content_id not in shared]


def _replace(actor: Actor, event: Event, replaced: dict[str, str]) -> int:
    """Write the event, and the texts by their digests; gives the act's revision."""
    act = append([event], actor=actor)
    for digest, content in replaced.items():
        Redaction.objects.create(
            text_id=digest,
            content=content,
            author=actor.name,
            revision=act.revision,
            redacted_at=act.at,
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE configs_text SET content = %s WHERE digest = %s", [content, digest]
            )
    return act.revision


def _parameters_with(search: Search, versions: Iterable[Version], actor: Actor) -> set[str]:
    """What holds the value as a parameter of a template, which stays: it is part of what a version
    was made from.
    """
    found = {
        f"{each.configuration} v{each.number}"
        for each in versions
        if (search.is_said(each.extends) or search.is_said(each.lock))
        and policy.sees(actor, Place(each.configuration.service, each.configuration.environment))
    }
    templates = TemplateVersion.objects.select_related("template")
    return found | {
        each.template.slug
        for each in templates
        if search.is_said(each.extends) or search.is_said(each.parameters)
    }


def _templates_with(search: Search) -> list[TemplateVersion]:
    rows = TemplateVersion.objects.select_related("template", "content")
    return [each for each in rows if dict(search.replacements([(each.content, "")]))]


def _refuse_newest(versions: Iterable[TemplateVersion]) -> None:
    """Refuse while somebody who publishes would get the value from a template again."""
    newest = {
        each.template.slug
        for each in versions
        if each.template.deleted_at is None
        and not each.template.versions.filter(number__gt=each.number).exists()
    }
    if newest:
        names = ", ".join(sorted(newest))
        raise invalid(
            "/key", "live", f"Template {names} still holds this value: publish it without first."
        )


def refuse_redacted(version: Version) -> None:
    """Raise :class:`InvalidError` (code ``redacted``) for a version whose texts were redacted."""
    texts = (version.source_id, version.effective_id)
    if Redaction.objects.filter(text_id__in=texts).exists():
        raise invalid(
            "/to_version", "redacted", f"Version {version.number} was redacted: it is not whole."
        )


def _value_at(place: Place, number: int, path: paths.Path) -> Tree:
    version = (
        Version.objects.select_related("effective")
        .filter(
            configuration__service=place.service,
            configuration__environment=place.environment,
            number=number,
        )
        .first()
    )
    if version is None:
        raise NotFoundError("There is no such version.")
    found, value = paths.find(parse_canonical(version.effective.content), path)
    if not found:
        raise NotFoundError("There is no such key in that version.")
    if value in ("", {}, [], None, True, False) or same(value, REDACTED):
        raise invalid("/key", "value", "There is nothing at that key that could be a secret.")
    return value


def _redact_drafts(services: Collection[Service], search: Search) -> int:
    count = 0
    drafts = Change.objects.select_for_update()
    for draft in drafts.filter(configuration__service__in=services):
        content = search.cleaned(draft.content, draft.format)
        extends = canonical(search.replaced(parse_canonical(draft.extends)))
        if (content, extends) != (draft.content, canonical(parse_canonical(draft.extends))):
            draft.content, draft.extends = content, extends
            draft.save(update_fields=["content", "extends"])
            count += 1
    return count
