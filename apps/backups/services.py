"""Making, checking and pruning archives."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.audit.services import Act, Event, append
from apps.backups import archiving
from apps.backups.catalogue import Archive, chain_of, openers, read_catalogue, store
from apps.backups.pruning import Plan
from apps.backups.reading import Header
from apps.backups.restoring import Checked, check_chain
from apps.backups.selectors import plan_as_it_is
from apps.backups.stores import Store
from apps.backups.writing import Progress, silent
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.errors import UnavailableError
from apps.engine.values import Tree


@dataclass(frozen=True, slots=True)
class Made:
    """An archive that was made."""

    name: str
    header: Header
    rows: int
    size: int


def create_backup(*, actor: Actor, full: bool = True, progress: Progress = silent) -> Made | None:
    """Make a full archive, or on SQLite a segment behind the newest; ``None`` when nothing moved.

    Needs ``manage`` of everything. Full ones are acts of the ledger, each after its archive, which
    therefore does not hold it; segments are made by the minute, and are none.
    """
    policy.require_free(actor, "manage", EVERYWHERE)
    made = make_archive(full=full, progress=progress)
    if made is not None and made.header.kind == "full":
        with writing():
            record_made(made, actor=actor)
    return made


def make_archive(
    *, full: bool = True, progress: Progress = silent, archive: str | None = None
) -> Made | None:
    """The same without a right and without an act: of whoever calls. ``archive`` is the id (32
    hexadecimal digits) that a full one is to have. Raises :class:`UnavailableError` when it cannot be
    written, on a full disk, say: nothing of it is kept.
    """
    try:
        made = (
            archiving.write_full(store(), settings.BACKUP_WORK, progress=progress, archive=archive)
            if full
            else archiving.write_segment(store(), settings.BACKUP_WORK, progress=progress)
        )
    except OSError as error:
        raise UnavailableError(
            f"The backup could not be written: {error.strerror or error}."
        ) from error
    if made is None:
        return None
    name, header, written = made
    return Made(name, header, sum(written.rows.values()), written.size)


def record_made(made: Made, *, actor: Actor) -> Act:
    """Write into the ledger that a full archive was made, inside the caller's transaction."""
    told: dict[str, Tree] = {
        "id": made.header.id,
        "epoch": made.header.epoch,
        "revision": made.header.revision,
        "rows": made.rows,
        "bytes": made.size,
    }
    return append([event("backup.created", made.name, told)], actor=actor)


def verify_backup(
    *, actor: Actor, name: str, place: Store | None = None, progress: Progress = silent
) -> Checked:
    """Read an archive and all that it stands on, whole; of the settings' store, or of another one.
    Needs ``manage`` of everything.

    Raises :class:`NotFoundError`, and what ``restoring.check_chain`` raises.
    """
    policy.require_free(actor, "manage", EVERYWHERE)
    return check(name, progress, place)


def check(name: str, progress: Progress = silent, place: Store | None = None) -> Checked:
    """The same without a right."""
    if place is None:
        with contextlib.closing(store()) as own:  # what was fetched goes again
            return check(name, progress, own)
    chain = chain_of(read_catalogue(place), name)
    return check_chain(openers(place, chain), progress)


def prune_backups(*, actor: Actor, dry_run: bool = False) -> Plan:
    """Delete what retention does not keep; returns what that is. Needs ``manage`` of everything."""
    policy.require_free(actor, "manage", EVERYWHERE)
    plan = plan_as_it_is(read_catalogue(store()))
    if plan.gone and not dry_run:
        with writing():
            record_pruned(plan, actor=actor)
        delete(plan.gone)
    return plan


def record_pruned(plan: Plan, *, actor: Actor) -> Act:
    """Write into the ledger which archives go, inside the caller's transaction and before they do."""
    names: list[Tree] = [each.name for each in plan.gone]
    return append([event("backup.pruned", "backups", {"archives": names})], actor=actor)


def delete(gone: Iterable[Archive]) -> None:
    """Delete archives from the store, segments before what they stand on; harmless when they are gone."""
    place = store()
    for each in sorted(gone, key=lambda each: each.header.number if each.header else 0)[::-1]:
        place.delete(each.name)


def event(action: str, name: str, data: dict[str, Tree]) -> Event:
    """An event about an archive."""
    return Event(action, f"backup:{name}", data)
