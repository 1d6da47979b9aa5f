"""Appending to the ledger: the only way in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import connection, transaction

from apps.audit import sending, wakeup
from apps.audit.exporting import hash_of
from apps.audit.models import AuditEvent, Head
from apps.audit.shortening import salted
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import lock_row, undone
from apps.engine.errors import ConflictError
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


@dataclass(slots=True)
class _Rehearsal:
    """Counts the events of an act that is to consist of several appends."""

    count: int = 0


Found = TypeVar("Found")
_around: ContextVar[_Rehearsal | Act | None] = ContextVar("act", default=None)


def as_one_act(run: Callable[[], Found], *, keep: Callable[[Found], bool]) -> Found:
    """Do ``run``, which appends more than once, as one act: all its events share one revision.

    An act's events carry the number of its last, so ``run`` is first rehearsed: everything is done
    and undone, and the ledger only counts. Where ``keep`` says so of what came of it, it is done
    for good. The caller is inside a transaction, and holds the locks on what it decides by: should
    it not do the same both times, it raises :class:`ConflictError`.
    """
    rehearsal = _Rehearsal()
    with undone(), _inside(rehearsal):
        found = run()
    if not keep(found) or not rehearsal.count:
        return found
    last, last_at, _previous = _lock_head()
    act = Act(last + rehearsal.count, max(clock.now(), last_at + timedelta(microseconds=1)))
    with _inside(act):
        found = run()
    if _lock_head()[0] != act.revision:
        raise ConflictError("Somebody changed the same meanwhile: nothing was stored. Try again.")
    return found


@contextmanager
def _inside(around: _Rehearsal | Act) -> Iterator[None]:
    token = _around.set(around)
    try:
        yield
    finally:
        _around.reset(token)


def append(events: Sequence[Event], *, actor: Actor) -> Act:
    """Append the events of one act, in order, inside the caller's transaction.

    Call it once per transaction (or inside :func:`as_one_act`), after everything that can fail: it
    locks the head row, and holds it until commit, which is what makes numbers follow commit order.
    The act's time is at least a microsecond after its predecessor's. Listeners are woken after
    commit. Raises :class:`UnavailableError` when a required sink cannot be written.
    """
    around = _around.get()
    if isinstance(around, _Rehearsal):
        around.count += len(events)
        return Act(Head.objects.get().number + around.count, clock.now())
    last, last_at, previous = _lock_head()
    at = max(clock.now(), last_at + timedelta(microseconds=1))
    revision = last + len(events)
    if around is not None:
        revision, at = around.revision, around.at
    rows = []
    for number, event in enumerate(events, start=last + 1):
        row = AuditEvent(
            number=number,
            revision=revision,
            at=at,
            actor=actor.name,
            action=event.action,
            target=event.target,
            data=canonical(salted(event.data)),
            previous=previous,
        )
        row.hash = previous = hash_of(row, previous)
        rows.append(row)
    AuditEvent.objects.bulk_create(rows)
    with connection.cursor() as cursor:  # bare, as every act does it
        cursor.execute(
            "UPDATE audit_head SET number = %s, at = %s, hash = %s WHERE id = 1",
            [last + len(events), connection.ops.adapt_datetimefield_value(at), previous],
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
