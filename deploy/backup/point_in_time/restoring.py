"""Restoring: to the end of the log, or to an act of the ledger exactly.

**How an act is found.** The row of the ledger knows the transaction that wrote it (``xmin``), and
the ledger comes back whole with the newest backup, whatever became of the server. So the newest is
restored into a folder beside, and asked; its log then says where that transaction was committed,
and recovery stops right after that record (``recovery_target_lsn``).

**Why this is exact.** Acts are numbered under one locked row that a transaction holds until its
commit is in the log, so the commits of acts stand in the log in the order of their revisions: up
to the one, and not the next. The other ways are not exact. PostgreSQL stops *before* the first
commit of any transaction that is later than a given time (``recovery_target_time``); but times are
taken before commits are put into the log, so one that was overtaken there, the act itself, may be
missing. ``recovery_target_xid`` knows transactions and not the savepoints in them, but acts write
their rows inside of one wherever a service is called within a transaction (in the admin, say), and
``xmin`` is then the savepoint's: recovery would not stop. Restore points cannot be set afterwards.

A time is that of the ledger, as everywhere in configsvc: it means the last act that was not later.
What is not an act (sessions, counters, jobs) is as it was when the act was committed.
"""

import contextlib
import fcntl
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from point_in_time.log import ArchivedLog, Commit, Stretch, read_history
from point_in_time.private_server import PrivateServer, private_server
from point_in_time.programs import (
    Backup,
    Known,
    RefusedError,
    check_passphrase,
    look_up,
    read_archived,
    say,
    server_program,
    watch_pgbackrest,
    written,
)
from point_in_time.settings import Settings

STOPS_WITHIN = 30
ACT = """SELECT number, revision, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    xmin FROM audit_auditevent """
BY_NUMBER = ACT + "WHERE number = :'number'::bigint"
BY_TIME = ACT + "WHERE at <= :'time'::timestamptz ORDER BY number DESC LIMIT 1"
LAST = ACT + "ORDER BY number DESC LIMIT 1"
HEAD = "SELECT number FROM audit_head"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to restore to: an act by its revision, the last act of a time, or all there is."""

    revision: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """An act of the ledger, and the transaction (or savepoint) that wrote its last event."""

    revision: int
    at: datetime
    xid: int


@dataclass(frozen=True, slots=True)
class Point:
    """Where an act is: in the log, on which timeline, and after which backup."""

    act: Act
    last: Act
    commit: Commit
    timeline: int
    backup: Backup

    def options(self) -> list[str]:
        """What makes pgBackRest restore to here, and PostgreSQL go on from here by itself."""
        return [
            f"--set={self.backup.label}",
            "--type=lsn",
            f"--target={written(self.commit.lsn)}",
            f"--target-timeline={self.timeline}",
            "--target-action=promote",
        ]


def restore(
    settings: Settings, wanted: Wanted, *, over: bool, preview: bool, timeline: str
) -> None:
    """Restore the data folder to what is ``wanted``, recover it there, and check the ledger's end.

    The data folder is not touched before the act is found, nor with ``preview``. ``over`` lets it
    replace what lies in the folder; a server that runs on it is always refused. ``timeline`` is
    the one whose acts are meant, ``latest`` or a number. Raises :class:`RefusedError`.
    """
    if not settings.data.name:
        raise RefusedError("Say where the data folder is: --data, or PGDATA.")
    if not preview:
        refuse_unless_free(settings.data, over=over)
    check_passphrase(settings)
    with _alone(settings):
        known = look_up(settings)
        point = None
        options = ["--delta"] if over else []
        if wanted.revision is None and wanted.time is None:
            options += _way_to_the_end(settings, known, timeline)
        else:
            point = find_point(settings, known, wanted, timeline)
            _tell(point)
            options += point.options()
        if preview:
            return
        say(f"Restoring into {settings.data} …")
        watch_pgbackrest(settings, "restore", *options)
        _check(settings, known, point.act.revision if point else None)


def refuse_unless_free(data: Path, *, over: bool) -> None:
    """Raise :class:`RefusedError` if a server runs on the folder, or something would be lost."""
    if (data / "postmaster.pid").exists():
        raise RefusedError(
            f"A server runs on {data}: stop it first. (If it was killed, remove its postmaster.pid.)"
        )
    if not over and data.exists() and any(data.iterdir()):
        raise RefusedError(f"{data} is not empty: move it away, or give --over to replace it.")


def find_point(settings: Settings, known: Known, wanted: Wanted, timeline: str) -> Point:
    """Where the wanted act is. Raises :class:`RefusedError` when the backups do not reach it."""
    say("Looking for the act in the newest backup and its log …")
    with _scratch(settings) as scratch:
        data = scratch / "data"
        watch_pgbackrest(
            settings,
            "restore",
            f"--pg1-path={data}",
            f"--tablespace-map-all={scratch / 'tablespaces'}",
            *_way_to_the_end(settings, known, timeline),
        )
        with private_server(settings, data, version=known.version, lasting=False) as server:
            act = _find_act(server, wanted)
            last = _read_act(server.ask(LAST))
            after = server.ask(BY_NUMBER, number=str(act.revision + 1))
            following = _read_act(after) if after else None
            size = server.ask("SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'")
        log = ArchivedLog(
            settings=settings,
            stretches=_stretches(data),
            segment_size=int(size[0][0]),
            pg_waldump=server_program(settings, known.version, "pg_waldump"),
            data=data,
            folder=scratch,
        )
        since = min(backup.start for backup in known.backups)
        commit = log.find_commit(act.xid, act.at, since=since)
        if following and following.xid in commit.xids:
            raise RefusedError(
                "This act came here together with later ones: from another database."
            )
        backup = choose_backup(known, log.stretches, commit.lsn)
        return Point(act, last, commit, log.timeline_at(commit.lsn), backup)


@contextlib.contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    """A folder beside the data folder, on the same disk, that is gone afterwards."""
    folder = settings.data.with_name(f"{settings.data.name}.search")
    _clear_away(folder)
    try:
        (folder / "data").mkdir(mode=0o700, parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear_away(folder: Path) -> None:
    """Remove what a run that was killed left, when the server that it had started has ended."""
    ends = time.monotonic() + STOPS_WITHIN
    while (folder / "data" / "postmaster.pid").exists() and time.monotonic() < ends:
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Let nobody else search or restore meanwhile. Raises :class:`RefusedError` if one does."""
    with (settings.folder / "lock" / "restore").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError("Another restore or preview is running.") from error
        yield


