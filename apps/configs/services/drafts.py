"""Drafts: one per author and configuration, kept on the server until published or discarded."""

from dataclasses import dataclass

from apps.access import policy
from apps.access.policy import Place
from apps.configs.composing import check_extends
from apps.configs.models import Change
from apps.configs.sources import dump_extends
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import formats, values
from apps.engine.errors import ForbiddenError, LimitError, invalid
from apps.registry.models import Configuration

MAX_DRAFT_CHARACTERS = 1_048_576


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author has typed so far, valid or not."""

    content: str
    format: str
    extends: object = None
    base_version: int = 0
    message: str = ""


def save_draft(*, actor: Actor, place: Place, draft: Draft) -> Change:
    """Keep the author's text, valid or not. Needs ``edit`` or ``publish`` there.

    Raises :class:`MalformedError` for text that no database can hold, :class:`LimitError`
    above a mebibyte.
    """
    if not policy.allowed(actor, "publish", place):
        policy.require(actor, "edit", place)
    if actor.user_id is None:
        raise ForbiddenError("Only somebody who is logged in has drafts.", right="edit")
    if len(draft.content) > MAX_DRAFT_CHARACTERS:
        raise LimitError(f"A draft has at most {MAX_DRAFT_CHARACTERS} characters.")
    values.check({"content": draft.content, "message": draft.message})
    if draft.format not in formats.FORMATS:
        raise invalid("/format", "format", f"There is no format '{draft.format}'.")
    checked = check_extends([] if draft.extends is None else draft.extends)
    with writing():
        configuration, _created = Configuration.objects.get_or_create(
            service=place.service, environment=place.environment
        )
        change, _created = Change.objects.update_or_create(
            configuration=configuration,
            author_id=actor.user_id,
            defaults={
                "content": draft.content,
                "format": draft.format,
                "extends": dump_extends(checked),
                "base_version": draft.base_version,
                "message": draft.message,
                "updated_at": clock.now(),
            },
        )
    return change


def discard_draft(*, actor: Actor, place: Place) -> None:
    """Drop the author's own draft, if there is one."""
    policy.require(actor, "list", place)
    Change.objects.filter(
        author_id=actor.user_id,
        configuration__service=place.service,
        configuration__environment=place.environment,
    ).delete()
