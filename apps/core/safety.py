"""What the server refuses to start with. Each refusal names the setting and the way out."""

import sqlite3
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from apps.core.appendonly import list_missing_triggers
from apps.engine.strength import HOW_TO_MAKE_ONE, is_weak

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "testserver"})
WAL_SAFE_FROM = (3, 51, 3)
SYNCHRONOUS_FULL = 2
SYNCHRONOUS_COMMITS = ("on", "remote_apply")


class UnsafeStartError(Exception):
    """The server must not run so."""


def refuse_unsafe(*, tables: bool = True) -> None:
    """Raise :class:`UnsafeStartError` with every reason not to start; without ``tables``, with those
    that can be told before there are any.
    """
    reasons = _database_reasons() or list_unsafe(tables=tables)
    if reasons:
        raise UnsafeStartError("Refusing to start. " + " ".join(reasons))


def list_unsafe(*, tables: bool = True) -> list[str]:
    """The reasons not to start with these settings on this database."""
    reasons = _key_reasons()
    reasons += _sqlite_reasons() if connection.vendor == "sqlite" else _postgres_reasons()
    if not tables:
        return reasons
    reasons += [
        f"The append-only trigger {name} is missing: somebody or something removed it. Compare "
        "the ledger with your backups, then make it again with `manage.py make_triggers`."
        for name in list_missing_triggers(connection)
    ]
    return reasons


def _database_reasons() -> list[str]:
    """What keeps from connecting. PostgreSQL's pool would try for seconds, and not say why it cannot."""
    opened: Any = connection
    try:
        if opened.vendor == "postgresql":
            with opened.wrap_database_errors:
                opened.Database.connect(**opened.get_connection_params()).close()
        else:
            opened.ensure_connection()
    except DatabaseError as error:
        said = " ".join(str(error).split())
        if opened.vendor == "postgresql":
            return [f"DATABASE_URL: start that database, or name another, for it says: {said}"]
        name = opened.settings_dict["NAME"]
        return [f"The database {name} cannot be opened: name another folder by --data. ({said})"]
    return []


def _key_reasons() -> list[str]:
    """The key file of secrets may hold older keys too, which wrap nothing new. One that is not there,
    or not text, is missed later: the server starts sealed.
    """
    provider = settings.KEY_PROVIDER
    path = Path(str(provider["file"]))
    try:
        keys = path.read_text().split() if provider["wraps"] == "file" else []
    except (OSError, ValueError):
        return []
    if not keys or not is_weak(keys[0]):
        return []
    return [
        f"The key that wraps secrets, in {path}, is weak: {HOW_TO_MAKE_ONE} Where secrets are wrapped by "
        "it already, `manage.py rotate_keys --new-key --forget-unused` puts another in its place."
    ]


def _pragma(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        row = cursor.fetchone()
    return str(row[0]).lower() if row else ""


def _sqlite_reasons() -> list[str]:
    reasons = []
    journal = _pragma("journal_mode")
    wal_is_safe = sqlite3.sqlite_version_info >= WAL_SAFE_FROM
    in_memory = journal == "memory" and "memory" in str(connection.settings_dict["NAME"])
    if journal != "truncate" and not (journal == "wal" and wal_is_safe) and not in_memory:
        reasons.append(f"SQLite journal_mode is {journal}: it must be truncate.")
    if int(_pragma("synchronous")) < SYNCHRONOUS_FULL:
        reasons.append("SQLite synchronous is below FULL: acknowledged publishes could be lost.")
    if _pragma("cache_spill") != "0":
        reasons.append("SQLite cache_spill is on: it must be off.")
    if _pragma("recursive_triggers") != "1":
        reasons.append(
            "SQLite recursive_triggers is off: REPLACE would pass the append-only triggers."
        )
    return reasons


def _postgres_reasons() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        value = cursor.fetchone()[0]
    if value in SYNCHRONOUS_COMMITS:
        return []
    return [
        f"PostgreSQL synchronous_commit is {value}: acknowledged publishes could be lost. Set it "
        "to on, or remote_apply."
    ]
