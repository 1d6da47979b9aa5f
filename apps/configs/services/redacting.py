"""Taking a value out of every text that was kept, for a secret that was published by mistake.

Versions, digests and the ledger stay as they are; the texts hold ``{"$redacted": true}`` instead.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db import connection

from apps.access import idempotency, policy
from apps.access.policy import EVERYWHERE, Place
from apps.audit.services import Event, append
from apps.configs.models import Change, Live, Redaction, TemplateVersion, Text, Version
from apps.configs.services.kernel import lock_composition
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import editing, formats, paths
from apps.engine.errors import (
    DomainError,
    ForbiddenError,
    NotFoundError,
    UnrepresentableError,
    invalid,
)
from apps.engine.values import Tree, canonical, compact, parse_canonical, same
from apps.registry.models import Environment

REDACTED: dict[str, Tree] = {"$redacted": True}
SHOWN = "[redacted]"
SHORTEST_PART = 8
"""Shorter texts are replaced as whole values alone: they would be found in ordinary words."""
Kept = tuple[Text, str]
"""A text, and the format that it is written in; empty for a canonical document."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """What an act of redaction did: how many texts and drafts it changed, and its revision.

    ``templates`` hold the value too, and keep it: they are everybody's, and the actor has no right
    on all that there is.
    """

    texts: int
    drafts: int
    revision: int
    templates: tuple[str, ...] = ()


def redact(*, actor: Actor, place: Place, number: int, key: str, message: str = "") -> Redacted:
    """Redact the value that version ``number`` had at ``key`` from all that the service keeps.

    ``message`` is kept in the ledger, and may not hold the value. Sources, effective documents and
    drafts of the service in every environment, and remembered answers, lose it. Needs ``secure``
    on the key, and on the service in every environment; with it everywhere, templates lose the
    value too. Raises :class:`InvalidError` while a live configuration, or the newest version of
    such a template, still holds it (publish without it first), :class:`NotFoundError` for a version
    or key that is not there.
    """
    path = paths.parse_path(key)
    policy.require(actor, "secure", place)
    policy.require(actor, "secure", place, [path])
    _require_everywhere(actor, place)
    with writing():
        lock_composition()
        value = _value_at(place, number, path)
        search = _Search(value)
        if search.is_told(message):
            raise invalid("/message", "value", "The reason holds the value itself: say it without.")
        versions = list(
            Version.objects.select_related("source", "effective", "configuration__environment")
            .filter(configuration__service=place.service)
            .order_by("revision")
        )
        _refuse_live(place, search)
        texts, kept = _texts_of(versions), _templates_with(search)
        if policy.allowed_free(actor, "secure", EVERYWHERE):
            _refuse_newest(kept)
            texts, kept = [*texts, *((each.content, "") for each in kept)], []
        replaced = dict(search.replacements(texts))
        drafts = _redact_drafts(place, search)
        forgotten = idempotency.forget_answers(search.written, service=str(place.service))
        target = f"configuration:{place}"
        data: dict[str, Tree] = {
            "version": number,
            "key": key,
            "texts": sorted(replaced),
            "drafts": drafts,
            "answers": forgotten,
            "message": message,
        }
        act = append([Event("configuration_text.redacted", target, data)], actor=actor)
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
    names = {each.template.slug for each in kept} | _parameters_with(search, versions)
    return Redacted(len(replaced), drafts, act.revision, tuple(sorted(names)))


def _parameters_with(search: "_Search", versions: Iterable[Version]) -> set[str]:
    """What holds the value as a parameter of a template, which stays: it is part of what a version
    was made from.
    """
    found = {
        f"{each.configuration} v{each.number}"
        for each in versions
        if search.is_said(each.extends) or search.is_said(each.lock)
    }
    templates = TemplateVersion.objects.select_related("template")
    return found | {
        each.template.slug
        for each in templates
        if search.is_said(each.extends) or search.is_said(each.parameters)
    }


def _texts_of(versions: Iterable[Version]) -> list[Kept]:
    """The texts of versions, effective documents and sources."""
    return [
        kept for each in versions for kept in ((each.effective, ""), (each.source, each.format))
    ]


def _templates_with(search: "_Search") -> list[TemplateVersion]:
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


def _require_everywhere(actor: Actor, place: Place) -> None:
    """A text is kept once for all environments, so the right is needed in each that has some."""
    environments = Environment.objects.filter(configurations__service=place.service)
    if not all(
        policy.allowed_free(actor, "secure", Place(place.service, each)) for each in environments
    ):
        raise ForbiddenError(
            "This goes through the service in all environments: it needs the right 'secure' on "
            "the service as a whole.",
            right="secure",
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


def _refuse_live(place: Place, search: "_Search") -> None:
    live = Live.objects.select_related(
        "version__source", "version__effective", "configuration__environment"
    ).filter(configuration__service=place.service)
    named = [str(each.configuration.environment) for each in live if search.is_in(each.version)]
    if named:
        raise invalid(
            "/key",
            "live",
            f"What is live in {', '.join(named)} still holds this value: publish without it first.",
        )


def _redact_drafts(place: Place, search: "_Search") -> int:
    count = 0
    for draft in Change.objects.select_for_update().filter(configuration__service=place.service):
        content = search.cleaned(draft.content, draft.format)
        extends = canonical(search.replaced(parse_canonical(draft.extends)))
        if (content, extends) != (draft.content, canonical(parse_canonical(draft.extends))):
            draft.content, draft.extends = content, extends
            draft.save(update_fields=["content", "extends"])
            count += 1
    return count


class _Search:
    """One value, and the ways in which it may be written in a text."""

    def __init__(self, value: Tree) -> None:
        self.value = value
        self.part = value if isinstance(value, str) and len(value) >= SHORTEST_PART else None
        self.written = sorted(self._ways(), key=len, reverse=True)
        word = value if isinstance(value, str) else canonical(value)
        self.word = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")

    def _ways(self) -> Iterable[str]:
        if isinstance(self.value, str):
            ways = {canonical(self.value)[1:-1], self.value, self.value.strip()}
        else:
            ways = {canonical(self.value), compact(self.value)}
        return {way for way in ways if len(way) >= SHORTEST_PART}

    def is_told(self, message: str) -> bool:
        """Whether ``message`` holds the value, a short one as a word."""
        return bool(self.word.search(message)) or any(way in message for way in self.written)

    def replaced(self, tree: Tree, marker: Tree = REDACTED) -> Tree:
        """``tree`` with the marker wherever the value, or a text with it inside, stands."""
        if same(tree, self.value):
            return marker
        if isinstance(tree, str):
            return marker if self.part is not None and self.part in tree else tree
        if isinstance(tree, list):
            return [self.replaced(item, marker) for item in tree]
        if isinstance(tree, dict):
            return {key: self.replaced(child, marker) for key, child in tree.items()}
        return tree

    def cleaned(self, content: str, format_name: str) -> str:
        """A source without the value: in its document, and in what is written around it."""
        try:
            tree = formats.parse(content, format_name).tree
            if not same(self.replaced(tree), tree):
                content = self._edited(content, format_name, tree)
        except DomainError:  # a draft that does not parse, or a text of before today's rules
            content = self.word.sub(SHOWN, content)
        for way in self.written:
            content = content.replace(way, SHOWN)
        return content

    def _edited(self, content: str, format_name: str, tree: Tree) -> str:
        """The source with the marker, or with its text where the format holds no objects."""
        try:
            return editing.edit(content, format_name, self.replaced(tree))
        except UnrepresentableError:
            return editing.edit(content, format_name, self.replaced(tree, SHOWN))

    def is_said(self, text: str) -> bool:
        """Whether the value stands in a canonical document."""
        tree = parse_canonical(text)
        return not same(self.replaced(tree), tree)

    def is_in(self, version: Version) -> bool:
        """Whether a version's texts hold the value."""
        return bool(dict(self.replacements(_texts_of([version]))))

    def replacements(self, texts: Iterable[Kept]) -> Iterator[tuple[str, str]]:
        """Digests of the texts that hold the value, with what they become."""
        done: set[str] = set()
        for text, format_name in texts:
            if text.digest in done:
                continue
            done.add(text.digest)
            content = self._replacement(text, format_name)
            if content != text.content:
                yield text.digest, content

    def _replacement(self, text: Text, format_name: str) -> str:
        if not format_name:
            tree = parse_canonical(text.content)
            changed = self.replaced(tree)
            return text.content if same(changed, tree) else canonical(changed)
        return self.cleaned(text.content, format_name) if text.content else text.content
