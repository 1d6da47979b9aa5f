"""Which secrets rotate, how and when; and beginning a rotation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.access import policy
from apps.access.policy import Place
from apps.audit.services import Event, append
from apps.core import clock, jobs
from apps.core.actor import Actor, mark_history
from apps.core.models import Connection
from apps.core.transactions import writing
from apps.engine.errors import ConflictError, invalid
from apps.engine.values import Tree, canonical, parse_canonical
from apps.vault.connections import DESTROY, get_usable_connection
from apps.vault.models import Rotation, RotationRun, Secret, SecretVersion
from apps.vault.rotators import rotator_of
from apps.vault.rotators.base import Option, read_options
from apps.vault.selectors import key_of, place_of
from apps.vault.versions import event_of, find_stage, lock

DUE, ROTATE = "secret.rotation_due", "secret.rotate"
HOURS = 24
EVERY = Option("every_days", "Every so many days", "number", 0, least=1, most=3650)
KEEP = Option("keep_hours", "Keep the value before for hours", "number", HOURS, most=8784)
OWN = ("rotator", "every_days", "keep_hours", "connection")


@dataclass(frozen=True, slots=True)
class Settings:
    """A rotation's settings, read and checked."""

    rotator: str
    options: dict[str, Any]
    connection: Connection | None
    every_days: int | None
    keep_hours: int


def read_settings(*, actor: Actor, place: Place, given: Mapping[str, Tree]) -> Settings:
    """The settings in ``{"rotator","every_days","keep_hours","connection", …the rotator's own}``.

    In the caller's transaction, who holds the composition lock: so the connection stays. Raises :class:`InvalidError` naming the member at fault.
    """
    rotator = rotator_of(given.get("rotator"))
    own = read_options(
        (EVERY, KEEP), {name: given.get(name) for name in ("every_days", "keep_hours")}
    )
    options = read_options(
        rotator.options, {name: value for name, value in given.items() if name not in OWN}
    )
    connection = None
    name = given.get("connection")
    if rotator.needs:
        if not isinstance(name, str):
            raise invalid("/rotation/connection", "connection", "This rotator needs a connection.")
        connection = get_usable_connection(actor=actor, place=place, name=name)
        if connection.kind != rotator.needs:
            raise invalid("/rotation/connection", "connection", f"It is no {rotator.needs}.")
    elif name is not None:
        raise invalid("/rotation/connection", "connection", "This rotator uses no connection.")
    rotator.check(options, connection)
    every, keep = own["every_days"] or None, own["keep_hours"]
    if every is not None and keep >= every * HOURS:
        raise invalid(
            "/rotation/keep_hours", "option", "The value before ends before the next rotation."
        )
    return Settings(rotator.name, options, connection, every, keep)


def find_rotation(secret: Secret) -> Rotation | None:
    """A secret's rotation, with its connection."""
    return Rotation.objects.select_related("connection").filter(secret=secret).first()


def present_settings(rotation: Rotation) -> dict[str, Tree]:
    """The settings as they are given."""
    shown: dict[str, Tree] = {
        "rotator": rotation.rotator,
        "every_days": rotation.every_days,
        "keep_hours": rotation.keep_hours,
    }
    if rotation.connection is not None:
        shown["connection"] = rotation.connection.slug
    return {**shown, **parse_canonical(rotation.options)}


def put_rotation(secret: Secret, wanted: Settings, actor: Actor) -> Event:
    """Write the settings and the next due row, in the caller's transaction; gives the event."""
    row = Rotation.objects.filter(secret=secret).first()
    row = row or Rotation(secret=secret, created_at=clock.now())
    before = row.every_days
    row.rotator, row.options = wanted.rotator, canonical(wanted.options)
    row.connection = wanted.connection
    row.every_days, row.keep_hours = wanted.every_days, wanted.keep_hours
    mark_history(row, actor)
    row.save()
    if row.every_days is None:
        jobs.cancel(DUE, secret.pk.hex)
    elif row.every_days != before:
        put_due(row)
    return event_of("secret.rotation_set", secret, **present_settings(row))


def put_due(rotation: Rotation) -> None:
    """Make the row of the next rotation by schedule, one period from now."""
    if rotation.every_days is not None:
        secret = rotation.secret
        at = clock.now() + timedelta(days=rotation.every_days)
        jobs.put(DUE, secret.pk.hex, due_at=at, subject=str(secret))


def change(secret: Secret, wanted: Settings | None, actor: Actor) -> list[Event]:
    """Give a secret a rotation, change it, or take it away (``None``), in the caller's transaction,
    who holds the secret's lock and has asked the right; gives the events.

    Raises :class:`ConflictError` while a rotation runs.
    """
    _refuse_running(secret)
    if wanted is not None:
        return [put_rotation(secret, wanted, actor)]
    removed = remove_rotation(secret, actor)
    return [event_of("secret.rotation_removed", secret)] if removed else []


