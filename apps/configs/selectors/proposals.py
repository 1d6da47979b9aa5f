"""Drafts that were handed over, for those who may publish them."""

from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import Place
from apps.configs.models import Change
from apps.configs.selectors.configurations import scope_filter
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError


def list_proposals(*, actor: Actor, place: Place | None = None) -> list[Change]:
    """What others handed over where the actor may publish and read every key, longest waiting first:
    a draft may say what a key that is hidden from him holds. Their texts are not loaded.
    """
    rows = _others(actor, place).defer("content", "extends")
    return [each for each in rows if _may_look(actor, each)]


def get_proposal(*, actor: Actor, place: Place, number: int) -> Change:
    """One of them by its number. Raises :class:`NotFoundError`."""
    found = _others(actor, place).filter(pk=number).first()
    if found is None or not _may_look(actor, found):
        raise NotFoundError(NOTHING_HERE)
    return found


def _others(actor: Actor, place: Place | None) -> QuerySet[Change]:
    rows = Change.objects.filter(handed_at__isnull=False).exclude(author_id=actor.user_id)
    if place is not None:
        rows = rows.filter(
            configuration__service=place.service, configuration__environment=place.environment
        )
    return (
        rows.filter(scope_filter(actor, "publish", "configuration__"))
        .select_related("author", "configuration__service", "configuration__environment")
        .order_by("handed_at", "pk")
    )


def _may_look(actor: Actor, change: Change) -> bool:
    place = Place(change.configuration.service, change.configuration.environment)
    return policy.allowed_free(actor, "publish", place) and (
        policy.allowed(actor, "read", place) and policy.guard(actor, "read", place).is_open
    )
