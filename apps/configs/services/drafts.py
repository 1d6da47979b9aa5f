"""Drafts: one per author and configuration, kept on the server until published or discarded."""

from dataclasses import dataclass

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.configs.laying import check_kept
from apps.configs.models import Change
from apps.configs.sources import dump_extends
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine import formats, values
from apps.engine.errors import ConflictError, ForbiddenError, LimitError, invalid
from apps.registry.models import Configuration

MAX_DRAFT_CHARACTERS = 1_048_576
MAX_PAGE_NAME = 64


@dataclass(frozen=True, slots=True)
class Draft:
    """What an author has typed so far, valid or not.

    ``page`` is the random name of the open page that it comes from, ``known`` the time of the
    draft that this page last knew of (``""``: of none).
    """

    content: str
    format: str
    extends: object = None
    base_version: int = 0
    message: str = ""
    page: str = ""
    known: str = ""


def save_draft(*, actor: Actor, place: Place, draft: Draft, force: bool = False) -> Change:
    """Keep the author's text, valid or not. Needs ``edit`` or ``publish`` there.

    Raises :class:`ConflictError` (code ``draft_moved``) when another page of the same author
    saved since, unless ``force``; :class:`MalformedError` for text that no database can hold,
    :class:`LimitError` above a mebibyte.
    """
    if not policy.allowed(actor, "publish", place):
        policy.require(actor, "edit", place)
    if actor.user_id is None:
        raise ForbiddenError("Only somebody who is logged in has drafts.", right="edit")
    if len(draft.content) > MAX_DRAFT_CHARACTERS:
        raise LimitError(f"A draft has at most {MAX_DRAFT_CHARACTERS} characters.")
    values.check({"content": draft.content, "message": draft.message, "page": draft.page})
    if draft.format not in formats.FORMATS:
        raise invalid("/format", "format", f"There is no format '{draft.format}'.")
    kept_extends = check_kept([] if draft.extends is None else draft.extends)
    with writing():
        kept = _held(actor, place)
        if not force:
            _check_newest(kept, draft)
        configuration, _created = Configuration.objects.get_or_create(
            service=place.service, environment=place.environment
        )
        change, _created = Change.objects.update_or_create(
            configuration=configuration,
            author_id=actor.user_id,
            defaults={
                "content": draft.content,
                "format": draft.format,
                "extends": dump_extends(kept_extends),
                "base_version": draft.base_version,
                "message": draft.message,
                "page": draft.page[:MAX_PAGE_NAME],
                "updated_at": clock.now(),
            },
        )
    return change


def consume_draft(*, actor: Actor, place: Place, draft: Draft, dry_run: bool) -> None:
    """Discard what is published, inside the caller's transaction.

    Raises :class:`ConflictError` (code ``draft_moved``) when another page saved meanwhile; what is
    saved from now on stays.
    """
    kept = _held(actor, place)
    _check_newest(kept, draft)
    if kept is not None and not dry_run:
        kept.delete()


def _held(actor: Actor, place: Place) -> Change | None:
    """The author's draft, locked: of two pages at once one waits, and then sees the other's."""
    return _own(actor, place).select_for_update().first()


def _check_newest(kept: Change | None, draft: Draft) -> None:
    if kept is None or kept.page == draft.page[:MAX_PAGE_NAME] != "":
        return
    if clock.rfc3339(kept.updated_at) != draft.known:
        raise ConflictError(
            "A newer draft of yours was saved from another page. Open this page anew to go on "
            "with that one.",
            code="draft_moved",
        )


def discard_draft(*, actor: Actor, place: Place) -> None:
    """Drop the author's own draft, if there is one."""
    policy.require(actor, "list", place)
    _own(actor, place).delete()


def _own(actor: Actor, place: Place) -> QuerySet[Change]:
    return Change.objects.filter(
        author_id=actor.user_id,
        configuration__service=place.service,
        configuration__environment=place.environment,
    )
