"""Appending to the ledger: the only way in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from apps.audit import wakeup
from apps.audit.models import AuditEvent, Head
from apps.core import clock
from apps.core.actor import Actor
from apps.engine import chain
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
    at least a microsecond after its predecessor's. Listeners are woken after commit.
    """
    head = Head.objects.select_for_update().filter(pk=1)
    last, last_at, previous = head.values_list("number", "at", "hash").get()
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
        row.hash = previous = chain.event_hash(previous, chained_fields(row))
        rows.append(row)
    AuditEvent.objects.bulk_create(rows)
    Head.objects.filter(pk=1).update(number=revision, at=at, hash=previous)
    transaction.on_commit(wakeup.notify)
    return Act(revision=revision, at=at)


def chained_fields(event: AuditEvent) -> dict[str, Tree]:
    """The fields that the hash covers: all but ``hash`` and ``previous``, which it takes apart."""
    return {
        "number": event.number,
        "revision": event.revision,
        "at": clock.rfc3339(event.at),
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "data": event.data,
    }