def _way_to_the_end(settings: Settings, known: Known, timeline: str) -> list[str]:
    """Options that restore to the end of a timeline, from the newest backup that leads there.

    pgBackRest would take the newest of all, and after a restore that is one of the timeline that
    was left, from behind the place where it was left.
    """
    number = max(known.timelines) if timeline == "latest" else int(timeline)
    if number not in known.timelines:
        raise RefusedError(f"The archive has no timeline {number}.")
    history = (
        read_history(read_archived(settings, known, f"{number:08X}.history")) if number > 1 else ()
    )
    begin = history[-1].end if history else 0
    stretches = (*history, Stretch(number, begin, sys.maxsize))
    backup = choose_backup(known, stretches, sys.maxsize)
    return [f"--set={backup.label}", f"--target-timeline={number}"]


def _stretches(data: Path) -> tuple[Stretch, ...]:
    histories = sorted((data / "pg_wal").glob("*.history"))
    if not histories:
        raise RefusedError("The restored server was not promoted.")
    return read_history(histories[-1].read_text())


def _find_act(server: PrivateServer, wanted: Wanted) -> Act:
    if wanted.revision is not None:
        rows = server.ask(BY_NUMBER, number=str(wanted.revision))
    else:
        assert wanted.time is not None  # noqa: S101 - one of the two is given
        rows = server.ask(BY_TIME, time=wanted.time.isoformat())
    last = _read_act(server.ask(LAST))
    end = f"The log ends with revision {last.revision} of {last.at.isoformat()}"
    if not rows:
        raise RefusedError(f"There is no such act. {end}.")
    number, revision = rows[0][:2]
    if number != revision:
        raise RefusedError(
            f"{number} is an event inside the act with revision {revision}: say that."
        )
    if wanted.time is not None and last.at < wanted.time:
        raise RefusedError(f"{end}; what was later is not known. --latest restores to there.")
    return _read_act(rows)


def _read_act(rows: list[list[str]]) -> Act:
    if not rows:
        raise RefusedError("The restored ledger is empty.")
    _number, revision, at, xid = rows[0]
    return Act(int(revision), datetime.fromisoformat(at), int(xid))


def choose_backup(known: Known, stretches: Sequence[Stretch], lsn: int) -> Backup:
    """The newest backup that ended before ``lsn`` on the way there. Raises :class:`RefusedError`."""
    ends = {each.timeline: each.end for each in stretches}
    before = [
        each
        for each in known.backups
        if each.stop <= lsn and each.stop <= ends.get(each.timeline, -1)
    ]
    if not before:
        raise RefusedError("No backup leads there: it is older than the oldest one.")
    return before[-1]


def _tell(point: Point) -> None:
    say(f"Revision {point.act.revision} of {point.act.at.isoformat()}")
    say(f"  committed at {written(point.commit.lsn)} on timeline {point.timeline}")
    say(f"  after the backup {point.backup.label}")
    lost = point.last.revision - point.act.revision
    say(f"  the log goes on to revision {point.last.revision} of {point.last.at.isoformat()}:")
    say(f"  {lost} later events of the ledger will not be there")


def _check(settings: Settings, known: Known, expected: int | None) -> None:
    """Recover, and compare where the ledger ends with what was wanted."""
    say("Recovering …")
    with private_server(settings, settings.data, version=known.version, lasting=True) as server:
        head = int(server.ask(HEAD)[0][0])
        last = _read_act(server.ask(LAST))
        timeline = int(server.ask("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0][:8], 16)
    if head != last.revision or expected not in (None, head):
        raise RefusedError(
            f"The ledger ends with {last.revision}, its head says {head}, wanted was {expected}: "
            f"this is not what was asked for. Do not start a server on {settings.data}."
        )
    print(f"Restored to revision {head} of {last.at.isoformat()}, timeline {timeline}.")
    say("Start PostgreSQL now, verify (manage.py audit verify), and take a full backup.")
