"""Jobs: due rows in the database, claimed with a lease and done again after a crash.

Upper layers register what kinds there are when their app is ready, and put rows. A handler may
run twice (its process died after the work and before the row said so), so it is idempotent.
"""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q, QuerySet

from apps.core import clock
from apps.core.models import Job, JobRun
from apps.core.transactions import writing
from apps.engine.errors import ConflictError, NotFoundError
from apps.engine.values import Tree, canonical, parse_canonical

MAX_ATTEMPTS = 8
BACK_OFF = timedelta(seconds=5)
LONGEST_BACK_OFF = timedelta(minutes=15)
KEPT = timedelta(days=90)
MAX_ERROR = 2_000
PRUNE = "jobs.prune"


class LaterError(Exception):
    """A handler raises it when its time has not come: tried again at ``at``, not an attempt."""

    def __init__(self, at: datetime) -> None:
        super().__init__(f"not before {at}")
        self.at = at


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this process holds. ``owner`` is the lease's own id: only its holder ends it."""

    job: Job
    owner: uuid.UUID
    argument: Mapping[str, Any]

    @property
    def is_last(self) -> bool:
        """Whether this is the last attempt."""
        return self.job.attempts >= kind_of(self.job.kind).max_attempts


Handler = Callable[[Claim], datetime | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a job does. ``run`` may give the time at which the same job is due again.

    ``give_up`` is told when no attempt is left, with the last error; it is idempotent too.
    ``every`` makes it recurring: one row is always pending, whatever became of the last; the very
    first is due ``delay`` after it is put.
    """

    name: str
    title: str
    run: Handler
    every: timedelta | None = None
    delay: timedelta = timedelta(0)
    max_attempts: int = MAX_ATTEMPTS
    give_up: Callable[[Claim, str], None] = field(default=lambda _claim, _error: None)


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind known; called when an app is ready. The same name again replaces it."""
    _kinds[kind.name] = kind


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises :class:`LookupError`."""
    return _kinds[name]


def title_of(name: str) -> str:
    """What people read for a kind, also for one that is not known any more."""
    return _kinds[name].title if name in _kinds else name


def put(kind: str, key: str, *, due_at: datetime, subject: str = "", argument: Tree = None) -> None:
    """Have a job done at ``due_at``, inside the caller's transaction.

    A pending one of the same kind and key is moved to that time; one that runs now is done
    again then.
    """
    text = canonical(argument if argument is not None else {})
    pending = Job.objects.select_for_update().filter(kind=kind, key=key, finished_at__isnull=True)
    row = pending.first()
    if row is None:
        try:
            with transaction.atomic():
                Job.objects.create(
                    kind=kind,
                    key=key,
                    subject=subject[:400],
                    argument=text,
                    due_at=due_at,
                    created_at=clock.now(),
                )
        except IntegrityError:  # another process has put it in this moment, and it is there now
            put(kind, key, due_at=due_at, subject=subject, argument=argument)
        return
    row.argument, row.subject = text, subject[:400]
    if row.lease_owner is not None:
        row.wanted_at = due_at
    else:
        row.due_at, row.attempts, row.last_error = due_at, 0, ""
    row.save()


def cancel(kind: str, key: str) -> None:
    """Take a pending job back, inside the caller's transaction; one that runs is not stopped."""
    rows = Job.objects.filter(kind=kind, key=key, finished_at__isnull=True)
    rows.filter(lease_owner__isnull=True).update(finished_at=clock.now(), outcome="cancelled")
    rows.update(wanted_at=None)


def find_pending(kind: str, key: str) -> Job | None:
    """The pending job of that kind and key, locked until the caller's transaction ends."""
    rows = Job.objects.select_for_update()
    return rows.filter(kind=kind, key=key, finished_at__isnull=True).first()


def put_recurring() -> None:
    """Make the pending row of each recurring kind that has none. One that would wait longer than
    its kind does by now (a setting was changed) becomes due with the next interval.
    """
    with writing():
        for kind in _kinds.values():
            if kind.every is None:
                continue
            pending = Job.objects.filter(kind=kind.name, finished_at__isnull=True)
            if not pending.exists():
                put(kind.name, "", due_at=clock.now() + kind.delay)
            latest = clock.now() + max(kind.every, kind.delay)
            pending.filter(lease_owner__isnull=True, due_at__gt=latest).update(due_at=latest)


def claim(process: str, *, now: datetime | None = None, pk: int | None = None) -> Claim | None:
    """Take the job that is due longest, or the one with key ``pk``; ``None`` when there is none.

    Several processes claim at once and none gets what another has: rows are locked and skipped
    on PostgreSQL, and SQLite has one writer.
    """
    moment = now or clock.now()
    if not _claimable(moment, pk).exists():
        return None  # SQLite's one writer is not asked for nothing
    with writing():
        rows = _claimable(moment, pk).order_by("due_at", "pk")
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        job = rows.first()
        if job is None:
            return None
        if job.lease_owner is not None:
            _end_run(job.lease_owner, "lost", "Its process ended without an answer.")
            job.last_error = "Its process ended without an answer."
        owner = uuid.uuid4()
        job.lease_owner, job.lease_until = owner, clock.now() + settings.JOB_LEASE
        job.attempts += 1
        job.save()
        JobRun.objects.create(
            id=owner, job=job, attempt=job.attempts, process=process, started_at=clock.now()
        )
    return Claim(job, owner, parse_canonical(job.argument))


def _claimable(now: datetime, pk: int | None) -> QuerySet[Job]:
    rows = Job.objects.filter(
        Q(lease_until__isnull=True) | Q(lease_until__lte=now),
        finished_at__isnull=True,
        kind__in=_kinds,
    )
    return rows.filter(due_at__lte=now) if pk is None else rows.filter(pk=pk)


def extend(owners: list[uuid.UUID]) -> None:
    """Hold the leases for another while."""
    with writing():
        Job.objects.filter(lease_owner__in=owners, finished_at__isnull=True).update(
            lease_until=clock.now() + settings.JOB_LEASE
        )


def finish(held: Claim, *, again_at: datetime | None = None) -> None:
    """Say that it is done; its next occasion becomes a row in the same transaction.

    Does nothing when the lease has passed to another.
    """
    _end(held, "done", "", again_at)


def fail(held: Claim, error: str) -> None:
    """Say that the attempt failed: again after a while, or never when it was the last."""
    if held.is_last:
        _end(held, "failed", error, None)
        return
    wait = min(LONGEST_BACK_OFF, BACK_OFF * 2 ** min(held.job.attempts - 1, 16))
    wait *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
    with writing():
        _mine(held).update(
            lease_owner=None,
            lease_until=None,
            last_error=error[:MAX_ERROR],
            due_at=clock.now() + wait,
        )
        _end_run(held.owner, "failed", error)


def postpone(held: Claim, at: datetime) -> None:
    """Give it back until ``at``; this was no attempt."""
    with writing():
        _mine(held).update(
            lease_owner=None, lease_until=None, due_at=at, attempts=F("attempts") - 1
        )
        _end_run(held.owner, "done", "")


def _end(held: Claim, outcome: str, error: str, again_at: datetime | None) -> None:
    with writing():
        job = _mine(held).select_for_update().first()
        if job is None:
            return
        kind = kind_of(job.kind)
        wanted = [each for each in (again_at, job.wanted_at) if each is not None]
        if kind.every is not None:
            wanted.append(clock.now() + kind.every)
        job.finished_at, job.outcome, job.last_error = clock.now(), outcome, error[:MAX_ERROR]
        job.lease_owner = job.lease_until = job.wanted_at = None
        job.save()
        _end_run(held.owner, outcome, error)
        if wanted:
            put(
                job.kind,
                job.key,
                due_at=min(wanted),
                subject=job.subject,
                argument=parse_canonical(job.argument),
            )


def _mine(held: Claim) -> QuerySet[Job]:
    return Job.objects.filter(pk=held.job.pk, lease_owner=held.owner, finished_at__isnull=True)


def _end_run(owner: uuid.UUID, outcome: str, error: str) -> None:
    JobRun.objects.filter(pk=owner, ended_at__isnull=True).update(
        ended_at=clock.now(), outcome=outcome, error=error[:MAX_ERROR]
    )


def make_due(pk: int) -> Job:
    """Let a job run now: a pending one, or one that failed for good, with all its attempts.

    The caller has asked the right. Raises :class:`NotFoundError`, :class:`ConflictError`.
    """
    with writing():
        job = Job.objects.select_for_update().filter(pk=pk).first()
        if job is None:
            raise NotFoundError("There is no such job.")
        if job.lease_owner is not None:
            raise ConflictError("This job runs already.")
        if job.finished_at is not None and job.outcome != "failed":
            raise ConflictError("This job is over: nothing is left to do.")
        if _others_pending(job).exists():
            raise ConflictError("The same job is due again already.")
        job.finished_at, job.outcome = None, ""
        job.due_at, job.attempts = clock.now(), 0
        job.save()
    return job


def _others_pending(job: Job) -> QuerySet[Job]:
    rows = Job.objects.filter(kind=job.kind, key=job.key, finished_at__isnull=True)
    return rows.exclude(pk=job.pk)


def list_jobs(state: str) -> QuerySet[Job]:
    """Jobs that are ``due`` (some time), ``running``, ``failed`` or ``past``."""
    rows = Job.objects.all()
    if state == "running":
        return rows.filter(finished_at__isnull=True, lease_owner__isnull=False).order_by("due_at")
    if state == "due":
        return rows.filter(finished_at__isnull=True, lease_owner__isnull=True).order_by("due_at")
    if state == "failed":
        troubled = Q(outcome="failed") | Q(finished_at__isnull=True) & ~Q(last_error="")
        return rows.filter(troubled).order_by("-created_at")
    return rows.filter(finished_at__isnull=False).order_by("-finished_at")


def list_runs(jobs: list[Job]) -> dict[int, list[JobRun]]:
    """The attempts of jobs, newest first, by the job's key."""
    found: dict[int, list[JobRun]] = {job.pk: [] for job in jobs}
    for run in JobRun.objects.filter(job__in=jobs):
        found[run.job_id].append(run)
    return found


def prune(_claim: Claim) -> None:
    """Forget jobs that were over 90 days ago, with their runs."""
    with writing():
        Job.objects.filter(finished_at__lt=clock.now() - KEPT).delete()


def register_own() -> None:
    """The kinds of this app."""
    register(Kind(PRUNE, "Forget old jobs", prune, every=timedelta(days=1)))
