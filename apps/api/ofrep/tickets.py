"""Event tickets: signed addresses of event streams that give wake-ups and nothing else."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.core.signing import BadSignature, Signer

from apps.access.policy import Place
from apps.access.selectors import actor_of_user, digest_of, find_token_holder, still_valid
from apps.core.actor import Actor
from apps.core.models import User
from apps.engine.errors import UnauthenticatedError

LIFE: Final = timedelta(hours=24)
STEP: Final = LIFE / 2
"""Tickets made within one step are the same, so that a client keeps its stream."""

LOGIN_DIGITS: Final = 16

_signer = Signer(salt="configsvc.ofrep.events")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket opens: the event stream of one service's flags in one environment."""

    actor: Actor
    service: str
    environment: str


def make_ticket(*, actor: Actor, place: Place, now: datetime) -> str:
    """A ticket for the flags at ``place``, good for 12 to 24 hours as long as the actor's token
    or login is: a person's ends with a password change. Each evaluation gives a new one.
    """
    until = int((STEP * (step_of(now) + 2)).total_seconds())
    holder: dict[str, object] = {"t": actor.token_id}
    if not actor.token_id:
        holder = {"u": actor.user_id, "l": _login_of(actor)}
    return _signer.sign_object(
        {**holder, "s": str(place.service), "e": str(place.environment), "x": until}
    )


def step_of(now: datetime) -> int:
    """The number of the step that ``now`` is in."""
    return (now - datetime.fromtimestamp(0, UTC)) // STEP


def read_ticket(text: str, *, now: datetime, address: str | None) -> Ticket:
    """What a ticket opens. Raises :class:`UnauthenticatedError`."""
    refusal = UnauthenticatedError("The event ticket is unknown or too old: evaluate flags anew.")
    try:
        members = _signer.unsign_object(text)
    except (BadSignature, ValueError):
        raise refusal from None
    until = datetime.fromtimestamp(members["x"], UTC)
    actor = _holder(members, address)
    if actor is None or until <= now or still_valid(actor, now=now) is None:
        raise refusal
    return Ticket(actor, members["s"], members["e"])


def _holder(members: dict[str, str], address: str | None) -> Actor | None:
    if "t" in members:
        return find_token_holder(members["t"], address=address)
    user = User.objects.filter(pk=members["u"], is_active=True).first()
    actor = actor_of_user(user, address=address) if user else None
    return actor if actor and members.get("l") == _login_of(actor) else None


def _login_of(actor: Actor) -> str:
    return digest_of(actor.login or "")[:LOGIN_DIGITS]
