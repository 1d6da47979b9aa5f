"""Another machine: the keys of an installation and its archives, and an empty database."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.serving import Installation


@contextlib.contextmanager
def elsewhere(made, *, sqlite=None):
    """An installation beside ``made`` whose database is empty; on ``sqlite``, or on PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="configsvc-elsewhere-") as folder:
        other = Installation(folder, prepared=False)
        other.demo, other.raw = made.demo, made.raw
        if sqlite and other.is_postgres:
            other.close()
            other.database = None
            del other.environment["DATABASE_URL"]
        shutil.copytree(Path(made.folder) / "keys", other.folder / "keys")
        other.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        other.environment["CONFIGSVC_BACKUP_FOLDER"] = str(backups(made))
        try:
            yield other
        finally:
            other.close()


def backups(made):
    """Where the archives of an installation are."""
    kept = made.environment.get("CONFIGSVC_BACKUP_FOLDER")
    return Path(kept) if kept else Path(made.folder) / "backups"


def empty(made):
    """Let its database be empty again."""
    if made.is_postgres:
        made._sql(f"DROP DATABASE {made.database} WITH (FORCE)")
        made._sql(f"CREATE DATABASE {made.database}")
    for path in made.folder.glob("*configsvc*.sqlite3*"):
        path.unlink()
    for name in ("epochs.json", "database.id"):
        (made.folder / name).unlink(missing_ok=True)


def await_alone(made):
    """Until a killed process has let go of its database: PostgreSQL notices when it next writes."""
    if not made.is_postgres:
        return
    import time

    import psycopg

    url = urlunsplit(urlsplit(os.environ["DATABASE_URL"]))
    with psycopg.connect(url, autocommit=True) as opened:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        while opened.execute(asked, [made.database]).fetchone()[0]:
            time.sleep(0.02)
