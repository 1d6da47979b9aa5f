"""Bringing the ledger to its sinks, at least once and in order, by a cursor for each.

A required sink is written inside the act's transaction, under the ledger's lock; its cursor moves
with the act. What was written for an act that did not happen in the end (the process died before
the commit) comes again under the same number with another hash: the last line of a number counts.
Other sinks are served by a job after the commit. Every sink begins with the act that found it new.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.audit import sinks
from apps.audit.models import AuditEvent, Head, SinkCursor
from apps.core import clock, jobs
from apps.core.jobs import Claim
from apps.engine.errors import UnavailableError

logger = logging.getLogger(__name__)

JOB = "audit.deliver"
BATCH = 500
MAX_ATTEMPTS = 30
MAX_ERROR = 500

_failures: dict[str, tuple[datetime, str]] = {}
"""What kept required sinks from being written last, in this process: their acts left no row."""


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How far a sink is: events that it lacks, since when, and what went wrong last."""

    name: str
    required: bool
    number: int
    lag: int
    delivered_at: datetime | None
    failed_at: datetime | None
    error: str


def send(rows: Sequence[AuditEvent]) -> None:
    """Write an act's events to the required sinks, and have the others served after the commit.

    Inside the act's transaction. Raises :class:`UnavailableError` (``code=sink``), which undoes it.
    """
    found = sinks.configured()
    if not found:
        return
    before = rows[0].number - 1
    for sink in found:
        cursor, _made = SinkCursor.objects.select_for_update().get_or_create(
            name=sink.name, defaults={"number": before}
        )
        if sink.required:
            _write_required(sink, cursor, rows)
    if not all(sink.required for sink in found):
        jobs.put(JOB, "", due_at=clock.now())


def _write_required(sink: sinks.Sink, cursor: SinkCursor, rows: Sequence[AuditEvent]) -> None:
    try:
        while cursor.number < rows[0].number - 1:  # it was not required until now
            missed = _after(cursor.number, until=rows[0].number - 1)
            sink.write(missed)
            cursor.number = missed[-1].number
        sink.write(rows)
    except OSError as error:
        _failures[sink.name] = (clock.now(), _reason(error))
        logger.error(  # noqa: TRY400 - what the system said is all
            "The audit sink '%s' cannot be written: %s", sink.name, _reason(error)
        )
        raise UnavailableError(
            f"The audit sink '{sink.name}' is required and cannot be written, so nothing was "
            "changed. Try again when it is back.",
            code="sink",
        ) from error
    _failures.pop(sink.name, None)
    _move(cursor, rows[-1].number)


def _move(cursor: SinkCursor, number: int) -> None:
    cursor.number, cursor.delivered_at = number, clock.now()
    cursor.failed_at, cursor.last_error = None, ""
    cursor.save()


def _after(number: int, until: int | None = None) -> list[AuditEvent]:
    rows = AuditEvent.objects.filter(number__gt=number).order_by("number")
    return list(rows.filter(number__lte=until)[:BATCH] if until is not None else rows[:BATCH])


def deliver(_claim: Claim) -> None:
    """Bring the sinks that are not required up to date; the job.

    A sink that fails keeps no other back. Raises :class:`UnavailableError` naming those that did.
    """
    failed = []
    for sink in sinks.configured():
        if sink.required:
            continue
        cursor, _made = SinkCursor.objects.get_or_create(
            name=sink.name, defaults={"number": Head.objects.get(pk=1).number}
        )
        try:
            while rows := _after(cursor.number):
                sink.write(rows)
                _move(cursor, rows[-1].number)
        except OSError as error:
            cursor.failed_at, cursor.last_error = clock.now(), _reason(error)
            cursor.save()
            failed.append(f"{sink.name}: {cursor.last_error}")
    if failed:
        raise UnavailableError(f"Not delivered to {'; '.join(failed)}.")


def _reason(error: OSError) -> str:
    return str(error.strerror or error or type(error).__name__)[:MAX_ERROR]


def list_sinks() -> list[SinkStatus]:
    """How far each sink of the settings is."""
    head = Head.objects.get(pk=1).number
    cursors = {each.name: each for each in SinkCursor.objects.all()}
    found = []
    for sink in sinks.configured():
        row = cursors.get(sink.name) or SinkCursor(name=sink.name, number=head)
        failed_at, error = _failures.get(sink.name, (row.failed_at, row.last_error))
        found.append(
            SinkStatus(
                name=sink.name,
                required=sink.required,
                number=row.number,
                lag=head - row.number,
                delivered_at=row.delivered_at,
                failed_at=failed_at,
                error=error,
            )
        )
    return found


def kind() -> jobs.Kind:
    """The job's kind: put by acts, and looked at hourly in any case."""
    return jobs.Kind(
        JOB,
        "Send the ledger to its sinks",
        deliver,
        every=timedelta(hours=1),
        max_attempts=MAX_ATTEMPTS,
    )
