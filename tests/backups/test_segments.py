"""What a segment may follow, and that an installation is restored from segments whole."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest

from tests.backups.changing import LEAK
from tests.commands import Commands
from tests.serving import TOP, installation

pytestmark = pytest.mark.servers(database=False)

LEFT_OUT = {"django_session", "delivery_streamticket", "core_jobrun", "backups_run"}
RESTORING = {"audit_head", "access_accessgeneration", "django_migrations", "sqlite_sequence"}
FOLLOWING = [
    ("begin", "full"),
    ("act", "segment"),
    ("redact", "full"),
    ("act", "segment"),
    ("upgrade", "full"),
    ("act", "segment"),
    ("downgrade", "full"),
    ("begin_an_epoch", "full"),
    ("act", "segment"),
    ("lose_the_newest", "full"),
    ("act", "segment"),
    ("change_rows", "segment"),
]


@pytest.fixture
def shop(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with installation() as made:
        made.environment["CONFIGSVC_BACKUPS_SCHEDULED"] = "false"
        yield made


def rows(path):
    """All rows of a SQLite file by table, as SQLite itself gives them, whatever order columns are in."""
    with contextlib.closing(sqlite3.connect(path)) as opened:
        opened.row_factory = sqlite3.Row
        names = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: sorted(
                repr(sorted(zip(row.keys(), row, strict=True)))
                for row in opened.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - its own names
            )
            for (name,) in names
        }


def test_segment__after_changes_of_all_kinds__is_one_only_where_it_can_be_restored(shop):
    """Redacted texts, other tables, another epoch and a lost archive each begin with a full one."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.backups.changing"],
        cwd=TOP,
        env=shop.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [line.split() for line in done.stdout.splitlines()]
    assert [(change, kind) for change, kind, _name in told] == FOLLOWING

    path = shop.folder / "restored.sqlite3"
    with Commands(shop.environment) as commands:
        commands("backup", "restore", told[2][2], "--into", str(path))
        assert LEAK.encode() not in path.read_bytes()
        path.unlink()
        commands("backup", "restore", told[-1][2], "--into", str(path))
    before, after = rows(shop.folder / "configsvc.sqlite3"), rows(path)
    assert set(before) == set(after)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= LEFT_OUT | RESTORING
