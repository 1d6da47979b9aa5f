"""Making, checking and pruning archives."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from apps.access import policy
from apps.access.policy import EVERYWHERE
from apps.audit.services import Event, append
from apps.backups import archiving
from apps.backups.catalogue import Archive, chain_of, openers, read_catalogue, store
from apps.backups.reading import Header
from apps.backups.restoring import Checked, check_chain
from apps.backups.stores import Store
from apps.backups.writing import Progress, Written, silent
from apps.core.actor import Actor
from apps.core.transactions import writing
from apps.engine.retention import Retention
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
    write = archiving.write_full if full else archiving.write_segment
    made = write(store(), settings.BACKUP_WORK, progress=progress)
    if made is None:
        return None
    name, header, written = made
    if header.kind == "full":
        with writing():
            append([_event("backup.created", name, _told(header, written))], actor=actor)
    return Made(name, header, sum(written.rows.values()), written.size)


def verify_backup(
    *, actor: Actor, name: str, place: Store | None = None, progress: Progress = silent
) -> Checked:
    """Read an archive and all that it stands on, whole; of the settings' store, or another one. Needs ``manage`` of everything.

    Raises :class:`NotFoundError`, and what ``restoring.check_chain`` raises.
    """
    policy.require_free(actor, "manage", EVERYWHERE)
    place = place or store()
    chain = chain_of(read_catalogue(place), name)
    return check_chain(openers(place, chain), progress)


def plan_pruning(archives: Sequence[Archive], keep: str) -> list[Archive]:
    """The archives that pruning would delete.

    Full ones are kept by ``keep``; segments with the full one that they stand on, while it is one of
    the last two: earlier days need no minutes. What cannot be read is left to people.
    """
    full = [each for each in archives if each.header and each.header.kind == "full"]
    times = [each.created_at for each in full]
    kept = {full[place].name for place in Retention.parse(keep).kept([t for t in times if t])}
    newest = {each.header.id for each in full[:2] if each.header}
    return [
        each
        for each in archives
        if each.header
        and each.name not in kept
        and not (each.header.kind == "segment" and each.header.base in newest)
    ]


def prune_backups(*, actor: Actor, dry_run: bool = False) -> list[Archive]:
    """Delete what retention does not keep, segments before what they stand on; returns it."""
    policy.require_free(actor, "manage", EVERYWHERE)
    place = store()
    gone = plan_pruning(read_catalogue(place), settings.BACKUP_KEEP)
    if dry_run or not gone:
        return gone
    names: list[Tree] = [each.name for each in gone]
    with writing():
        append([_event("backup.pruned", "backups", {"archives": names})], actor=actor)
    for each in sorted(gone, key=lambda each: each.header.number if each.header else 0)[::-1]:
        place.delete(each.name)
    return gone


def _event(action: str, name: str, data: dict[str, Tree]) -> Event:
    return Event(action, f"backup:{name}", data)


def _told(header: Header, written: Written) -> dict[str, Tree]:
    return {
        "id": header.id,
        "epoch": header.epoch,
        "revision": header.revision,
        "rows": sum(written.rows.values()),
        "bytes": written.size,
    }
