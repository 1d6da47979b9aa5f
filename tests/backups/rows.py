"""All rows of a database that is not the tests' own, by table, as an archive would write them."""

import contextlib
import hashlib
import sqlite3

MOVES = frozenset({"audit_head", "access_accessgeneration"})
"""What each restore changes by itself: the epoch, and the generation of rights."""
SERVES = frozenset(
    {
        "access_token",
        "audit_refusedread",
        "audit_verification",
        "core_job",
        "core_user",
        "delivery_readcount",
    }
)
"""What a server writes that only runs: when tokens were used, who came or was refused, and what is due."""
LEDGER = "audit_auditevent"


def read_rows(environment):
    """The digests of the rows of an installation's database, by table. The ledger's are a list, in its
    order, since each restore adds to it.
    """
    from apps.backups.tables import dumped, list_tables

    found = {}
    with _opened(environment) as snapshot:
        for table in list_tables():
            if table.name in MOVES:
                continue
            lines = map(dumped(table), snapshot.rows(table))
            digests = [hashlib.sha256(line.encode()).digest() for line in lines]
            found[table.name] = digests if table.name == LEDGER else sorted(digests)
    return found


def differing(older, newer):
    """The tables that are not the same; a ledger that goes on is."""
    assert set(older) == set(newer)
    goes_on = newer | {LEDGER: newer[LEDGER][: len(older[LEDGER])]}
    return {name for name in older if older[name] != goes_on[name]}


@contextlib.contextmanager
def _opened(environment):
    from apps.backups.snapshots import PostgresSnapshot, SqliteSnapshot

    url = environment.get("DATABASE_URL")
    if not url:
        path = f"{environment['CONFIGSVC_DATA_DIR']}/configsvc.sqlite3"
        with contextlib.closing(sqlite3.connect(path)) as opened:
            opened.execute("BEGIN")
            yield SqliteSnapshot(opened)
        return
    import psycopg

    with psycopg.connect(url) as opened:
        opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        opened.read_only = True
        yield PostgresSnapshot(opened)
