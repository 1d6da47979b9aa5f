"""Appending to the ledger: the only way in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from apps.audit import sending, wakeup
from apps.audit.exporting import hash_of
from apps.audit.models import AuditEvent, Head
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import lock_row
from apps.engine.values import Tree, canonical


@dataclass(frozen=True, slots=True)
class Event:
    """One event to append. ``data`` holds names, numbers and digests; never a secret's value."""

    action: str
    target: str
    data: Mapping[str, Tree]


@dataclass(frozen=True, slots=True)
class Act:
    """What the ledger gave to a transaction: its one revision and its one time."""

    revision: int
    at: datetime


def append(events: Sequence[Event], *, actor: Actor) -> Act:
    """Append the events of one act, in order, inside the caller's transaction.

    Call it once per transaction, after everything that can fail: it locks the head row, and
    holds it until commit, which is what makes numbers follow commit order. The act's time is
    at least a microsecond after its predecessor's. Listeners are woken after commit. Raises
    :class:`UnavailableError` when a required sink cannot be written.
    """
    last, last_at, previous = _lock_head()
    at = max(clock.now(), last_at + timedelta(microseconds=1))
    revision = last + len(events)
    rows = []
    for number, event in enumerate(events, start=last + 1):
        row = AuditEvent(
            number=number,
            revision=revision,
            at=at,
            actor=actor.name,
            action=event.action,
            target=event.target,
            data=canonical(dict(event.data)),
            previous=previous,
        )
        row.hash = previous = hash_of(row, previous)
        rows.append(row)
    AuditEvent.objects.bulk_create(rows)
    with connection.cursor() as cursor:  # bare, as every act does it
        cursor.execute(
            "UPDATE audit_head SET number = %s, at = %s, hash = %s WHERE id = 1",
            [revision, connection.ops.adapt_datetimefield_value(at), previous],
        )
    sending.send(rows)
    transaction.on_commit(wakeup.notify)
    return Act(revision=revision, at=at)


def _lock_head() -> tuple[int, datetime, str]:
    """Number, time and hash of the last event."""
    number, at, digest = lock_row("audit_head", "number", "at", "hash")
    column = Head._meta.get_field("at").cached_col  # noqa: SLF001 - the documented model API
    for convert in connection.ops.get_db_converters(column):
        at = convert(at, column, connection)
    return number, at, digest


def lock_ledger() -> None:
    """Take the head row now: acts of others wait until this transaction ends."""
    lock_row("audit_head", "id")
