"""Stream tickets: one stream each, within seconds."""

import secrets
from datetime import datetime, timedelta

from apps.access.selectors import digest_of, find_token_holder, still_valid
from apps.access.sessions import find_person
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
        session=actor.session or "",
        expires_at=expires_at,
    )
    return raw, expires_at


def redeem_ticket(raw: str, *, address: str | None = None) -> Actor:
    """The actor behind a ticket, used up by this. Raises :class:`UnauthenticatedError`."""
    now = clock.now()
    row = StreamTicket.objects.filter(digest=digest_of(raw), expires_at__gt=now).first()
    used = StreamTicket.objects.filter(pk=row.pk).delete()[0] if row else 0
    actor = _holder(row, address) if row and used else None
    if actor is None or still_valid(actor, now=now) is None:
        raise UnauthenticatedError("The ticket is unknown, used or too old.")
    return actor


def _holder(ticket: StreamTicket, address: str | None) -> Actor | None:
    """Who asked for it; ``None`` once the token or session that he asked by has ended."""
    if ticket.token_id is not None:
        return find_token_holder(str(ticket.token_id), address=address)
    return find_person(ticket.session, address=address)
