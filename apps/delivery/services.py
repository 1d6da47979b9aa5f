"""Stream tickets: one stream each, within seconds."""

import secrets
from datetime import datetime, timedelta

from apps.access.selectors import actor_of_user, digest_of, still_valid
from apps.core import clock
from apps.core.actor import Actor
from apps.delivery.models import StreamTicket
from apps.engine.errors import UnauthenticatedError

TICKET_LIFE = timedelta(seconds=30)


def create_ticket(*, actor: Actor) -> tuple[str, datetime]:
    """A ticket for one stream as ``actor``, and when it ends."""
    if actor.user_id is None:
        raise UnauthenticatedError("Tickets are for those who are logged in.")
    raw = secrets.token_urlsafe(32)
    now = clock.now()
    StreamTicket.objects.filter(expires_at__lt=now).delete()
    expires_at = now + TICKET_LIFE
    StreamTicket.objects.create(
        digest=digest_of(raw),
        user_id=actor.user_id,
        token_id=actor.token_id,
        expires_at=expires_at,
    )
    return raw, expires_at


def redeem_ticket(raw: str, *, address: str | None = None) -> Actor:
    """The actor behind a ticket, used up by this. Raises :class:`UnauthenticatedError`."""
    now = clock.now()
    row = (
        StreamTicket.objects.select_related("user", "token__account__environment")
        .filter(digest=digest_of(raw), expires_at__gt=now)
        .first()
    )
    used = StreamTicket.objects.filter(pk=row.pk).delete()[0] if row else 0
    actor = _actor(row, address) if row and used else None
    actor = still_valid(actor, now=now) if actor else None
    if actor is None:
        raise UnauthenticatedError("The ticket is unknown, used or too old.")
    return actor


def _actor(ticket: StreamTicket, address: str | None) -> Actor:
    token = ticket.token
    if token is None:
        return actor_of_user(ticket.user, address=address)
    account = token.account
    return Actor(
        name=f"service-account:{account.slug}",
        user_id=ticket.user_id,
        environment=account.environment.slug if account.environment else None,
        account_id=account.pk,
        token_id=str(token.pk),
        address=address,
        expires_at=token.expires_at,
    )
