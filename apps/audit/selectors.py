"""Reading the ledger."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TypeVar

from django.db.models import F, Max, Q, QuerySet

from apps.audit.models import AuditEvent, Checkpoint, Head, RefusedRead, Verification
from apps.engine.values import canonical

BATCH = 1_000
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Position:
    """Where the ledger ends: its epoch, the last revision, and the time of that act."""

    epoch: str
    revision: int
    at: datetime


def head() -> Position:
    """The end of the ledger, as committed now."""
    return Position(*Head.objects.values_list("epoch", "number", "at").get(pk=1))


@dataclass(frozen=True, slots=True)
class Point:
    """The end of an act: its revision and time. Everything has one state as of it."""

    revision: int
    at: datetime


def find_point(*, at: datetime | None = None, number: int | None = None) -> Point | None:
    """The last act at or before a time, or at or below a number; ``None`` before the first.

    Times of acts grow with their revisions, each by a microsecond at least.
    """
    events = AuditEvent.objects.filter(number=F("revision"))
    if at is not None:
        events = events.filter(at__lte=at)
    if number is not None:
        events = events.filter(number__lte=number)
    order = "-number" if at is None else "-at"
    found = events.order_by(order).values_list("number", "at").first()
    return Point(*found) if found else None


def revision_of(number: int) -> int:
    """The revision of the act that an event belongs to, by its number."""
    revision: int = AuditEvent.objects.values_list("revision", flat=True).get(number=number)
    return revision


def last_number_of(actions: Collection[str]) -> int:
    """The number of the last event of one of these actions, as committed now; 0 without any."""
    rows = AuditEvent.objects.filter(action__in=actions).order_by()
    return rows.aggregate(last=Max("number"))["last"] or 0


@dataclass(frozen=True, slots=True)
class EventFilters:
    """What a view of the ledger is narrowed to; empty texts do not narrow."""

    actor: str = ""
    action: str = ""
    target: str = ""
    key: str = ""
    since: datetime | None = None
    until: datetime | None = None
    ascending: bool = False


def list_events(filters: EventFilters, beyond: int | None = None) -> QuerySet[AuditEvent]:
    """Events, newest first unless ``ascending``, beyond an event's number; slice as needed.

    ``action`` may end in ``*``: ``configuration.*``. ``key`` finds the acts that changed that key,
    or one inside of it.
    """
    rows = AuditEvent.objects.order_by("number" if filters.ascending else "-number")
    if filters.actor:
        rows = rows.filter(actor__in=(filters.actor, f"user:{filters.actor}"))
    if filters.action.endswith("*"):
        rows = rows.filter(action__startswith=filters.action.rstrip("*"))
    elif filters.action:
        rows = rows.filter(action=filters.action)
    if filters.target:
        rows = rows.filter(target=filters.target)
    if filters.key:
        rows = rows.filter(_names_key(filters.key))
    rows = rows.filter(at__gte=filters.since) if filters.since else rows
    rows = rows.filter(at__lte=filters.until) if filters.until else rows
    if beyond is not None:
        rows = rows.filter(**{f"number__{'gt' if filters.ascending else 'lt'}": beyond})
    return rows


def _names_key(key: str) -> Q:
    """Events whose data has the key, or one inside of it, as a text of its own."""
    name = canonical(key)[:-1]  # with the quotation mark that it begins with
    inside = Q(data__contains=f"{name}.") | Q(data__contains=f"{name}[")
    return Q(data__contains=f'{name}"') | inside


def names_key(data: str, key: str) -> bool:
    """The same for the data of one event."""
    name = canonical(key)[:-1]
    return any(f"{name}{end}" in data for end in '".[')


def list_checkpoints() -> QuerySet[Checkpoint]:
    """The signed checkpoints, newest first."""
    return Checkpoint.objects.all()


def list_verifications() -> QuerySet[Verification]:
    """What verifications have found, newest first."""
    return Verification.objects.all()


def events_since(revision: int, *, until: int | None = None) -> Iterator[AuditEvent]:
    """The events after ``revision`` in order, read in batches, up to ``until`` inclusive."""
    events = AuditEvent.objects.filter(number__gt=revision)
    if until is not None:
        events = events.filter(number__lte=until)
    return chain.from_iterable(batches(events))


def batches(events: QuerySet[AuditEvent]) -> Iterator[list[AuditEvent]]:
    """Events by number, in short statements, so that none is held open by a slow reader."""
    after = 0
    while True:
        batch = list(events.order_by("number").filter(number__gt=after)[:BATCH])
        if batch:
            yield batch
        if len(batch) < BATCH:
            return
        after = batch[-1].number


def list_events_on(
    *, targets: Collection[str], actions: Collection[str], until: int
) -> list[AuditEvent]:
    """The events of those actions on those targets up to a revision, by their numbers."""
    rows = AuditEvent.objects.filter(action__in=actions, number__lte=until)
    names = sorted(targets)
    parts = (rows.filter(target__in=names[at : at + BATCH]) for at in range(0, len(names), BATCH))
    return sorted(chain.from_iterable(parts), key=lambda each: each.number)


def last_states(
    states: Mapping[str, Sequence[State]],
    *,
    actions: Collection[str],
    point: Point,
    first: Collection[str] = (),
) -> list[State]:
    """Of the states of each target, in order and each made by one act of ``actions``, the last one as
    of ``point``, those that were made last at the end; none of a target that no act had made by then.
    ``first``: targets whose first state was there before any act.

    Their own times would not do: another act may end while one is under way.
    """
    events = list_events_on(targets=states, actions=actions, until=point.revision)
    acts = Counter([*first, *(each.target for each in events)])
    made = dict.fromkeys(first, 0) | {each.target: each.number for each in events}
    return [states[target][acts[target] - 1] for target in sorted(made, key=made.__getitem__)]


def has_event(*, actions: Collection[str], target: str, after: int) -> bool:
    """Whether there is an event of one of the actions on that target after revision ``after``."""
    rows = AuditEvent.objects.filter(action__in=actions, target=target, number__gt=after)
    return rows.exists()


def list_refused_reads(*, actor: str = "", target: str = "") -> QuerySet[RefusedRead]:
    """Counts of reads that were refused, by day, the latest first; empty texts do not narrow.

    ``actor`` is a name, or the start of an address.
    """
    rows = RefusedRead.objects.order_by("-last_at", "-pk")
    if actor:
        exact = Q(actor__in=(actor, f"user:{actor}", f"service-account:{actor}"))
        rows = rows.filter(exact | Q(actor__startswith=f"address:{actor}"))
    return rows.filter(target__icontains=target) if target else rows
