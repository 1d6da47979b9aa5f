"""What the server refuses to start with. Each refusal names the setting and the way out."""

import sqlite3

from django.conf import settings
from django.db import connection

from apps.core.appendonly import list_missing_triggers

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "testserver"})
WAL_SAFE_FROM = (3, 51, 3)
SYNCHRONOUS_FULL = 2
SYNCHRONOUS_COMMITS = ("on", "remote_apply")


class UnsafeStartError(Exception):
    """The server must not run so."""


def refuse_unsafe() -> None:
    """Raise :class:`UnsafeStartError` with every reason not to start."""
    reasons = list_unsafe()
    if reasons:
        raise UnsafeStartError("Refusing to start. " + " ".join(reasons))


def list_unsafe() -> list[str]:
    """The reasons not to start with these settings on this database."""
    reasons = []
    public = [host for host in settings.ALLOWED_HOSTS if host not in LOOPBACK]
    if settings.DEBUG and public:
        reasons.append(
            f"CONFIGSVC_DEBUG is on with the public host {public[0]}: turn it off, or serve "
            "loopback only."
        )
    reasons += _sqlite_reasons() if connection.vendor == "sqlite" else _postgres_reasons()
    reasons += [
        f"The append-only trigger {name} is missing: somebody or something removed it. Compare "
        "the ledger with your backups, then make it again with `manage.py make_triggers`."
        for name in list_missing_triggers(connection)
    ]
    return reasons


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
