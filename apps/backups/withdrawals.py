"""What was withdrawn after a backup, taken from the database that a restore replaces.

Compared are the rights themselves, then and now, and of each the stricter is kept: every one of them
is changed by acts of the ledger alone, so a ledger that goes on from the backup's end and holds vouches
for them, and whatever an act withdraws shows in them, acts of kinds that are still to come too. What
was granted later is gone with the rest.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from allauth.mfa.models import Authenticator
from django.db import DatabaseError, transaction

from apps.access.holds import are_held
from apps.access.models import ExternalIdentity, Grant, KeyRule, Role, ServiceAccount, Token
from apps.audit.models import AuditEvent, Head
from apps.audit.verification import run_verifier
from apps.core.models import Connection, User
from apps.engine.errors import ConflictError, UnavailableError

WITHDRAWING: Final = frozenset(
    {
        "account.deleted",
        "connection.changed",
        "connection.deleted",
        "factor.enrolled",
        "factor.removed",
        "grant.ended",
        "grant.withdrawn",
        "key_rule.created",
        "key_rule.updated",
        "role.deleted",
        "role.updated",
        "token.rotated",
        "token.withdrawn",
        "user.groups",
        "user.password",
        "user.updated",
    }
)
"""Acts that may take a right away, which the preview lists."""
Row = dict[str, Any]
Rows = dict[Any, Row]


@dataclass(frozen=True, slots=True)
class Present:
    """The rights in the database that is replaced: of each kind the rows by their keys.

    ``factors`` by person; ``members`` are pairs of person and group. ``later`` are the acts since
    the backup that may have withdrawn something, in words.
    """

    revision: int
    is_held: bool
    people: Rows
    factors: dict[int, list[Row]]
    identities: frozenset[int]
    members: frozenset[tuple[int, int]]
    accounts: Rows
    tokens: Rows
    grants: frozenset[int]
    roles: Rows
    rules: Rows
    connections: Rows
    later: tuple[str, ...]


def read_present(revision: int, digest: str) -> Present | str:
    """The rights as they are in the database now, or why they say nothing of what was withdrawn
    after the backup, which ended at ``revision`` with the hash ``digest``.

    The hash of an event stands for all before it, so one that is the same means that this database
    went on from there, in whatever epoch: epochs begin anew at a failover too.
    """
    try:
        with transaction.atomic():
            event = AuditEvent.objects.filter(number=revision, hash=digest).first()
            if event is None:
                return "the present database does not go on from where the backup ended"
            present = read_rights(after=revision)
        found = run_verifier()
    except (DatabaseError, Head.DoesNotExist):
        return "the present database is empty, or cannot be read"
    except UnavailableError as error:
        return f"the present ledger could not be verified: {error.detail}"
    if not found["ok"]:
        return f"the present ledger does not hold at revision {found['revision']}"
    return present


def require_unmoved(present: Present | None) -> None:
    """Raise :class:`ConflictError` when the database went on after ``present`` was read from it."""
    if present is not None and Head.objects.get(pk=1).number != present.revision:
        raise ConflictError("Somebody wrote to the database meanwhile: restore again.")


def read_rights(*, after: int) -> Present:
    """The rights in the database as it is, with the acts beyond revision ``after``."""
    factors: dict[int, list[Row]] = defaultdict(list)
    for each in Authenticator.objects.order_by("pk").values():
        factors[each["user_id"]].append(each)
    later = AuditEvent.objects.filter(number__gt=after, action__in=WITHDRAWING)
    return Present(
        revision=Head.objects.get(pk=1).number,
        is_held=are_held(),
        people=_rows(User, "is_active", "is_superuser", "is_staff", "password", "sessions_since"),
        factors=dict(factors),
        identities=frozenset(ExternalIdentity.objects.values_list("pk", flat=True)),
        members=frozenset(User.groups.through.objects.values_list("user_id", "group_id")),
        accounts=_rows(ServiceAccount, "deleted_at"),
        tokens=_rows(Token, "withdrawn_at", "expires_at", "digest"),
        grants=frozenset(Grant.objects.values_list("pk", flat=True)),
        roles=_rows(Role, "verbs"),
        rules=_rows(KeyRule, "pattern", "service", "environment", "description"),
        connections=_rows(Connection, "deleted_at", "roles", "services"),
        later=tuple(
            f"{each.action} {each.target} {each.data}" for each in later.order_by("number")
        ),
    )


def _rows(model: Any, *names: str) -> Rows:
    """The rows of a table by their keys, of each the columns named."""
    return {each["pk"]: each for each in model.objects.values("pk", *names)}
