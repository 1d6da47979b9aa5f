"""The archives, the runs, and how the installation stands."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import QuerySet

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.audit.selectors import EventFilters, head, list_events
from apps.backups.catalogue import Archive, chain_of, get_archive, read_catalogue, store
from apps.backups.models import Run
from apps.backups.pruning import Plan, plan_pruning
from apps.backups.reading import Header
from apps.configs.selectors.redactions import find_first_revision
from apps.core import clock
from apps.core.actor import Actor
from apps.engine.errors import NOTHING_HERE, NotFoundError, UnavailableError
from apps.engine.values import parse_canonical

MOST_NAMED: Final = 500
"""Of more archives than these the runs are not asked for one by one: there are fewer of them."""
OLD: Final = timedelta(days=2)
"""After so long without a drill that went well, people are warned."""


@dataclass(frozen=True, slots=True)
class Looked:
    """An archive, and what came of it when it was last verified and restored on trial."""

    archive: Archive
    verified_at: datetime | None = None
    drilled_at: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Drills:
    """The last drill that went well, and the last of all when it did not."""

    good: Run | None
    failed: Run | None

    @property
    def is_old(self) -> bool:
        """Whether there was none for too long."""
        return self.good is None or clock.now() - _ended(self.good) > OLD


@dataclass(frozen=True, slots=True)
class Exposure:
    """What is lost if the database goes now: how many events since when. ``since`` is ``None``
    when there is no archive of this database.
    """

    events: int
    since: datetime | None


def may_see_backups(actor: Actor) -> bool:
    """Whether the actor may know of archives and runs: administrators and auditors."""
    return any(policy.allowed_free(actor, verb, EVERYWHERE) for verb in ("manage", "audit"))


def require_sight(actor: Actor) -> None:
    """Raise :class:`ForbiddenError` unless :func:`may_see_backups`."""
    if not may_see_backups(actor):
        policy.require_free(actor, "manage", EVERYWHERE)


def list_archives(*, actor: Actor, redaction: int | None = None) -> list[Archive]:
    """All archives, the newest first, or those that hold what the act of that revision redacted.
    Needs ``manage`` or ``audit`` of everything.
    """
    require_sight(actor)
    found = read_catalogue(store())
    held = None if redaction is None else list_holding(redaction=redaction)
    return found if held is None else held


def list_holding(*, redaction: int) -> list[Archive] | None:
    """The archives that still hold what the act of redaction of that revision took out: made of the
    ledger after a text was first published, and before that act. ``None`` while the storage is away.

    Asks for no right: it answers who redacts. Of a ledger that was left by a restore, what came after
    that is not known, and counts as holding it.
    """
    first = find_first_revision(revision=redaction)
    if first is None:
        return []
    now, forks = head(), _forks()

    def holds(header: Header | None) -> bool:
        if header is None:
            return False
        common = now.revision if header.epoch == now.epoch else forks.get(header.epoch, 0)
        if header.revision <= common:
            return first <= header.revision < redaction
        return redaction > common

    try:
        return [each for each in read_catalogue(store()) if holds(each.header)]
    except UnavailableError:
        return None


def _forks() -> dict[str, int]:
    """By epoch before this one, the last of its revisions that this ledger holds too."""
    found = {}
    for event in list_events(EventFilters(action="installation.*")):
        epoch, _dash, revision = str(parse_canonical(event.data).get("was", "")).rpartition("-")
        if revision.isdigit():
            found[epoch] = int(revision)
    return found


def find_chain(*, actor: Actor, name: str) -> list[Archive]:
    """The archives that one needs to be restored, itself as the last. Raises :class:`NotFoundError`."""
    require_sight(actor)
    place = store()
    get_archive(place, name)
    return chain_of(read_catalogue(place), name)


def look_up(archives: Sequence[Archive]) -> list[Looked]:
    """What is known of archives: by one statement."""
    names = {each.name for each in archives}
    ended = Run.objects.filter(ended_at__isnull=False)
    if len(names) <= MOST_NAMED:
        ended = ended.filter(archive__in=names)
    last: dict[tuple[str, str], Run] = {}
    for run in ended.filter(kind__in=(Run.VERIFY, Run.DRILL)).order_by("ended_at"):
        last[run.archive, run.kind] = run
    return [_looked(each, last) for each in archives]


def _looked(archive: Archive, last: dict[tuple[str, str], Run]) -> Looked:
    verified, drilled = (last.get((archive.name, kind)) for kind in (Run.VERIFY, Run.DRILL))
    latest = max((each for each in (verified, drilled) if each), key=_ended, default=None)
    return Looked(
        archive,
        verified.ended_at if verified and not verified.problem else None,
        drilled.ended_at if drilled and not drilled.problem else None,
        archive.problem or (latest.problem if latest else ""),
    )


def _ended(run: Run) -> datetime:
    return run.ended_at or run.asked_at


def plan(*, actor: Actor) -> Plan:
    """What pruning would keep and take now. Needs ``manage`` or ``audit`` of everything."""
    require_sight(actor)
    return plan_as_it_is(read_catalogue(store()))


def plan_as_it_is(archives: Sequence[Archive]) -> Plan:
    """The same of archives that were read, without a right."""
    broken = {each.archive.name for each in look_up(archives) if each.problem}
    return plan_pruning(archives, settings.BACKUP_KEEP, broken)


def list_runs(*, actor: Actor) -> QuerySet[Run]:
    """All runs, the last that was asked for first. Needs ``manage`` or ``audit`` of everything."""
    require_sight(actor)
    return Run.objects.all()


def get_run(*, actor: Actor, pk: str) -> Run:
    """One run. Raises :class:`NotFoundError`."""
    require_sight(actor)
    try:
        found = Run.objects.filter(pk=uuid.UUID(pk)).first()
    except ValueError:
        found = None
    if found is None:
        raise NotFoundError(NOTHING_HERE)
    return found


def last_drills() -> Drills:
    """How drills went last."""
    rows = Run.objects.filter(kind=Run.DRILL, ended_at__isnull=False).order_by("-ended_at")
    good, last = rows.filter(problem="").first(), rows.first()
    return Drills(good, last if last is not None and last.problem else None)


def measure_exposure(archives: Sequence[Archive]) -> Exposure:
    """Held against the newest archive of this epoch."""
    now = head()
    for each in archives:
        if each.header is not None and each.header.epoch == now.epoch:
            return Exposure(max(0, now.revision - each.header.revision), each.created_at)
    return Exposure(now.revision, None)
