"""One rotation, step by step: create, set, test, finish.

What a step does outside of the database it does outside of a transaction, and so it may do it
twice; then it commits that it was done, if nothing has changed meanwhile. Until the last commit
``current`` is what it was, and a rotation that cannot go on leaves it so.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from apps.audit.services import append
from apps.core import clock, jobs
from apps.core.actor import system
from apps.core.models import Connection
from apps.core.transactions import writing
from apps.engine.errors import ConflictError, DomainError, NotFoundError
from apps.engine.values import parse_canonical
from apps.vault import news
from apps.vault.connections import find_credential
from apps.vault.models import Rotation, RotationRun, Secret, SecretStage
from apps.vault.rotators import rotator_of
from apps.vault.rotators.base import Rotator, Task, contained
from apps.vault.schedules import (
    end_unstaged,
    find_rotation,
    put_due,
    put_end,
    refuse_early,
    restart,
)
from apps.vault.versions import (
    add_version,
    check_value,
    destroy_key,
    event_of,
    find_stage,
    lock,
    next_number,
    open_version,
    point,
)
from apps.vault.wrapping import key_for_next, with_keys_ahead

ROBOT = system("rotation")
LONGEST_REASON = 1_000


class OvertakenError(ConflictError):
    """Somebody changed what the rotation rests on: it ends, and what he wrote stays."""

    code = "overtaken"


def advance(held: jobs.Claim) -> None:
    """Go on with a run until it has ended. One that failed before the job was made due begins again."""
    run = _find(held)
    if run is None:
        return
    if run.state == "failed":
        if run.ended_at is None or held.job.due_at <= run.ended_at:
            return  # the process died between the end of the run and that of the job
        run = _begin_again(run)
    try:
        while run.state == "running":
            run = _STEPS[run.step](run)
    except OvertakenError as error:
        end_failed(run, error.detail)


def give_up(held: jobs.Claim, error: str) -> None:
    """No attempt is left."""
    run = _find(held)
    if run is not None:
        end_failed(run, error)


def _find(held: jobs.Claim) -> RotationRun | None:
    rows = RotationRun.objects.select_related(
        "secret__service", "secret__environment", "began_with", "pending"
    )
    return rows.filter(pk=uuid.UUID(held.argument["run"])).first()


def _begin_again(run: RotationRun) -> RotationRun:
    with writing():
        secret = lock(run.secret)
        rotation = find_rotation(secret)
        if rotation is None:
            raise NotFoundError("The secret has no rotation any more.")
        refuse_early(rotation, secret, force=False)
        append([restart(run, secret)], actor=ROBOT)
    return run


def _create(run: RotationRun) -> RotationRun:
    rotator, task = load(run)
    with contained():
        plain = check_value(rotator.create(task))
    return with_keys_ahead(lambda: _keep(run, plain))


def _keep(run: RotationRun, plain: bytes) -> RotationRun:
    prepared = key_for_next(run.secret)
    with _unchanged(run) as (secret, fresh):
        event = event_of(
            "secret.rotation_prepared", secret, rotation=run.pk.hex, version=next_number(secret)
        )
        made = add_version(
            secret=secret, plain=plain, prepared=prepared, events=[event], actor=ROBOT
        )
        point(secret, "pending", made)
        fresh.pending, fresh.step = made, "set"
    return fresh


def _set(run: RotationRun) -> RotationRun:
    rotator, task = load(run)
    with contained():
        rotator.set(task)
    with _unchanged(run) as (_secret, fresh):
        fresh.step = "test"
    return fresh


def _test(run: RotationRun) -> RotationRun:
    rotator, task = load(run)
    try:
        with contained():
            rotator.test(task)
    except DomainError:
        with _unchanged(run) as (_secret, fresh):
            fresh.step = "set"
        raise
    with _unchanged(run) as (_secret, fresh):
        fresh.step = "finish"
    return fresh


def _finish(run: RotationRun) -> RotationRun:
    rotator, task = load(run)
    with contained():
        rotator.finish(task)
    with _unchanged(run) as (secret, fresh):
        pending = fresh.pending
        if pending is None:
            raise OvertakenError("The pending value is gone.")
        rotation = Rotation.objects.select_related("secret").get(secret=secret)
        ends = clock.now() + timedelta(hours=rotation.keep_hours)
        told = news.events_about(secret)
        SecretStage.objects.filter(secret=secret, stage="pending").delete()
        point(secret, "previous", run.began_with)
        point(secret, "current", pending)
        ended = run.began_with
        put_end(ended, rotation, ends)
        end_unstaged(secret, rotation)
        put_due(rotation)
        fresh.state, fresh.ended_at = "done", clock.now()
        event = event_of(
            "secret.rotated",
            secret,
            rotation=run.pk.hex,
            version=pending.number,
            previous=ended.number,
            previous_until=clock.rfc3339(ends),
        )
        append([event, *told], actor=ROBOT)
    return fresh


_STEPS: dict[str, Callable[[RotationRun], RotationRun]] = {
    "create": _create,
    "set": _set,
    "test": _test,
    "finish": _finish,
}


def load(run: RotationRun) -> tuple[Rotator, Task]:
    """What a step needs. Raises :class:`OvertakenError` when it has changed since the beginning."""
    rotation = find_rotation(run.secret)
    if rotation is None:
        raise OvertakenError("The rotation's settings were taken away.")
    current = find_stage(run.secret, "current")
    if current is None or current.pk != run.began_with_id:
        raise OvertakenError(OVERTAKEN)
    pending = find_stage(run.secret, "pending") if run.pending_id else None
    if pending is not None and pending.pk != run.pending_id:
        raise OvertakenError("The pending value is another rotation's.")
    task = Task(
        key=run.pk.hex,
        secret=str(run.secret),
        options=parse_canonical(rotation.options),
        current=open_version(ROBOT, current),
        pending=open_version(ROBOT, pending) if pending is not None else None,
        connection=rotation.connection,
        credential=open_credential(rotation.connection),
    )
    return rotator_of(rotation.rotator), task


OVERTAKEN = "A new value was written meanwhile, so it stays current: rotate again if you want to."


def open_credential(connection: Connection | None) -> object:
    """The value of the secret that a connection uses."""
    if connection is None:
        return None
    found = find_stage(find_credential(connection), "current")
    if found is None:
        raise NotFoundError("The secret that the connection uses has no value.")
    return open_version(ROBOT, found)


@contextmanager
def _unchanged(run: RotationRun) -> Iterator[tuple[Secret, RotationRun]]:
    """A transaction in which ``run`` is as it was when the step began; what is set is saved.

    Raises :class:`ConflictError` when another process has gone on with it, and
    :class:`OvertakenError` when another value became current.
    """
    with writing():
        secret = lock(run.secret)
        fresh = (
            RotationRun.objects.select_for_update(of=("self",))
            .select_related("began_with", "pending")
            .get(pk=run.pk)
        )
        before = (run.state, run.step, run.pending_id, run.began_with_id, run.started_at)
        if before != (
            fresh.state,
            fresh.step,
            fresh.pending_id,
            fresh.began_with_id,
            fresh.started_at,
        ):
            raise ConflictError("Another process has gone on with this rotation.")
        stages = dict(secret.stages.values_list("stage", "version_id"))
        if stages.get("current") != run.began_with_id or stages.get("pending") != run.pending_id:
            raise OvertakenError(OVERTAKEN)
        fresh.secret = secret
        yield secret, fresh
        fresh.save()


def end_failed(run: RotationRun, reason: str) -> None:
    """End a run that is running: its pending value is destroyed, ``current`` stays as it was."""
    with writing():
        try:
            secret = lock(run.secret)
        except NotFoundError:
            return  # with the secret its runs have ended
        fresh = RotationRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
        if fresh.state != "running" or fresh.started_at != run.started_at:
            return
        SecretStage.objects.filter(secret=secret, stage="pending").delete()
        if fresh.pending is not None:
            destroy_key(fresh.pending)
        step = fresh.step
        fresh.state, fresh.ended_at = "failed", clock.now()
        fresh.error = reason[:LONGEST_REASON]
        fresh.save()
        event = event_of(
            "secret.rotation_failed",
            secret,
            rotation=run.pk.hex,
            step=step,
            reason=fresh.error,
        )
        append([event], actor=ROBOT)


def forget(secret: Secret) -> None:
    """End the runs of a secret that is being deleted, in the caller's transaction."""
    rows = RotationRun.objects.filter(secret=secret, state="running")
    rows.update(state="failed", ended_at=clock.now(), error="The secret was deleted.")
