"""Rotating a token: a new one beside the old one, which ends by itself after an overlap."""

from datetime import datetime, timedelta

from apps.access import services
from apps.access.events import token_event
from apps.access.models import Token
from apps.audit.services import append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.transactions import writing
from apps.engine.errors import ConflictError, invalid

OVERLAP = timedelta(days=1)
LONGEST_OVERLAP = timedelta(days=30)


def rotate_token(
    *,
    actor: Actor,
    token: Token,
    overlap: timedelta = OVERLAP,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Make a new token of the same account and name; ``token`` ends once ``overlap`` is over.

    Both work until then; the end of the old one is never moved further away. Without
    ``expires_at`` the new one lasts as long as the old one was made to, so that it is not more
    than what it replaces. Needs what making a token needs. Raises :class:`InvalidError` for an
    overlap that is not from 0 to 30 days, :class:`ConflictError` (code ``ended``) for a token
    that has ended. Returns the new row and the token itself, which is shown once.
    """
    account = token.account
    services.require_token_right(actor, account)
    if expires_at is not None and expires_at <= clock.now():
        raise invalid("/expires_at", "past", "The expiry is in the past.")
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        message = f"The overlap is 0 to {LONGEST_OVERLAP.days} days, in seconds."
        raise invalid("/overlap", "range", message)
    with writing():
        locked = Token.objects.select_for_update().select_related("account").get(pk=token.pk)
        now = clock.now()
        if locked.withdrawn_at is not None or (locked.expires_at and locked.expires_at <= now):
            raise ConflictError("This token has ended: make a new one.", code="ended")
        if expires_at is None and locked.expires_at is not None:
            expires_at = _as_long(now, locked)
        made, raw = services.issue_token(actor, account, locked.name, expires_at)
        ends = min(now + overlap, locked.expires_at or now + overlap)
        locked.expires_at = ends
        mark_history(locked, actor)
        locked.save()
        until = clock.rfc3339(ends)
        events = [
            token_event("token.created", made),
            token_event("token.rotated", locked, by=made.prefix, until=until),
        ]
        append(events, actor=actor)
    return made, raw


def _as_long(now: datetime, token: Token) -> datetime | None:
    """The end of a token that begins now and lasts as long as ``token`` was made to."""
    if token.expires_at is None:
        return None
    try:
        return now + (token.expires_at - token.created_at)
    except OverflowError:  # at the edge of the calendar
        return token.expires_at
