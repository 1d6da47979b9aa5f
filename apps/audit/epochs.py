"""Epochs: within one, a revision names one state of one database. Another database begins another.

An epoch is bound to the identity of the database that it was begun in, and to how far it had come
as it is remembered outside of it: in a file of the data folder, and in Redis where there is one. A
database that was copied, failed over to, or put back from an older copy is found out by either, and
its revisions are no continuation of those that clients hold.
"""

import json
import logging
import os
import secrets
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import ProgrammingError, connection, transaction
from django.dispatch import Signal

from apps.audit.models import AuditEvent, Head
from apps.audit.services import Event, append, lock_ledger
from apps.core.actor import Actor
from apps.core.reaching_redis import ask_redis
from apps.core.transactions import writing

logger = logging.getLogger(__name__)

begun = Signal()
"""An epoch begins, in the transaction that begins it: what is remembered by numbers that the database counts
may stand for something else in it.
"""

IDENTITY_FILE: Final = "database.id"
MEMORY_FILE: Final = "epochs.json"
REDIS_KEY: Final = "configsvc:epochs"
REMEMBERING: Final = "remember the revision"
MAX_EPOCHS: Final = 100
IDENTITY: Final = """
    SELECT system_identifier, substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8),
        (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an epoch had come; without ``hash`` the number alone is known."""

    revision: int
    hash: str = ""


def settle(*, actor: Actor) -> str | None:
    """Begin a new epoch when the database is another than the one that the present epoch was begun
    in, or when it lacks what is remembered of it. Returns the new epoch, ``None`` when all is well.

    Of several nodes that find this at once, one begins it and the others see that it has been done.
    """
    identity = find_identity()
    if identity is None:
        logger.warning(
            "PostgreSQL does not tell its identity: a failover or a copy is found out by the "
            "remembered revision alone. GRANT EXECUTE ON FUNCTION pg_control_system() to the role."
        )
    with writing():
        lock_ledger()
        head = Head.objects.get(pk=1)
        why = _find_reason(head, identity)
        if not why:
            if identity and head.identity != identity:  # begun before identities were kept
                Head.objects.filter(pk=1).update(identity=identity)
            return None
        epoch = renew(identity)
        event = Event(
            "installation.epoch_begun",
            "installation",
            {"epoch": epoch, "was": f"{head.epoch}-{head.number}", "why": why},
        )
        append([event], actor=actor)
    logger.warning("A new epoch %s has begun after %s: %s.", epoch, head, why)
    remember()
    return epoch


@dataclass(frozen=True, slots=True)
class End:
    """Where the ledger ends. ``is_another``: in another database than its epoch is bound to."""

    epoch: str
    revision: int
    is_another: bool


def read_end() -> End:
    """The end of the ledger as committed now, and whether it is where its epoch is bound to.

    Connections are made anew without a word, so each look at the ledger asks for both; so often
    that this is the bare statement.
    """
    identity = find_identity()
    with connection.cursor() as cursor:
        cursor.execute("SELECT epoch, number, identity FROM audit_head WHERE id = 1")
        epoch, number, bound = cursor.fetchone()
    return End(epoch, int(number), bool(identity and bound and identity != bound))


def renew(identity: str | None = None) -> str:
    """Give the ledger a new epoch, bound to the database as it is, inside the caller's transaction,
    who writes the event. Returns the epoch.
    """
    epoch = secrets.token_hex(4)
    bound = identity or find_identity() or ""
    Head.objects.filter(pk=1).update(epoch=epoch, identity=bound)
    begun.send(sender=Head)
    return epoch


def _find_reason(head: Head, identity: str | None) -> str:
    """Why the epoch of ``head`` cannot go on; empty when it can."""
    if identity and head.identity and head.identity != identity:
        return "the database is another one: copied, restored elsewhere or failed over"
    for reached in (_read_file().get(head.epoch), _ask_redis(head.epoch)):
        if reached is None:
            continue
        if head.number < reached.revision:
            return f"the database ends before revision {reached.revision}, which it had reached"
        if reached.hash and reached.hash != _hash_at(head, reached.revision):
            return f"the database has another history up to revision {reached.revision}"
    return ""


def _hash_at(head: Head, revision: int) -> str:
    if revision == head.number:
        return head.hash
    rows = AuditEvent.objects.filter(number=revision)
    return rows.values_list("hash", flat=True).first() or ""


def find_identity() -> str | None:
    """What tells this database from its copies; ``None`` where PostgreSQL does not let us ask.

    PostgreSQL: the cluster's system identifier, the timeline that it writes, and the database's oid:
    any role may ask for all three, unless an administrator took that away. SQLite: an id in the
    data folder, for the file itself is the same wherever it is copied.
    """
    if connection.vendor == "sqlite":
        return f"folder {_folder_id()}"
    undone = transaction.atomic() if connection.in_atomic_block else nullcontext()
    try:
        with undone, connection.cursor() as cursor:
            cursor.execute(IDENTITY)
            system, timeline, oid = cursor.fetchone()
    except ProgrammingError:
        return None
    return f"cluster {system} timeline {timeline} database {oid}"


def _folder_id() -> str:
    path = Path(settings.DATA_DIR) / IDENTITY_FILE
    if not path.exists():
        _write_new(path, secrets.token_hex(16) + "\n")
    return path.read_text().strip()


def _write_new(path: Path, text: str) -> None:
    """Make a file, whole; of several that do, the first one's stays."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with part.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)


def remember() -> None:
    """Keep outside of the database how far it has come. What cannot be kept is logged."""
    remember_in_redis(*remember_in_folder())


def remember_in_folder() -> tuple[str, int]:
    """The same in the data folder alone. Gives the epoch and the revision."""
    epoch, number, digest = Head.objects.values_list("epoch", "number", "hash").get(pk=1)
    known = _read_file()
    if epoch not in known or known[epoch].revision < number:
        known.pop(epoch, None)  # the newest stand last
        kept = dict([*known.items(), (epoch, Reached(number, digest))][-MAX_EPOCHS:])
        _write_file(kept)
    return epoch, number


def remember_in_redis(epoch: str, number: int) -> None:
    """The same in Redis alone, without the database. A Redis that is stuck is waited for."""
    ask_redis(lambda redis: redis.zadd(REDIS_KEY, {epoch: number}, gt=True), purpose=REMEMBERING)


def _read_file() -> dict[str, Reached]:
    try:
        members = json.loads((Path(settings.DATA_DIR) / MEMORY_FILE).read_text())
        return {
            str(epoch): Reached(int(each["revision"]), str(each["hash"]))
            for epoch, each in members.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write_file(known: dict[str, Reached]) -> None:
    """By a renaming: a reader sees the old one or the new one. It is not synced: what a power cut
    takes of it makes it remember less, never more.
    """
    path = Path(settings.DATA_DIR) / MEMORY_FILE
    members = {
        epoch: {"revision": each.revision, "hash": each.hash} for epoch, each in known.items()
    }
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        part.write_text(json.dumps(members))
        part.replace(path)
    except OSError as error:
        logger.warning("The data folder does not remember the revision: %s.", error)
        part.unlink(missing_ok=True)


def _ask_redis(epoch: str) -> Reached | None:
    number = ask_redis(lambda redis: redis.zscore(REDIS_KEY, epoch), purpose=REMEMBERING)
    return None if number is None else Reached(int(number))
