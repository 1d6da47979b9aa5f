"""Refusals in the ledger, so that a flood of them does not fill it.

The first refusal of an actor, action and target is an event at once. Those of the same minute are
counted and follow as one event with their number. An actor who is refused in very many places, and
addresses in very great number, are taken together. Refused reads are only counted, by day. What a
process has counted is in memory for some seconds; a killed one loses that, never a first event.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from apps.audit.models import RefusedRead
from apps.audit.services import Event, append
from apps.core import clock
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.values import Tree

logger = logging.getLogger(__name__)

MAX_TARGETS = 20
MAX_ADDRESSES = 200
MAX_READS = 5_000
MAX_ROWS_A_DAY = 10_000
KEPT = timedelta(days=400)
MAX_TEXT = 300
OTHERS = "(others)"
ADDRESS = "address:"

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Window:
    began: datetime
    data: dict[str, Tree]
    pending: int = 0


_lock = threading.Lock()
_windows: dict[Key, _Window] = {}
_reads: dict[tuple[str, str], tuple[datetime, datetime, int]] = {}


def forget() -> None:
    """Drop what was counted and not yet written."""
    with _lock:
        _windows.clear()
        _reads.clear()


def record(*, actor: Actor, action: str, target: str, data: Mapping[str, Tree]) -> None:
    """Record that ``actor`` was refused ``action`` on ``target``: call it after the rollback.

    Never fails: what cannot be written is logged, the refusal itself stands.
    """
    now = clock.now()
    with _lock:
        events = _take_over(now)
        key = _bounded((actor.name[:MAX_TEXT], action, target[:MAX_TEXT]))
        window = _windows.get(key)
        if window is None:
            _windows[key] = window = _Window(now, dict(data))
            events.append((key[0], Event(action, key[2], {**window.data, "count": 1})))
        else:
            window.pending += 1
    _write(events)


def count_read(*, actor: str, target: str) -> None:
    """Count that somebody was refused to read something."""
    now = clock.now()
    key = (actor[:MAX_TEXT], target[:MAX_TEXT])
    with _lock:
        if key not in _reads and len(_reads) >= MAX_READS:
            key = (f"{ADDRESS}{OTHERS}", OTHERS)
        first, _last, count = _reads.get(key, (now, now, 0))
        _reads[key] = (first, now, count + 1)


def flush(*, now: datetime | None = None, everything: bool = False) -> None:
    """Write the counts of minutes that are over, and of refused reads; called every few seconds.

    ``everything``: also of the present minute, before the process ends.
    """
    moment = now or clock.now()
    with _lock:
        events = _take_over(moment, everything=everything)
        reads = dict(_reads)
        _reads.clear()
    _write(events)
    if reads:
        with writing():
            for (actor, target), counted in sorted(reads.items()):
                _add_read(actor, target, counted)


def _add_read(actor: str, target: str, counted: tuple[datetime, datetime, int]) -> None:
    first, last, count = counted
    today = RefusedRead.objects.filter(day=last.date())
    if not today.filter(actor=actor, target=target).exists() and today.count() >= MAX_ROWS_A_DAY:
        actor, target = f"{ADDRESS}{OTHERS}", OTHERS
    row, _made = RefusedRead.objects.get_or_create(
        actor=actor,
        target=target,
        day=last.date(),
        defaults={"first_at": first, "last_at": last},
    )
    RefusedRead.objects.filter(pk=row.pk).update(count=F("count") + count, last_at=last)


def prune_reads() -> int:
    """Drop the counts of refused reads that are older than ``KEPT``; gives their number."""
    count, _kinds = RefusedRead.objects.filter(day__lt=(clock.now() - KEPT).date()).delete()
    return count


def _bounded(key: Key) -> Key:
    """The key, or the one that it is taken together under."""
    if key in _windows:
        return key
    actor, action, target = key
    if actor.startswith(ADDRESS):
        addresses = {each[0] for each in _windows if each[0].startswith(ADDRESS)}
        if actor not in addresses and len(addresses) >= MAX_ADDRESSES:
            return (f"{ADDRESS}{OTHERS}", action, OTHERS)
    if sum(each[0] == actor for each in _windows) >= MAX_TARGETS:
        return (actor, action, OTHERS)
    return (actor, action, target)


def _take_over(now: datetime, *, everything: bool = False) -> list[tuple[str, Event]]:
    """End the windows whose minute is over; gives the events of what they had counted."""
    over = [
        key for key, window in _windows.items() if everything or now - window.began >= clock.MINUTE
    ]
    events = []
    for key in over:
        window = _windows.pop(key)
        if window.pending:
            data = {**window.data, "count": window.pending}
            events.append((key[0], Event(key[1], key[2], data)))
    return events


def _write(events: list[tuple[str, Event]]) -> None:
    by_actor: dict[str, list[Event]] = {}
    for actor, event in events:
        by_actor.setdefault(actor, []).append(event)
    for actor, found in by_actor.items():
        try:
            with writing():
                append(found, actor=Actor(name=actor))
        except Exception:
            logger.exception("A refusal could not be written to the ledger.")
