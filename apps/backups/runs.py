"""Doing runs: each is a due job of its own, done again after a crash, and ended in any case."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.audit.selectors import events_since
from apps.audit.services import append
from apps.backups import services
from apps.backups.catalogue import Archive, get_archive, read_catalogue, store
from apps.backups.drills import drill
from apps.backups.models import Run
from apps.backups.pruning import Plan
from apps.backups.selectors import plan_as_it_is
from apps.backups.writing import Progress
from apps.core import clock, jobs
from apps.core.actor import Actor
from apps.core.jobs import Claim, Kind
from apps.core.transactions import writing
from apps.engine.errors import DomainError, NotFoundError, UnavailableError
from apps.engine.values import Tree, parse_canonical

JOB: Final = "backup.run"
ATTEMPTS: Final = 3
"""Whoever asked waits for an answer; the schedule asks again by itself."""
TELL_EVERY: Final = 1.0
KEPT: Final = timedelta(days=400)
LOST: Final = "Its job is gone."


def ask_run(*, actor: Actor, kind: str, archive: str = "") -> Run:
    """Have the job runner do it; the run that does the same already, when there is one.

    Needs ``manage`` of everything. Raises :class:`NotFoundError` where there is no such archive.
    """
    policy.require_free(actor, "manage", EVERYWHERE)
    if kind == Run.VERIFY:
        get_archive(store(), archive)
    with writing():
        open_ = _find_open(kind, archive)
        if open_ is not None:
            return open_
        asked = {"author": actor.name, "asked_at": clock.now(), "step": "Waiting"}
        run, is_new = Run.objects.get_or_create(
            kind=kind, archive=archive, ended_at=None, defaults=asked
        )
        if is_new:  # else somebody else has asked in this moment
            jobs.put(JOB, str(run.pk), due_at=clock.now(), subject=f"{run}, for {actor.name}")
    return run


def _find_open(kind: str, archive: str) -> Run | None:
    """The run of that kind that is not over. One whose job is gone is ended on the way."""
    rows = Run.objects.select_for_update().filter(kind=kind, ended_at=None)
    if kind == Run.VERIFY:
        rows = rows.filter(archive=archive)
    for run in rows:
        if jobs.find_pending(JOB, str(run.pk)) is not None:
            return run
        _end(run, problem=LOST)
    return None


def kind() -> Kind:
    """The kind of job that does runs."""
    title = "Make, verify, try or delete backups, as asked"
    return Kind(JOB, title, _run, max_attempts=ATTEMPTS, give_up=_give_up)


def _run(claim: Claim) -> None:
    run = Run.objects.filter(pk=claim.job.key, ended_at=None).first()
    if run is None:  # of before a restore, or ended by an attempt that could not say so
        return
    run.started_at = run.started_at or clock.now()
    with writing():
        run.save(update_fields=["started_at"])
    # the right was asked when the run was
    actor = Actor(name=run.author, is_superuser=True)
    try:
        _ACTS[run.kind](run, actor, Tracker(run))
    except UnavailableError as error:  # a key provider or a storage that is away may come back
        Run.objects.filter(pk=run.pk).update(step=f"Tried again soon: {error.detail}"[:200])
        raise
    except DomainError as error:
        with writing():
            _end(run, problem=error.detail)


def _give_up(claim: Claim, error: str) -> None:
    run = Run.objects.filter(pk=claim.job.key, ended_at=None).first()
    if run is not None:
        with writing():
            _end(run, problem=error or "It could not be done.")


class Tracker:
    """A :data:`Progress` that writes into the run, at most once in a second."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._next = 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        """Take note."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + TELL_EVERY
        with writing():
            Run.objects.filter(pk=self._run.pk).update(step=what[:200], done=done, total=of)


def _end(run: Run, **outcome: Any) -> None:
    """Write down what came of it, inside the caller's transaction."""
    Run.objects.filter(pk=run.pk, ended_at=None).update(
        ended_at=clock.now(), step="", done=0, total=0, **outcome
    )


def _create(run: Run, actor: Actor, progress: Progress) -> None:
    """The archive has the run's id, by which an attempt finds what one before it has made."""
    made = _find_made(run) or services.make_archive(progress=progress, archive=run.pk.hex)
    if made is None:  # full ones are always made
        return
    with writing():
        services.record_made(made, actor=actor)
        _end(run, archive=made.name, revision=made.header.revision, size=made.size)


def _find_made(run: Run) -> services.Made | None:
    for each in read_catalogue(store()):
        if each.header is not None and each.header.id == run.pk.hex:
            checked = services.check(each.name)
            rows = sum(checked.last["rows"].values())
            return services.Made(each.name, each.header, rows, each.size)
    return None


def _verify(run: Run, actor: Actor, progress: Progress) -> None:
    revision, problem = None, ""
    try:
        revision = int(services.check(run.archive, progress).last["revision"])
    except UnavailableError:
        raise
    except DomainError as error:
        problem = error.detail
    _record(run, actor, "backup.verified", revision=revision, problem=problem)


def _drill(run: Run, actor: Actor, progress: Progress) -> None:
    archives = read_catalogue(store())
    newest = next((each for each in archives if each.header), None)
    damaged = [each for each in archives if each.header is None and each.name[0].isdigit()]
    if damaged and (newest is None or damaged[0].name > newest.name):
        newest = damaged[0]  # our names begin with the time: a restore would be asked for this one
    if newest is None:
        raise NotFoundError("There is no backup yet.")
    run.archive = newest.name
    problem = drill(newest.name, settings.BACKUP_WORK / f".drill-{run.pk.hex}", progress)
    revision = newest.header.revision if newest.header and not problem else None
    _record(run, actor, "backup.tried", revision=revision, problem=problem)


def _record(run: Run, actor: Actor, action: str, *, revision: int | None, problem: str) -> None:
    told: dict[str, Tree] = {"revision": revision, "problem": problem}
    with writing():
        append([services.event(action, run.archive, told)], actor=actor)
        _end(run, archive=run.archive, revision=revision, problem=problem)


def _prune(run: Run, actor: Actor, _progress: Progress) -> None:
    """What goes is in the ledger before it does, so an attempt after a crash takes that alone."""
    archives = read_catalogue(store())
    if run.revision is None:
        plan = plan_as_it_is(archives)
        if plan.gone:
            with writing():
                run.revision = services.record_pruned(plan, actor=actor).revision
                run.size = plan.size
                run.save(update_fields=["revision", "size"])
    else:
        plan = _told(run.revision, archives)
    services.delete(plan.gone)
    with writing():
        Run.objects.filter(ended_at__lt=clock.now() - KEPT).delete()
        _end(run, size=run.size or 0)


def _told(revision: int, archives: list[Archive]) -> Plan:
    event = next(events_since(revision - 1, until=revision))
    names = parse_canonical(event.data)["archives"]
    return Plan(gone=[each for each in archives if each.name in names])


_ACTS: Final[Mapping[str, Callable[[Run, Actor, Progress], None]]] = {
    Run.CREATE: _create,
    Run.VERIFY: _verify,
    Run.DRILL: _drill,
    Run.PRUNE: _prune,
}
