"""Setting it up, and looking whether what was set up still holds."""

import os
import secrets
import string
import time
from pathlib import Path

from point_in_time.programs import (
    RefusedError,
    check_passphrase,
    look_up,
    pgbackrest,
    run,
    say,
    watch_pgbackrest,
)
from point_in_time.settings import STANZA, Settings

TEMPLATE = Path(__file__).resolve().parent.parent / "pgbackrest.conf"
PASSPHRASE_BYTES = 48
ARCHIVE_TIMEOUT = 30
CHECKPOINT_TIMEOUT = 45
"""After a start PostgreSQL first looks at archive_timeout when checkpoint_timeout is over: its
checkpointer goes to sleep while the server is still starting. Measured with 300 s, PostgreSQL's
own: the first act after a start was in the archive after 300 s, with 45 s after 45 s.
"""
OLDEST_BACKUP = 8 * 86_400
UNSET = ("", "(disabled)")
ARCHIVING = """SELECT current_setting('archive_mode'),
    (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout'),
    (SELECT setting::int FROM pg_settings WHERE name = 'checkpoint_timeout'),
    current_setting('archive_command'),
    coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
    coalesce(last_failed_wal, '') FROM pg_stat_archiver"""


def set_up(settings: Settings) -> None:
    """Write configuration and passphrase where they are missing, and let the server archive.

    What is there stays as it is, so it can be run again. The server is running; it may have to be
    restarted afterwards, which this says and does not do. Raises :class:`RefusedError` where the
    server hands its log to somebody else already.
    """
    command = archive_command(settings)
    current = _ask(settings, "SHOW archive_command")[0]
    if current not in (*UNSET, command):
        raise RefusedError(f"archive_command is {current!r} already: reset it first.")
    _write_files(settings)
    pgbackrest(settings, "stanza-create")
    wanted = {
        "wal_level": "replica" if _ask(settings, "SHOW wal_level") == ["minimal"] else None,
        "archive_mode": "on",
        "archive_timeout": f"{ARCHIVE_TIMEOUT}s",
        "checkpoint_timeout": f"{CHECKPOINT_TIMEOUT}s",
        "archive_command": command,
    }
    for name, value in wanted.items():
        if value is not None:
            _ask(settings, f"ALTER SYSTEM SET {name} = :'value'", value=value)
    _ask(settings, "SELECT pg_reload_conf()")
    print(f"Set up in {settings.folder}.")
    say(f"Copy {settings.passphrase} to a safe place: without it no backup can be restored.")
    if _ask(settings, "SHOW archive_mode") == ["off"]:
        say("Restart PostgreSQL now. Then: backup full, and check.")


def archive_command(settings: Settings) -> str:
    """What PostgreSQL runs for each piece of its log."""
    parts = [*settings.options(), "archive-push"]
    if any(set(part) & set(" '\"%\\$") for part in parts):
        raise RefusedError(f"The path {settings.folder} has a character that a shell would read.")
    return " ".join(["pgbackrest", *parts, '"%p"'])


def _write_files(settings: Settings) -> None:
    for folder in (settings.folder, settings.secrets, *map(settings.folder.joinpath, FOLDERS)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.passphrase.exists():
        made = secrets.token_urlsafe(PASSPHRASE_BYTES)
        _create(settings.passphrase, f"[global]\nrepo1-cipher-pass={made}\n")
    check_passphrase(settings)
    if settings.configuration.exists():
        say(f"{settings.configuration} is there and stays as it is.")
        return
    if not settings.data.name:
        raise RefusedError("Say where the data folder is: --data, or PGDATA.")
    settings.repository.mkdir(mode=0o750, parents=True, exist_ok=True)
    values = {name: getattr(settings, name) for name in ("folder", "repository", "data", "socket")}
    text = string.Template(TEMPLATE.read_text())
    values |= {"port": settings.port, "user": settings.user, "stanza": STANZA}
    _create(settings.configuration, text.safe_substitute(values))


FOLDERS = ("log", "lock", "spool")


def _create(path: Path, text: str) -> None:
    """Write a file that was not there, readable by its owner alone from the first byte on."""
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w") as file:
        file.write(text)


def _ask(settings: Settings, statement: str, **values: str) -> list[str]:
    """The first row of a statement to the running server."""
    named = [part for name, value in values.items() for part in ("-v", f"{name}={value}")]
    where = ["-h", settings.socket, "-p", str(settings.port), "-U", settings.user, "-d", "postgres"]
    command = ["psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", *named, *where]
    return run(command, sent=statement).removesuffix("\n").split("\t")


def back_up(settings: Settings, kind: str) -> None:
    """Take a backup beside the running server: ``full``, ``diff`` or ``incr``."""
    watch_pgbackrest(settings, "backup", f"--type={kind}")
    print(f"Backed up: {look_up(settings).backups[-1].label}.")


def check(settings: Settings) -> None:
    """Let the server archive a piece of its log now, and look at everything that must hold.

    Raises :class:`RefusedError` that names all that does not.
    """
    mode, timeout, sleep, command, failing, segment = _ask(settings, ARCHIVING)
    faults = []
    if mode == "off" or command != archive_command(settings):
        faults.append("PostgreSQL does not archive: run setup, and restart it.")
    if not 0 < int(timeout) <= ARCHIVE_TIMEOUT:
        faults.append(f"archive_timeout is {timeout} s: over {ARCHIVE_TIMEOUT} s may be lost.")
    if int(sleep) > CHECKPOINT_TIMEOUT:
        faults.append(f"checkpoint_timeout is {sleep} s: so much may be lost after a start.")
    if failing == "t":
        faults.append(f"The last attempt to archive failed, with {segment}: see PostgreSQL's log.")
    if faults:
        raise RefusedError("\n".join(faults))
    watch_pgbackrest(settings, "check")
    age = time.time() - look_up(settings).backups[-1].ended
    if age > OLDEST_BACKUP:
        raise RefusedError(f"The newest backup is {age / 86_400:.0f} days old.")
    print("Archiving works, and there is a backup.")
