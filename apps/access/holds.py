"""Rights that wait, after a restore, until an administrator has confirmed them.

Which tokens, log-ins and grants were withdrawn after the backup is not in it. Where the ledger that
knows cannot be read, nobody's rights count until somebody has looked through them. Sessions are not
in backups: each one in a held database was opened while it was held, so a mark in the session says
whether there is anything to ask, and requests of all other days ask nothing more.
"""

from collections.abc import Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import F, Q, QuerySet

from apps.access.applying import apply_grants
from apps.access.events import grant_event, token_event
from apps.access.models import AccessGeneration, Grant, Token
from apps.access.rights import generation, read_generation
from apps.access.selectors import list_grants
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor, mark_history
from apps.core.models import User
from apps.core.transactions import writing
from apps.engine.errors import ConflictError, ForbiddenError, invalid
from apps.engine.values import Tree

HELD: Final = "held"
Session = MutableMapping[str, Any]


def hold_rights() -> None:
    """Let nobody's rights count any more, inside the caller's transaction, who writes the event."""
    AccessGeneration.objects.filter(pk=1).update(held_at=clock.now(), number=F("number") + 1)


def are_held() -> bool:
    """Whether rights wait for somebody who confirms them."""
    return read_generation()[1]


def require_held() -> None:
    """Raise :class:`ConflictError` (code ``not_held``) when no rights wait."""
    if not are_held():
        raise ConflictError("No rights are held.", code="not_held")


def refuse_login(user: User) -> None:
    """Raise :class:`HeldError` for everybody but superusers while rights are held."""
    if not user.is_superuser:
        generation()


def begin_session(session: Session) -> None:
    """Note in the session of a fresh log-in that it was opened while rights are held."""
    if are_held():
        session[HELD] = True


def waits(session: Session) -> bool:
    """Whether the session is one for confirming rights, and nothing else."""
    if HELD not in session:
        return False
    if are_held():
        return True
    del session[HELD]
    return False


def require_free(session: Session) -> None:
    """Raise :class:`HeldError` for a session that :func:`waits`."""
    if HELD in session:
        generation()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What is withdrawn when rights are confirmed: people, tokens and grants by their keys."""

    people: Collection[int] = field(default=())
    tokens: Collection[str] = field(default=())
    grants: Collection[int] = field(default=())


def list_people() -> QuerySet[User]:
    """Those who may log in, by name, with their groups."""
    rows = User.objects.filter(service_account__isnull=True, is_active=True)
    return rows.prefetch_related("groups").order_by("username")


def list_lasting_tokens() -> QuerySet[Token]:
    """Tokens that work once rights are confirmed, by their account."""
    lasting = Q(expires_at__isnull=True) | Q(expires_at__gt=clock.now())
    rows = Token.objects.filter(lasting, withdrawn_at__isnull=True, account__deleted_at=None)
    return rows.select_related("account__environment").order_by("account__slug", "-created_at")


def confirm_rights(*, actor: Actor, withdraw: Withdrawn) -> None:
    """Withdraw what is named, and let the rights that are left count again: one act.

    Only a superuser may, and not against himself. Raises :class:`InvalidError` for what is not
    there, :class:`ConflictError` (code ``not_held``) when nothing waits.
    """
    if not actor.is_superuser:
        raise ForbiddenError("Only a superuser may confirm rights.", right="superuser")
    with writing():
        AccessGeneration.objects.select_for_update().get(pk=1)
        require_held()
        events = [
            *_withdraw_tokens(actor, withdraw.tokens),
            *_deactivate(actor, withdraw.people),
            *_withdraw_grants(actor, withdraw.grants),
        ]
        AccessGeneration.objects.filter(pk=1).update(held_at=None, number=F("number") + 1)
        data: dict[str, Tree] = {
            "people": len(withdraw.people),
            "tokens": len(withdraw.tokens),
            "grants": len(withdraw.grants),
        }
        events.append(Event("installation.rights_confirmed", "installation", data))
        append(events, actor=actor)


def _withdraw_tokens(actor: Actor, keys: Collection[str]) -> list[Event]:
    rows = list(list_lasting_tokens().filter(pk__in=keys))
    _require_all("tokens", rows, keys)
    for each in rows:
        each.withdrawn_at = clock.now()
        mark_history(each, actor)
        each.save()
    return [token_event("token.withdrawn", each) for each in rows]


def _deactivate(actor: Actor, keys: Collection[int]) -> list[Event]:
    rows = list(list_people().filter(pk__in=keys))
    _require_all("people", rows, keys)
    if actor.user_id in keys:
        raise invalid("/people", "own", "Nobody deactivates his own log-in.")
    events = []
    for each in rows:
        each.is_active, each.sessions_since = False, clock.now()
        each.save(update_fields=["is_active", "sessions_since"])
        was: Tree = {"active": True, "superuser": each.is_superuser}
        data: dict[str, Tree] = {"active": False, "superuser": each.is_superuser, "was": was}
        events.append(Event("user.updated", f"user:{each.username}", data))
    if keys and not User.objects.filter(is_active=True, is_superuser=True).exists():
        raise invalid("/people", "last", "One superuser has to stay.")
    return events


def _withdraw_grants(actor: Actor, keys: Collection[int]) -> list[Event]:
    rows: list[Grant] = list(list_grants().filter(pk__in=keys))
    _require_all("grants", rows, keys)
    events = [grant_event("grant.withdrawn", each) for each in rows]
    for each in rows:
        mark_history(each, actor)
        each.delete()
    apply_grants(rows)
    return events


def _require_all(name: str, rows: Collection[object], keys: Collection[object]) -> None:
    if len(rows) != len(set(keys)):
        raise invalid(f"/{name}", "gone", f"Not all of these {name} are there: look again.")