def remove_rotation(secret: Secret, actor: Actor) -> bool:
    """Take a rotation away, in the caller's transaction; whether there was one."""
    row = Rotation.objects.filter(secret=secret).first()
    jobs.cancel(DUE, secret.pk.hex)
    if row is None:
        return False
    mark_history(row, actor)
    row.delete()
    return True


def begin_rotation(*, actor: Actor, secret: Secret, force: bool = False) -> RotationRun:
    """Begin a rotation, which a job then does. Needs ``secure``.

    Raises :class:`InvalidError` without settings, :class:`ConflictError` while one runs (code
    ``rotating``), and where it would end a value before its time (``previous_in_use``) unless
    ``force``.
    """
    policy.require(actor, "secure", place_of(secret), [key_of(secret.slug)])
    with writing():
        secret = lock(secret)
        rotation = Rotation.objects.filter(secret=secret).first()
        if rotation is None:
            raise invalid("", "no_rotation", "This secret has no rotation: set one first.")
        _refuse_running(secret)
        refuse_early(rotation, secret, force)
        run = RotationRun(secret=secret, author=actor.name)
        append([restart(run, secret)], actor=actor)
    return run


def restart(run: RotationRun, secret: Secret) -> Event:
    """Let ``run`` begin (again) with what is current, in the caller's transaction."""
    _refuse_running(secret)
    current = find_stage(secret, "current")
    if current is None:
        raise ConflictError("This secret has no current value.")
    run.began_with, run.pending, run.step = current, None, "create"
    run.state, run.error, run.started_at, run.ended_at = "running", "", clock.now(), None
    run.save()
    key = secret.pk.hex
    jobs.put(ROTATE, key, due_at=clock.now(), subject=str(secret), argument={"run": run.pk.hex})
    return event_of("secret.rotation_begun", secret, rotation=run.pk.hex, version=current.number)


def is_running(secret: Secret) -> bool:
    """Whether a rotation of the secret is at work."""
    return RotationRun.objects.filter(secret=secret, state="running").exists()


def _refuse_running(secret: Secret) -> None:
    if is_running(secret):
        raise ConflictError("A rotation of this secret is running: wait for it.", code="rotating")


def refuse_early(rotation: Rotation, secret: Secret, force: bool) -> None:
    """Refuse what would take the place of a value whose time is not over, or just ends."""
    if not rotator_of(rotation.rotator).alternates:
        return
    kept = secret.versions.filter(wrapped__isnull=False)
    found = [ending for each in kept if (ending := pending_end(each)) is not None]
    if any(each.lease_owner is not None for each in found):
        raise ConflictError("The value before is being ended: wait for it.", code="ending")
    if found and not force:
        until = clock.rfc3339(max(each.due_at for each in found))
        raise ConflictError(
            f"The value before is valid until {until}, and would end now. Wait, or force it.",
            code="previous_in_use",
            until=until,
        )


def pending_end(version: SecretVersion) -> Any:
    """The job that ends a version, locked until the transaction ends; ``None``: there is none."""
    return jobs.find_pending(DESTROY, version.pk.hex)


def put_end(version: SecretVersion, rotation: Rotation, at: datetime) -> None:
    """Make the row of the end of a value that ``rotation`` has replaced.

    It keeps how the value came to be used, so that it ends there whatever the rotation is by then.
    """
    argument: dict[str, Tree] = {
        "version": version.pk.hex,
        "rotator": rotation.rotator,
        "options": parse_canonical(rotation.options),
        "connection": rotation.connection_id and str(rotation.connection_id),
    }
    _put_end(version, argument, at)


def end_unstaged(secret: Secret, rotation: Rotation) -> None:
    """Make the rows of the ends of values that no stage names any more, such as were written by
    hand before one that a rotation replaced: with a rotation no value but the last two stays.
    """
    at = clock.now() + timedelta(hours=rotation.keep_hours)
    for version in secret.versions.filter(wrapped__isnull=False, stages__isnull=True):
        if pending_end(version) is None:
            put_end(version, rotation, at)


def is_in_use(version: SecretVersion) -> bool:
    """Whether a value is still accepted where a connection brought it, and is to end there."""
    return _use_of(version) is not None


def end_now(version: SecretVersion) -> bool:
    """Have a value that :func:`is_in_use` end now; whether it is one."""
    argument = _use_of(version)
    if argument is None:
        return False
    _put_end(version, argument, clock.now())
    return True


def _use_of(version: SecretVersion) -> Tree:
    ending = pending_end(version)
    argument = parse_canonical(ending.argument) if ending is not None else None
    return argument if argument and argument.get("connection") else None


def _put_end(version: SecretVersion, argument: Tree, at: datetime) -> None:
    subject = f"{version.secret} v{version.number}"
    jobs.put(DESTROY, version.pk.hex, due_at=at, subject=subject, argument=argument)
